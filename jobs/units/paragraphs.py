"""Paragraphs that a site repeats, as relational steps: listed by key, counted, brought to their shards, left out.

Only keys, ids and places move; the text of a shard is read twice and written once, where it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.dedup.paragraphs import (
    PARAGRAPH,
    REMOVED_NODE,
    paragraph_counts,
    paragraph_rows,
    repeated_paragraphs,
    without_nodes,
)
from plait.filters.passes import SAMPLE_CHARS, SAMPLE_ONE_IN
from plait.jobs.context import Context, Table
from plait.jobs.units.order import ShardFiles, shard_count
from plait.jobs.units.streams import Stream
from plait.jobs.work import Unit
from plait.pipeline.occurrences import occurrences
from plait.schemas.errors import UnitError
from plait.schemas.ids import key64
from plait.schemas.images import OCCURRENCE
from plait.schemas.ledger import NODE_SAMPLE
from plait.schemas.receipts import Output

PARAGRAPH_ORDER = ("key", "order_key", "doc_id", "node")
REMOVED_ORDER = ("order_key", "doc_id", "node")
REASON = "repeated_paragraph"
BATCH_ROWS = 256


def list_paragraphs(unit: Unit, ctx: Context) -> None:
    """A shard's "documents" → "paragraphs": a row for each text node."""
    with ctx.table("paragraphs", PARAGRAPH) as table:
        for batch in _documents(unit, ctx):
            table.write(paragraph_rows(batch))


def find_repeated(stream: Stream, unit: Unit, ctx: Context) -> None:
    """`PARAGRAPH` sorted by `PARAGRAPH_ORDER` → "removed": text nodes seen as often as the setting "least" says.

    And "counts", for later generations.
    """
    least = ctx.params["least"]
    if not isinstance(least, int):
        raise UnitError("the stage does not know how often a paragraph must be seen")
    with ctx.table("removed", REMOVED_NODE) as table, ctx.table("counts", PARAGRAPH) as counts:

        def counted() -> Stream:
            for batch in stream:
                for rows in paragraph_counts([batch]):
                    counts.write(rows)
                yield batch

        for batch in repeated_paragraphs(counted(), least):
            table.write(batch)


def place_removed(stream: Stream, unit: Unit, ctx: Context) -> None:
    """`REMOVED_NODE` sorted by `REMOVED_ORDER` → "removed" by shard."""
    files = ShardFiles(ctx, "removed", REMOVED_NODE, shard_count(ctx))
    for batch in stream:
        files.write(batch)
    files.close()


def drop_paragraphs(unit: Unit, ctx: Context) -> None:
    """A shard's documents and what is removed of them → its "documents" and their "occurrences"."""
    known = Output(**unit.payload["documents"])  # type: ignore[arg-type]
    path = unit.payload["removed"]
    with ctx.table("occurrences", OCCURRENCE) as found:
        if path is None:
            for batch in _documents(unit, ctx):
                _note(ctx, found, batch)
            ctx.add_output(known)  # nothing changes: the file stands for itself
            return
        with ctx.store.open_read(str(path)) as file:
            removed = pq.read_table(file).combine_chunks().to_batches()[0]
        with ctx.store.open_read(known.path) as file:
            schema = pq.read_schema(file)
        with ctx.table("documents", schema, part=known.part) as table:
            for batch in _documents(unit, ctx):
                _sample(ctx, batch, removed)
                kept = without_nodes(batch, removed)
                table.write(kept)
                _note(ctx, found, kept)
    ctx.removed({REASON: removed.num_rows})


def _documents(unit: Unit, ctx: Context) -> Iterator[pa.RecordBatch]:
    """The documents of a shard, some at a time."""
    known = Output(**unit.payload["documents"])  # type: ignore[arg-type]
    with ctx.store.open_read(known.path) as file:
        yield from pq.ParquetFile(file).iter_batches(BATCH_ROWS)


def _note(ctx: Context, found: Table, batch: pa.RecordBatch) -> None:
    """The books and the image nodes of documents that leave the stage: as many as entered it."""
    rows = occurrences(batch)
    ctx.count(
        documents_in=batch.num_rows, documents_out=batch.num_rows, images_in=rows.num_rows, images_out=rows.num_rows
    )
    found.write(rows)


def _sample(ctx: Context, batch: pa.RecordBatch, removed: pa.RecordBatch) -> None:
    """One in `SAMPLE_ONE_IN` of the nodes that go, chosen by document and place alone."""
    places = pc.index_in(removed.column("doc_id"), batch.column("doc_id")).to_pylist()
    nodes = batch.column("nodes")
    rows = []
    for row, node, doc in zip(places, removed["node"].to_pylist(), removed["doc_id"].to_pylist(), strict=True):
        if row is None or key64(doc + node.to_bytes(4, "little")) % SAMPLE_ONE_IN:
            continue
        found = nodes[row][node].as_py()
        text = (found["text"] or "")[:SAMPLE_CHARS]
        rows.append({"stage": "", "reason": REASON, "doc_id": doc, "tag": found["tag"], "text": text})
    if rows:
        ctx.sample(pa.RecordBatch.from_pylist(rows, schema=NODE_SAMPLE))
