"""Feeding a kernel that reads some columns of a sorted stream, and keeping its rows beside the verdicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import pyarrow as pa

Stream: TypeAlias = Iterator[pa.RecordBatch]
Kernel: TypeAlias = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
View: TypeAlias = Callable[[pa.RecordBatch], pa.RecordBatch]


def beside(rows: Stream, view: View, kernel: Kernel) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Each batch of rows with what a one-to-one kernel says of it.

    Args:
        rows: sorted batches.
        view: what the kernel reads of a batch.
        kernel: gives one batch, of as many rows, for each batch that is not empty.
    """
    given: deque[pa.RecordBatch] = deque()

    def views() -> Stream:
        for batch in rows:
            if batch.num_rows:
                given.append(batch)
                yield view(batch)

    for verdicts in kernel(views()):
        yield given.popleft(), verdicts


def with_column(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    """The batch with a column set, added at the end where there is none of the name."""
    place = batch.schema.get_field_index(name)
    if place < 0:
        return batch.append_column(name, column)
    return batch.set_column(place, name, column)


def split(batch: pa.RecordBatch, mask: pa.Array) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Rows where the mask holds, and the others (a null is among the others)."""
    import pyarrow.compute as pc

    mask = pc.fill_null(mask, False)
    return batch.filter(mask), batch.filter(pc.invert(mask))
