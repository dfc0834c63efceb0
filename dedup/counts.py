"""How often a picture is shown, and the place of each document among those that show it: caps and counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from plait.dedup.spill import SpillBuffer
from plait.schemas.errors import UnitError

DUP_COUNT = pa.field("dup_count", pa.int64(), nullable=False)  # distinct documents that have a row of this key
DUP_RANK = pa.field("dup_rank", pa.int64(), nullable=False)  # 0-based place of this row's document among them


def counted(schema: pa.Schema) -> pa.Schema:
    """Schema of what `count_and_rank` yields for rows of ``schema``."""
    return schema.append(DUP_COUNT).append(DUP_RANK)


def count_and_rank(
    rows: Iterable[pa.RecordBatch], *, limit: int = 64 << 20, folder: Path | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows sorted by (key, order_key, doc_id, node) in; the same rows with ``dup_count`` and ``dup_rank`` out.

    A cap of N keeps the rows with ``dup_rank < N``: the documents that come first in the corpus' order, all of their
    rows. A null key is in no group: it counts 1 and ranks 0.

    Args:
        rows: batches with at least the columns key (int64) and doc_id; a key's rows may span any number of batches.
        limit: bytes of the open key's rows held in memory; beyond it they wait in a temporary file, since the count is
            known only at the last one.
        folder: of the temporary file.
    """
    open_rows: SpillBuffer | None = None
    key: int | None = None
    documents = 0
    last_doc = b""
    try:
        for batch in rows:
            if not len(batch):
                continue
            if open_rows is None:
                open_rows = SpillBuffer(batch.schema.append(DUP_RANK), limit=limit, folder=folder)
            column = batch.column("key")
            loose = np.asarray(column.is_null())
            keys = np.asarray(column.fill_null(0))
            ids = batch.column("doc_id")
            first = np.ones(len(keys), dtype=bool)
            first[1:] = (keys[1:] != keys[:-1]) | loose[1:] | loose[:-1]
            first[0] = key is None or loose[0] or int(keys[0]) != key
            new_doc = first.copy()
            new_doc[1:] |= np.asarray(pa.compute.not_equal(ids[1:], ids[:-1]))
            new_doc[0] = first[0] or ids[0].as_py() != last_doc
            starts = np.flatnonzero(first)
            ordinal = np.cumsum(new_doc)
            # Documents of this batch that came before each row's key; for a key carried over, those of earlier batches.
            base = np.repeat(
                np.concatenate([[-documents], ordinal[starts] - 1]),
                np.diff(np.concatenate([[0], starts, [len(keys)]])),
            )
            rank = ordinal - base - 1
            ranked = pa.RecordBatch.from_arrays(
                [*batch.columns, pa.array(rank, pa.int64())], schema=batch.schema.append(DUP_RANK)
            )
            if first[0] and open_rows.rows:
                yield from _closed(open_rows, documents)
            head = int(starts[0]) if len(starts) else len(keys)
            if head:
                open_rows.append(ranked.slice(0, head))
                documents = int(rank[head - 1]) + 1
            if len(starts):
                if head:
                    yield from _closed(open_rows, documents)
                tail = int(starts[-1])
                if tail > head:
                    ends = np.append(starts[1:], len(keys))
                    counts = np.repeat(rank[ends - 1] + 1, ends - starts)[: tail - head]
                    yield _with_counts(ranked.slice(head, tail - head), pa.array(counts, pa.int64()))
                open_rows.append(ranked.slice(tail))
                documents = int(rank[-1]) + 1
            key = None if loose[-1] else int(keys[-1])
            last_doc = ids[-1].as_py()
        if open_rows is not None and open_rows.rows:
            yield from _closed(open_rows, documents)
    finally:
        if open_rows is not None:
            open_rows.clear()


def _closed(rows: SpillBuffer, documents: int) -> Iterator[pa.RecordBatch]:
    """The open key's rows with their count, now that it is known; empties the buffer."""
    expected, given = rows.rows, 0
    for batch in rows.batches():
        given += len(batch)
        yield _with_counts(batch, pa.array(np.full(len(batch), documents), pa.int64()))
    rows.clear()
    if given != expected:
        raise UnitError(f"a spilled key had {expected} rows and gave back {given}")


def _with_counts(ranked: pa.RecordBatch, counts: pa.Array) -> pa.RecordBatch:
    columns = [*ranked.columns[:-1], counts, ranked.columns[-1]]
    schema = pa.schema([*list(ranked.schema)[:-1], DUP_COUNT, DUP_RANK])
    return pa.RecordBatch.from_arrays(columns, schema=schema)
