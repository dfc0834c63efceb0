"""The recipe that a corpus was built with, from its manifest."""

from __future__ import annotations

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
