"""Where picture bytes lie in a Parquet file: shards store them plain, so a reader can map the file and copy nothing.

Pages of a column that is uncompressed and PLAIN-encoded hold each value as a 32-bit length and the value itself. This
walks them; a chunk that is stored otherwise gives None, and is then read the usual way. Only page headers and lengths
are touched: the bytes of a picture that nobody decodes are never read from disk.

The format: github.com/apache/parquet-format, parquet.thrift (PageHeader) and Encodings.md (PLAIN, level data).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow.parquet as pq

from plait.schemas.errors import CorpusError

try:
    from zlib_ng.zlib_ng import crc32  # with the processor's own instructions
except ImportError:  # the loader needs numpy, pyarrow and Pillow alone
    from zlib import crc32

PICTURE_BYTES: Final = "images.list.element.bytes"
_DATA_PAGE: Final = 0
_PLAIN: Final = 0


@dataclass(frozen=True)
class _Page:
    """What of a page's header matters here."""

    kind: int
    size: int  # compressed, which is uncompressed here
    crc: int | None
    encoding: int


def picture_spans(data: memoryview, group: pq.RowGroupMetaData, *, verify: bool) -> list[tuple[int, int]] | None:
    """First and last+1 byte of every picture of a row group in the file's bytes, in order.

    Args:
        data: the file, mapped.
        group: its row group's metadata.
        verify: compare each page with its checksum; reads the pages.

    Returns:
        None where the column is stored in a way that this does not walk.

    Raises:
        CorpusError: a page's checksum is wrong, or the pages are not what their headers say.
    """
    column = next(
        (group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == PICTURE_BYTES), None
    )
    if column is None or column.compression != "UNCOMPRESSED" or column.has_dictionary_page:
        return None
    at = column.data_page_offset
    stop = at + column.total_compressed_size
    spans: list[tuple[int, int]] = []
    levels = 0
    while at < stop and levels < column.num_values:
        page, body, count = _header(data, at)
        if page.kind != _DATA_PAGE or page.encoding != _PLAIN:
            return None
        end = body + page.size
        if end > len(data):
            raise CorpusError("a page of pictures ends beyond the file: it is cut off")
        if verify and page.crc is not None and crc32(data[body:end]) != page.crc & 0xFFFFFFFF:
            raise CorpusError("a page of pictures has a wrong checksum (CRC): the file is damaged")
        spans += _values(data, body, end)
        levels += count
        at = end
    return spans


def _values(data: memoryview, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of a page's values: after its repetition and definition levels, each with its own length before it."""
    for _ in range(2):
        at += 4 + int.from_bytes(data[at : at + 4], "little")
    while at < end:
        size = int.from_bytes(data[at : at + 4], "little")
        at += 4
        if at + size > end:
            raise CorpusError("a page of pictures is not what its lengths say: the file is damaged")
        yield at, at + size
        at += size


def _header(data: memoryview, at: int) -> tuple[_Page, int, int]:
    """A page's header, the place of its body, its number of values (nulls included)."""
    reader = _Compact(data, at)
    fields = reader.struct()
    inner = fields.get(5)
    own = inner if isinstance(inner, dict) else {}

    def number(found: object) -> int:
        return found if isinstance(found, int) else -1

    crc = fields.get(4)
    page = _Page(
        number(fields.get(1)), number(fields.get(3)), crc if isinstance(crc, int) else None, number(own.get(2))
    )
    return page, reader.at, number(own.get(1))


class _Compact:
    """Reads Thrift's compact protocol, as far as page headers use it."""

    def __init__(self, data: memoryview, at: int) -> None:
        self.data = data
        self.at = at

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self) -> dict[int, object]:
        """Fields by number; those of kinds that do not matter here are passed over."""
        fields: dict[int, object] = {}
        number = 0
        while True:
            head = self.data[self.at]
            self.at += 1
            if not head:
                return fields
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            fields[number] = self.value(head & 0x0F)

    def value(self, kind: int) -> object:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            self.at += 1
            return None
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.at += 8
            return None
        if kind == 8:
            self.at += self.varint()
            return None
        if kind == 12:
            return self.struct()
        raise CorpusError("a page's header holds what page headers do not have: the file is damaged")
