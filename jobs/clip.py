"""CLIP in a build: which model, checked before anything is written, and the stages that use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

from plait.filters.recipe import Recipe
from plait.jobs.dedup_stages import MakeStage
from plait.jobs.settings import recipe_param
from plait.jobs.units import clip, images
from plait.jobs.work import ORDER, Json, Shuffle, Source, Stage, Unit, tables
from plait.pipeline.clip.features import FEATURES_VERSION
from plait.pipeline.clip.model import LOCAL, WAYS, ClipRun, ClipSource, best_precision, model_digest, require_open_clip
from plait.schemas.clip import PLACED_FEATURE
from plait.schemas.errors import ConfigError
from plait.schemas.receipts import Output, Receipt

DIGEST = "sha256:"  # what a corpus remembers of a model that came from a folder or a file
DEVICES = ("auto", "cpu", "cuda")
RunUnits: TypeAlias = "Callable[[Stage, Sequence[Unit]], list[Receipt]]"
UNIT_PICTURES = 4096  # of one unit: some minutes of a GPU, and what is repeated at most when a worker is lost


@dataclass(frozen=True)
class ClipPlan:
    """A model that has been found, and how it runs.

    Attributes:
        source: where it is.
        run: batch, threads, precision, device.
        digest: of its files.
        cache: folder of features by picture that several builds share; "" for none.
    """

    source: ClipSource
    run: ClipRun
    digest: str
    cache: str = ""

    def params(self) -> dict[str, Json]:
        """What decides scores: no path."""
        return {"digest": self.digest, "run": asdict(self.run), "features": FEATURES_VERSION}

    def payload(self) -> dict[str, Json]:
        """Where workers find it."""
        run = self.run
        way = f"{run.precision}-{run.device}-{run.batch}x{run.threads}-{FEATURES_VERSION}"
        folder = f"{self.cache}/{self.digest[:16]}-{way}" if self.cache else ""
        return {"model": self.source.model, "weights": self.source.weights, "cache": folder}


@dataclass(frozen=True)
class ClipChoice:
    """What the command line says of the model.

    Attributes:
        model: instead of the recipe's; a name, a repository of the hub, or a folder.
        weights: instead of the recipe's; a tag or a file.
        device: one of `DEVICES`; "auto" takes a GPU where there is one.
        cache: folder of features that builds share.
    """

    model: str = ""
    weights: str = ""
    device: str = "auto"
    cache: str = ""

    def over(self, recipe: Recipe) -> Recipe:
        """The recipe with this model."""
        given = {name: value for name, value in (("model", self.model), ("weights", self.weights)) if value}
        return recipe.model_copy(update={"clip": recipe.clip.model_copy(update=given)})


def without_paths(recipe: Recipe, plan: ClipPlan | None) -> Recipe:
    """The recipe as it is remembered: a model's digest stands for the place of its files."""
    if plan is None:
        return recipe
    model = plan.source.model
    kept = {"model": f"{DIGEST}{plan.digest}" if model.startswith(LOCAL) else model, "precision": plan.run.precision}
    if Path(plan.source.weights).is_file():
        kept["weights"] = f"{DIGEST}{plan.digest}"
    return recipe.model_copy(update={"clip": recipe.clip.model_copy(update=kept)})


def plan_clip(recipe: Recipe, *, device: str = "auto", cache: str = "") -> ClipPlan | None:
    """The recipe's model, found; None where it names none.

    Raises:
        ConfigError: the extra is not installed, the model cannot be had, there is no such device.
    """
    settings = recipe.clip
    if device not in DEVICES:
        raise ConfigError(f"--device must be one of {', '.join(DEVICES)}, not {device!r}")
    if settings.model is None:
        if cache or settings.weights:
            raise ConfigError("--clip-cache and --clip-weights are for a CLIP model: name one with --clip-model")
        return None
    if settings.model.startswith(DIGEST):
        raise ConfigError(f"the corpus was made with a CLIP model of these files: {settings.model}; {WAYS}")
    if cache and recipe.images.reencode is not None:
        raise ConfigError("--clip-cache holds features of pictures as they were served, and the recipe re-encodes them")
    require_open_clip()
    import torch

    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ConfigError("--device cuda: torch finds no GPU here")
    chosen = ("cuda" if has_gpu else "cpu") if device == "auto" else device
    precision = best_precision(chosen) if settings.precision == "auto" else settings.precision
    source = ClipSource.of(settings.model, settings.weights)
    run = ClipRun(settings.batch, settings.threads, precision, chosen)
    return ClipPlan(source, run, model_digest(source), cache)


