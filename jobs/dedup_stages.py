"""The stages of a build that deduplicate text: documents by their keys, paragraphs of a site where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from plait.dedup.buckets import BAND_ROW
from plait.dedup.documents import NEW, STORED
from plait.dedup.paragraphs import PARAGRAPH, REMOVED_NODE
from plait.filters.sections import Dedup
from plait.jobs.survivors import SURVIVOR
from plait.jobs.units import dedup, paragraphs
from plait.jobs.work import ARCHIVES, ORDER, Json, Listed, Shuffle, Source, Stage, Unit, tables
from plait.schemas.receipts import Output, Receipt

SUPERSEDE = "find_superseded"


class MakeStage(Protocol):
    """Gives a stage by its name, the unit function, and its settings."""

    def __call__(self, name: str, function: str, params: Mapping[str, Json] | None = None) -> Stage:
        """The stage."""


class OneUnit(Protocol):
    """Runs a stage of a single unit that reads all files of a table."""

    def __call__(self, name: str, function: str, outputs: list[Output], table: str) -> list[Output]:
        """The files of the table that it wrote."""


@dataclass(frozen=True)
class Stored:
    """What a corpus' earlier generations say of their documents and pictures, as tables of this build.

    Attributes:
        keys: `KEYS` of their documents.
        paragraphs: how often each paragraph of a site stands in them (`PARAGRAPH`, see `repeated_paragraphs`).
        leaders: representatives of their clusters of pictures (`clusters.LEADER`).
        counts: in how many of their documents a cluster stands (`images.IMAGE`, see `images.rank`).
        urls: in how many of their documents an image URL stands (`LOCATOR` of the kind "counted").
        policies: what sites asked of robots, as their archives had it (`plait.pipeline.policies.POLICY`).
        supersede: whether a later capture of a URL that is stored replaces the stored one.
    """

    keys: tuple[Output, ...] = ()
    paragraphs: tuple[Output, ...] = ()
    leaders: tuple[Output, ...] = ()
    counts: tuple[Output, ...] = ()
    urls: tuple[Output, ...] = ()
    policies: tuple[Output, ...] = ()
    supersede: bool = field(default=False, kw_only=True)


def list_by_archive(
    stage: Stage, shuffle: Callable[[Shuffle], list[Receipt]], documents: Sequence[Output]
) -> tuple[Listed, ...]:
    """Documents (``archive_key``, ``doc_id``) as lists that are looked up archive by archive."""
    by_archive = Shuffle(stage, (Source(tuple(documents)),), SURVIVOR, ("archive_key", "doc_id"), space=ARCHIVES)
    parts = zip(by_archive.parts(), shuffle(by_archive), strict=True)
    return tuple(Listed(file, low, high) for (low, high), done in parts for file in done.tables("survivors"))


@dataclass(frozen=True)
class DedupStages:
    """Deduplication of text.

    Attributes:
        settings: of the recipe.
        stored: of generations before.
        stage: makes a stage.
        units: runs a stage's units.
        shuffle: runs a relational step.
        one: runs a stage of one unit.
    """

    settings: Dedup
    stored: Stored
    stage: MakeStage
    units: Callable[[Stage, Sequence[Unit]], list[Receipt]]
    shuffle: Callable[[Shuffle], list[Receipt]]
    one: OneUnit

    def dedup(self, keys: list[Output]) -> list[Output]:
        """Keys of the documents that are kept, step by step as the recipe asks."""
        settings = self.settings
        if self.stored.supersede and keys and self.stored.keys:
            return replace(self, stored=self._superseded(keys)).dedup(keys)
        if self.stored.keys and not settings.url:
            keys = self._keep(keys, "dedup_captures", "id", "duplicate_capture")
        if settings.url:
            keys = self._keep(keys, "dedup_url", "url_key", "duplicate_url")
        if settings.exact:
            keys = self._keep(keys, "dedup_text", "text_key", "duplicate_text")
        if settings.image_sets:
            keys = self._keep(keys, "dedup_image_sets", "image_set_key", "duplicate_image_set")
        if settings.minhash is None or not keys:
            return keys
        params = {"minhash": settings.minhash.model_dump()}
        explode = self.stage("dedup_bands", "dedup:explode", params)
        units = [
            Unit((output.sha256,), f"keys {number}", {"path": output.path})
            for number, output in enumerate([*keys, *self.stored.keys])
        ]
        bands = tables(self.units(explode, units), "bands")
        buckets = self.stage("dedup_edges", "dedup:edges", params)
        edges = tables(self.shuffle(Shuffle(buckets, (Source(tuple(bands)),), BAND_ROW, ("key", "id"))), "edges")
        if not edges:
            return keys
        labels = self.one("dedup_components", "dedup:components", edges, "labels")
        attach = self.stage("dedup_labels", "dedup:attach_labels")
        sources = (Source(tuple(labels), 0), Source(self.stored.keys, 1 + STORED), Source(tuple(keys), 1 + NEW))
        grouped = tables(self.shuffle(Shuffle(attach, sources, dedup.LABEL_IN, dedup.LABEL_ORDER)), "grouped")
        near = self.stage("dedup_near", "dedup:keep_near")
        kept = self.shuffle(Shuffle(near, (Source(tuple(grouped)),), dedup.GROUPED, ("label", "age", *dedup.LATEST)))
        return tables(kept, "keys")

    def _superseded(self, keys: list[Output]) -> Stored:
        """What is stored without the documents of whose URL the keys have a later capture."""
        sources = (Source(self.stored.keys, STORED), Source(tuple(keys), NEW))
        stage = self.stage(SUPERSEDE, "dedup:supersede")
        done = self.shuffle(Shuffle(stage, sources, dedup.KEYED, ("url_key", *dedup.LATEST)))
        return replace(self.stored, keys=tuple(tables(done, "keys")), supersede=False)

    def _keep(self, keys: list[Output], name: str, column: str, reason: str) -> list[Output]:
        if not keys:
            return keys
        stage = self.stage(name, "dedup:keep_by", {"key": column, "reason": reason})
        sources = (Source(self.stored.keys, STORED), Source(tuple(keys), NEW))
        shuffle = Shuffle(stage, sources, dedup.KEYED, (column, "side", *dedup.LATEST))
        return tables(self.shuffle(shuffle), "keys")

    def list_survivors(self, keys: list[Output]) -> tuple[Listed, ...]:
        """Survivors of deduplication by archive: what readers of documents leave out before anything moves."""
        return list_by_archive(self.stage("survivors", "order:list_survivors"), self.shuffle, keys)

    def without_paragraphs(self, ordered: list[Receipt], shards: int) -> list[Receipt]:
        """The shards' documents and occurrences without paragraphs that a site repeats, where the recipe asks."""
        least = self.settings.paragraphs
        documents = tables(ordered, "documents")
        if least is None or not documents:
            return ordered
        units = [Unit((d.sha256,), f"shard {d.part}", {"documents": asdict(d)}) for d in documents]
        listed = self.units(self.stage("list_paragraphs", "paragraphs:list_paragraphs"), units)
        find = self.stage("repeated_paragraphs", "paragraphs:find_repeated", {"least": least})
        sources = (Source((*tables(listed, "paragraphs"), *self.stored.paragraphs)),)
        removed = tables(self.shuffle(Shuffle(find, sources, PARAGRAPH, paragraphs.PARAGRAPH_ORDER)), "removed")
        of_shard: dict[int | None, Output] = {}
        if removed:
            place = self.stage("place_paragraphs", "paragraphs:place_removed", {"shards": shards})
            placed = Shuffle(
                place, (Source(tuple(removed)),), REMOVED_NODE, paragraphs.REMOVED_ORDER, (), ORDER, shards
            )
            of_shard = {output.part: output for output in tables(self.shuffle(placed), "removed")}
        edit = self.stage("drop_paragraphs", "paragraphs:drop_paragraphs")
        units = []
        for output in documents:
            gone = of_shard.get(output.part)
            payload: dict[str, Json] = {"documents": asdict(output), "removed": None if gone is None else gone.path}
            inputs = (output.sha256, "" if gone is None else gone.sha256)
            units.append(Unit(inputs, f"shard {output.part}", payload))
        return self.units(edit, units)
