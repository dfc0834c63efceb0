"""Records picked from an archive by their addresses, as an index has them: a request a range, near ones together."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence

from plait.pipeline.read.archive import record_in, spool_folder
from plait.pipeline.read.inputs import Archive
from plait.pipeline.read.records import Limits, Loss, Record, Tally
from plait.pipeline.read.source import Source, open_range
from plait.schemas.errors import UnitError

NEAR = 1 << 20  # bytes between two ranges that are read rather than asked for apart: 10 ms at 100 MB/s
TOGETHER = 16 << 20  # bytes of one request, where it joins several ranges

Range = tuple[int, int]  # offset, length


def joined(ranges: Sequence[Range], near: int = NEAR, together: int = TOGETHER) -> Iterator[list[Range]]:
    """Ranges in groups to ask for at once, in the archive's order.

    Args:
        ranges: any order; equal ones are given once.
        near: bytes between two ranges of a group, at most.
        together: bytes that a group of several ranges spans, at most.
    """
    group: list[Range] = []
    end = 0
    for offset, length in sorted(set(ranges)):
        if group and (offset - end > near or max(end, offset + length) - group[0][0] > together):
            yield group
            group, end = [], 0
        group.append((offset, length))
        end = max(end, offset + length)
    if group:
        yield group


def read_picked(
    archive: Archive, ranges: Sequence[Range], limits: Limits, *, tally: Tally | None = None
) -> Iterator[Record | Loss]:
    """The records at some addresses of an archive, in its order; what is lost at one of them is a `Loss`.

    Memory holds one group of ranges: at most `TOGETHER` bytes, or one record.

    Args:
        archive: plain or of one gzip member a record, as everything that an index can point into.
        ranges: (offset, length) of records.
        limits: sizes above which records are dropped; no more is fetched for one than they could take.
        tally: counts what was read.

    Raises:
        UnitError: the store cannot be read.
    """
    tally = Tally() if tally is None else tally
    with spool_folder(None) as folder:
        for group in joined([(offset, min(length, limits.stored_bytes)) for offset, length in ranges]):
            first = group[0][0]
            size = max(offset + length for offset, length in group) - first
            data = b""
            gone = ""
            try:
                with contextlib.closing(open_range(archive, first, size, folder)) as window:
                    data = window.read()
            except UnitError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                gone = "there is no such archive"
            for offset, length in group:
                part = Source(io.BytesIO(data[offset - first : offset - first + length]), archive.name)
                item = Loss("archive_unreadable", None, offset, gone) if gone else record_in(part, archive, limits)
                if isinstance(item, str):
                    tally.skipped[item] += 1
                    continue
                if isinstance(item, Loss):
                    item = Loss(item.reason, item.url, offset, item.detail, item.value, item.threshold)
                    tally.read[item.reason] += 1
                else:
                    item.offset, item.length = offset, length
                    tally.read[item.kind] += 1
                yield item
