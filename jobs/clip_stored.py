"""CLIP in a refilter without a model: when the scores that a corpus holds can be used, and the stages that do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plait.filters.recipe import Recipe
from plait.jobs.clip import DIGEST, RunUnits, units_by_shard
from plait.jobs.dedup_stages import MakeStage
from plait.jobs.settings import recipe_param
from plait.jobs.units import clip
from plait.jobs.work import ORDER, Json, Shuffle, Source, tables
from plait.schemas.clip import STORED_CLIP
from plait.schemas.receipts import Output, Receipt

MEASURED = ("spans", "near", "negatives", "document_spans", "text_image", "logo", "nsfw")
"""Settings of ``[clip]`` that stored scores were measured with."""
DECIDED = ("related", "top")  # those that say what is made of the scores


def with_stored_scores(old: Recipe, new: Recipe, *, beyond_shards: bool) -> tuple[Recipe, str]:
    """A recipe that means the scores a corpus holds, and why they cannot serve: "" where they can.

    A recipe means them that names no model, or the digest of the corpus' model.

    Args:
        old: of the corpus.
        new: that it is refiltered with.
        beyond_shards: whether documents or pictures may come back that the shards do not hold.
    """
    if new.clip.model is not None and not new.clip.model.startswith(DIGEST):
        return new, "the recipe names a model"
    if old.clip.model is None:
        return new, "the corpus was made without a model"
    if beyond_shards:
        return new, "retained pages and archives may bring back what no model has looked at"
    said = new.clip.model_fields_set
    other = [name for name in MEASURED if name in said and getattr(new.clip, name) != getattr(old.clip, name)]
    if other:
        return new, f"[clip] {', '.join(other)} differ from the corpus'"
    nodes = [rule for rule in new.rules if rule.stage == "text" and rule.scope != "document"]
    before = [rule for rule in old.rules if rule.stage == "text" and rule.scope != "document"]
    same_text = (new.passes, new.dedup.paragraphs, new.dedup.node_similarity) == (
        old.passes, old.dedup.paragraphs, old.dedup.node_similarity,
    )  # fmt: skip
    if nodes != before or not same_text:
        return new, "its rules on text are not the corpus'"
    decided = {name: getattr(new.clip, name) for name in DECIDED if name in said}
    return new.model_copy(update={"clip": old.clip.model_copy(update=decided)}), ""


@dataclass(frozen=True)
class StoredStages:
    """The stages of a refilter that takes what the corpus says of pictures, without a model.

    Attributes:
        recipe: of the new corpus.
        shards: of the new corpus.
        stage: makes a stage.
        units: runs a stage's units.
        shuffle: runs a relational step.
    """

    recipe: Recipe
    shards: int
    stage: MakeStage
    units: RunUnits
    shuffle: Callable[[Shuffle], list[Receipt]]

    def match(
        self, documents: Sequence[Output], found: Sequence[Output], stored: Sequence[Output], mode: str
    ) -> dict[int, tuple[Output, Output]]:
        """As `ClipStages.match`, from the rows "clip" of opened shards."""
        order = self.stage("clip_stored", "clip:place_stored", {"shards": self.shards})
        shuffle = Shuffle(order, (Source(tuple(stored)),), STORED_CLIP, clip.PLACED_ORDER, (), ORDER, self.shards)
        by_shard = tables(self.shuffle(shuffle), "stored")
        params: dict[str, Json] = {"recipe": recipe_param(self.recipe, stage="assemble"), "images": mode}
        stage = self.stage("clip_restore", "clip:restore_shard", params)
        return units_by_shard(self.units, stage, documents, found, ("stored", by_shard), {})
