"""Conditions of rules: a small language that is parsed into a tree and evaluated over columns.

    3 <= mean_word_length <= 10
    lang in ["en", "de"] and not lorem_ipsum
    words >= 50 or lang_score is null

Grammar, loosest binding first::

    or     := and ("or" and)*
    and    := not ("and" not)*
    not    := "not" not | "(" or ")" | test
    test   := operand (("<" | "<=" | ">" | ">=" | "==" | "!=") operand)+
            | operand ["not"] "in" "[" literal ("," literal)* "]"
            | operand "is" ["not"] "null"
            | NAME                                     (a boolean score)
    operand := NAME | NUMBER | STRING | "true" | "false"

Logic is three-valued, as in SQL: a comparison with a null or a NaN is unknown, and unknown passes through ``and``,
``or`` and ``not``. What an unknown condition decides is stated by the rule (`plait.filters.rules`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Literal = float | int | str | bool


class ConditionError(ValueError):
    """The text of a condition cannot be parsed, or compares what cannot be compared."""


@dataclass(frozen=True)
class Name:
    """A column."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A number, a string or a truth value."""

    value: Literal


Operand = Name | Constant


@dataclass(frozen=True)
class Compare:
    """``left op right``; a chain is a conjunction of these."""

    left: Operand
    op: str
    right: Operand


@dataclass(frozen=True)
class Member:
    """``operand in [literals]``."""

    operand: Operand
    choices: tuple[Literal, ...]


@dataclass(frozen=True)
class IsNull:
    """``operand is null``: true for a null and for a NaN."""

    operand: Operand


@dataclass(frozen=True)
class Truth:
    """A boolean column by itself."""

    operand: Name


@dataclass(frozen=True)
class Not:
    """Negation."""

    inner: Condition


@dataclass(frozen=True)
class And:
    """Conjunction."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Or:
    """Disjunction."""

    parts: tuple[Condition, ...]


Leaf = Compare | Member | IsNull | Truth
Condition = Leaf | Not | And | Or

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)
    |(?P<string>"[^"]*"|'[^']*')|(?P<op><=|>=|==|!=|<|>)|(?P<mark>[()\[\],]))""",
    re.VERBOSE,
)
_WORDS = frozenset({"and", "or", "not", "in", "is", "null", "true", "false"})


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(text: str) -> list[_Token]:
    place, found = 0, []
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ConditionError(f"cannot read {text[place:].strip()[:20]!r} in {text!r}")
        kind = match.lastgroup
        value = match[kind]
        found.append(_Token("word" if kind == "name" and value in _WORDS else kind, value))
        place = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0

    def peek(self, *texts: str) -> bool:
        token = self.tokens[self.place] if self.place < len(self.tokens) else None
        return token is not None and token.kind in ("word", "mark", "op") and token.text in texts

    def take(self, *texts: str) -> bool:
        found = self.peek(*texts)
        self.place += found
        return found

    def expect(self, text: str) -> None:
        if not self.take(text):
            got = self.tokens[self.place].text if self.place < len(self.tokens) else "the end"
            raise ConditionError(f"{text!r} is expected before {got!r} in {self.text!r}")

    def parse(self) -> Condition:
        if not self.tokens:
            raise ConditionError("the condition is empty")
        tree = self.either()
        if self.place < len(self.tokens):
            raise ConditionError(f"{self.tokens[self.place].text!r} is not expected here in {self.text!r}")
        return tree

    def either(self) -> Condition:
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def both(self) -> Condition:
        parts = [self.negation()]
        while self.take("and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def negation(self) -> Condition:
        if self.take("not"):
            return Not(self.negation())
        if self.take("("):
            inner = self.either()
            self.expect(")")
            return inner
        return self.test()

    def operand(self) -> Operand:
        token = self.tokens[self.place] if self.place < len(self.tokens) else _Token("end", "the end")
        self.place += 1
        if token.kind == "name":
            return Name(token.text)
        if token.kind == "number":
            text = token.text.replace("_", "")
            return Constant(int(text) if re.fullmatch(r"-?\d+", text) else float(text))
        if token.kind == "string":
            return Constant(token.text[1:-1])
        if token.text in ("true", "false"):
            return Constant(token.text == "true")
        raise ConditionError(f"a score, a number or a string is expected before {token.text!r} in {self.text!r}")

    def choices(self) -> tuple[Literal, ...]:
        self.expect("[")
        found: list[Literal] = []
        while True:
            operand = self.operand()
            if isinstance(operand, Name):
                raise ConditionError(f"a list holds numbers and strings, not the score {operand.name!r}: {self.text!r}")
            found.append(operand.value)
            if self.take("]"):
                return tuple(found)
            self.expect(",")

    def test(self) -> Condition:
        left = self.operand()
        if self.take("is"):
            negated = self.take("not")
            self.expect("null")
            return Not(IsNull(left)) if negated else IsNull(left)
        if self.peek("not", "in"):
            negated = self.take("not")
            self.expect("in")
            member = Member(left, self.choices())
            return Not(member) if negated else member
        compared: list[Condition] = []
        while self.peek("<", "<=", ">", ">=", "==", "!="):
            op = self.tokens[self.place].text
            self.place += 1
            right = self.operand()
            compared.append(Compare(left, op, right))
            left = right
        if not compared:
            if isinstance(left, Name):
                return Truth(left)
            raise ConditionError(f"{self.text!r} compares nothing")
        return compared[0] if len(compared) == 1 else And(tuple(compared))


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Condition:
    """The tree of a condition.

    Raises:
        ConditionError: with one sentence that says where the text goes wrong.
    """
    return _Parser(text).parse()


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The comparisons of a condition, left to right."""
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(inner):
            yield from leaves(inner)
        case _:
            yield condition


def _operands(leaf: Leaf) -> tuple[Operand, ...]:
    return (leaf.left, leaf.right) if isinstance(leaf, Compare) else (leaf.operand,)


def names(condition: Condition) -> tuple[str, ...]:
    """The columns that a condition needs, in the order of their first mention."""
    found = [o.name for leaf in leaves(condition) for o in _operands(leaf) if isinstance(o, Name)]
    return tuple(dict.fromkeys(found))


class Column(NamedTuple):
    """Values of an operand and where they are known (not null, not NaN)."""

    values: np.ndarray
    known: np.ndarray


def numbers(text: str) -> list[tuple[int, int, float]]:
    """The numbers in a condition's text, left to right: where each begins, where it ends, its value.

    Raises:
        ConditionError: the text cannot be read.
    """
    place, found = 0, []
    for token in _tokens(text):
        start = text.index(token.text, place)
        place = start + len(token.text)
        if token.kind == "number":
            found.append((start, place, float(token.text.replace("_", ""))))
    return found


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
