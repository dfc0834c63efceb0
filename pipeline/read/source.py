"""An archive as a file that can be read and sought: local, remote, or a stored member of a WACZ."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import secrets
import shutil
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from plait.pipeline.read.inputs import Archive, is_url
from plait.schemas.errors import UnitError

_PIECE = 1 << 20
_LOCAL_LENGTHS, _LOCAL_HEADER = 26, 30  # ZIP, section 4.3.7: where the two lengths stand, and bytes before the name

_KEPT_READS = 4  # FastWARC reads 64 KiB at a time: the record it has just parsed starts within its last two reads


class Source(io.RawIOBase):
    """A window of a file, from which FastWARC and warcio read.

    A read that fails raises `UnitError`: what a store or a disk did is not the archive's fault, and must not look like
    damage in it (both libraries report damage as `OSError`).

    Attributes:
        size: bytes in the window.
    """

    def __init__(self, file: BinaryIO, name: str, start: int = 0, size: int | None = None):
        super().__init__()
        self._file, self._name, self._start = file, name, start
        try:
            self.size = file.seek(0, os.SEEK_END) - start if size is None else size
        except OSError as error:
            raise UnitError(f"cannot read {name}: {error}") from error
        self._place = 0
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=_KEPT_READS)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Position in the window."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within the window; nothing is read."""
        base = (0, self._place, self.size)[whence]
        self._place = max(base + offset, 0)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes from the position on."""
        left = max(self.size - self._place, 0)
        data = self._get(self._place, left if size is None or size < 0 else min(size, left))
        if len(data) <= _PIECE:
            self._recent.append((self._place, data))
        self._place += len(data)
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from the position on."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def peek(self, place: int, size: int) -> bytes:
        """Bytes at a place of the window; the position stays, and recent reads are not repeated."""
        for start, data in reversed(self._recent):
            at = place - start
            if 0 <= at <= len(data) - size:
                return data[at : at + size]
        return self._get(place, min(size, max(self.size - place, 0)))

    def close(self) -> None:
        """Close the file below."""
        self._file.close()
        super().close()

    def _get(self, place: int, size: int) -> bytes:
        if size <= 0:
            return b""
        try:
            self._file.seek(self._start + place)
            return self._file.read(size)
        except OSError as error:
            raise UnitError(f"cannot read {self._name} at {self._start + place}: {error}") from error


def open_source(archive: Archive, spool_dir: Path) -> Source:
    """The bytes of an archive; a compressed member of a WACZ is inflated into the spool once.

    Raises:
        UnitError: the file is gone or its store does not answer.
    """
    with _as_unit_error(archive):
        if archive.member is None:
            return Source(_open(archive.uri), archive.name, size=archive.bytes)
        start = _member_start(archive)
        if start is not None:
            return Source(_open(archive.uri), archive.name, start=start, size=archive.bytes)
        spooled = spool_dir / f"{archive.id}.member"
        if not spooled.exists():
            with contextlib.ExitStack() as stack:
                package = stack.enter_context(zipfile.ZipFile(stack.enter_context(_open(archive.uri))))
                member = stack.enter_context(package.open(archive.member))
                shutil.copyfileobj(member, stack.enter_context(written(spooled)), _PIECE)
        return Source(spooled.open("rb", buffering=0), archive.name, size=archive.bytes)


def open_range(archive: Archive, offset: int, length: int, spool_dir: Path) -> Source:
    """A range of an archive's bytes; of a remote archive nothing else is fetched.

    Raises:
        UnitError: the file is gone or its store does not answer.
    """
    if not is_url(archive.uri):
        source = open_source(archive, spool_dir)
        return Source(cast(BinaryIO, source), archive.name, offset, max(min(length, source.size - offset), 0))
    with _as_unit_error(archive):
        start = 0 if archive.member is None else _member_start(archive)
        if start is None:
            return Source(cast(BinaryIO, open_source(archive, spool_dir)), archive.name, offset, length)
        import fsspec

        system, path = fsspec.url_to_fs(archive.uri)
        end = min(offset + length, archive.bytes)
        return Source(io.BytesIO(system.cat_file(path, start=start + offset, end=start + end)), archive.name)


@functools.lru_cache(maxsize=1024)
def _member_start(archive: Archive) -> int | None:
    """Where a WACZ's member starts in it; None where it is compressed and has no place of its own."""
    with _open(archive.uri) as file, zipfile.ZipFile(file) as package:
        info = package.getinfo(archive.member or "")
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        # The name and the extra field of a member's local header can differ in length from the central directory's.
        file.seek(info.header_offset + _LOCAL_LENGTHS)
        name, extra = struct.unpack("<HH", file.read(4))
        return int(info.header_offset + _LOCAL_HEADER + name + extra)


def _open(uri: str) -> BinaryIO:
    if not is_url(uri):
        return Path(uri).open("rb", buffering=0)
    import fsspec

    return cast(BinaryIO, fsspec.open(uri, "rb").open())


@contextlib.contextmanager
def _as_unit_error(archive: Archive) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise UnitError(f"cannot open {archive.name}: {error}") from error


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when all of it is written; two processes may write the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as out:
            yield out
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
