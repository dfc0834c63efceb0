"""Answers of a network as they come, kept so that a killed unit asks nothing twice.

On a disk each answer is in the file when `Journal.append` returns: whatever kills the process, only requests in flight
are repeated. An object store shows an object only when it is closed, so there answers are written in segments, and a
kill loses at most the segment that was open.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from plait.jobs.store import Store
from plait.pipeline.fetch.answers import Answer
from plait.schemas.errors import UnitError

_FRAME = struct.Struct("<4sIQI")  # magic, bytes of the row, bytes of the body, CRC-32 of the row
_MAGIC = b"plj1"
SEGMENT_ANSWERS = 128
SEGMENT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer in a journal.

    Attributes:
        image_key: of its URL.
        row: columns of `FETCHED`, SHA-256 as hex, ``asked_us`` for the time.
        path: of the journal's file.
        offset: of the body in it.
        length: of the body.
    """

    image_key: int
    row: dict[str, str | int | float | None]
    path: str
    offset: int
    length: int


def _frame(answer: Answer, image_key: int) -> bytes:
    row = {name: value for name, value in asdict(answer).items() if name != "body"}
    row["sha256"] = answer.sha256.hex() if answer.sha256 is not None else None
    data = json.dumps(row | {"image_key": image_key}).encode()
    return _FRAME.pack(_MAGIC, len(data), len(answer.body), zlib.crc32(data)) + data + answer.body


def _entries(file: IO[bytes], path: str, size: int) -> Iterator[Entry]:
    """Whole answers of a file; it may break off anywhere."""
    place = 0
    while place + _FRAME.size <= size:
        file.seek(place)
        magic, row_bytes, body_bytes, crc = _FRAME.unpack(file.read(_FRAME.size))
        start = place + _FRAME.size + row_bytes
        if magic != _MAGIC or start + body_bytes > size:
            return
        data = file.read(row_bytes)
        if zlib.crc32(data) != crc:
            return
        row = json.loads(data)
        yield Entry(row.pop("image_key"), row, path, start, body_bytes)
        place = start + body_bytes


class Journal:
    """The answers of one round of a unit, of this attempt and of those before it; a context manager.

    Args:
        store: the build's folder.
        folder: of the round.
        attempt: name of this attempt.
    """

    def __init__(self, store: Store, folder: str, attempt: str):
        self._store = store
        self._folder = folder
        self._attempt = attempt
        self._file: io.FileIO | None = None
        self._segment: list[bytes] = []
        self._segment_bytes = 0
        self._segments = 0

    def __enter__(self) -> Self:
        """Begin this attempt's part."""
        if self._store.is_local:
            path = Path(self._store.path(f"{self._folder}/{self._attempt}"))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is not written yet."""
        if self._file is not None:
            self._file.close()
        self._flush()

    def append(self, answer: Answer, image_key: int) -> None:
        """Record an answer."""
        frame = _frame(answer, image_key)
        if self._file is not None:
            rest = memoryview(frame)
            while rest:
                rest = rest[self._file.write(rest) :]
            return
        self._segment.append(frame)
        self._segment_bytes += len(frame)
        if len(self._segment) >= SEGMENT_ANSWERS or self._segment_bytes >= SEGMENT_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._segment:
            return
        with self._store.open_write(f"{self._folder}/{self._attempt}-{self._segments:06d}") as file:
            file.write(b"".join(self._segment))
        self._segment, self._segment_bytes, self._segments = [], 0, self._segments + 1

    def entries(self) -> Iterator[Entry]:
        """One answer for each image key, of all attempts; where attempts raced, that of the first file by name."""
        self._flush()
        met: set[int] = set()
        for path in self._store.list(self._folder):
            with self._store.open_read(path) as file:
                for entry in _entries(file, path, self._store.size(path)):
                    if entry.image_key not in met:
                        met.add(entry.image_key)
                        yield entry


class Bodies:
    """Bodies of a journal's entries; a context manager that holds the files open."""

    def __init__(self, store: Store):
        self._store = store
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        """Nothing is open yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def read(self, entry: Entry) -> bytes:
        """The body of an entry, checked against its SHA-256.

        Raises:
            UnitError: the journal is damaged.
        """
        file = self._files.get(entry.path)
        if file is None:
            file = self._files[entry.path] = self._store.open_read(entry.path)
        file.seek(entry.offset)
        body = file.read(entry.length)
        if hashlib.sha256(body).hexdigest() != entry.row["sha256"]:
            raise UnitError(f"the journal {entry.path} is damaged at byte {entry.offset}: remove it to fetch again")
        return body
