"""Recipes: a TOML file with the limits, passes, rules and deduplication of one corpus, and everything's source.

A recipe is checked when it is loaded: a misspelt key, an unknown score, a condition that cannot be read and a value
of the wrong type are each one sentence that names the file, the key and what is allowed.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, Field, ValidationError

from plait.filters.clip_settings import Clip
from plait.filters.conditions import (
    Compare,
    ConditionError,
    Constant,
    Member,
    Name,
    crossed_bounds,
    leaves,
    names,
    parse,
)
from plait.filters.edits import DOCUMENT_EDITS, EDITS
from plait.filters.needs import REQUIRES
from plait.filters.rules import SCOPES, Rule
from plait.filters.scores import SCORES
from plait.filters.sections import (
    Consent,
    Dedup,
    Extract,
    Images,
    Limits,
    MinHash,
    Positive,
    Reencoding,
    Resources,
    Section,
)
from plait.schemas.errors import ConfigError
from plait.schemas.reasons import REASONS


class _RuleEntry(Section):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    scope: Literal["line", "node", "document", "image"]
    keep: str | None = None
    edit: str | None = None
    source: str
    otherwise: Annotated[Literal["keep", "drop"], Field(alias="else")] = "keep"
    requires: list[str] = Field(default_factory=list)
    languages: list[str] = Field(default_factory=list)


class _File(Section):
    name: str
    description: str
    extends: str | None = None
    without: list[str] = Field(default_factory=list)  # rules of the extended recipe that are left out
    passes: Positive = 1
    order_seed: int = 0
    mask_pii: bool = False
    scores: Literal["used", "all"] | list[str] = "used"
    missing: Literal["refuse", "skip"] = "skip"
    limits: Limits = Limits()
    consent: Consent = Consent()
    extract: Extract = Extract()
    dedup: Dedup = Dedup()
    images: Images = Images()
    clip: Clip = Clip()
    resources: Resources = Resources()
    rule: list[_RuleEntry] = Field(default_factory=list)


class Recipe(Section):
    """A checked recipe.

    Attributes:
        passes: how often a run of consecutive line and node rules is applied (OmniCorpus: 3).
        order_seed: seed of the corpus' global shuffle.
        mask_pii: e-mail addresses, phone and IP numbers are replaced in text, ledger and samples.
        columns: names of the score columns that documents get, sorted; see `plait.pipeline.text.score_types`.
        missing: what the build does where a rule's ``requires`` is absent: refuse, or skip the rule (partial recipe).
        rules: in the recipe's order, which is the order of their application.
    """

    name: str
    description: str
    extends: str | None = None
    passes: int = 1
    order_seed: int = 0
    mask_pii: bool = False
    missing: Literal["refuse", "skip"] = "skip"
    limits: Limits = Limits()
    consent: Consent = Consent()
    extract: Extract = Extract()
    dedup: Dedup = Dedup()
    images: Images = Images()
    clip: Clip = Clip()
    resources: Resources = Resources()
    columns: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def rules_at(self, stage: Literal["text", "assemble"], scope: str) -> tuple[Rule, ...]:
        """The rules of a scope that are decided at a stage, in the recipe's order."""
        return tuple(rule for rule in self.rules if rule.stage == stage and rule.scope == scope)

    def requirements(self) -> dict[str, tuple[str, ...]]:
        """Rule name -> what the rule requires, for the rules that require anything."""
        return {rule.name: rule.requires for rule in self.rules if rule.requires}

    def skipping(self, names: Iterable[str]) -> Recipe:
        """The recipe without the named rules: what a partial build runs."""
        left_out = set(names)
        return self.model_copy(update={"rules": tuple(r for r in self.rules if r.name not in left_out)})


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that ship with plait, sorted."""
    folder = resources.files("plait.filters.recipes")
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")))


def _nearest(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def _read(name_or_path: str) -> tuple[str, str, Path | None]:
    """Text of a recipe, the name that errors give it, and its folder where it has one."""
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        try:
            return path.read_text("utf-8"), str(path), path.parent
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the recipe {path} cannot be read: {error}") from error
    if name_or_path not in recipe_names():
        known = ", ".join(recipe_names())
        raise ConfigError(
            f"there is no recipe {name_or_path!r} (built in: {known}; or the path of a .toml file)"
            + _nearest(name_or_path, recipe_names())
        )
    text = resources.files("plait.filters.recipes").joinpath(f"{name_or_path}.toml").read_text("utf-8")
    return text, f"recipe {name_or_path}", None


def _keys_at(place: tuple[str | int, ...]) -> list[str]:
    """Keys that the file may have where a key was not expected."""
    sections: dict[str, type[BaseModel]] = {
        "limits": Limits, "consent": Consent, "extract": Extract, "dedup": Dedup, "images": Images,
        "resources": Resources, "rule": _RuleEntry, "minhash": MinHash, "reencode": Reencoding, "clip": Clip,
    }  # fmt: skip
    model: type[BaseModel] = _File
    for part in place[:-1]:
        if isinstance(part, str):
            model = sections.get(part, model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _explain(error: ValidationError, where: str, data: dict[str, object]) -> ConfigError:
    """The first fault of a file as one sentence."""
    fault = error.errors()[0]
    place = fault["loc"]
    shown = ".".join(str(part) for part in place if isinstance(part, str))
    entries = data.get("rule")
    if place and place[0] == "rule" and len(place) > 1 and isinstance(place[1], int) and isinstance(entries, list):
        entry = entries[place[1]]
        title = entry.get("name", f"number {place[1] + 1}") if isinstance(entry, dict) else f"number {place[1] + 1}"
        shown = f"{place[-1]} of rule {title}"
    if fault["type"] == "extra_forbidden":
        keys = _keys_at(place)
        return ConfigError(
            f"{where}: unknown key {shown!r} (allowed: {', '.join(keys)}){_nearest(str(place[-1]), keys)}"
        )
    if fault["type"] == "missing":
        return ConfigError(f"{where}: the key {shown!r} is missing")
    return ConfigError(f"{where}: {shown!r} is {fault['input']!r}: {fault['msg'].lower()}")


def _kind(name: str) -> str:
    kind = SCORES[name].type
    if pa.types.is_string(kind):
        return "string"
    return "truth value" if pa.types.is_boolean(kind) else "number"


def _literal_kind(value: float | str | bool) -> str:
    if isinstance(value, str):
        return "string"
    return "truth value" if isinstance(value, bool) else "number"


def _check_condition(entry: _RuleEntry, where: str) -> None:
    """That the condition parses, its scores exist in its scope, and it compares like with like."""
    assert entry.keep is not None
    try:
        condition = parse(entry.keep)
    except ConditionError as error:
        raise ConfigError(f"{where}: rule {entry.name}: {error}") from error
    known = sorted(name for name, score in SCORES.items() if entry.scope in score.scopes)
    for leaf in leaves(condition):
        operands = (leaf.left, leaf.right) if isinstance(leaf, Compare) else (leaf.operand,)
        for operand in operands:
            if isinstance(operand, Name) and operand.name not in known:
                raise ConfigError(
                    f"{where}: rule {entry.name}: there is no score {operand.name!r} of a {entry.scope} "
                    f"(there are: {', '.join(known)}){_nearest(operand.name, known)}"
                )
        kinds = {_kind(o.name) if isinstance(o, Name) else _literal_kind(o.value) for o in operands}
        if isinstance(leaf, Member):
            kinds |= {_literal_kind(value) for value in leaf.choices}
        if isinstance(leaf, (Compare, Member)) and len(kinds) > 1:
            raise ConfigError(f"{where}: rule {entry.name} compares a {' with a '.join(sorted(kinds))}: {entry.keep!r}")
        if isinstance(leaf, Compare) and all(isinstance(o, Constant) for o in operands):
            raise ConfigError(f"{where}: rule {entry.name} compares two constants: {entry.keep!r}")
        if not isinstance(leaf, (Compare, Member)) and kinds != {"truth value"} and "null" not in entry.keep:
            raise ConfigError(
                f"{where}: rule {entry.name}: {entry.keep!r} is a {kinds.pop()}, compare it with something"
            )
    if crossed := crossed_bounds(condition):
        name, low, high = crossed
        raise ConfigError(
            f"{where}: rule {entry.name} can never hold, it asks {name} to be {low:g} at least and {high:g} at most: "
            f"{entry.keep!r}"
        )


def _rule(entry: _RuleEntry, where: str) -> Rule:
    if (entry.keep is None) == (entry.edit is None):
        raise ConfigError(f"{where}: rule {entry.name} needs one of the keys 'keep' (a condition) and 'edit' (a name)")
    if entry.edit is not None:
        edits = sorted([*EDITS, *DOCUMENT_EDITS])
        if entry.scope != "node" or entry.edit not in edits:
            raise ConfigError(
                f"{where}: rule {entry.name}: there is no edit {entry.edit!r} of a {entry.scope} "
                f"(of a node there are: {', '.join(edits)}){_nearest(entry.edit, edits)}"
            )
        stage = "text"
    else:
        _check_condition(entry, where)
        stage = "text"
    read = names(parse(entry.keep)) if entry.keep else ()
    needed = [REQUIRES[name] for name in read if name in REQUIRES]
    requires = tuple(dict.fromkeys([*entry.requires, *needed]))
    rule = Rule(
        name=entry.name, scope=entry.scope, keep=entry.keep or "", source=entry.source, edit=entry.edit or "",
        unknown_keeps=entry.otherwise == "keep", requires=requires, languages=tuple(entry.languages), stage=stage,
    )  # fmt: skip
    late = any(SCORES[name].stage == "assemble" for name in rule.scores)
    return Rule(**{**rule.__dict__, "stage": "assemble"}) if late else rule


def _columns(asked: str | list[str], rules: tuple[Rule, ...], where: str, quality: bool) -> tuple[str, ...]:
    """Names of the document scores of the text stage that the recipe's documents carry."""
    stored = {n for n, score in SCORES.items() if "document" in score.scopes and score.stage == "text" and score.stored}
    if asked == "all":
        return tuple(sorted(stored | {"quality"})) if quality else tuple(sorted(stored))
    named = list(asked) if isinstance(asked, list) else []
    for name in named:
        if name not in stored:
            raise ConfigError(
                f"{where}: 'scores' names {name!r}, which is no score of a document{_nearest(name, stored)}"
            )
    needed = {n for rule in rules if rule.scope == "document" for s in rule.scores for n in (s, *SCORES[s].needs)}
    if quality:
        stored.add("quality")
    return tuple(sorted((needed & stored) | set(named)))


