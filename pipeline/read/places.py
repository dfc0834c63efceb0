"""Where records start and end in the bytes of an archive; used at its start, at its end, and around damage."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from plait.pipeline.read.source import Source

_PIECE = 1 << 16
_SCAN = 1 << 20
_HEAD = 1 << 15  # FastWARC's own limit for the headers of a record, 32 KiB
GZIP, _ZSTD, _LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
_SKIPPABLE = b"\x2a\x4d\x18"  # last three bytes of the magic of zstd's and lz4's frames that carry no content
_ARC_LINE = re.compile(  # URL, address, 14 digits (10 to 17 in the wild), type, (checksum, …), length
    rb"(?:dns:|(?:filedesc|https?|ftp|whois|gopher|news)://?)[^\n]{1,4000} \d{10,17} [^\n]{0,200}? ?\d{1,12}\r?\n"
)
_WARC_LINE = re.compile(rb"WARC/\d\.\d+(\r?)\n")
_RECORD = re.compile(rb"(?:WARC/\d\.\d+\r?\n[A-Za-z][A-Za-z-]*:)|" + _ARC_LINE.pattern)
_STARTS = re.compile(re.escape(GZIP) + b"|" + _RECORD.pattern)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(  # the value may be folded onto a second line
    rb"^content-length[ \t]*:[ \t]*(?:\r?\n[ \t]+)?(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
_PADDING = b"\0\t\n\x0b\x0c\r "


@dataclass(frozen=True, slots=True)
class Layout:
    """How records lie in the bytes from some place on.

    Attributes:
        magic: first bytes of a member: of gzip, zstd or lz4; b"" for plain records.
        arc: ARC records.
        fast: FastWARC reads them: WARC headers whose lines end in CR LF.
    """

    magic: bytes
    arc: bool
    fast: bool


def layout_of(source: Source, place: int) -> Layout:
    """The layout from a place on, by the first bytes there."""
    head = source.peek(place, 1 << 12)
    if head[:4] in (_ZSTD, _LZ4) or head[1:4] == _SKIPPABLE:
        return Layout(head[:4], arc=False, fast=True)
    magic = b""
    if head.startswith(GZIP):
        magic, head = GZIP, _inflated_head(head)
    line = _WARC_LINE.match(head)
    return Layout(magic, arc=_ARC_LINE.match(head) is not None, fast=line is not None and line[1] == b"\r")


def starts_member(source: Source, place: int, layout: Layout) -> bool:
    """Whether a compressed member starts at a place (plain records start anywhere)."""
    magic = layout.magic
    if not magic:
        return True
    found = source.peek(place, 4)
    return found.startswith(magic) or (magic is not GZIP and (found in (_ZSTD, _LZ4) or found[1:] == _SKIPPABLE))


def record_end(source: Source, place: int, layout: Layout) -> int | None:
    """Where the record at a place ends; None where it breaks off or cannot be inflated.

    A gzip member is inflated once more (to nowhere) and its checksum compared.
    """
    if layout.magic == GZIP:
        return _member_end(source, place)
    if layout.magic:
        return source.size
    head = source.peek(place, _HEAD)
    if layout.arc:
        line = _ARC_LINE.match(head)
        if line is None:
            return None
        end = place + line.end() + int(line[0].split()[-1])
        return end if end <= source.size else None
    blank = _BLANK_LINE.search(head)
    length = _LENGTH.search(head[: blank.end()]) if blank else None
    if blank is None or length is None:
        return None
    end = place + blank.end() + int(length[1])
    return end if end <= source.size else None


def skip_padding(source: Source, place: int) -> int:
    """The first place from `place` on that is no blank, line end, NUL or empty gzip member; else the size."""
    width = _HEAD >> 3  # nearly always content starts at once; padding is then taken in larger steps
    while place < source.size:
        piece = source.peek(place, width)
        if piece.startswith(GZIP):
            engine = zlib.decompressobj(31)
            try:
                inflated = engine.decompress(piece, _PIECE)
            except zlib.error:
                return place
            if inflated.strip(_PADDING) or not engine.eof:
                return place
            place += len(piece) - len(engine.unused_data)
            continue
        left = len(piece.lstrip(_PADDING))
        place += len(piece) - left
        if left:
            if len(piece) > left and source.peek(place, len(GZIP)) == GZIP:
                continue  # a member after padding, which may be empty too
            return place
        width = _SCAN
    return place


def next_record(source: Source, place: int, layout: Layout) -> int:
    """The first place from `place` on where a record seems to start, the archive's size where there is none.

    Plain and gzip records are looked for whatever the layout before was: it may be what is damaged. A member counts
    if it inflates to a record's first lines; a plain record, if it stands at the start of a line.
    """
    pattern = _STARTS if layout.magic in (b"", GZIP) else re.compile(re.escape(layout.magic))
    while place < source.size:
        piece = source.peek(place, _SCAN)
        for match in pattern.finditer(piece):
            found = place + match.start()
            if match[0] == GZIP:
                if _RECORD.match(_inflated_head(source.peek(found, 1 << 12))):
                    return found
            elif layout.magic not in (b"", GZIP) or found == 0 or source.peek(found - 1, 1) == b"\n":
                return found
        if len(piece) < _SCAN:
            break
        place += _SCAN - _PIECE  # a record's first line may lie across two pieces
    return source.size


def _inflated_head(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 1 << 13)
    except zlib.error:
        return b""


def _member_end(source: Source, place: int) -> int | None:
    engine = zlib.decompressobj(31)
    while True:
        data = source.peek(place, _PIECE)
        try:
            piece = engine.decompress(data, _SCAN)
        except zlib.error:
            return None
        if engine.eof:
            return place + len(data) - len(engine.unused_data)
        if not data and not piece:
            return None
        place += len(data) - len(engine.unconsumed_tail)
