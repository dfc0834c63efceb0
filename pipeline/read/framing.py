"""From the bytes of an archive to records, whatever shape they are in.

FastWARC reads first. Where it stops before the end, or cannot start (ARC, line feeds alone, empty gzip members, a
wrong Content-Length), warcio goes on from the end of the last good record. Where that fails too, the next place that
looks like a record is searched, and FastWARC starts again there: damage costs the records that it touches. No record is
read twice and none between two good ones disappears without a `Gap`.

A gzip member that holds more than one record has no random access. From the first such member on, the archive is
inflated once into a spool, and its records have the address ``size of the archive + place in the spool``.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastwarc.warc import ArchiveIterator
from warcio.archiveiterator import ArchiveIterator as WarcioIterator
from warcio.exceptions import ArchiveLoadFailed

from plait.pipeline.read.http_message import text_of
from plait.pipeline.read.places import (
    GZIP,
    Layout,
    layout_of,
    next_record,
    record_end,
    skip_padding,
    starts_member,
)
from plait.pipeline.read.source import Source

logging.getLogger("warcio").addHandler(logging.NullHandler())  # it warns of every blank in a URL; ours are escaped

_PIECE = 1 << 20
_KINDS = {
    2: "warcinfo",
    4: "response",
    8: "resource",
    16: "request",
    32: "metadata",
    64: "revisit",
    128: "conversion",
    256: "continuation",
}  # fastwarc.warc.WarcRecordType by number: its members cannot be hashed
# What warcio raises on damage, found by flipping bits: it indexes and converts without looking.
_WARCIO_ERRORS = (
    ArchiveLoadFailed, OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, zlib.error, MemoryError,
    AssertionError,
)  # fmt: skip


class _Silence(io.TextIOBase):
    """Swallows what is written."""

    def write(self, text: str) -> int:
        """Forget the text."""
        return len(text)


_SILENCE = _Silence()


class DamagedError(Exception):
    """The record that is being read breaks off or cannot be inflated."""


class _Readable(Protocol):
    def __call__(self, size: int, /) -> bytes: ...


class _Headers:
    """Headers of a record by their name in lower case; the first of a repeated one.

    Asking FastWARC for one header takes 4.5 µs, for all of them as bytes 2.9 µs: all are taken when one is wanted, and
    decoded when used.
    """

    __slots__ = ("_items", "_values")

    def __init__(self, items: Callable[[], Sequence[tuple[bytes, bytes]]]):
        self._items = items
        self._values: dict[bytes, bytes] | None = None

    def __call__(self, name: bytes) -> str | None:
        values = self._values
        if values is None:
            values = self._values = {key.lower(): value for key, value in reversed(self._items())}
        return text_of(values[name]) if name in values else None


@dataclass(slots=True)
class Frame:
    """One record, valid until the next is asked for.

    Attributes:
        offset: address of its first byte.
        kind: WARC-Type in lower case; "response" for ARC records, "warcinfo" for an ARC's file description.
        header: a header of the record by its name in lower case, None where it is absent.
        size: bytes of its block, as its Content-Length says.
        arc: an ARC record, whose headers are uri, archive-date, content-type and length.
    """

    offset: int
    kind: str
    header: Callable[[bytes], str | None]
    size: int
    arc: bool
    _read: _Readable
    taken: int = 0
    damage: str | None = None

    def take(self, size: int) -> bytes:
        """The next bytes of the block, `size` of them unless it ends before.

        Raises:
            DamagedError: the archive is damaged or breaks off here.
        """
        left = self.size - self.taken
        if left <= 0 or size <= 0:
            return b""
        size = left if left < size else size
        data = self._part(size)
        if len(data) == size:
            return data
        parts, left = [data], size - len(data)
        while left > 0:
            parts.append(self._part(left))
            left -= len(parts[-1])
        return b"".join(parts)

    def _part(self, size: int) -> bytes:
        try:
            part = self._read(size)
        except _WARCIO_ERRORS as error:
            self.damage = str(error)
            raise DamagedError(self.damage) from error
        if not part:
            self.damage = "the record breaks off"
            raise DamagedError(self.damage)
        self.taken += len(part)
        return part


@dataclass(frozen=True, slots=True)
class Gap:
    """From this address on something could not be read; a frame with the same offset is to be forgotten.

    Without a detail nothing was lost: it marks the end of what is there.
    """

    offset: int
    detail: str


@dataclass(frozen=True, slots=True)
class Spooled:
    """A frame with this offset is to be forgotten: it comes again, with all that follows, from the spool."""

    offset: int


@dataclass(slots=True)
class _Run:
    """How far one engine came: its last frame, and why it stopped."""

    last: Frame | None = None
    offset: int = 0  # of the last frame in the source that the engine reads
    trouble: str = ""
    shared: tuple[int, int] | None = None  # start of a member of several records, and how many of them were given


def frames(source: Source, spool: Callable[[int], tuple[Source, str]] | None) -> Iterator[Frame | Gap | Spooled]:
    """All records of an archive, in its order; a frame with the offset of the one before it replaces that.

    Args:
        source: the archive.
        spool: inflates the archive from an offset on into a file and gives it with what was wrong ("" if nothing);
            None where there can be no member of many records (the spool itself, one record).
    """
    start = skip_padding(source, 0)
    layout = layout_of(source, start)
    engine = _fast if layout.fast else _slow
    while start < source.size:
        run = _Run()
        yield from engine(source, start, layout, run)
        if run.shared is not None and spool is not None:
            yield Spooled(run.offset)
            yield from _spooled(source, run.shared, spool)
            return
        last = run.last
        end = None if last is None or last.damage else record_end(source, run.offset, layout)
        if engine is _fast and end is None:  # a frame with the same offset replaces the one before it
            start, engine = start if last is None else run.offset, _slow
            continue
        if end is None:
            place = start if last is None else run.offset
            breaks = "no record starts here" if last is None else "the record breaks off"
            yield Gap(place, (last and last.damage) or run.trouble or breaks)
            start = next_record(source, place + 1, layout)
        else:
            start = skip_padding(source, end)
            if engine is _fast and start == end:  # FastWARC stopped before what should be a record
                engine = _slow
                continue
        layout = layout_of(source, start)
        engine = _fast if layout.fast else _slow


def _spooled(
    source: Source, shared: tuple[int, int], spool: Callable[[int], tuple[Source, str]]
) -> Iterator[Frame | Gap]:
    member, given = shared
    tail, damage = spool(member)
    with tail:
        for item in frames(tail, None):
            if isinstance(item, Gap):
                yield Gap(item.offset + source.size, item.detail)
            elif isinstance(item, Frame):
                if given:
                    given -= 1
                    continue
                item.offset += source.size
                yield item
        yield Gap(source.size + tail.size, damage)


def _fast(source: Source, start: int, layout: Layout, run: _Run) -> Iterator[Frame]:
    source.seek(start)
    before, place = start, -1
    drain = layout.magic not in (b"", GZIP)
    try:
        for record in ArchiveIterator(source, parse_http=False):
            offset = record.stream_pos
            if not starts_member(source, offset, layout):
                run.shared = (place, 0) if place >= 0 else None  # this one and the last lie in one member
                return
            if offset <= place:
                # FastWARC gives a record within a member the place that it has read up to. Where that was the end of
                # the member, the last one got the place of this: it was the second record of the member before.
                run.shared = before, 1 if before < place else 0
                return
            headers, size = _Headers(record.headers.items_bytes), record.content_length
            kind = _KINDS.get(int(record.record_type)) or (headers(b"warc-type") or "").lower()
            if not kind or "\n" in kind or (not size and (headers(b"content-length") or "").strip("0")):
                run.trouble = "the record's headers end in line feeds or are folded"  # FastWARC makes nothing of those
                return
            before, place = max(place, start), offset
            frame = run.last = Frame(offset, kind, headers, size, False, record.reader.read)
            run.offset = offset
            yield frame
            if frame.damage is not None:
                return
            # Only the last record can be short, and `record_end` finds that out for gzip and plain ones.
            if drain and frame.taken + record.consume() < size:
                frame.damage = "the record breaks off"
                return
    except OSError as error:
        run.trouble = str(error)


def _slow(source: Source, start: int, layout: Layout, run: _Run) -> Iterator[Frame]:
    source.seek(start)
    records = WarcioIterator(source, no_record_parse=True)
    if layout.arc and start:
        records.known_format = "arc"
    while True:
        try:
            with contextlib.redirect_stderr(_SILENCE):  # it reports to stderr what a Gap or its absence says here
                record = next(records, None)
        except _WARCIO_ERRORS as error:
            run.trouble = " ".join(str(error).split()) or type(error).__name__
            if run.last is not None and "non-chunked gzip" in run.trouble:
                run.shared = run.offset, 0
            return
        if record is None:
            return
        arc = record.format == "arc"
        header = _Headers(functools.partial(_encoded, record.rec_headers.headers))
        kind = {"arc_header": "warcinfo"}.get(record.rec_type, (record.rec_type or "").strip().lower())
        stated = (header(b"length" if arc else b"content-length") or "").strip()
        offset = skip_padding(source, records.offset) if layout.magic else records.offset
        frame = run.last = Frame(offset, kind, header, record.length or 0, arc, record.raw_stream.read)
        run.offset = offset
        if not stated.isdecimal():
            frame.damage = "the record does not say its length"
            return
        yield frame
        if not _drained(frame):
            return


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in headers]


def _drained(frame: Frame) -> bool:
    """Whether the rest of a frame could be read to its end."""
    try:
        while frame.damage is None and frame.taken < frame.size:
            frame.take(_PIECE)
    except DamagedError:
        return False
    return frame.damage is None
