"""Conditions evaluated over the columns of a batch, in three-valued logic (`plait.filters.conditions`)."""

from __future__ import annotations

import functools
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

Known = np.ndarray | None  # where a value is known, bool; None: everywhere, as in most columns


class Column(NamedTuple):
    """Values of an operand and where they are known (not null, not NaN)."""

    values: np.ndarray
    known: Known


def _both(first: Known, second: Known) -> Known:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def column(array: pa.Array) -> Column:
    """An Arrow column for comparison: numbers as they are stored, strings (dictionaries of them too) as objects."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        words = np.asarray([*array.dictionary.to_pylist(), None], dtype=object)
        codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return Column(words[codes], codes >= 0)
    known: Known = None
    if array.null_count or pa.types.is_floating(kind):
        known = ~np.asarray(array.is_null(nan_is_null=True))
        known = None if known.all() else known
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column(np.asarray(array.to_pylist(), dtype=object), known)
    if array.null_count:
        array = pc.fill_null(array, False if pa.types.is_boolean(kind) else 0)
    return Column(array.to_numpy(zero_copy_only=False), known)


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
        self._leaves: dict[Leaf, Verdict] = {}

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
        known = np.asarray(array.is_valid()) if array.null_count else None
        return Verdict(np.asarray(pc.is_in(array, value_set=listed)), known)

    def operand(self, operand: Operand) -> tuple[np.ndarray | Literal, Known]:
        """Values of an operand, and where they are known."""
        if isinstance(operand, Name):
            return self[operand.name]
        return operand.value, None

    def leaf(self, leaf: Leaf) -> Verdict:
        """Where a comparison holds, worked out once."""
        if leaf not in self._leaves:
            self._leaves[leaf] = _leaf(leaf, self)
        return self._leaves[leaf]


class Verdict(NamedTuple):
    """Where a condition holds, and where that is known; ``true`` is False where it is not known."""

    true: np.ndarray
    known: Known

    @property
    def false(self) -> np.ndarray:
        """Where it is known not to hold."""
        return ~self.true if self.known is None else self.known & ~self.true

    def or_unknown(self) -> np.ndarray:
        """Where it holds or is not known."""
        return self.true if self.known is None else self.true | ~self.known


def _where(true: np.ndarray, known: Known) -> Verdict:
    return Verdict(true if known is None else true & known, known)


def _leaf(leaf: Leaf, columns: Columns) -> Verdict:
    if isinstance(leaf, Compare):
        if leaf.op in ("==", "!=") and isinstance(leaf.right, Constant):
            found = columns.among(leaf.left, (leaf.right.value,))
            if found is not None:
                return found if leaf.op == "==" else Verdict(found.false, found.known)
        left, left_known = columns.operand(leaf.left)
        right, right_known = columns.operand(leaf.right)
        known = _both(left_known, right_known)
        if all(np.asarray(side).dtype.kind in "biuf" for side in (left, right)):
            # Two constants make one truth value.
            told = np.asarray(_OPS[leaf.op](left, right), np.bool_)  # type: ignore[arg-type]
            return _where(np.broadcast_to(told, columns.rows), known)
        true = np.zeros(columns.rows, bool)
        # Only known values are compared: a null among strings has no order.
        there = np.ones(columns.rows, bool) if known is None else known
        a = left[there] if isinstance(left, np.ndarray) else left
        b = right[there] if isinstance(right, np.ndarray) else right
        if there.any():
            true[there] = _OPS[leaf.op](a, b)  # type: ignore[arg-type]
        return Verdict(true, known)
    if isinstance(leaf, Member):
        found = columns.among(leaf.operand, leaf.choices)
        if found is not None:
            return found
    values, known = columns.operand(leaf.operand)
    if isinstance(leaf, IsNull):
        return Verdict(np.zeros(columns.rows, bool) if known is None else ~known, None)
    if isinstance(leaf, Truth):
        return _where(np.asarray(values, bool), known)
    true = np.zeros(columns.rows, bool)
    for choice in leaf.choices:
        true |= np.asarray(values == choice, bool)
    return _where(true, known)


def _all(parts: Sequence[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.logical_and, parts)


def _any(parts: Sequence[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.logical_or, parts)


def verdict(condition: Condition, columns: Columns) -> Verdict:
    """Three-valued truth of a condition for every row (Kleene's logic)."""
    match condition:
        case And(parts):
            sides = [verdict(part, columns) for part in parts]
            true = _all([side.true for side in sides])
            if all(side.known is None for side in sides):
                return Verdict(true, None)
            return Verdict(true, true | _any([side.false for side in sides]))
        case Or(parts):
            sides = [verdict(part, columns) for part in parts]
            true = _any([side.true for side in sides])
            if all(side.known is None for side in sides):
                return Verdict(true, None)
            return Verdict(true, true | _all([side.false for side in sides]))
        case Not(inner):
            side = verdict(inner, columns)
            return Verdict(side.false, side.known)
        case _:
            return columns.leaf(condition)
