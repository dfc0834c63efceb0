"""Thresholds that move: which documents change sides, answered from stored scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.explorer.recipes import recipe_of
from plait.explorer.view.index import Index
from plait.filters.conditions import Compare, ConditionError, Constant, Member, Name, leaves, numbers, parse
from plait.filters.recipe import Recipe
from plait.filters.rules import Rule, keeps
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Manifest

Bools = npt.NDArray[np.bool_]
SHOWN: Final = 12  # examples of each change
_SAMPLE: Final = 100_000  # documents that a slider's range is taken from


@dataclass(frozen=True)
class Slider:
    """A number in a rule's condition that can be moved.

    Attributes:
        rule: the rule's name.
        number: which of the condition's numbers, from 0.
        score: what is compared with it.
        low: end of the slider: what nearly all documents exceed.
        high: the other end.
        whole: only whole numbers make sense.
    """

    rule: str
    number: int
    score: str
    value: float
    low: float
    high: float
    whole: bool


@dataclass(frozen=True)
class Change:
    """What moved thresholds do.

    Attributes:
        dropped: kept documents that would be dropped, as a number and as the first places in the index.
        recovered: dropped ones that would pass the document rules.
        kept: how many documents would be kept, before what later stages say of the recovered ones.
        by_rule: kept documents that each moved rule alone would drop.
    """

    dropped: int
    recovered: int
    kept: int
    by_rule: dict[str, int]
    dropped_places: list[int]
    recovered_places: list[int]


def movable(condition: str) -> list[tuple[int, str]]:
    """Numbers of a condition that are compared with a score: (which number of the text, the score's name)."""
    try:
        tree, spans = parse(condition), numbers(condition)
    except ConditionError:
        return []
    found: list[tuple[int, str]] = []
    at = 0
    for leaf in leaves(tree):
        if isinstance(leaf, Member):
            at += sum(isinstance(c, (int, float)) and not isinstance(c, bool) for c in leaf.choices)
        elif isinstance(leaf, Compare):
            for one, other in ((leaf.left, leaf.right), (leaf.right, leaf.left)):
                if (
                    isinstance(one, Constant)
                    and isinstance(one.value, (int, float))
                    and not isinstance(one.value, bool)
                ):
                    if isinstance(other, Name):
                        found.append((at, other.name))
                    at += 1
    return found if at == len(spans) else []  # a number between two comparisons is counted twice: not movable


def with_number(condition: str, number: int, value: float) -> str:
    """The condition with one of its numbers replaced."""
    start, end, _ = numbers(condition)[number]
    return f"{condition[:start]}{value:.10g}{condition[end:]}"


class Thresholds:
    """The document rules of a corpus' recipe over its index; verdicts are kept once they are computed."""

    def __init__(self, index: Index, manifest: Manifest) -> None:
        self._index = index
        self._manifest = manifest
        self.recipe = recipe_of(manifest)
        known = {*index.scores, "lang", "domain", "images"}
        rules = self.recipe.rules if self.recipe else ()
        self.rules = {r.name: r for r in rules if r.scope == "document" and r.keep and known.issuperset(r.scores)}
        self._failed: dict[tuple[str, str], Bools] = {}

    def failed(self, rule: Rule) -> Bools:
        """Documents that a rule drops; those without scores fail nothing."""
        key = (rule.name, rule.keep)
        if key not in self._failed:
            if len(self._failed) > 4 * max(len(self.rules), 16):
                self._failed = {
                    k: v for k, v in self._failed.items() if k[0] in self.rules and self.rules[k[0]].keep == k[1]
                }
            columns: dict[str, pa.Array] = {}
            for name in rule.scores:
                columns[name] = (
                    self._index.words(name) if name in ("lang", "domain") else pa.array(self._index.numbers(name))
                )
            batch = pa.RecordBatch.from_pydict(columns)
            self._failed[key] = ~keeps(rule, batch) & self._index.scored
        return self._failed[key]

    def prepare(self) -> None:
        """Computes every rule's verdicts as the recipe has it, so that the first move is as quick as the next."""
        for rule in self.rules.values():
            self.failed(rule)

    def sliders(self) -> list[Slider]:
        """Every threshold that can be moved, in the recipe's order."""
        found = []
        for rule in self.rules.values():
            spans = numbers(rule.keep)
            for number, score in movable(rule.keep):
                if score not in self._index.scores and score != "images":
                    continue
                value = spans[number][2]
                seen = self._index.numbers(score)[:: max(1, len(self._index) // _SAMPLE)]
                seen = seen[np.isfinite(seen)]
                low, high = np.quantile(seen, [0.001, 0.999]).tolist() if len(seen) else (value, value)
                low, high = min(low, value), max(high, value)
                whole = bool(np.all(seen == np.floor(seen))) and float(value).is_integer()
                high = high if high > low else low + 1
                found.append(Slider(rule.name, number, score, value, low, high, whole))
        return found

    def moved(self, changes: Mapping[str, Mapping[int, float]]) -> dict[str, Rule]:
        """The rules with other numbers.

        Raises:
            ConfigError: a rule or a number is not there.
        """
        found = {}
        for name, values in changes.items():
            if name not in self.rules:
                raise ConfigError(f"there is no rule {name!r} whose scores are stored")
            rule = self.rules[name]
            allowed = {number for number, _ in movable(rule.keep)}
            condition = rule.keep
            for number in sorted(values, reverse=True):  # from the right: what stands left of it stays in place
                if number not in allowed or not np.isfinite(values[number]):
                    raise ConfigError(f"rule {name!r} has no number {number} that can be moved to {values[number]}")
                condition = with_number(condition, number, values[number])
            found[name] = Rule(**{**rule.__dict__, "keep": condition})
        return found

    def change(self, changes: Mapping[str, Mapping[int, float]]) -> Change:
        """What other thresholds would do. Cost: a few comparisons over a column for each rule that moved.

        Kept documents change sides where a moved rule now drops them. Dropped ones come back where a document rule
        had dropped them and all of them would now pass; what dedup and pictures would say then is not known.
        """
        moved = self.moved(changes)
        index = self._index
        newly = np.zeros(len(index), bool)
        by_rule = {}
        for name, rule in moved.items():
            fails = self.failed(rule) & ~self.failed(self.rules[name]) & index.kept
            by_rule[name] = int(np.count_nonzero(fails))
            newly |= fails
        back = np.zeros(len(index), bool)
        if moved:
            reasons = index.words("reason")
            known = [place for place, name in enumerate(reasons.dictionary.to_pylist()) if name in self.rules]
            codes = reasons.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            back = np.isin(codes, known) & index.scored & ~index.kept
            if back.any():
                for name, rule in self.rules.items():
                    back &= ~self.failed(moved.get(name, rule))
        kept = int(np.count_nonzero(index.kept)) - int(np.count_nonzero(newly)) + int(np.count_nonzero(back))
        return Change(
            int(np.count_nonzero(newly)), int(np.count_nonzero(back)), kept, by_rule,
            _first(newly), _first(back),
        )  # fmt: skip

    def recipe_text(self, changes: Mapping[str, Mapping[int, float]], name: str) -> str:
        """The recipe with moved thresholds, as a TOML file that `plait build` takes.

        Raises:
            ConfigError: the corpus has no recipe that this plait can read.
        """
        if self.recipe is None:
            raise ConfigError("the corpus was not built by a recipe that this plait can read")
        return recipe_toml(self.recipe, self.moved(changes), name)


def _first(mask: Bools) -> list[int]:
    return [int(place) for place in np.flatnonzero(mask)[:SHOWN]]


def recipe_toml(recipe: Recipe, moved: Mapping[str, Rule], name: str) -> str:
    """A recipe as a file that stands by itself: nothing is extended, every rule is in it with its source."""
    import tomli_w

    whole = json.loads(recipe.model_dump_json(exclude_none=True))
    head = {key: whole[key] for key in ("passes", "order_seed", "mask_pii", "missing")}
    tables = {key: whole[key] for key in ("limits", "extract", "dedup", "images", "resources") if whole.get(key)}
    entries = []
    for rule in recipe.rules:
        now = moved.get(rule.name, rule)
        source = rule.source if now.keep == rule.keep else f"plait view: {rule.keep} before; {rule.source}"
        entry: dict[str, object] = {"name": rule.name, "scope": rule.scope}
        entry |= {"edit": rule.edit} if rule.edit else {"keep": now.keep}
        entry |= {} if rule.unknown_keeps else {"else": "drop"}
        entry |= {"requires": list(rule.requires)} if rule.requires else {}
        entry |= {"languages": list(rule.languages)} if rule.languages else {}
        entries.append({**entry, "source": source})
    columns = [column for column in recipe.columns if column != "quality"]  # comes with the model, not by name
    scores = {"scores": columns} if columns else {}
    description = f"{recipe.description} With thresholds moved: {', '.join(moved) or 'none'}."
    text: str = tomli_w.dumps({"name": name, "description": description, **head, **scores, **tables, "rule": entries})
    return text
