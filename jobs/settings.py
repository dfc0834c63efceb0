"""Settings of stages: the part of a recipe that a stage depends on, as its parameters and back."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import asdict, fields
from pathlib import Path

from plait.filters.clip_settings import Clip
from plait.filters.recipe import Recipe
from plait.filters.sections import Consent, Dedup, Images
from plait.jobs.context import Context
from plait.jobs.work import Json, Unit
from plait.pipeline.extract import ExtractOptions
from plait.pipeline.read.inputs import Archive
from plait.pipeline.read.records import Limits
from plait.schemas.errors import UnitError


def recipe_param(recipe: Recipe, *, stage: str) -> Json:
    """The recipe with what a stage does not look at left out, so that changing it does not repeat the stage.

    Args:
        recipe: whole.
        stage: "text"; "images" for what looks at single pictures; "assemble" for what looks at pictures and texts
            together, with the rules of that stage.
    """
    rules = tuple(rule for rule in recipe.rules if rule.stage == stage)
    dedup = Dedup(node_similarity=recipe.dedup.node_similarity) if stage == "text" else Dedup()
    cut = recipe.model_copy(
        update={"rules": rules, "description": "", "name": "", "dedup": dedup, "consent": Consent()}
        | ({"images": Images()} if stage == "text" else {})
        | ({} if stage == "assemble" else {"clip": Clip()})
    )
    return cut.model_dump_json()


@functools.lru_cache(maxsize=8)
def _recipe(text: str) -> Recipe:
    return Recipe.model_validate_json(text)


def load_recipe_param(ctx: Context) -> Recipe:
    """The recipe in a stage's parameters."""
    return _recipe(str(ctx.params["recipe"]))


def extract_options(recipe: Recipe) -> ExtractOptions:
    """Extraction's options as the recipe sets them."""
    settings = recipe.extract
    return ExtractOptions(
        extractor=settings.extractor,
        target_width=settings.target_width,
        css_backgrounds=settings.css_backgrounds,
        video_posters=settings.video_posters,
        require_image=settings.require_image,
        max_bytes=recipe.limits.page_bytes,
        max_nodes=recipe.limits.page_nodes,
        max_depth=recipe.limits.page_depth,
    )


def read_limits(recipe: Recipe) -> Limits:
    """Reading's limits as the recipe sets them."""
    return Limits(page_bytes=recipe.limits.page_bytes, image_bytes=recipe.limits.image_bytes)


def archive_param(archive: Archive) -> Json:
    """An archive in a unit's payload."""
    return asdict(archive)


def archive_of(unit: Unit) -> Archive:
    """The archive that a unit reads."""
    raw = unit.payload["archive"]
    if not isinstance(raw, dict):
        raise UnitError(f"the unit {unit.label} names no archive")
    return Archive(**{field.name: raw[field.name] for field in fields(Archive)})  # type: ignore[arg-type]


def spool_folder(ctx: Context) -> str:
    """Where archives that allow no random access are decompressed: in the build's folder, or near it."""
    folder = Path(ctx.store.path("work/spool")) if ctx.store.is_local else Path(tempfile.gettempdir()) / "plait-spool"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
