"""Whether one rule keeps no more than another: what `plait refilter` must know before it trusts what was retained."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from plait.filters.conditions import Compare, Constant, Literal, Member, leaves
from plait.filters.rules import Rule, keeps
from plait.filters.scores import SCORES


def at_least_as_strict(new: Rule, old: Rule) -> bool:
    """Whether everything that ``new`` keeps, ``old`` keeps too.

    Decided exactly for conditions on one and the same score: between the constants that two such conditions name, both
    are constant, so a value at, just below and just above each constant, and null, stand for all. Conditions on
    several scores must be equal. A rule for some languages is as strict as another only for the same ones, or where
    it looks at all.
    """
    if new.scope != old.scope or (new.languages and new.languages != old.languages):
        return False
    if (new.keep, new.edit, new.unknown_keeps) == (old.keep, old.edit, old.unknown_keeps):
        return True
    if new.edit or old.edit or len(set(_names(new))) != 1 or set(_names(new)) != set(_names(old)):
        return False
    [name] = set(_names(new))
    kind = SCORES[name].type
    batch = pa.RecordBatch.from_pydict({name: pa.array(_points(new, old, kind), kind)})
    return bool((~_keeps(new, batch) | _keeps(old, batch)).all())


def still_dropped(rules: tuple[Rule, ...], by: Rule, values: pa.Array, details: pa.Array) -> np.ndarray:
    """Which of the rows that the rule ``by`` dropped are dropped by one of ``rules`` too: bool.

    Args:
        rules: those of another recipe, of the same stage.
        by: the rule that dropped the rows.
        values: what it measured, as the ledger has it; null where no number decided.
        details: what it measured where that is a string.
    """
    gone = np.zeros(len(values), bool)
    own = set(_names(by))
    for rule in rules:
        if at_least_as_strict(rule, by):
            return np.ones(len(values), bool)
        if rule.scope != by.scope or rule.edit or set(_names(rule)) != own or len(own) != 1:
            continue
        if rule.languages and rule.languages != by.languages:
            continue
        [name] = own
        text = pa.types.is_string(SCORES[name].type)
        batch = pa.RecordBatch.from_pydict({name: details if text else values})
        gone |= ~_keeps(rule, batch)
    return gone


def _names(rule: Rule) -> tuple[str, ...]:
    return tuple(name for name in rule.scores if not (rule.languages and name == "lang"))


def _keeps(rule: Rule, batch: pa.RecordBatch) -> np.ndarray:
    """Verdicts on the values of a score, whatever the language."""
    return keeps(Rule(rule.name, rule.scope, rule.keep, unknown_keeps=rule.unknown_keeps), batch)


def _points(new: Rule, old: Rule, kind: pa.DataType) -> list[Literal | None]:
    """Values of a score that stand for all values, as far as two conditions tell them apart."""
    found: set[Literal] = set()
    for rule in (new, old):
        for leaf in leaves(rule.condition):
            if isinstance(leaf, Compare):
                found.update(o.value for o in (leaf.left, leaf.right) if isinstance(o, Constant))
            elif isinstance(leaf, Member):
                found.update(leaf.choices)
    if pa.types.is_boolean(kind):
        return [True, False, None]
    if pa.types.is_string(kind):
        return [*sorted(str(value) for value in found), "\0 none of them", None]
    numbers = [float(value) for value in found if not isinstance(value, str)]
    if pa.types.is_integer(kind):
        whole = {step for number in numbers for step in (math.floor(number) - 1, math.floor(number), math.ceil(number))}
        return [*sorted(whole | {step + 1 for step in whole} | {0}), None]
    near = {math.nextafter(number, way) for number in numbers for way in (-math.inf, math.inf)}
    return [*sorted({*numbers, *near, 0.0}), None]
