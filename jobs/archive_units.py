"""The units of stages that read archives: one an archive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plait.jobs.picking import Picked
from plait.jobs.settings import archive_param
from plait.jobs.work import Json, Unit
from plait.pipeline.read.inputs import Archive
from plait.schemas.receipts import Output, Receipt


def archive_unit(archive: Archive, picked: Picked | None) -> Unit:
    """The unit that reads an archive, or what is picked of it."""
    payload: dict[str, Json] = {"archive": archive_param(archive)}
    if picked is None:
        return Unit((archive.id, archive.name), archive.name, payload)
    inputs = (archive.id, archive.name, picked.digests[archive.id])
    return Unit(inputs, archive.name, payload | picked.payload(archive))


def by_archive(archives: Sequence[Archive], receipts: Iterable[Receipt], table: str) -> list[Unit]:
    """A unit for each archive that the rows of a table name: receipts count them."""
    files: dict[str, list[Output]] = {}
    for receipt in receipts:
        for name in receipt.books.seen:
            if name.startswith("archive_") and name != "archive_bytes":
                files.setdefault(name.removeprefix("archive_"), []).extend(receipt.tables(table))
    units = []
    for archive in archives:
        if archive.id in files:
            outputs = sorted(files[archive.id], key=lambda output: output.path)
            paths: list[Json] = [output.path for output in outputs]
            payload: dict[str, Json] = {"archive": archive_param(archive), "paths": paths}
            units.append(Unit((archive.id, *(output.sha256 for output in outputs)), archive.name, payload))
    return units
