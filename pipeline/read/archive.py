"""Archives to records: all of one in its order, or one by its address."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from plait.pipeline.read.framing import DamagedError, Frame, Gap, Spooled, frames
from plait.pipeline.read.inputs import Archive
from plait.pipeline.read.message import read_message
from plait.pipeline.read.records import Limits, Loss, Record, Tally
from plait.pipeline.read.source import Source, open_range, open_source
from plait.pipeline.read.spool import spooler
from plait.schemas.errors import RecordError


def read_archive(
    archive: Archive,
    limits: Limits,
    *,
    spool_dir: str | None,
    image_payloads: bool = False,
    tally: Tally | None = None,
) -> Iterator[Record | Loss]:
    """Every page, image, revisit and redirect of an archive, and every one that was lost, in the archive's order.

    Bad content never raises: it is a `Loss`. Memory holds one record at a time.

    Args:
        archive: one of `plait.pipeline.read.inputs.expand`.
        limits: sizes above which records are dropped.
        spool_dir: where archives without random access are inflated once; None: a temporary folder, for this call.
        image_payloads: whether images come with their bytes; without, they are skipped over.
        tally: counts everything, also what is skipped.

    Raises:
        UnitError: the file or its store cannot be read.
    """
    tally = Tally() if tally is None else tally
    with spool_folder(spool_dir) as folder, open_source(archive, folder) as source:
        found = False
        for offset, end, item in _items(source, archive, limits, folder, image_payloads):
            if isinstance(item, str):
                found = True
                tally.skipped[item] += 1
                continue
            if isinstance(item, Record):
                found = True
                item.length = end - offset
                tally.read[item.kind] += 1
            else:
                if item.reason == "archive_truncated" and not found:
                    item = Loss("archive_unreadable", None, item.offset, item.detail)
                found = True
                tally.read[item.reason] += 1
            yield item
        if not found:
            tally.read["archive_unreadable"] += 1
            yield Loss("archive_unreadable", None, 0, "no record in it")


def read_payload(archive: Archive, offset: int, length: int, limits: Limits, *, spool_dir: str | None) -> Record:
    """One record read again by its address, with its payload; of a remote archive only its range is fetched.

    Args:
        archive: as given to `read_archive`.
        offset: `Record.offset`.
        length: `Record.length`.
        limits: as for `read_archive`.
        spool_dir: the same folder; a spool that is no longer there is made again.

    Raises:
        RecordError: what `read_archive` gives as a `Loss`, or ``record_malformed`` where no record is at the address.
        UnitError: the file or its store cannot be read.
    """
    length_read = min(length, limits.stored_bytes)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(spool_folder(spool_dir))
        if offset < archive.bytes:
            window = stack.enter_context(open_range(archive, offset, length_read, folder))
        else:
            tail = stack.enter_context(_tail(archive, limits, folder))
            window = Source(cast(BinaryIO, tail), archive.name, offset - archive.bytes, length_read)
        item = record_in(window, archive, limits, image_payloads=True)
    if isinstance(item, Loss):
        raise RecordError(item.reason, item.detail, value=item.value, threshold=item.threshold)
    if isinstance(item, str):
        raise RecordError("record_malformed", f"no record at {offset} of {archive.name}")
    item.offset, item.length = offset, length
    return item


def record_in(window: Source, archive: Archive, limits: Limits, *, image_payloads: bool = False) -> Record | Loss | str:
    """The record that starts where a window of an archive does; a string says that it is none of our business."""
    for frame in frames(window, None):
        if not isinstance(frame, Frame):
            break
        try:
            return read_message(frame, limits, image_payloads=image_payloads)
        except DamagedError as error:
            return Loss("archive_truncated", None, frame.offset, str(error))
    return Loss("record_malformed", None, 0, f"no record of {archive.name} starts there")


def _items(
    source: Source, archive: Archive, limits: Limits, folder: Path, image_payloads: bool
) -> Iterator[tuple[int, int, Record | Loss | str]]:
    """Items with their addresses and ends; an item waits for the next frame, which says where it ends."""
    waiting: tuple[int, Record | Loss | str] | None = None
    end = source.size
    for frame in frames(source, spooler(source, folder, archive.id, limits.spool_bytes)):
        if waiting is not None and frame.offset > waiting[0]:
            yield waiting[0], frame.offset, waiting[1]
        waiting = None
        if isinstance(frame, Spooled):
            continue
        if isinstance(frame, Gap):
            if frame.detail:
                yield frame.offset, frame.offset, Loss("archive_truncated", None, frame.offset, frame.detail)
        else:
            try:  # costs nothing where `contextlib.suppress` takes a twentieth of a small record's time
                waiting = frame.offset, read_message(frame, limits, image_payloads=image_payloads)
            except DamagedError:
                continue  # a Gap follows
    if waiting is not None:
        yield waiting[0], end, waiting[1]


@contextlib.contextmanager
def spool_folder(spool_dir: str | None) -> Iterator[Path]:
    """A folder for spools: the one given, or a temporary one."""
    if spool_dir is not None:
        yield Path(spool_dir)
        return
    with tempfile.TemporaryDirectory(prefix="plait-spool-") as folder:
        yield Path(folder)


def _tail(archive: Archive, limits: Limits, folder: Path) -> Source:
    """The spool of an archive's records that have no random access."""
    ready = sorted(folder.glob(f"{archive.id}-*.warc"))
    if not ready:
        with open_source(archive, folder) as source:
            for _ in frames(source, spooler(source, folder, archive.id, limits.spool_bytes)):
                ready = sorted(folder.glob(f"{archive.id}-*.warc"))
                if ready:
                    break
    if not ready:
        raise RecordError("record_malformed", f"{archive.name} has no such address")
    return Source(ready[0].open("rb", buffering=0), archive.name)
