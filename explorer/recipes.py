"""The recipe that a corpus was built with, and what its rules did, from its manifest."""

from __future__ import annotations

from collections import Counter

from pydantic import ValidationError

from plait.filters.recipe import Recipe
from plait.filters.rules import Rule
from plait.schemas.manifest import Manifest


def recipe_of(manifest: Manifest) -> Recipe | None:
    """The checked recipe; None where the corpus was not built by one that this plait can read (imports)."""
    try:
        return Recipe.model_validate_json(manifest.recipe.text)
    except ValidationError:
        return None


def rules_of(manifest: Manifest) -> tuple[Rule, ...]:
    """The rules that the build applied; of a manifest without a recipe, as far as the manifest lists them."""
    recipe = recipe_of(manifest)
    if recipe is not None:
        return recipe.rules
    return tuple(
        Rule(rule.name, rule.scope, rule.keep, rule.source, stage=rule.stage) for rule in manifest.recipe.rules
    )


def dropped_by(manifest: Manifest, scope: str) -> Counter[str]:
    """Documents (images, records) dropped over all stages, by reason."""
    found: Counter[str] = Counter()
    for line in manifest.funnel:
        if line.scope == scope:
            found.update(line.dropped)
    return found


def alone_by(manifest: Manifest) -> Counter[str]:
    """How many documents each rule alone would have dropped, over all stages; has the rules that were applied."""
    found: Counter[str] = Counter()
    for line in manifest.funnel:
        found.update(line.alone)
    return found
