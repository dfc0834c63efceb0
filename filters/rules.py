"""Rules: conditions with a name, a scope and a source, evaluated over the columns of a batch.

A null or a NaN makes a comparison unknown. A rule whose condition is unknown keeps, because a score that could not be
measured says nothing against a document; ``else = "drop"`` in the recipe says otherwise for one rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from plait.filters.conditions import And, Compare, Condition, Leaf, Name, Not, Or, names, parse
from plait.filters.verdicts import Columns, verdict

DOCUMENT_LANG = "document_lang"  # column with the document's language where ``lang`` is a line's or a node's
SCOPES = ("line", "node", "document", "image")


@dataclass(frozen=True)
class Rule:
    """One line of a recipe.

    Attributes:
        name: the reason code in ledger, report and explorer.
        scope: what the rule keeps or drops: one of `SCOPES`.
        keep: the condition under which it is kept, as the recipe has it; "" for an edit.
        source: where the threshold comes from: a paper's table, a repository's file, or "plait" for our own choice.
        edit: name of a text edit (`plait.filters.edits`) that a node rule applies instead of keeping or dropping.
        unknown_keeps: the verdict where the condition is unknown (a null or a NaN score).
        requires: what must be there for the rule to run: names that the build resolves ("kenlm:en", "quality:FILE").
        languages: the rule looks only at documents in these languages; empty: at all.
        stage: "text", or "assemble" when a score is known only once the images are there.
    """

    name: str
    scope: str
    keep: str = ""
    source: str = ""
    edit: str = ""
    unknown_keeps: bool = True
    requires: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    stage: str = "text"

    @property
    def condition(self) -> Condition:
        """The parsed condition.

        Raises:
            ConditionError: where it cannot be parsed; `load_recipe` has checked that already.
        """
        return parse(self.keep)

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores in the rule's condition; a rule for some languages reads the document's language too."""
        found = names(self.condition) if self.keep else ()
        return (*found, "lang") if self.languages and self.scope == "document" and "lang" not in found else found


class Failures(NamedTuple):
    """Verdict of a list of rules on every row of a batch.

    Attributes:
        rule: int32, index of the first rule that the row fails, -1 where it passes all.
        value: float64, what that rule measured; NaN where no number decided.
        text: what it measured where that is a string, else None.
        alone: int64 for every rule, how many rows it alone would drop.
    """

    rule: np.ndarray
    value: np.ndarray
    text: list[str | None]
    alone: np.ndarray


def _kept(rule: Rule, columns: Columns) -> np.ndarray:
    found = verdict(rule.condition, columns)
    kept = found.or_unknown() if rule.unknown_keeps else found.true
    if rule.languages:
        spoken = columns[DOCUMENT_LANG if DOCUMENT_LANG in columns.batch.schema.names else "lang"].values
        others = np.ones(columns.rows, bool)
        for language in rule.languages:
            others &= np.asarray(spoken != language, bool)
        kept = kept | others
    return kept


def evaluate(condition: str, batch: pa.RecordBatch, unknown_keeps: bool = True) -> np.ndarray:
    """Where a condition keeps a row of the batch: bool of the batch's length.

    Args:
        condition: text in the language of `plait.filters.conditions`.
        batch: has a column for every name in the condition.
        unknown_keeps: the verdict where a null or a NaN leaves the condition unknown.

    Raises:
        ConditionError: if the text cannot be parsed.
        KeyError: if the batch lacks a column.
    """
    found = verdict(parse(condition), Columns(batch))
    return found.or_unknown() if unknown_keeps else found.true


def keeps(rule: Rule, batch: pa.RecordBatch) -> np.ndarray:
    """Where one rule keeps a row of the batch, its languages and its verdict on unknowns included."""
    return _kept(rule, Columns(batch))


def _signed(condition: Condition, positive: bool = True) -> Iterator[tuple[Leaf, bool]]:
    """The comparisons of a condition with the side on which they keep: False under an odd number of negations."""
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _signed(part, positive)
        case Not(inner):
            yield from _signed(inner, not positive)
        case _:
            yield condition, positive


def _deciding(rule: Rule, columns: Columns, rows: np.ndarray) -> tuple[np.ndarray, list[str | None]]:
    """What the first comparison that does not hold has measured, for the rows given by index."""
    value = np.full(len(rows), np.nan)
    text: list[str | None] = [None] * len(rows)
    undecided = np.ones(len(rows), bool)
    for leaf, positive in _signed(rule.condition):
        operands = (leaf.left, leaf.right) if isinstance(leaf, Compare) else (leaf.operand,)
        name = next((o.name for o in operands if isinstance(o, Name)), None)
        if name is None:
            continue
        hit = undecided & (verdict(leaf, columns).true[rows] != positive)
        values, known = columns[name]
        if values.dtype == object:
            for place in np.flatnonzero(hit):
                text[place] = values[rows[place]]
        else:
            measured = hit if known is None else hit & known[rows]
            value[measured] = values[rows][measured]
        undecided &= ~hit
    return value, text


def first_failure(rules: Sequence[Rule], batch: pa.RecordBatch) -> Failures:
    """The first rule, in the given order, that each row fails, with what it measured; and each rule by itself.

    Cost: one vectorised comparison per rule and batch; the deciding value is looked up only for rows that fail.
    """
    columns = Columns(batch)
    first = np.full(columns.rows, -1, np.int32)
    value = np.full(columns.rows, np.nan)
    text: list[str | None] = [None] * columns.rows
    alone = np.zeros(len(rules), np.int64)
    for place, rule in enumerate(rules):
        failed = np.flatnonzero(~_kept(rule, columns))
        alone[place] = len(failed)
        new = failed[first[failed] < 0]
        if len(new):
            first[new] = place
            value[new], strings = _deciding(rule, columns, new)
            for row, string in zip(new, strings, strict=True):
                text[row] = string
    return Failures(first, value, text, alone)