def same_model(recipe: Recipe, choice: ClipChoice) -> ClipPlan | None:
    """The model that a corpus was made with, found again; None where it was made without one.

    Args:
        recipe: of the corpus.
        choice: where its files are; nothing where they are had by the name that the recipe remembers.

    Raises:
        ConfigError: it was made with none, or with another; else as `plan_clip`.
    """
    kept = recipe.clip
    if choice.model and kept.model is None:
        raise ConfigError("the corpus was made without a CLIP model: leave --clip-model out")
    plan = plan_clip(choice.over(recipe), device=choice.device, cache=choice.cache)
    if plan is None:
        return None
    known = next((name for name in (kept.weights, kept.model or "") if name.startswith(DIGEST)), "")
    named = (plan.source.model, plan.source.weights)
    if known != f"{DIGEST}{plan.digest}" if known else named != (kept.model, kept.weights):
        raise ConfigError(f"the corpus was made with another CLIP model: {known or f'{kept.model} {kept.weights}'}")
    return plan


@dataclass(frozen=True)
class ClipStages:
    """The stages of a build that use the model.

    Attributes:
        plan: the model.
        recipe: of the build.
        shards: of the build.
        stage: makes a stage.
        units: runs a stage's units.
        shuffle: runs a relational step.
    """

    plan: ClipPlan
    recipe: Recipe
    shards: int
    stage: MakeStage
    units: RunUnits
    shuffle: Callable[[Shuffle], list[Receipt]]

    def _stage(self, name: str, function: str, params: Mapping[str, Json], *, model: bool = False) -> Stage:
        stage = self.stage(name, f"clip:{function}", params)
        run = self.plan.run
        return replace(stage, memory=4 << 30, threads=run.threads, device=run.device) if model else stage

    def features(self, rows: Sequence[Output]) -> list[Output]:
        """Features by shard, from images by picture."""
        recipe: dict[str, Json] = {"recipe": recipe_param(self.recipe, stage="assemble")}
        cut = self._stage("clip_wanted", "list_wanted", recipe | {"unit_pictures": UNIT_PICTURES})
        listing = Shuffle(cut, (Source(tuple(rows)),), images.IMAGE, clip.WANTED_ORDER)
        wanted = tables(self.shuffle(listing), "wanted")
        embed = self._stage("clip_images", "embed_pictures", recipe | self.plan.params(), model=True)
        units = [
            Unit((output.sha256,), f"pictures {number}", {"wanted": output.path, **self.plan.payload()})
            for number, output in enumerate(wanted)
        ]
        features = tables(self.units(embed, units), "features") if units else []
        if not features:
            return []
        place = self._stage("clip_features", "place_features", recipe)
        sources = (Source(tuple(features), 0), Source(tuple(rows), 1))
        placed = tables(self.shuffle(Shuffle(place, sources, clip.PLACE_IN, clip.PLACE_IN_ORDER)), "placed")
        order = self._stage("clip_place", "place", {"shards": self.shards})
        by_shard = Shuffle(order, (Source(tuple(placed)),), PLACED_FEATURE, clip.PLACED_ORDER, (), ORDER, self.shards)
        return tables(self.shuffle(by_shard), "features")

    def match(
        self, documents: Sequence[Output], found: Sequence[Output], features: Sequence[Output], mode: str
    ) -> dict[int, tuple[Output, Output]]:
        """Images with what CLIP says of them, and spans, by shard; shards without a feature are left out."""
        params = {"recipe": recipe_param(self.recipe, stage="assemble"), "images": mode, **self.plan.params()}
        params |= clip.aesthetic_identity(self.recipe)
        stage = self._stage("clip_match", "match_shard", params, model=True)
        return units_by_shard(self.units, stage, documents, found, ("features", features), self.plan.payload())


def units_by_shard(
    run: RunUnits, stage: Stage, documents: Sequence[Output], found: Sequence[Output],
    third: tuple[str, Sequence[Output]], payload: Mapping[str, Json],
) -> dict[int, tuple[Output, Output]]:  # fmt: skip
    """A unit for each shard that has documents, images and a third file: its "images" and "spans"."""
    name, rows = third
    of_shard, of_third = _by_part(found), _by_part(rows)
    units, parts = [], []
    for output in sorted(documents, key=lambda output: output.part or 0):
        part = output.part or 0
        if part not in of_third or part not in of_shard:
            continue
        inputs = {"documents": output, "images": of_shard[part], name: of_third[part]}
        paths: dict[str, Json] = {key: one.path for key, one in inputs.items()}
        units.append(Unit(tuple(one.sha256 for one in inputs.values()), f"shard {part}", {**paths, **payload}))
        parts.append(part)
    done = run(stage, units) if units else []
    return {
        part: (receipt.tables("images")[0], receipt.tables("spans")[0])
        for part, receipt in zip(parts, done, strict=True)
    }


def _by_part(outputs: Sequence[Output]) -> dict[int, Output]:
    return {output.part or 0: output for output in outputs}
