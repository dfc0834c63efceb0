"""Rules on pictures whose thresholds move: which pictures change sides, and how many their documents have then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.explorer.safety import unshown
from plait.explorer.view.picture_index import TYPES, WITH_DOCUMENT, Pictures
from plait.filters.rules import Rule, keeps

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
SHOWN: Final = 12  # examples of each change


@dataclass(frozen=True)
class PictureChange:
    """What moved thresholds do to pictures.

    Attributes:
        dropped: kept pictures that would be dropped.
        recovered: dropped ones that no rule on a stored value would drop.
        by_rule: kept pictures that each moved rule alone would drop.
        fewer: for every document of the index, how many it loses.
        more: how many come back to it.
        dropped_rows: of the first, rows among the kept ones.
        recovered_rows: of the first that may be named, rows among the dropped ones.
    """

    dropped: int
    recovered: int
    by_rule: dict[str, int]
    fewer: Ints
    more: Ints
    dropped_rows: list[int]
    recovered_rows: list[int]


class PictureRules:
    """The rules on pictures of a recipe over what is stored of them.

    Args:
        pictures: of the corpus.
        rules: `plait.explorer.view.picture_index.picture_rules` of its recipe.
        documents: rows of the index.
    """

    def __init__(self, pictures: Pictures, rules: Sequence[Rule], documents: int) -> None:
        self.pictures = pictures
        self.rules = {rule.name: rule for rule in rules}
        self._documents = documents
        self._passed: dict[str, Bools] = {}
        self._deciding = {name: self._decided_by(rule) for name, rule in self.rules.items()}
        self.left_behind = self._count(self._dropped_for(WITH_DOCUMENT))
        """Pictures that passed every rule and went with their document, by the document's place."""

    def _dropped_for(self, reason: str) -> Ints:
        """Rows of the pictures that a reason dropped."""
        if reason not in self.pictures.reasons:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.pictures.dropped_reason == self.pictures.reasons.index(reason))

    def _count(self, rows: Ints) -> Ints:
        return np.bincount(self.pictures.dropped_document[rows], minlength=self._documents)

    def _decided_by(self, rule: Rule) -> list[tuple[str, Ints]]:
        """The pictures that a rule dropped, by the score that decided: the first that its value fails by itself."""
        rows = self._dropped_for(rule.name)
        rows = rows[np.isfinite(self.pictures.dropped_value[rows])]
        found = []
        for name in rule.scores:
            fails = ~self._holds(rule, name, self.pictures.dropped_value[rows])
            found.append((name, rows[fails]))
            rows = rows[~fails]
        return found

    @staticmethod
    def _holds(rule: Rule, score: str, values: npt.NDArray[np.float64]) -> Bools:
        """Where a rule may hold of a score's values, nothing being known of its other scores."""
        known = {name: pa.nulls(len(values), TYPES[name]) for name in rule.scores}
        kind = TYPES[score] if pa.types.is_floating(TYPES[score]) else pa.float64()
        batch = pa.RecordBatch.from_pydict({**known, score: pa.array(values).cast(kind, safe=False)})
        return np.asarray(keeps(replace(rule, unknown_keeps=True), batch), bool)

    def failed(self, rule: Rule) -> Bools:
        """Kept pictures that a rule drops."""
        return ~np.asarray(keeps(rule, self.pictures.columns(rule.scores)), bool)

    def _before(self, name: str) -> Bools:
        """Kept pictures that pass a rule as the recipe has it: all but odd ones."""
        if name not in self._passed:
            self._passed[name] = ~self.failed(self.rules[name])
        return self._passed[name]

    def values(self, score: str) -> npt.NDArray[np.float64]:
        """A score of all pictures of which it is known: kept ones, and dropped ones where it decided."""
        column = self.pictures.columns([score]).column(score)
        kept = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        rows = [rows for parts in self._deciding.values() for name, rows in parts if name == score]
        return np.concatenate([kept, *[self.pictures.dropped_value[some] for some in rows]])

    def prepare(self) -> None:
        """Computes every rule's verdicts as the recipe has it, so that the first move is as quick as the next."""
        for name in self.rules:
            self._before(name)

    def change(self, moved: Mapping[str, Rule]) -> PictureChange:
        """What other thresholds would do to pictures.

        A dropped picture comes back where the value that decided, as the ledger has it, would pass the rule that
        dropped it and every other rule as far as it reads that score. What else they measure of it is not stored, so
        that the number is an upper bound; how often a picture may occur is not looked at.
        """
        lost = np.zeros(self.pictures.kept, bool)
        by_rule = {}
        for name, rule in moved.items():
            fails = self.failed(rule) & self._before(name)
            by_rule[name] = int(np.count_nonzero(fails))
            lost |= fails
        gone = np.flatnonzero(lost)
        back = np.sort(np.concatenate([np.zeros(0, np.int64), *[self._back(name, moved) for name in moved]]))
        named = [row for row, code in zip(back[: 50 * SHOWN].tolist(), self.pictures.dropped_reason[back], strict=False)
                 if not unshown(self.pictures.reasons[code])]  # fmt: skip
        fewer = np.bincount(self.pictures.document[gone], minlength=self._documents)
        return PictureChange(
            len(gone), len(back), by_rule, fewer, self._count(back), gone[:SHOWN].tolist(), named[:SHOWN]
        )

    def _back(self, name: str, moved: Mapping[str, Rule]) -> Ints:
        """Of the pictures that a rule dropped, those that may come back."""
        found = []
        for score, rows in self._deciding[name]:
            values = self.pictures.dropped_value[rows]
            passes = np.ones(len(rows), bool)
            for other in self.rules.values():
                if score in other.scores:
                    passes &= self._holds(moved.get(other.name, other), score, values)
            found.append(rows[passes])
        return np.concatenate([np.zeros(0, np.int64), *found])
