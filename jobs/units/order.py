"""The order stage: surviving documents, sorted by the corpus' global shuffle, one file a shard."""

from __future__ import annotations

from contextlib import ExitStack

import pyarrow as pa
import pyarrow.compute as pc

from plait.jobs.context import Context, Table
from plait.jobs.survivors import SURVIVOR
from plait.jobs.units.streams import Stream, split
from plait.jobs.work import Unit
from plait.pipeline.occurrences import occurrences
from plait.schemas.errors import UnitError
from plait.schemas.ids import shard_of
from plait.schemas.images import OCCURRENCE
from plait.schemas.ledger import DROP

DOCUMENT_ORDER = ("order_key", "doc_id", "archive_id", "offset")


class ShardFiles:
    """One table's files, a shard after the other, as a sorted stream comes to them."""

    def __init__(self, ctx: Context, name: str, schema: pa.Schema, shards: int):
        self._ctx, self._name, self._schema, self._shards = ctx, name, schema, shards
        self._open = ExitStack()
        self._table: Table | None = None
        self._shard = -1

    def write(self, batch: pa.RecordBatch) -> None:
        """Rows sorted by order key, all of them at or after the last rows written."""
        shards = [shard_of(key, self._shards) for key in batch.column("order_key").to_pylist()]
        start = 0
        while start < len(shards):
            end = start
            while end < len(shards) and shards[end] == shards[start]:
                end += 1
            if shards[start] != self._shard or self._table is None:
                self._open.close()
                self._shard = shards[start]
                self._table = self._open.enter_context(self._ctx.table(self._name, self._schema, part=self._shard))
            self._table.write(batch.slice(start, end - start))
            start = end

    def close(self) -> None:
        """Finish the last shard's file."""
        self._open.close()


def shard_count(ctx: Context) -> int:
    """Shards of the build, from the stage's settings."""
    shards = ctx.params["shards"]
    if not isinstance(shards, int):
        raise UnitError("the stage does not know how many shards there are")
    return shards


def list_survivors(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Keys of surviving documents, sorted by archive → "survivors", which the order stage's readers look up."""
    with ctx.table("survivors", SURVIVOR) as table:
        for batch in stream:
            table.write(batch)


def order(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Documents sorted by `DOCUMENT_ORDER` → "documents" by shard, and their "occurrences".

    A capture that stands in several archives is kept once.
    """
    documents: ShardFiles | None = None
    last = b""
    with ctx.table("occurrences", OCCURRENCE) as found:
        for batch in stream:
            ids = batch.column("doc_id").to_pylist()
            first = [doc != before for doc, before in zip(ids, [last, *ids], strict=False)]
            last = ids[-1]
            kept, again = split(batch, pa.array(first))
            rows = occurrences(kept)
            images = occurrences(again).num_rows
            ctx.count(documents_in=batch.num_rows, documents_out=kept.num_rows)
            ctx.count(images_in=rows.num_rows + images, images_out=rows.num_rows)
            if again.num_rows:
                ctx.drop(_again(ctx.stage.name, again))
                ctx.drop_images_of(images)
            if kept.num_rows:
                if documents is None:
                    documents = ShardFiles(ctx, "documents", batch.schema, shard_count(ctx))
                documents.write(kept)
                found.write(rows)
        if documents is not None:
            documents.close()


def _again(stage: str, rows: pa.RecordBatch) -> pa.RecordBatch:
    count = rows.num_rows
    columns = {name: pa.nulls(count, DROP.field(name).type) for name in DROP.names} | {
        "stage": pa.array([stage] * count, pa.string()),
        "scope": pa.array(["document"] * count, pa.string()),
        "reason": pa.array(["duplicate_capture"] * count, pa.string()),
        "doc_id": rows.column("doc_id"),
        "url": rows.column("url"),
        "archive": rows.column("archive"),
        "offset": pc.cast(rows.column("offset"), pa.int64()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in DROP.names], schema=DROP)
