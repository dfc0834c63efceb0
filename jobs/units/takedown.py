"""A shard without what was taken down, or without what later captures supersede."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.context import Context
from plait.jobs.suppression import Suppression, kept_suppression
from plait.jobs.units.assemble import note_shard
from plait.jobs.units.fill import Row, score_columns
from plait.jobs.work import Unit
from plait.pipeline.fingerprint import Fingerprint
from plait.pipeline.parquet_shard import write_batches
from plait.pipeline.publish import Tally, shard_path
from plait.pipeline.webdataset_shard import read_webdataset_shard, write_webdataset_shard
from plait.schemas.shards import shard_schema

REASON = "taken_down"
TAR_ROWS = 64
GONE = pa.schema([pa.field("doc_id", pa.binary()), pa.field("image_url", pa.string())])
"""Documents and pictures that went: what the ledger must forget; never published."""
NARROW = ("doc_id", "url", "canonical", "image_info")
_LISTS = ("texts", "tags", "images", "image_info")


def new_path(shard: int, form: str, generation: int) -> str:
    """Place of a shard's file of a later generation."""
    stem, _, extension = shard_path(shard, form).rpartition(".")
    return f"{stem}-g{generation}.{extension}"


def rewrite_shard(unit: Unit, ctx: Context) -> None:
    """A shard that holds what is listed → its files of the next generation; another one → nothing.

    Drops are counted, and name nothing: the ledger must not list what was taken down. The setting "reason" is theirs,
    where it is not `REASON`.
    """
    scores = score_columns(ctx)
    schema = shard_schema(scores)
    listed = kept_suppression(ctx.store.root, str(ctx.params["suppression"]))
    form, path = str(unit.payload["format"]), str(unit.payload["path"])
    touched = [
        {name: row[name] for name in NARROW}
        for batch in _rows(ctx, path, form, schema, narrow=True)
        for row in batch
        if _touched(row, listed)
    ]
    if not touched:
        return
    with ctx.table("gone", GONE) as table:
        table.write(pa.RecordBatch.from_pylist([line for row in touched for line in _gone(row, listed)], schema=GONE))
    shard, generation = cast("int", unit.payload["shard"]), cast("int", ctx.params["generation"])
    formats = cast("list[str]", ctx.params["formats"])
    fingerprint, tally = Fingerprint(), Tally()
    for number, written_as in enumerate(formats):
        batches = _purged(ctx, _rows(ctx, path, form, schema), listed, schema, counting=number == 0)
        if number == 0:
            batches = _counted(batches, fingerprint, tally)
        target = new_path(shard, written_as, generation)
        with ExitStack() as stack:
            file = stack.enter_context(ctx.store.open_write(target))
            if written_as == "webdataset":
                index = stack.enter_context(ctx.file("index", f"{target}.idx"))
                written = write_webdataset_shard(batches, file, cast("IO[bytes]", index))  # type: ignore[arg-type]
            else:
                written = write_batches(batches, schema, file)  # type: ignore[arg-type]
        note_shard(ctx, shard, written_as, target, written)
    ctx.facts["generation"] = str(generation)
    ctx.facts["fingerprint"] = fingerprint.state()
    ctx.facts["totals"] = json.dumps(asdict(tally.totals(0)), sort_keys=True)


def _counted(batches: Iterator[pa.RecordBatch], fingerprint: Fingerprint, tally: Tally) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        fingerprint.add_batch(batch)
        tally.add(batch)
        yield batch


def _rows(ctx: Context, path: str, form: str, schema: pa.Schema, *, narrow: bool = False) -> Iterator[list[Row]]:
    """Rows of a shard, a row group at a time; narrow: what is needed to see whether they are touched."""
    with ctx.store.open_read(path) as file:
        if form == "parquet":
            parquet = pq.ParquetFile(file)
            columns = list(NARROW) if narrow else None
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group, columns=columns).to_pylist()
            return
        held: list[Row] = []
        for row in read_webdataset_shard(file, schema):  # type: ignore[arg-type]
            held.append(cast("Row", row))
            if len(held) == TAR_ROWS:
                yield held
                held = []
        if held:
            yield held


def _image_listed(info: Row | None, listed: Suppression) -> bool:
    return info is not None and (
        listed.lists_url(cast("str | None", info["url"])) or listed.lists_sha256(cast("bytes | None", info["sha256"]))
    )


def _document_listed(row: Row, listed: Suppression) -> bool:
    return (
        listed.lists_url(cast("str | None", row["url"]))
        or listed.lists_url(cast("str | None", row["canonical"]))
        or listed.lists_document(cast("bytes", row["doc_id"]))
    )


def _gone(row: Row, listed: Suppression) -> Iterator[Row]:
    """`GONE` rows of a document: itself, or its pictures that are listed."""
    if _document_listed(row, listed):
        yield {"doc_id": row["doc_id"], "image_url": None}
        return
    for info in cast("list[Row | None]", row["image_info"]):
        if info is not None and _image_listed(info, listed):
            yield {"doc_id": None, "image_url": info["url"]}


def _touched(row: Row, listed: Suppression) -> bool:
    infos = cast("list[Row | None]", row["image_info"])
    return _document_listed(row, listed) or any(_image_listed(info, listed) for info in infos)


def _purged(
    ctx: Context, rows: Iterator[list[Row]], listed: Suppression, schema: pa.Schema, *, counting: bool
) -> Iterator[pa.RecordBatch]:
    """Batches without listed documents and pictures; a document that loses its last picture goes too."""
    listed_for = str(ctx.params.get("reason", REASON))
    for batch in rows:
        kept = []
        for row in batch:
            infos = cast("list[Row | None]", row["image_info"])
            images = sum(info is not None for info in infos)
            gone = [_image_listed(info, listed) for info in infos]
            reason = listed_for if _document_listed(row, listed) else None
            if reason is None and images and sum(gone) == images:
                reason = "no_image_left"
            if counting:
                _book(ctx, images, sum(gone), reason)
            if reason is not None:
                continue
            if any(gone):
                cells = {name: cast("list[object]", row[name]) for name in _LISTS}
                row |= {
                    name: [cell for cell, out in zip(column, gone, strict=True) if not out]
                    for name, column in cells.items()
                }
            kept.append(row)
        if kept:
            yield pa.RecordBatch.from_pylist(kept, schema=schema)


def _book(ctx: Context, images: int, gone: int, reason: str | None) -> None:
    """A document's share of the books; ``reason`` is why it goes, None where it stays."""
    out = 0 if reason is not None else images - gone
    ctx.count(documents_in=1, documents_out=int(reason is None), images_in=images, images_out=out)
    by_picture = reason in (None, "no_image_left")
    for _ in range(gone if by_picture else 0):
        ctx.drop_one("image", REASON)
    if reason is None:
        return
    ctx.drop_one("document", reason)
    for _ in range(images - gone if by_picture else images):
        ctx.drop_one("image", "document_dropped")
