"""Columns of a sample of documents and pictures as numbers, and the thresholds that rules draw through them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters.conditions import Compare, ConditionError, Constant, Name, leaves, parse
from plait.filters.image_scores import picture_columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def floats(column: pa.Array) -> Floats:
    """A numeric column, nulls as NaN; hashes of 64 bits lose their lowest."""
    values: Floats = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return values


def picture_rows(rows: pa.Table) -> tuple[pa.StructArray, Ints, Ints]:
    """The pictures of documents: what is known of each, its document's row, its slot there."""
    infos = rows.column("image_info").combine_chunks()
    flat = infos.flatten()
    lengths = np.asarray(pc.list_value_length(infos).fill_null(0)).astype(np.int64)
    document = np.repeat(np.arange(len(lengths)), lengths)
    slot = np.arange(len(flat)) - (np.cumsum(lengths) - lengths)[document]
    there = np.flatnonzero(np.asarray(flat.is_valid()))
    return flat.take(pa.array(there)), document[there], slot[there]


def picture_numbers(pictures: pa.StructArray) -> pa.Table:
    """Numeric facts of pictures, with those that rules compute from width and height, as doubles."""
    facts = picture_columns(pa.RecordBatch.from_struct_array(pictures))
    return pa.table({
        field.name: floats(facts.column(field.name))
        for field in facts.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    })  # fmt: skip


def thresholds(condition: str) -> list[tuple[str, float]]:
    """The numbers that a condition compares scores with, in its order; none for an edit's name."""
    try:
        tree = parse(condition)
    except ConditionError:
        return []
    found: list[tuple[str, float]] = []
    for leaf in leaves(tree):
        if isinstance(leaf, Compare):
            for one, other in ((leaf.left, leaf.right), (leaf.right, leaf.left)):
                if isinstance(one, Name) and isinstance(other, Constant) and not isinstance(other.value, (str, bool)):
                    found.append((one.name, float(other.value)))
    return list(dict.fromkeys(found))
