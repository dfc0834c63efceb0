"""Conditions evaluated over the columns of a batch, in three-valued logic (`plait.filters.conditions`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters.conditions import (
    And,
    Compare,
    Condition,
    Constant,
    IsNull,
    Leaf,
    Literal,
    Member,
    Name,
    Not,
    Operand,
    Or,
    Truth,
)


class Column(NamedTuple):
    """Values of an operand and where they are known (not null, not NaN)."""

    values: np.ndarray
    known: np.ndarray


def column(array: pa.Array) -> Column:
    """An Arrow column for comparison: numbers as they are stored, strings (dictionaries of them too) as objects."""
    if pa.types.is_dictionary(array.type):
        words = np.asarray([*array.dictionary.to_pylist(), None], dtype=object)
        codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return Column(words[codes], codes >= 0)
    known = ~np.asarray(array.is_null(nan_is_null=True))
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return Column(np.asarray(array.to_pylist(), dtype=object), known)
    if pa.types.is_boolean(array.type):
        return Column(np.asarray(pc.fill_null(array, False)), known)
    values = pc.fill_null(array, 0) if array.null_count else array
    return Column(values.to_numpy(zero_copy_only=False), known)


_OPS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


class Columns:
    """The columns of a batch, each converted once."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self.rows = batch.num_rows
        self._seen: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._seen:
            self._seen[name] = column(self.batch.column(name))
        return self._seen[name]

    def among(self, operand: Operand, choices: Sequence[Literal]) -> Verdict | None:
        """Where a column of strings has one of some values; None for anything but a column of strings."""
        array = self.batch.column(operand.name) if isinstance(operand, Name) else None
        if array is None or not pa.types.is_string(array.type):
            return None
        listed = pa.array([choice for choice in choices if isinstance(choice, str)], array.type)
        return Verdict(np.asarray(pc.is_in(array, value_set=listed)), np.asarray(array.is_valid()))

    def operand(self, operand: Operand) -> tuple[np.ndarray | Literal, np.ndarray]:
        """Values of an operand, and where they are known."""
        if isinstance(operand, Name):
            return self[operand.name]
        return operand.value, np.ones(self.rows, bool)


class Verdict(NamedTuple):
    """Where a condition holds, and where that is known; ``true`` is False where it is not known."""

    true: np.ndarray
    known: np.ndarray


def _leaf(leaf: Leaf, columns: Columns) -> Verdict:
    if isinstance(leaf, Compare):
        if leaf.op in ("==", "!=") and isinstance(leaf.right, Constant):
            found = columns.among(leaf.left, (leaf.right.value,))
            if found is not None:
                return found if leaf.op == "==" else Verdict(found.known & ~found.true, found.known)
        left, left_known = columns.operand(leaf.left)
        right, right_known = columns.operand(leaf.right)
        known = left_known & right_known
        if all(np.asarray(side).dtype.kind in "biuf" for side in (left, right)):
            return Verdict(np.asarray(_OPS[leaf.op](left, right), np.bool_) & known, known)  # type: ignore[arg-type]
        true = np.zeros(columns.rows, bool)
        # Only known values are compared: a null among strings has no order.
        a = left[known] if isinstance(left, np.ndarray) else left
        b = right[known] if isinstance(right, np.ndarray) else right
        if known.any():
            true[known] = _OPS[leaf.op](a, b)  # type: ignore[arg-type]
        return Verdict(true, known)
    if isinstance(leaf, Member):
        found = columns.among(leaf.operand, leaf.choices)
        if found is not None:
            return found
    values, known = columns.operand(leaf.operand)
    if isinstance(leaf, IsNull):
        return Verdict(~known, np.ones(columns.rows, bool))
    if isinstance(leaf, Truth):
        return Verdict(np.asarray(values, bool) & known, known)
    true = np.zeros(columns.rows, bool)
    for choice in leaf.choices:
        true |= np.asarray(values == choice, bool)
    return Verdict(true & known, known)


def verdict(condition: Condition, columns: Columns) -> Verdict:
    """Three-valued truth of a condition for every row (Kleene's logic)."""
    match condition:
        case And(parts):
            sides = [verdict(part, columns) for part in parts]
            true = np.logical_and.reduce([s.true for s in sides])
            false = np.logical_or.reduce([s.known & ~s.true for s in sides])
            return Verdict(true, true | false)
        case Or(parts):
            sides = [verdict(part, columns) for part in parts]
            true = np.logical_or.reduce([s.true for s in sides])
            false = np.logical_and.reduce([s.known & ~s.true for s in sides])
            return Verdict(true, true | false)
        case Not(inner):
            side = verdict(inner, columns)
            return Verdict(side.known & ~side.true, side.known)
        case _:
            return _leaf(condition, columns)
