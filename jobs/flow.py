"""The flow of a build: its stages in order, each given what the stages before it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from plait.filters.recipe import Recipe
from plait.filters.sections import MinHash
from plait.jobs import merging
from plait.jobs.archive_units import archive_unit, by_archive
from plait.jobs.clip import ClipPlan, ClipStages
from plait.jobs.clip_stored import StoredStages
from plait.jobs.dedup_stages import DedupStages, Stored
from plait.jobs.engine import Engine
from plait.jobs.fetching import FetchPlan
from plait.jobs.packs import after, pack_unit, packs_of
from plait.jobs.picking import Picked
from plait.jobs.policies import PolicyStages
from plait.jobs.progress import Watcher
from plait.jobs.settings import recipe_param
from plait.jobs.store import Store
from plait.jobs.units import clusters, fetch, images, order
from plait.jobs.units.pictures import nsfw_identity, on_device
from plait.jobs.unseen import NOT_RETAINED, refuse_unseen
from plait.jobs.work import ORDER, Json, Listed, Shuffle, Source, Stage, Unit, tables
from plait.pipeline.assemble import PLACED_IMAGE
from plait.pipeline.occurrences import LOCATE_IN, LOCATE_ORDER
from plait.pipeline.read.inputs import Archive
from plait.pipeline.revisits import ANSWER, ANSWER_ORDER, HOP_IN, HOP_ORDER
from plait.pipeline.text import score_types
from plait.schemas.documents import document_schema
from plait.schemas.fetched import FETCH_URL
from plait.schemas.receipts import Output, Receipt, identity

if TYPE_CHECKING:
    from plait.jobs.refilter import Beginning

UNITS = "plait.jobs.units"
MAX_REDIRECTS = 5  # as curl's users and robots.txt's RFC 9309 have it


@dataclass(frozen=True)
class Options:
    """What decides a build, besides its inputs.

    Attributes:
        images: "archive" keeps images that an archive holds, "urls" keeps the others as URLs, "http" fetches them,
            "none" keeps no image.
        formats: of the shards: "parquet", "webdataset".
        shard_docs: documents a shard holds on average, before assembly drops some.
        retain: "kept", or "all" to keep dropped documents in the ledger for `refilter`.
    """

    images: str = "archive"
    formats: tuple[str, ...] = ("parquet",)
    shard_docs: int = 1000
    retain: str = "kept"


@dataclass
class Flow:
    """One build on one engine. `receipts` holds what was done, stage by stage."""

    engine: Engine
    watcher: Watcher
    recipe: Recipe
    options: Options
    archives: Sequence[Archive]
    fetch: FetchPlan | None = None  # where images are fetched
    suppression: str | None = None  # path of the list of what must not be used, in the build's folder
    evaluation: Mapping[str, Json] = field(default_factory=dict)  # setting of stages that look for evaluation text
    opt_out: str | None = None  # path of the list of domains and URLs that asked not to be used
    lists: Mapping[str, str] = field(default_factory=dict)  # reason -> path of a list of pictures that are left out
    clip: ClipPlan | None = None  # the model that pictures and texts are compared with
    generation: int = 0
    first_shard: int = 0  # number of the first shard that is written
    stored: Stored = field(default_factory=Stored)  # of generations before
    survivors: list[Output] = field(default_factory=list)  # keys of the documents that deduplication left
    strict: Store | None = None  # the build's folder, where documents are refused whose pictures were never looked for
    inputs: pa.Table | None = None  # INPUT_LIST of the corpus that is filled
    picked: Picked | None = None  # records, where not all of the archives is taken
    receipts: dict[str, list[Receipt]] = field(default_factory=dict)
    forbidden: tuple[Listed, ...] = ()  # pages that are not retained, for their sites forbid it
    shards: int = 0
    _features: list[Output] = field(default_factory=list)  # of pictures, by shard
    _said: list[Output] = field(default_factory=list)  # what the refiltered corpus holds of a model's scores

    # Running ----------------------------------------------------------------------------------------------------

    def _units(self, stage: Stage, units: Sequence[Unit]) -> list[Receipt]:
        self.watcher.stage(stage.name, len(units))
        done = self.engine.run(stage, units, self.watcher.unit)
        self.watcher.end(stage.name)
        return self._note(stage, done)

    def _shuffle(self, shuffle: Shuffle) -> list[Receipt]:
        merged = [Source(tuple(self._merged(source.files)), source.side) for source in shuffle.sources]
        shuffle = replace(shuffle, sources=tuple(merged), planned=shuffle.size)
        self.watcher.stage(shuffle.stage.name, len(shuffle.parts()))
        done = self.engine.shuffle(shuffle, self.watcher.unit)
        self.watcher.end(shuffle.stage.name)
        return self._note(shuffle.stage, done)

    def _merged(self, files: Sequence[Output]) -> Sequence[Output]:
        """Files of tables, the small ones merged where they are many; asked again for the same files, it finds them."""
        return merging.merged(files, partial(self._units, self._stage("merge", "merge:merge_files")))

    def _note(self, stage: Stage, done: list[Receipt]) -> list[Receipt]:
        self.receipts.setdefault(stage.name, []).extend(done)
        return done

    def _stage(
        self, name: str, function: str, params: Mapping[str, Json] | None = None, guarded: bool = False
    ) -> Stage:
        settings: dict[str, Json] = {"generation": self.generation} if self.generation else {}
        return Stage(name, f"{UNITS}.{function}", {**(params or {}), **settings}, guarded=guarded)

    def _suppressing(self) -> dict[str, Json]:
        """The setting of stages that look at the suppression list, where there is one."""
        return {} if self.suppression is None else {"suppression": self.suppression}

    def _listing(self) -> dict[str, Json]:
        """The setting of stages that look at lists of pictures, where there are any."""
        return {"lists": dict(self.lists)} if self.lists else {}

    def _cut(self, documents: Sequence[Output]) -> None:
        """Decide the number of shards by the documents that are left."""
        self.shards = -(-sum(output.rows for output in documents) // self.options.shard_docs)

    # The stages, in order -------------------------------------------------------------------------------------------

    def run(self) -> list[Receipt]:
        """All stages; the receipts of the shards."""
        extracted = self._extract()
        sites = self._sites(extracted, tables(extracted, "policies"), tables(extracted, "moved_policies"))
        self.survivors = survivors = self._deduplication().dedup(sites.pages(tables(extracted, "keys")))
        if not survivors:
            return []
        self._cut(survivors)
        ordered = self._ordered(tables(extracted, "documents"), survivors)
        found: list[Output] = []
        if self.options.images != "none":
            found = self._images(ordered, self._locators(extracted, sites.refused(ordered, extracted)))
        return self._assemble(ordered, found)

    def reopen_known(self, units: Sequence[Unit]) -> None:
        """What earlier generations know, by a unit for each of its files."""
        done = self._units(self._stage("reopen_known", "append:reopen_known"), units)
        names = ("keys", "paragraphs", "leaders", "pictures", "urls", "policies")
        self.stored = Stored(*(tuple(tables(done, name)) for name in names))

    def refill(self, opened: Sequence[Unit], scores: Mapping[str, str]) -> list[Receipt]:
        """Shards of a corpus anew, the pictures that they lack fetched; the receipts of the new shards.

        Args:
            opened: a unit for each shard.
            scores: score columns of the corpus → Arrow type.
        """
        columns: dict[str, Json] = {"scores": dict(scores), "recipe": recipe_param(self.recipe, stage="assemble")}
        columns |= self._listing()
        shards = self._units(self._stage("reopen", "fill:reopen_shard", columns), opened)
        documents = tables(shards, "documents")
        if not documents:
            return []
        self._cut(documents)
        ordered = self._order(documents, ())
        held = tables(shards, "locators"), packs_of(shards), tables(shards, "scores")
        return self._assemble(ordered, self._images(ordered, *held))

    def refilter(self, again: Beginning) -> list[Receipt]:
        """The shards of a corpus under another recipe, from what it retained; the receipts of the new shards.

        Raises:
            ConfigError: documents come back whose pictures were not retained; the message says how many.
        """
        columns = {**again.reopening, "recipe": recipe_param(self.recipe, stage="assemble"), **self._listing()}
        opened = self._units(self._stage("reopen", "fill:reopen_shard", columns), again.shards)
        self._said = tables(opened, "clip")
        units = again.pages or [
            Unit((output.sha256,), f"documents {number}", {"corpus": None, "path": output.path})
            for number, output in enumerate(tables(opened, "documents"))
        ]
        retext = self._stage("retext", "refilter:retext", {**self._text_params(), "edits": again.edits})
        done = self._units(retext, units)
        reopen = self._stage("reopen_policies", "policies:reopen_policies")
        sites = self._sites(done, tables(self._units(reopen, again.policies), "policies") if again.policies else [])
        self.survivors = survivors = self._deduplication().dedup(sites.pages(tables(done, "keys")))
        if not survivors:
            return []
        self._cut(survivors)
        ordered = self._ordered(tables(done, "documents"), survivors)
        found: list[Output] = []
        if self.options.images != "none":
            copied = self._units(self._stage("reopen_locators", "refilter:reopen_locators"), again.locators)
            told = self._units(self._stage("locate_dropped", "refilter:locate_dropped"), again.drops)
            refused = sites.refused(ordered, copied)
            locators = [*tables(opened, "locators"), *self._locators(copied, refused), *tables(told, "locators")]
            found = self._images(ordered, locators, packs_of(opened), tables(opened, "scores"))
        return self._assemble(ordered, found)

    def _text_params(self) -> dict[str, Json]:
        return {
            "recipe": recipe_param(self.recipe, stage="text"),
            "minhash": (self.recipe.dedup.minhash or MinHash()).model_dump(),
            "retain": self.options.retain,
            **self.evaluation,
            **({} if self.opt_out is None else {"opt_out": self.opt_out}),
        }

    def _extract(self) -> list[Receipt]:
        params = {**self._text_params(), **self._suppressing()}
        stage = self._stage("extract", "extract:extract_archive", params, guarded=True)
        done = self._units(stage, [archive_unit(archive, self.picked) for archive in self.archives])
        revisits = tables(done, "revisits")
        if not revisits:
            return done
        resolve = self._stage("resolve_revisits", "images:resolve_revisits")
        sources = (Source(tuple(tables(done, "answers")), 0), Source(tuple(revisits), 1))
        resolved = self._shuffle(Shuffle(resolve, sources, ANSWER, ANSWER_ORDER))
        again = self._stage("extract_revisits", "extract:extract_revisits", params, guarded=True)
        return [*done, *resolved, *self._units(again, by_archive(self.archives, resolved, "revisited"))]

    def _sites(self, extracted: list[Receipt], policies: list[Output], moved: Sequence[Output] = ()) -> PolicyStages:
        """What sites ask of robots, from their captures in the archives and what earlier generations know."""
        stages = PolicyStages(self.recipe.consent, self._stage, self._units, self._shuffle)
        stages.choose(policies, moved, self.stored.policies)
        self.forbidden = stages.not_retained(tables(extracted, "pages"))
        return stages

    def _deduplication(self) -> DedupStages:
        return DedupStages(self.recipe.dedup, self.stored, self._stage, self._units, self._shuffle, self._one)

    def _one(
        self, name: str, function: str, outputs: list[Output], table: str, extra: Mapping[str, Json] | None = None
    ) -> list[Output]:
        """A stage of a single unit that reads all files of a table."""
        files = self._merged(outputs)
        paths: list[Json] = [*sorted(output.path for output in files)]
        inputs = (identity(*sorted(output.sha256 for output in files)), *(f"{k}={v}" for k, v in (extra or {}).items()))
        unit = Unit(inputs, name, {"paths": paths, **(extra or {})})
        return tables(self._units(self._stage(name, function), [unit]), table)

    def _ordered(self, documents: list[Output], survivors: list[Output]) -> list[Receipt]:
        """Surviving documents in the corpus' order, without paragraphs that a site repeats."""
        stages = self._deduplication()
        return stages.without_paragraphs(self._order(documents, stages.list_survivors(survivors)), self.shards)

    def _order(self, documents: list[Output], survivors: tuple[Listed, ...]) -> list[Receipt]:
        stage = self._stage("order", "order:order", {"shards": self.shards})
        schema = document_schema(score_types(self.recipe))
        return self._shuffle(
            Shuffle(stage, (Source(tuple(documents)),), schema, order.DOCUMENT_ORDER, survivors, ORDER, self.shards)
        )

    def _locators(self, extracted: list[Receipt], refused: list[Output]) -> list[Output]:
        """Locators of all archives, with those of revisits, of redirected URLs, and of URLs that are refused."""
        locators = [*tables(extracted, "locators"), *refused]
        redirects, hops = tables(extracted, "redirects"), tables(extracted, "hops")
        direct = tuple(locators)
        for number in range(MAX_REDIRECTS):
            if not redirects:
                break
            stage = self._stage(f"redirects_{number + 1}", "images:follow_redirects")
            sources = (Source(direct, 0), Source(tuple(hops), 0), Source(tuple(redirects), 1))
            done = self._shuffle(Shuffle(stage, sources, HOP_IN, HOP_ORDER))
            locators = [*locators, *tables(done, "locators")]
            redirects = tables(done, "redirects")
        return locators

    def _images(
        self, ordered: list[Receipt], locators: list[Output], held: Sequence[Unit] = (), known: Sequence[Output] = ()
    ) -> list[Output]:
        """Image rows of each shard; packs that are there already are ``held``, scores that are there are ``known``."""
        nodes = tables(ordered, "occurrences")
        if not nodes:
            return []
        locating: dict[str, Json] = {"fetch": True} if self.fetch is not None else {}
        locating |= {} if self.strict is None else {"absent": NOT_RETAINED}
        locate = self._stage("locate", "images:locate_images", locating)
        sources = (Source((*locators, *self.stored.urls), 0), Source(tuple(nodes), 1))
        located = self._shuffle(Shuffle(locate, sources, LOCATE_IN, LOCATE_ORDER))
        rows, missing = tables(located, "images"), tables(located, "missing")
        if self.strict is not None:
            refuse_unseen(self.strict, missing)
        if rows:
            # What is held is in no archive: where there are archives too, nothing is held.
            wanted = [] if held or known else tables(located, "wanted")
            packs = [*held, *self._acquire(wanted), *self._fetch(tables(located, "urls"))]
            scores = [*known, *self._scores(packs)]
            attach = self._stage("attach_scores", "images:attach_scores")
            sources = (Source(tuple(scores), 0), Source(tuple(rows), 1))
            attached = self._shuffle(Shuffle(attach, sources, images.ATTACH_IN, images.ATTACH_ORDER))
            missing += tables(attached, "missing")
            rows = self._count(tables(attached, "images"))
            if self.clip is not None and rows:
                self._features = self._clip_stages(self.clip).features(rows)
        place = self._stage("place", "images:place", {"shards": self.shards})
        columns = pa.schema([*PLACED_IMAGE, images.IMAGE.field("order_key")])
        shuffle = Shuffle(place, (Source((*rows, *missing)),), columns, images.PLACE_ORDER, (), ORDER, self.shards)
        return tables(self._shuffle(shuffle), "images")

    def _acquire(self, wanted: list[Output]) -> list[Unit]:
        """Every wanted record once, in packs; a unit to score each."""
        if not wanted:
            return []
        once = self._stage("wanted", "images:list_wanted")
        listed = self._shuffle(Shuffle(once, (Source(tuple(wanted)),), images.WANTED, images.WANTED_ORDER))
        acquire = self._stage("acquire", "images:acquire", {"recipe": recipe_param(self.recipe, stage="images")})
        return packs_of(self._units(acquire, by_archive(self.archives, listed, "wanted")))

    def _fetch(self, urls: list[Output]) -> list[Unit]:
        """Every URL that no archive answers once, in packs; a unit to score each."""
        if self.fetch is None or not urls:
            return []
        group = self._stage("hosts", "fetch:group_hosts")
        grouped = self._shuffle(Shuffle(group, (Source(tuple(urls)),), FETCH_URL, fetch.HOST_ORDER))
        stage = self._stage("fetch", "fetch:fetch_hosts", self.fetch.params())
        units = [
            Unit((output.sha256,), f"hosts {number}", {"urls": output.path, **self.fetch.payload()})
            for number, output in enumerate([*tables(grouped, "huge"), *tables(grouped, "urls")])
        ]
        scored = []
        for receipt in self._units(stage, units):
            packs = [output for output in receipt.outputs if output.table.startswith("pack-")]
            spent = fetch.journal_folder(stage.name, receipt.unit)
            for pack, index in zip(packs, receipt.tables("index"), strict=True):
                scored.append(pack_unit(receipt, pack, index, spent=spent))
        return scored

    def _scores(self, packs: Sequence[Unit]) -> list[Output]:
        """All that is known of every picture in packs, and where its bytes are."""
        params: dict[str, Json] = {"recipe": recipe_param(self.recipe, stage="assemble")}
        first = params | self._suppressing() | self._listing()
        done = self._units(self._stage("score_images", "pictures:score_pack", first, guarded=True), packs)
        if any("nsfw_model" in needs for needs in self.recipe.requirements().values()):
            model = params | nsfw_identity(self.recipe)
            stage = self._stage("score_nsfw", "pictures:score_nsfw", model, guarded=True)
            stage = on_device(stage, self.recipe.images.nsfw_provider)
            done = self._units(stage, after(packs, done))
        if self.recipe.images.reencode is not None:
            stage = self._stage("encode_images", "pictures:encode_pack", params, guarded=True)
            done = self._units(stage, after(packs, done))
        return tables(done, "scores")

    def _count(self, rows: list[Output]) -> list[Output]:
        """Images with the counts that caps need: by picture, and by cluster of perceptual hashes."""
        if not rows:
            return rows
        identical = self._stage("count_identical", "clusters:count_identical")
        counted = self._shuffle(Shuffle(identical, (Source(tuple(rows)),), images.IMAGE, images.IMAGE_ORDER))
        radius: dict[str, Json] = {"radius": self.recipe.images.hamming_radius}
        radius |= {"leaders": [output.path for output in self.stored.leaders]} if self.stored.leaders else {}
        found = self._one("cluster_images", "clusters:cluster", tables(counted, "hashes"), "clusters", radius)
        attach = self._stage("attach_clusters", "clusters:attach_clusters")
        sources = (Source(tuple(found), 0), Source(tuple(tables(counted, "images")), 1))
        grouped = self._shuffle(Shuffle(attach, sources, clusters.CLUSTER_IN, images.ATTACH_ORDER))
        rank = self._stage("count_similar", "images:rank")
        source = Source((*tables(grouped, "images"), *self.stored.counts))
        return tables(self._shuffle(Shuffle(rank, (source,), images.IMAGE, images.IMAGE_ORDER)), "images")

    def _clip_stages(self, plan: ClipPlan) -> ClipStages:
        return ClipStages(plan, self.recipe, self.shards, self._stage, self._units, self._shuffle)

    def _assemble(self, ordered: list[Receipt], found: list[Output]) -> list[Receipt]:
        mode = "archive" if self.fetch is not None else self.options.images
        params: dict[str, Json] = {
            "recipe": recipe_param(self.recipe, stage="assemble"),
            "images": mode,
            "formats": list(self.options.formats),
        }
        stage = self._stage("assemble", "assemble:assemble_shard", params)
        of_shard = {output.part: output for output in found}
        documents = tables(ordered, "documents")
        matched: dict[int, tuple[Output, Output]] = {}
        if self.clip is not None and self._features:
            matched = self._clip_stages(self.clip).match(documents, found, self._features, mode)
        elif self._said and found:
            known = StoredStages(self.recipe, self.shards, self._stage, self._units, self._shuffle)
            matched = known.match(documents, found, self._said, mode)
        units = []
        for output in sorted(documents, key=lambda output: output.part or 0):
            shard = (output.part or 0) + self.first_shard
            rows, spans = matched.get(output.part or 0, (of_shard.get(output.part), None))
            payload: dict[str, Json] = {
                "shard": shard, "documents": output.path, "images": None if rows is None else rows.path,
                "spans": None if spans is None else spans.path,
            }  # fmt: skip
            inputs: tuple[str, ...] = (str(shard), output.sha256, "" if rows is None else rows.sha256)
            inputs += () if spans is None else (spans.sha256,)
            units.append(Unit(inputs, f"shard {shard}", payload))
        return self._units(stage, units)
