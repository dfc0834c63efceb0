"""A folder that a build reads and writes, on disk or on an object store."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol, cast

from plait.schemas.errors import ConfigError

READ_BYTES = 1 << 20


class Upload(Protocol):
    """What we use of an fsspec file being written, beside writing."""

    closed: bool

    def discard(self) -> None:
        """Throw away what was uploaded."""

    def close(self) -> None:
        """Make the object appear."""


class FileSystem(Protocol):
    """What we use of an fsspec file system."""

    def open(self, path: str, mode: str) -> IO[bytes]:
        """Open a file."""

    def exists(self, path: str) -> bool:
        """Whether a path is there."""

    def find(self, path: str) -> list[str]:
        """All files below a path."""

    def pipe_file(self, path: str, value: bytes, mode: str) -> None:
        """Write a small file; mode "create" fails where it exists."""

    def rm(self, path: str, recursive: bool) -> None:
        """Remove a path."""

    def size(self, path: str) -> int:
        """Bytes of a file."""


@dataclass(frozen=True)
class Store:
    """A folder, by local path or fsspec URL; cheap to send to a worker.

    Paths given to its methods are relative to the folder, with ``/``. Nothing is ever renamed on an object store: files
    are complete when they are closed, and `put_new` is the one atomic act that makes work count.
    """

    root: str

    @cached_property
    def _remote(self) -> tuple[FileSystem, str] | None:
        if "://" not in self.root or self.root.startswith("file://"):
            return None
        import fsspec

        try:
            # Other processes write here too: a listing that was true once must not be answered again.
            fs, base = fsspec.url_to_fs(self.root, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"cannot open {self.root}: {error}") from error
        return fs, base.rstrip("/")

    @cached_property
    def _folder(self) -> Path:
        return Path(self.root.removeprefix("file://"))

    @property
    def is_local(self) -> bool:
        """Whether the folder is on a disk of this machine."""
        return self._remote is None

    def path(self, rel: str) -> str:
        """Full path or URL of a file in the folder."""
        return str(self._folder / rel) if self._remote is None else f"{self.root.rstrip('/')}/{rel}"

    def _far(self, rel: str) -> tuple[FileSystem, str]:
        if self._remote is None:
            raise AssertionError("local store")
        fs, base = self._remote
        return fs, f"{base}/{rel}" if rel else base

    def open_read(self, rel: str) -> IO[bytes]:
        """A file for reading at random places."""
        if self._remote is None:
            return (self._folder / rel).open("rb")
        fs, path = self._far(rel)
        return fs.open(path, "rb")

    @contextlib.contextmanager
    def open_write(self, rel: str) -> Iterator[IO[bytes]]:
        """A file that appears under its name, complete, when the block ends without an error.

        On disk it is written beside and moved into place; an object store shows an object only when it is whole.
        Only for names that belong to one attempt, or for contents that any attempt writes alike.
        """
        if self._remote is None:
            target = self._folder / rel
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
            try:
                with part.open("wb") as file:
                    yield file
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            return
        fs, path = self._far(rel)
        upload = cast(Upload, fs.open(path, "wb"))
        try:
            yield cast(IO[bytes], upload)
        except BaseException:
            # Closing would publish what there is: the parts uploaded so far are thrown away instead.
            with contextlib.suppress(Exception):
                upload.discard()
            upload.closed = True
            raise
        upload.close()

    def put_new(self, rel: str, data: bytes) -> bool:
        """Write a small file unless it exists, atomically; returns whether it was written.

        On disk a hard link is the test and the act in one; an object store must know conditional puts.
        """
        if self._remote is None:
            target = self._folder / rel
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
            try:
                with part.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(part, target)
            except FileExistsError:
                return False
            finally:
                part.unlink(missing_ok=True)
            return True
        fs, path = self._far(rel)
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def read(self, rel: str) -> bytes:
        """Bytes of a small file; FileNotFoundError where there is none."""
        with self.open_read(rel) as file:
            return file.read()

    def exists(self, rel: str) -> bool:
        """Whether a file or folder is there."""
        if self._remote is None:
            return (self._folder / rel).exists()
        fs, path = self._far(rel)
        return fs.exists(path)

    def size(self, rel: str) -> int:
        """Bytes of a file."""
        if self._remote is None:
            return (self._folder / rel).stat().st_size
        fs, path = self._far(rel)
        return int(fs.size(path))

    def unfinished(self) -> list[str]:
        """Files of writers that were killed, or are writing now, relative to the store; an object store shows none."""
        if self._remote is not None:
            return []
        return sorted(path.relative_to(self._folder).as_posix() for path in self._folder.rglob(".*.part"))

    def list(self, rel: str) -> list[str]:
        """Files below a folder, sorted, relative to the store; empty where there is no folder."""
        if self._remote is None:
            below = self._folder / rel
            names = (Path(folder) / name for folder, _, names in os.walk(below) for name in names)
            found = [path.relative_to(self._folder).as_posix() for path in names]
            return sorted(name for name in found if not name.endswith(".part"))
        fs, path = self._far(rel)
        _, base = self._remote
        try:
            return sorted(name.removeprefix(base).lstrip("/") for name in fs.find(path))
        except FileNotFoundError:
            return []

    def remove(self, rel: str) -> None:
        """Remove a file or a folder with all in it; nothing happens where it is not there."""
        if self._remote is None:
            target = self._folder / rel
            if target.is_dir():
                import shutil

                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink(missing_ok=True)
            return
        fs, path = self._far(rel)
        if fs.exists(path):
            fs.rm(path, recursive=True)

    def sha256(self, rel: str) -> str:
        """SHA-256 of a file's bytes, hex."""
        digest = hashlib.sha256()
        with self.open_read(rel) as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
        return digest.hexdigest()
