"""Which document of a group is kept: a stream of sorted rows in, a verdict for each row out.

The same kernel serves URL, exact text and near-duplicates; the groups differ only in the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from plait.schemas.conform import conform
from plait.schemas.documents import TIME

CLAIM = pa.schema(
    [
        pa.field("key", pa.int64()),  # URL key, text key or component label; null: in no group, kept
        pa.field("captured", TIME),
        pa.field("doc_id", pa.binary(), nullable=False),
    ]
)
"""What `keep_latest` reads, sorted by (key, captured descending with nulls last, doc_id)."""

VERDICT = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("kept_doc_id", pa.binary(), nullable=False),  # of the group's winner; its own where it is kept
        pa.field("reason", pa.string()),  # null where it is kept
    ]
)


SUPERSEDED = pa.schema([pa.field("superseded", pa.bool_(), nullable=False)])

STORED, NEW = 0, 1
"""Ages of a document: in the corpus already, or arriving. Within a key the stored ones come first."""


def claims(batch: pa.RecordBatch, key: str, age: str | None = None) -> pa.RecordBatch:
    """The rows of ``batch`` as `CLAIM`, grouped by the column named ``key``; with an age from a column, where named."""
    columns = [batch.column(key), batch.column("captured"), batch.column("doc_id")]
    rows = conform(pa.RecordBatch.from_arrays(columns, names=CLAIM.names), CLAIM)
    return rows if age is None else rows.append_column("age", batch.column(age))


def _groups(keys: pa.Int64Array, open_key: int | None) -> tuple[np.ndarray, int | None]:
    """Row that begins each row's group, -1 for the group that the batch before left open; and the key left open."""
    loose = np.asarray(keys.is_null())
    values = np.asarray(keys.fill_null(0))
    first = np.ones(len(values), dtype=bool)
    first[1:] = values[1:] != values[:-1]
    first[1:] |= loose[:-1]
    first[0] = open_key is None or int(values[0]) != open_key
    first |= loose
    place = np.maximum.accumulate(np.where(first, np.arange(len(values)), -1))
    return place, None if loose[-1] else int(values[-1])


def superseded(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Which rows are of stored documents that an arriving one of the same key replaces, being of a later capture.

    `SUPERSEDED` out, in the order of the rows. Memory: one batch.

    Args:
        rows: `CLAIM` with a column ``age``, sorted as for `keep_latest` without one: stored and arriving ones mixed.
    """
    open_key: int | None = None
    winner, winner_stored = b"", False
    for batch in rows:
        if not len(batch):
            continue
        place, open_key = _groups(batch.column("key"), open_key)
        ids = batch.column("doc_id").cast(pa.binary())
        winners = pa.concat_arrays([pa.array([winner], pa.binary()), ids]).take(pa.array(place + 1))
        stored = np.asarray(batch.column("age")) == STORED
        of_stored = np.concatenate([[winner_stored], stored])[place + 1]
        replaced = stored & ~of_stored & ~np.asarray(pa.compute.equal(winners, ids))
        yield pa.RecordBatch.from_arrays([pa.array(replaced)], schema=SUPERSEDED)
        winner, winner_stored = winners[-1].as_py(), bool(of_stored[-1])


def keep_latest(rows: Iterable[pa.RecordBatch], reason: str) -> Iterator[pa.RecordBatch]:
    """The first row of each key wins; the others are dropped for ``reason``. `CLAIM` in, `VERDICT` out, same order.

    Sorted by (key, captured descending with nulls last, doc_id), the first row is the latest capture, the smaller id
    where two were captured at once. A second row of the same document follows the first's verdict. Memory: one batch.

    With a column ``age``, sorted by (key, age, captured…), stored documents are all kept and win over arriving ones: of
    these none is kept where the key has a stored one; the very capture that is stored goes as "duplicate_capture".

    Args:
        rows: sorted batches; a key may span any number of them.
        reason: "duplicate_url", "duplicate_text" or "near_duplicate".
    """
    open_key: int | None = None
    winner, winner_stored = b"", False
    for batch in rows:
        if not len(batch):
            continue
        column = batch.column("key")
        place, open_key = _groups(column, open_key)
        ids = batch.column("doc_id").cast(pa.binary())
        carried = pa.array([winner], pa.binary())
        winners = pa.concat_arrays([carried, ids]).take(pa.array(place + 1))
        same = pa.compute.equal(winners, ids)
        kept, why = same, pa.scalar(reason)
        if batch.schema.get_field_index("age") >= 0:
            stored = np.asarray(batch.column("age")) == STORED
            of_stored = np.concatenate([[winner_stored], stored])[place + 1]
            kept = pa.array(stored | (np.asarray(same) & ~of_stored))
            why = pa.compute.if_else(same, "duplicate_capture", reason)
            winner_stored = bool(of_stored[-1])
        reasons = pa.compute.if_else(kept, pa.scalar(None, pa.string()), why)
        yield conform(pa.RecordBatch.from_arrays([column, ids, kept, winners, reasons], names=VERDICT.names), VERDICT)
        winner = winners[-1].as_py()
