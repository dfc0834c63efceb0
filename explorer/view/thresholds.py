"""Thresholds that move: which documents change sides, answered from stored scores."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.explorer.recipes import recipe_of
from plait.explorer.view.index import Floats, Index
from plait.explorer.view.picture_rules import PictureChange, PictureRules
from plait.filters.conditions import Compare, ConditionError, Constant, Member, Name, leaves, numbers, parse
from plait.filters.recipe import Recipe
from plait.filters.rules import Rule, keeps
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Manifest

Bools = npt.NDArray[np.bool_]
NO_IMAGE: Final = "no_image_left"
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
        of: what the rule keeps or drops, "document" or "image".
    """

    rule: str
    number: int
    score: str
    value: float
    low: float
    high: float
    whole: bool
    of: str = "document"


@dataclass(frozen=True)
class Change:
    """What moved thresholds do.

    Attributes:
        dropped: kept documents that would be dropped, as a number and as the first places in the index.
        recovered: dropped ones that would pass the document rules.
        kept: how many documents would be kept, before what later stages say of the recovered ones.
        by_rule: kept documents (or pictures, of a rule on those) that each moved rule alone would drop.
        pictures: what happens to pictures; None where no rule on them can be moved.
    """

    dropped: int
    recovered: int
    kept: int
    by_rule: dict[str, int]
    dropped_places: list[int]
    recovered_places: list[int]
    pictures: PictureChange | None = None


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
    """The rules of a corpus' recipe over its index; verdicts on documents are kept once they are computed.

    Args:
        index: of the corpus.
        manifest: its manifest.
        pictures: its rules on pictures, where some have stored scores.
    """

    def __init__(self, index: Index, manifest: Manifest, pictures: PictureRules | None = None) -> None:
        self._index = index
        self._manifest = manifest
        self.recipe = recipe_of(manifest)
        known = {*index.scores, "lang", "domain", "images"}
        rules = self.recipe.rules if self.recipe else ()
        self.rules = {r.name: r for r in rules if r.scope == "document" and r.keep and known.issuperset(r.scores)}
        self._failed: dict[tuple[str, str], Bools] = {}
        self.pictures = pictures
        self._images = index.numbers("images")
        if pictures is not None:  # of a dropped document, those that passed the rules on pictures
            self._images = np.where(index.kept | (pictures.left_behind == 0), self._images, pictures.left_behind)

    def rule(self, name: str) -> Rule:
        """A rule that can be moved.

        Raises:
            ConfigError: there is none of the name.
        """
        found = self.rules.get(name) or (self.pictures.rules.get(name) if self.pictures else None)
        if found is None:
            raise ConfigError(f"there is no rule {name!r} whose scores are stored")
        return found

    def failed(self, rule: Rule, images: Floats | None = None) -> Bools:
        """Documents that a rule drops; those without scores fail nothing.

        Args:
            rule: on documents.
            images: how many images each has; None: as many as it has in the corpus.
        """
        if images is not None and "images" in rule.scores:
            return self._verdicts(rule, images)
        key = (rule.name, rule.keep)
        if key not in self._failed:
            if len(self._failed) > 4 * max(len(self.rules), 16):
                self._failed = {
                    k: v for k, v in self._failed.items() if k[0] in self.rules and self.rules[k[0]].keep == k[1]
                }
            self._failed[key] = self._verdicts(rule, self._images)
        return self._failed[key]

    def _verdicts(self, rule: Rule, images: Floats) -> Bools:
        columns: dict[str, pa.Array] = {}
        for name in rule.scores:
            if name in ("lang", "domain"):
                columns[name] = self._index.words(name)
            else:
                columns[name] = pa.array(images if name == "images" else self._index.numbers(name))
        known = np.isfinite(images) if set(rule.scores) == {"images"} else self._index.scored
        fails: Bools = ~keeps(rule, pa.RecordBatch.from_pydict(columns)) & known
        return fails

    def prepare(self) -> None:
        """Computes every rule's verdicts as the recipe has it, so that the first move is as quick as the next."""
        for rule in self.rules.values():
            self.failed(rule)
        if self.pictures is not None:
            self.pictures.prepare()

    def sliders(self) -> list[Slider]:
        """Every threshold that can be moved: of documents, then of pictures, in the recipe's order."""
        found = []
        for rule in self.rules.values():
            for number, score in movable(rule.keep):
                if score in self._index.scores or score == "images":
                    found.append(_slider(rule, number, score, self._index.numbers(score)))
        if self.pictures is not None:
            for rule in self.pictures.rules.values():
                for number, score in movable(rule.keep):
                    found.append(_slider(rule, number, score, self.pictures.values(score)))
        return found

    def moved(self, changes: Mapping[str, Mapping[int, float]]) -> dict[str, Rule]:
        """The rules with other numbers.

        Raises:
            ConfigError: a rule or a number is not there.
        """
        found = {}
        for name, values in changes.items():
            rule = self.rule(name)
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

        Kept documents change sides where a moved rule now drops them, or leaves them no picture. Dropped ones come back
        where a document rule had dropped them and all of them would now pass, or where no picture had been left and one
        comes back; what dedup would say then is not known, nor what rules say of pictures that were not acquired.
        """
        moved = self.moved(changes)
        on_pictures = {name: rule for name, rule in moved.items() if name not in self.rules}
        on_documents = {name: rule for name, rule in moved.items() if name in self.rules}
        index = self._index
        shown = self.pictures.change(on_pictures) if self.pictures is not None else None
        newly = np.zeros(len(index), bool)
        by_rule = dict(shown.by_rule) if shown is not None else {}
        for name, rule in on_documents.items():
            fails = self.failed(rule) & ~self.failed(self.rules[name]) & index.kept
            by_rule[name] = int(np.count_nonzero(fails))
            newly |= fails
        images = None
        if shown is not None and on_pictures:
            images = np.nan_to_num(self._images) - shown.fewer + shown.more
            newly |= index.kept & (shown.fewer > 0) & (images == 0)
            for name, rule in self.rules.items():
                if "images" in rule.scores:
                    newly |= self.failed(moved.get(name, rule), images) & ~self.failed(rule) & index.kept
            images[~index.kept & (images == 0)] = np.nan  # nothing was looked at
        back = np.zeros(len(index), bool)
        if moved:
            counted = np.isfinite(self._images if images is None else images)
            back = self._dropped_as(self.rules) & (index.scored | counted)
            if shown is not None:
                back |= self._dropped_as((NO_IMAGE,)) & (shown.more > 0)
            if back.any():
                for name, rule in self.rules.items():
                    back &= ~self.failed(moved.get(name, rule), images)
        kept = int(np.count_nonzero(index.kept)) - int(np.count_nonzero(newly)) + int(np.count_nonzero(back))
        return Change(
            int(np.count_nonzero(newly)), int(np.count_nonzero(back)), kept, by_rule,
            _first(newly), _first(back), shown,
        )  # fmt: skip

    def _dropped_as(self, names: Collection[str]) -> Bools:
        """Documents dropped for one of some reasons."""
        reasons = self._index.words("reason")
        known = [place for place, name in enumerate(reasons.dictionary.to_pylist()) if name in names]
        codes = reasons.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        found: Bools = np.isin(codes, known) & ~self._index.kept
        return found

    def recipe_text(self, changes: Mapping[str, Mapping[int, float]], name: str) -> str:
        """The recipe with moved thresholds, as a TOML file that `plait build` takes.

        Raises:
            ConfigError: the corpus has no recipe that this plait can read.
        """
        if self.recipe is None:
            raise ConfigError("the corpus was not built by a recipe that this plait can read")
        return recipe_toml(self.recipe, self.moved(changes), name)


def _slider(rule: Rule, number: int, score: str, values: Floats) -> Slider:
    """A slider whose ends are what nearly all values lie between."""
    value = numbers(rule.keep)[number][2]
    seen = values[:: max(1, len(values) // _SAMPLE)]
    seen = seen[np.isfinite(seen)]
    low, high = np.quantile(seen, [0.001, 0.999]).tolist() if len(seen) else (value, value)
    low, high = min(low, value), max(high, value)
    whole = bool(np.all(seen == np.floor(seen))) and float(value).is_integer()
    return Slider(rule.name, number, score, value, low, high if high > low else low + 1, whole, rule.scope)


def _first(mask: Bools) -> list[int]:
    return [int(place) for place in np.flatnonzero(mask)[:SHOWN]]


_OWN_KEYS: Final = ("name", "description", "extends", "columns", "rules")  # written anew; all others are taken over


def recipe_toml(recipe: Recipe, moved: Mapping[str, Rule], name: str) -> str:
    """A recipe as a file that stands by itself: nothing is extended, every rule is in it with its source."""
    import tomli_w

    whole = json.loads(recipe.model_dump_json(exclude_none=True))
    rest = {key: value for key, value in whole.items() if key not in _OWN_KEYS}
    head = {key: value for key, value in rest.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in rest.items() if isinstance(value, dict) and value}
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