def _parse_file(text: str, where: str) -> tuple[_File, dict[str, object]]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}") from error
    try:
        return _File.model_validate(data), data
    except ValidationError as error:
        raise _explain(error, where, data) from error


def _merge(base: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    """Tables are merged key by key, other values replaced; rules are handled apart."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _load(name_or_path: str, seen: tuple[str, ...]) -> tuple[_File, dict[str, object], str]:
    """A file with what it extends folded in: a rule of the same name is replaced in place, new rules come after."""
    if name_or_path in seen:
        raise ConfigError(f"the recipes {', '.join(seen)} extend each other in a circle")
    text, where, folder = _read(name_or_path)
    file, data = _parse_file(text, where)
    files = data.get("resources")
    if folder is not None and isinstance(files, dict):
        data["resources"] = {
            key: [str(folder / part) for part in value] if isinstance(value, list) else str(folder / value)
            for key, value in files.items()
        }
    clip = data.get("clip")
    if folder is not None and isinstance(clip, dict) and (folder / str(clip.get("model"))).is_dir():
        clip["model"] = str(folder / clip["model"])
    if file.extends is None:
        return _File.model_validate(data), data, where
    parent = file.extends
    if folder is not None and parent.endswith(".toml"):
        parent = str(folder / parent)
    _, base, _ = _load(parent, (*seen, name_or_path))
    rules = {entry["name"]: entry for entry in base.get("rule", [])}  # type: ignore[attr-defined]
    for name in file.without:
        if rules.pop(name, None) is None:
            raise ConfigError(f"{where}: 'without' names {name!r}, no rule of {parent}{_nearest(name, rules)}")
    rules.update({entry["name"]: entry for entry in data.get("rule", [])})  # type: ignore[attr-defined]
    merged = _merge(base, data)
    merged["rule"] = list(rules.values())
    return _File.model_validate(merged), merged, where


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe by its built-in name, or from a ``.toml`` file.

    Raises:
        ConfigError: one sentence with the file, the key, what is allowed and the nearest spelling.
    """
    file, _, where = _load(name_or_path, ())
    seen: set[str] = set()
    for entry in file.rule:
        if entry.name in seen:
            raise ConfigError(
                f"{where}: two rules are named {entry.name!r}; a name is a reason code, so each has its own"
            )
        if entry.name in REASONS:
            raise ConfigError(
                f"{where}: rule {entry.name!r} has the name of a reason that a stage gives; choose another"
            )
        seen.add(entry.name)
    rules = tuple(_rule(entry, where) for entry in file.rule)
    assert all(rule.scope in SCOPES for rule in rules)
    return Recipe(
        name=file.name, description=file.description, extends=file.extends, passes=file.passes,
        order_seed=file.order_seed, mask_pii=file.mask_pii, missing=file.missing, limits=file.limits,
        consent=file.consent, extract=file.extract, dedup=file.dedup, images=file.images, clip=file.clip,
        resources=file.resources,
        columns=_columns(file.scores, rules, where, file.resources.quality_model is not None), rules=rules,
    )  # fmt: skip
