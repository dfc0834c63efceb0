"""What a build needs that may be absent, named before it begins."""

from __future__ import annotations

from plait.filters.clip_scores import NEED
from plait.filters.models import available, lid176
from plait.filters.recipe import Recipe
from plait.pipeline.clip.model import WAYS
from plait.schemas.errors import ConfigError


def ways(missing: tuple[str, ...]) -> str:
    """How to give what is missing, as a further clause; "" where the names say enough."""
    return f"; {WAYS}" if any(NEED in entry for entry in missing) else ""


def missing_requirements(recipe: Recipe) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe without the rules that cannot be applied here, and what they miss, "rule: requirement".

    The language model is obtained here, in the driver, where it is missing.

    Raises:
        ConfigError: something is missing and the recipe says ``missing = "refuse"``; or the language model is.
    """
    lid176()
    lacking = {
        rule: [need for need in needs if not available(need, recipe)] for rule, needs in recipe.requirements().items()
    }
    lacking = {rule: needs for rule, needs in lacking.items() if needs}
    named = tuple(f"{rule}: {', '.join(needs)}" for rule, needs in sorted(lacking.items()))
    if named and recipe.missing == "refuse":
        raise ConfigError(
            f"the recipe {recipe.name} needs what is not here ({'; '.join(named)}); "
            'supply it, or set missing = "skip" to build a partial corpus' + ways(named)
        )
    return recipe.skipping(lacking), named
