"""Deduplication of documents, as relational steps: URL, exact text, MinHash bands, components.

Each step sees only what the step before kept, so that a document is never dropped in favour of one that is dropped
itself. Only keys, band keys and sketches move.
"""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.dedup.buckets import BAND_ROW, EDGE, bucket_edges, explode_bands
from plait.dedup.components import LABEL, label_batch
from plait.dedup.documents import NEW, STORED, claims, keep_latest, superseded
from plait.dedup.keys import KEYS
from plait.dedup.minhash import MinHashConfig
from plait.jobs.context import Context
from plait.jobs.units.streams import Stream, beside, split, with_column
from plait.jobs.work import Unit
from plait.schemas.errors import UnitError
from plait.schemas.ledger import DROP

KEYED = pa.schema([pa.field("side", pa.int32(), nullable=False), *KEYS])
"""Documents, `STORED` or `NEW` by the side that they come from."""
GROUPED = pa.schema([pa.field("label", pa.int64(), nullable=False), pa.field("age", pa.int32(), nullable=False), *KEYS])
LABEL_IN = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("side", pa.int32(), nullable=False),  # 0: a label; a document: 1 + its age
        pa.field("label", pa.int64()),
        *[field.with_nullable(True) for field in KEYS if field.name != "id"],
    ]
)
LATEST = ("-captured", "doc_id", "archive_key")  # the first of a group in this order is kept; two are never equal
LABEL_ORDER = ("id", "side", "doc_id")


def minhash_config(ctx: Context) -> MinHashConfig:
    """MinHash settings of a stage's parameters."""
    settings = ctx.params["minhash"]
    if not isinstance(settings, dict):
        raise UnitError("the stage has no minhash settings")
    return MinHashConfig(**settings)  # type: ignore[arg-type]


def _drops(stage: str, rows: pa.RecordBatch, verdicts: pa.RecordBatch) -> pa.RecordBatch:
    """Ledger rows of documents that were dropped in favour of another."""
    count = rows.num_rows
    kept = [f"kept {winner.hex()}" for winner in verdicts.column("kept_doc_id").to_pylist()]
    columns = {name: pa.nulls(count, DROP.field(name).type) for name in DROP.names} | {
        "stage": pa.array([stage] * count, pa.string()),
        "scope": pa.array(["document"] * count, pa.string()),
        "reason": verdicts.column("reason"),
        "doc_id": rows.column("doc_id"),
        "url": rows.column("url"),
        "detail": pa.array(kept, pa.string()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in DROP.names], schema=DROP)


def _images(rows: pa.RecordBatch) -> int:
    return int(pc.sum(rows.column("images")).as_py() or 0)


def _keep(stream: Stream, ctx: Context, key: str, age: str, reason: str) -> Stream:
    """Arriving rows that win their group; those that do not go to the ledger. Stored rows only decide."""
    kernel = functools.partial(keep_latest, reason=reason)
    for whole, decided in beside(stream, functools.partial(claims, key=key, age=age), kernel):
        arriving = pc.equal(whole.column(age), NEW)
        rows, verdicts = whole.filter(arriving), decided.filter(arriving)
        if not rows.num_rows:
            continue
        kept, lost = split(rows, verdicts.column("kept"))
        ctx.count(documents_in=rows.num_rows, images_in=_images(rows))
        ctx.count(documents_out=kept.num_rows, images_out=_images(kept))
        if lost.num_rows:
            ctx.drop(_drops(ctx.stage.name, lost, split(verdicts, verdicts.column("kept"))[1]))
            ctx.drop_images_of(_images(lost))
        if kept.num_rows:
            yield kept


def supersede(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Stored documents of whose URL a later capture arrives → "superseded"; the other stored ones → "keys"."""
    kernel = functools.partial(claims, key="url_key", age="side")
    with ctx.table("keys", KEYS) as table, ctx.table("superseded", KEYS) as gone:
        for whole, found in beside(stream, kernel, superseded):
            replaced = found.column("superseded")
            gone.write(whole.filter(replaced))
            stays = pc.and_(pc.equal(whole.column("side"), STORED), pc.invert(replaced))
            table.write(whole.filter(stays))


def keep_by(stream: Stream, unit: Unit, ctx: Context) -> None:
    """The latest of each group (settings: column "key", "reason") is written as "keys"."""
    with ctx.table("keys", KEYS) as table:
        for kept in _keep(stream, ctx, str(ctx.params["key"]), "side", str(ctx.params["reason"])):
            table.write(kept)


def explode(unit: Unit, ctx: Context) -> None:
    """Rows of "keys" as rows of "bands": one for each band of a document."""
    config = minhash_config(ctx)
    with ctx.table("bands", BAND_ROW) as table, ctx.store.open_read(str(unit.payload["path"])) as file:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=4096):
            table.write(explode_bands(batch, config))


def edges(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Buckets of band rows → "edges" between near-duplicates."""
    with ctx.table("edges", EDGE) as table:
        for batch in bucket_edges(stream, minhash_config(ctx)):
            table.write(batch)


def components(unit: Unit, ctx: Context) -> None:
    """All "edges" → "labels": the component of each document that has an edge. Memory: about 80 bytes an edge."""
    paths = unit.payload["paths"]
    if not isinstance(paths, list):
        raise UnitError("the components stage has no list of files")
    parts = []
    for path in paths:
        with ctx.store.open_read(str(path)) as file:
            parts.append(pq.read_table(file))
    table = pa.concat_tables(parts)
    labels = label_batch(np.asarray(table.column("a")), np.asarray(table.column("b")))
    with ctx.table("labels", LABEL) as out:
        out.write(labels)


def attach_labels(stream: Stream, unit: Unit, ctx: Context) -> None:
    """`LABEL_IN` sorted by `LABEL_ORDER` → "grouped": documents with their component, their own id where in none."""
    document, label = None, None
    with ctx.table("grouped", GROUPED) as grouped:
        for batch in stream:
            columns = (batch.column(name).to_pylist() for name in ("id", "side", "label"))
            found: list[int | None] = []
            for name, side, value in zip(*columns, strict=True):
                if side == 0:
                    document, label = name, value
                found.append(label if name == document else name)
            labelled = with_column(batch, "label", pa.array(found, pa.int64()))
            aged = with_column(labelled, "age", pc.subtract(batch.column("side"), pa.scalar(1, pa.int32())))
            grouped.write(aged.filter(pc.greater(batch.column("side"), 0)))


def keep_near(stream: Stream, unit: Unit, ctx: Context) -> None:
    """The latest document of each component is written as "keys"."""
    with ctx.table("keys", KEYS) as table:
        for kept in _keep(stream, ctx, "label", "age", "near_duplicate"):
            table.write(kept)
