"""Cut a table into batches at any rows: what a kernel says may not depend on where."""

from itertools import pairwise

import pyarrow as pa
from hypothesis import strategies as st


def cut(table: pa.Table, places: list[int]) -> list[pa.RecordBatch]:
    """The table in order as batches that end at these rows (any numbers, taken modulo the length)."""
    size = table.num_rows
    bounds = sorted({0, size, *[place % (size + 1) for place in places]})
    whole = table.combine_chunks().to_batches()
    if not whole:
        return [pa.RecordBatch.from_pylist([], schema=table.schema)]
    return [whole[0].slice(low, high - low) for low, high in pairwise(bounds)]


def rows(batches) -> list[dict]:
    return [row for batch in batches for row in batch.to_pylist()]


CUTS = st.lists(st.integers(0, 10_000), max_size=6)
