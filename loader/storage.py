"""Where a corpus' files lie: a folder on disk, or a URL whose files are brought into a bounded local cache."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from plait.schemas.errors import ConfigError, CorpusError

CACHE_BYTES: Final = 50 << 30
COPY_BYTES: Final = 8 << 20
OPENINGS: Final = 50
ATTEMPTS: Final = 4  # of one download; each takes up where the last broke off only by starting again


@dataclass(frozen=True)
class Cache:
    """A folder that holds remote files, shared by all processes of a machine.

    Attributes:
        folder: where they lie; None: a folder in the machine's temporary directory.
        max_bytes: above this, the files used longest ago are removed. A file that is open stays readable.
    """

    folder: Path | None = None
    max_bytes: int = CACHE_BYTES

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder or Path(tempfile.gettempdir()) / f"plait-cache-{os.getuid()}"


@dataclass(frozen=True)
class Storage:
    """Files of a corpus by their paths in it."""

    root: str
    cache: Cache = Cache()

    @property
    def remote(self) -> bool:
        """Whether the files must be brought here first."""
        return "://" in self.root and not self.root.startswith("file://")

    def local(self, path: str) -> Path:
        """A file on this machine's disk.

        Raises:
            CorpusError: the file is not there, or could not be fetched.
        """
        if not self.remote:
            found = Path(self.root.removeprefix("file://")) / path
            if not found.is_file():
                raise CorpusError(f"the corpus has no file {path} (looked for {found})")
            return found
        url = f"{self.root.rstrip('/')}/{path}"
        name = hashlib.sha256(url.encode()).hexdigest()[:32] + Path(path).suffix
        target = self.cache.path / name
        with self._lock(name):
            if target.exists():
                os.utime(target)  # the time of use, which eviction goes by
                return target
            self._fetch(url, target)
        self._evict(keep=target)
        return target

    def open(self, path: str) -> BinaryIO:
        """A file, opened: it stays readable whatever happens to its name.

        Raises:
            CorpusError: the file is not there, or could not be fetched.
        """
        for _ in range(OPENINGS):
            with contextlib.suppress(FileNotFoundError):  # another process evicted it after it was brought: once more
                return self.local(path).open("rb")
        raise CorpusError(f"{path} was evicted {OPENINGS} times before it was opened: give the cache more bytes")

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """One process at a time fetches a file; the others wait and find it."""
        self.cache.path.mkdir(parents=True, exist_ok=True)
        with (self.cache.path / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)

    def _fetch(self, url: str, target: Path) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise ConfigError(f"reading {url} needs fsspec: pip install fsspec") from error
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        failure: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                with fsspec.open(url, "rb") as source, part.open("wb") as file:
                    while block := source.read(COPY_BYTES):
                        file.write(block)
                part.replace(target)
            except FileNotFoundError as error:
                part.unlink(missing_ok=True)
                raise CorpusError(f"the corpus has no file {url}") from error
            except (OSError, EOFError) as error:
                failure = error
                part.unlink(missing_ok=True)
            else:
                return
        raise CorpusError(f"{url} could not be fetched in {ATTEMPTS} attempts: {failure}") from failure

    def _evict(self, keep: Path) -> None:
        """Removes the files used longest ago until the cache is within its bounds; ``keep`` stays."""
        with self._lock("evict"):
            files = []
            for path in self.cache.path.iterdir():
                if path.name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    stat = path.stat()
                    files.append((stat.st_mtime_ns, stat.st_size, path))
            held = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if held <= self.cache.max_bytes:
                    break
                if path != keep:
                    path.unlink(missing_ok=True)
                    held -= size
