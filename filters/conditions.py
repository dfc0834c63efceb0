"""Conditions of rules: a small language that is parsed into a tree.

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
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

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


def operands(leaf: Leaf) -> tuple[Operand, ...]:
    """What a comparison compares."""
    return (leaf.left, leaf.right) if isinstance(leaf, Compare) else (leaf.operand,)


def names(condition: Condition) -> tuple[str, ...]:
    """The columns that a condition needs, in the order of their first mention."""
    found = [o.name for leaf in leaves(condition) for o in operands(leaf) if isinstance(o, Name)]
    return tuple(dict.fromkeys(found))


def _all_of(condition: Condition) -> Iterator[Condition]:
    """The conditions that must all hold for one to hold."""
    if isinstance(condition, And):
        for part in condition.parts:
            yield from _all_of(part)
    else:
        yield condition


def crossed_bounds(condition: Condition) -> tuple[str, float, float] | None:
    """A column whose lower bound is above its upper one, so that the condition never holds; with both bounds.

    Bounds are looked for among the comparisons that must all hold, not inside ``or`` and ``not``.
    """
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for part in _all_of(condition):
        match part:
            case Compare(Name(name), "<" | "<=", Constant(bound)) | Compare(Constant(bound), ">" | ">=", Name(name)):
                if isinstance(bound, (int, float)):
                    high[name] = min(float(bound), high.get(name, math.inf))
            case Compare(Name(name), ">" | ">=", Constant(bound)) | Compare(Constant(bound), "<" | "<=", Name(name)):
                if isinstance(bound, (int, float)):
                    low[name] = max(float(bound), low.get(name, -math.inf))
    return next(((name, low[name], high[name]) for name in low if low[name] > high.get(name, math.inf)), None)


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
