"""The flow of a build: its stages in order, each given what the stages before it wrote."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import pyarrow as pa

from plait.dedup.buckets import BAND_ROW
from plait.dedup.keys import KEYS
from plait.dedup.paragraphs import PARAGRAPH, REMOVED_NODE
from plait.filters.recipe import MinHash, Recipe
from plait.jobs.clip import ClipPlan, ClipStages
from plait.jobs.engine import Engine
from plait.jobs.fetching import FetchPlan
from plait.jobs.picking import Picked
from plait.jobs.progress import Watcher
from plait.jobs.settings import archive_param, recipe_param
from plait.jobs.survivors import SURVIVOR
from plait.jobs.units import dedup, fetch, images, order, paragraphs
from plait.jobs.units.pictures import nsfw_identity
from plait.jobs.work import ARCHIVES, ORDER, Json, Listed, Shuffle, Source, Stage, Unit
from plait.pipeline.assemble import PLACED_IMAGE
from plait.pipeline.occurrences import LOCATE_IN, LOCATE_ORDER
from plait.pipeline.read.inputs import Archive
from plait.pipeline.revisits import ANSWER, ANSWER_ORDER, HOP_IN, HOP_ORDER
from plait.pipeline.text import score_types
from plait.schemas.documents import document_schema
from plait.schemas.fetched import FETCH_URL
from plait.schemas.receipts import Output, Receipt, identity

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
    inputs: pa.Table | None = None  # INPUT_LIST of the corpus that is filled
    picked: Picked | None = None  # records, where not all of the archives is taken
    receipts: dict[str, list[Receipt]] = field(default_factory=dict)
    shards: int = 0
    _features: list[Output] = field(default_factory=list)  # of pictures, by shard

    # Running ----------------------------------------------------------------------------------------------------

    def _units(self, stage: Stage, units: Sequence[Unit]) -> list[Receipt]:
        self.watcher.stage(stage.name, len(units))
        done = self.engine.run(stage, units, self.watcher.unit)
        self.watcher.end(stage.name)
        return self._note(stage, done)

    def _shuffle(self, shuffle: Shuffle) -> list[Receipt]:
        self.watcher.stage(shuffle.stage.name, len(shuffle.parts()))
        done = self.engine.shuffle(shuffle, self.watcher.unit)
        self.watcher.end(shuffle.stage.name)
        return self._note(shuffle.stage, done)

    def _note(self, stage: Stage, done: list[Receipt]) -> list[Receipt]:
        self.receipts.setdefault(stage.name, []).extend(done)
        return done

    def _stage(
        self, name: str, function: str, params: Mapping[str, Json] | None = None, guarded: bool = False
    ) -> Stage:
        return Stage(name, f"{UNITS}.{function}", params or {}, guarded=guarded)

    def _suppressing(self) -> dict[str, Json]:
        """The setting of stages that look at the suppression list, where there is one."""
        return {} if self.suppression is None else {"suppression": self.suppression}

    # The stages, in order -------------------------------------------------------------------------------------------

    def run(self) -> list[Receipt]:
        """All stages; the receipts of the shards."""
        extracted = self._extract()
        documents = _tables(extracted, "documents")
        survivors = self._dedup(_tables(extracted, "keys"))
        if not survivors:
            return []
        self.shards = -(-sum(output.rows for output in survivors) // self.options.shard_docs)
        ordered = self._without_paragraphs(self._order(documents, self._list(survivors)))
        found: list[Output] = []
        if self.options.images != "none":
            found = self._images(ordered, self._locators(extracted))
        return self._assemble(ordered, found)

    def refill(self, opened: Sequence[Unit], scores: Mapping[str, str]) -> list[Receipt]:
        """Shards of a corpus anew, the pictures that they lack fetched; the receipts of the new shards.

        Args:
            opened: a unit for each shard.
            scores: score columns of the corpus → Arrow type.
        """
        columns: dict[str, Json] = {"scores": dict(scores), "recipe": recipe_param(self.recipe, stage="assemble")}
        columns |= {"lists": dict(self.lists)} if self.lists else {}
        shards = self._units(self._stage("reopen", "fill:reopen_shard", columns), opened)
        documents = _tables(shards, "documents")
        if not documents:
            return []
        self.shards = -(-sum(output.rows for output in documents) // self.options.shard_docs)
        ordered = self._order(documents, ())
        held = [_pack(done, done.tables("pack")[0], done.tables("index")[0]) for done in shards if done.tables("index")]
        return self._assemble(
            ordered, self._images(ordered, _tables(shards, "locators"), held, _tables(shards, "scores"))
        )

    def _extract(self) -> list[Receipt]:
        params = {
            "recipe": recipe_param(self.recipe, stage="text"),
            "minhash": (self.recipe.dedup.minhash or MinHash()).model_dump(),
            "retain": self.options.retain,
            **self._suppressing(),
            **self.evaluation,
            **({} if self.opt_out is None else {"opt_out": self.opt_out}),
        }
        stage = self._stage("extract", "extract:extract_archive", params, guarded=True)
        done = self._units(stage, [self._archive_unit(archive) for archive in self.archives])
        revisits = _tables(done, "revisits")
        if not revisits:
            return done
        resolve = self._stage("resolve_revisits", "images:resolve_revisits")
        sources = (Source(tuple(_tables(done, "answers")), 0), Source(tuple(revisits), 1))
        resolved = self._shuffle(Shuffle(resolve, sources, ANSWER, ANSWER_ORDER))
        again = self._stage("extract_revisits", "extract:extract_revisits", params, guarded=True)
        return [*done, *resolved, *self._units(again, self._by_archive(resolved, "pages"))]

    def _archive_unit(self, archive: Archive) -> Unit:
        payload: dict[str, Json] = {"archive": archive_param(archive)}
        if self.picked is None:
            return Unit((archive.id, archive.name), archive.name, payload)
        inputs = (archive.id, archive.name, self.picked.digests[archive.id])
        return Unit(inputs, archive.name, payload | self.picked.payload(archive))

    def _by_archive(self, receipts: Iterable[Receipt], table: str) -> list[Unit]:
        """A unit for each archive that the rows of a table name: receipts count them."""
        files: dict[str, list[Output]] = {}
        for receipt in receipts:
            for name in receipt.books.seen:
                if name.startswith("archive_") and name != "archive_bytes":
                    files.setdefault(name.removeprefix("archive_"), []).extend(receipt.tables(table))
        units = []
        for archive in self.archives:
            if archive.id in files:
                outputs = sorted(files[archive.id], key=lambda output: output.path)
                payload: dict[str, Json] = {
                    "archive": archive_param(archive),
                    "paths": [output.path for output in outputs],
                }
                units.append(Unit((archive.id, *(output.sha256 for output in outputs)), archive.name, payload))
        return units

    def _dedup(self, keys: list[Output]) -> list[Output]:
        settings = self.recipe.dedup
        if settings.url:
            keys = self._keep(keys, "dedup_url", "url_key", "duplicate_url")
        if settings.exact:
            keys = self._keep(keys, "dedup_text", "text_key", "duplicate_text")
        if settings.image_sets:
            keys = self._keep(keys, "dedup_image_sets", "image_set_key", "duplicate_image_set")
        if settings.minhash is None or not keys:
            return keys
        params = {"minhash": settings.minhash.model_dump()}
        explode = self._stage("dedup_bands", "dedup:explode", params)
        units = [Unit((output.sha256,), f"keys {number}", {"path": output.path}) for number, output in enumerate(keys)]
        bands = _tables(self._units(explode, units), "bands")
        buckets = self._stage("dedup_edges", "dedup:edges", params)
        edges = _tables(self._shuffle(Shuffle(buckets, (Source(tuple(bands)),), BAND_ROW, ("key", "id"))), "edges")
        if not edges:
            return keys
        labels = self._one("dedup_components", "dedup:components", edges, "labels")
        attach = self._stage("dedup_labels", "dedup:attach_labels")
        sources = (Source(tuple(labels), 0), Source(tuple(keys), 1))
        grouped = _tables(self._shuffle(Shuffle(attach, sources, dedup.LABEL_IN, dedup.LABEL_ORDER)), "grouped")
        near = self._stage("dedup_near", "dedup:keep_near")
        kept = self._shuffle(Shuffle(near, (Source(tuple(grouped)),), dedup.GROUPED, ("label", *dedup.LATEST)))
        return _tables(kept, "keys")

    def _keep(self, keys: list[Output], name: str, column: str, reason: str) -> list[Output]:
        if not keys:
            return keys
        stage = self._stage(name, "dedup:keep_by", {"key": column, "reason": reason})
        shuffle = Shuffle(stage, (Source(tuple(keys)),), KEYS, (column, *dedup.LATEST))
        return _tables(self._shuffle(shuffle), "keys")

    def _one(
        self, name: str, function: str, outputs: list[Output], table: str, extra: Mapping[str, Json] | None = None
    ) -> list[Output]:
        """A stage of a single unit that reads all files of a table."""
        paths: list[Json] = [output.path for output in sorted(outputs, key=lambda output: output.path)]
        inputs = (
            identity(*sorted(output.sha256 for output in outputs)),
            *(f"{k}={v}" for k, v in (extra or {}).items()),
        )
        unit = Unit(inputs, name, {"paths": paths, **(extra or {})})
        return _tables(self._units(self._stage(name, function), [unit]), table)

    def _list(self, keys: list[Output]) -> tuple[Listed, ...]:
        """Survivors of deduplication by archive: what readers of documents leave out before anything moves."""
        stage = self._stage("survivors", "order:list_survivors")
        shuffle = Shuffle(stage, (Source(tuple(keys)),), SURVIVOR, ("archive_key", "doc_id"), space=ARCHIVES)
        parts = zip(shuffle.parts(), self._shuffle(shuffle), strict=True)
        return tuple(Listed(file, low, high) for (low, high), done in parts for file in done.tables("survivors"))

    def _order(self, documents: list[Output], survivors: tuple[Listed, ...]) -> list[Receipt]:
        stage = self._stage("order", "order:order", {"shards": self.shards})
        schema = document_schema(score_types(self.recipe))
        return self._shuffle(
            Shuffle(stage, (Source(tuple(documents)),), schema, order.DOCUMENT_ORDER, survivors, ORDER, self.shards)
        )

    def _without_paragraphs(self, ordered: list[Receipt]) -> list[Receipt]:
        """The shards' documents and occurrences without paragraphs that a site repeats, where the recipe asks."""
        least = self.recipe.dedup.paragraphs
        documents = _tables(ordered, "documents")
        if least is None or not documents:
            return ordered
        units = [Unit((d.sha256,), f"shard {d.part}", {"documents": asdict(d)}) for d in documents]
        listed = self._units(self._stage("list_paragraphs", "paragraphs:list_paragraphs"), units)
        find = self._stage("repeated_paragraphs", "paragraphs:find_repeated", {"least": least})
        sources = (Source(tuple(_tables(listed, "paragraphs"))),)
        removed = _tables(self._shuffle(Shuffle(find, sources, PARAGRAPH, paragraphs.PARAGRAPH_ORDER)), "removed")
        of_shard: dict[int | None, Output] = {}
        if removed:
            place = self._stage("place_paragraphs", "paragraphs:place_removed", {"shards": self.shards})
            placed = Shuffle(
                place, (Source(tuple(removed)),), REMOVED_NODE, paragraphs.REMOVED_ORDER, (), ORDER, self.shards
            )
            of_shard = {output.part: output for output in _tables(self._shuffle(placed), "removed")}
        edit = self._stage("drop_paragraphs", "paragraphs:drop_paragraphs")
        units = []
        for output in documents:
            gone = of_shard.get(output.part)
            payload: dict[str, Json] = {"documents": asdict(output), "removed": None if gone is None else gone.path}
            inputs = (output.sha256, "" if gone is None else gone.sha256)
            units.append(Unit(inputs, f"shard {output.part}", payload))
        return self._units(edit, units)

    def _locators(self, extracted: list[Receipt]) -> list[Output]:
        """Locators of all archives, with those of revisits and of redirected URLs."""
        locators = _tables(extracted, "locators")
        redirects, hops = _tables(extracted, "redirects"), _tables(extracted, "hops")
        direct = tuple(locators)
        for number in range(MAX_REDIRECTS):
            if not redirects:
                break
            stage = self._stage(f"redirects_{number + 1}", "images:follow_redirects")
            sources = (Source(direct, 0), Source(tuple(hops), 0), Source(tuple(redirects), 1))
            done = self._shuffle(Shuffle(stage, sources, HOP_IN, HOP_ORDER))
            locators = [*locators, *_tables(done, "locators")]
            redirects = _tables(done, "redirects")
        return locators

    def _images(
        self, ordered: list[Receipt], locators: list[Output], held: Sequence[Unit] = (), known: Sequence[Output] = ()
    ) -> list[Output]:
        """Image rows of each shard; packs that are there already are ``held``, scores that are there are ``known``."""
        nodes = _tables(ordered, "occurrences")
        if not nodes:
            return []
        locate = self._stage("locate", "images:locate_images", {"fetch": True} if self.fetch is not None else {})
        sources = (Source(tuple(locators), 0), Source(tuple(nodes), 1))
        located = self._shuffle(Shuffle(locate, sources, LOCATE_IN, LOCATE_ORDER))
        rows, missing = _tables(located, "images"), _tables(located, "missing")
        if rows:
            wanted = [] if held or known else _tables(located, "wanted")
            packs = [*held, *self._acquire(wanted), *self._fetch(_tables(located, "urls"))]
            scores = [*known, *self._scores(packs)]
            attach = self._stage("attach_scores", "images:attach_scores")
            sources = (Source(tuple(scores), 0), Source(tuple(rows), 1))
            attached = self._shuffle(Shuffle(attach, sources, images.ATTACH_IN, images.ATTACH_ORDER))
            missing += _tables(attached, "missing")
            rows = self._count(_tables(attached, "images"))
            if self.clip is not None and rows:
                self._features = self._clip_stages(self.clip).features(rows)
        place = self._stage("place", "images:place", {"shards": self.shards})
        columns = pa.schema([*PLACED_IMAGE, images.IMAGE.field("order_key")])
        shuffle = Shuffle(place, (Source((*rows, *missing)),), columns, images.PLACE_ORDER, (), ORDER, self.shards)
        return _tables(self._shuffle(shuffle), "images")

    def _acquire(self, wanted: list[Output]) -> list[Unit]:
        """Every wanted record once, in packs; a unit to score each."""
        if not wanted:
            return []
        once = self._stage("wanted", "images:list_wanted")
        listed = self._shuffle(Shuffle(once, (Source(tuple(wanted)),), images.WANTED, images.WANTED_ORDER))
        acquire = self._stage("acquire", "images:acquire", {"recipe": recipe_param(self.recipe, stage="images")})
        packs = self._units(acquire, self._by_archive(listed, "wanted"))
        return [_pack(receipt, receipt.tables("pack")[0], receipt.tables("index")[0]) for receipt in packs]

    def _fetch(self, urls: list[Output]) -> list[Unit]:
        """Every URL that no archive answers once, in packs; a unit to score each."""
        if self.fetch is None or not urls:
            return []
        group = self._stage("hosts", "fetch:group_hosts")
        grouped = self._shuffle(Shuffle(group, (Source(tuple(urls)),), FETCH_URL, fetch.HOST_ORDER))
        stage = self._stage("fetch", "fetch:fetch_hosts", self.fetch.params())
        units = [
            Unit((output.sha256,), f"hosts {number}", {"urls": output.path, **self.fetch.payload()})
            for number, output in enumerate([*_tables(grouped, "huge"), *_tables(grouped, "urls")])
        ]
        scored = []
        for receipt in self._units(stage, units):
            packs = [output for output in receipt.outputs if output.table.startswith("pack-")]
            spent = fetch.journal_folder(stage.name, receipt.unit)
            pairs = zip(packs, receipt.tables("index"), strict=True)
            scored += [_pack(receipt, pack, index, spent=spent) for pack, index in pairs]
        return scored

    def _scores(self, packs: Sequence[Unit]) -> list[Output]:
        """All that is known of every picture in packs, and where its bytes are."""
        params: dict[str, Json] = {"recipe": recipe_param(self.recipe, stage="assemble")}
        first = params | self._suppressing() | ({"lists": dict(self.lists)} if self.lists else {})
        done = self._units(self._stage("score_images", "pictures:score_pack", first, guarded=True), packs)
        if any("nsfw_model" in needs for needs in self.recipe.requirements().values()):
            model = params | nsfw_identity(self.recipe)
            stage = self._stage("score_nsfw", "pictures:score_nsfw", model, guarded=True)
            done = self._units(stage, _after(packs, done))
        if self.recipe.images.reencode is not None:
            stage = self._stage("encode_images", "pictures:encode_pack", params, guarded=True)
            done = self._units(stage, _after(packs, done))
        return _tables(done, "scores")

    def _count(self, rows: list[Output]) -> list[Output]:
        """Images with the counts that caps need: by picture, and by cluster of perceptual hashes."""
        if not rows:
            return rows
        identical = self._stage("count_identical", "images:count_identical")
        counted = self._shuffle(Shuffle(identical, (Source(tuple(rows)),), images.IMAGE, images.IMAGE_ORDER))
        radius: dict[str, Json] = {"radius": self.recipe.images.hamming_radius}
        clusters = self._one("cluster_images", "images:cluster", _tables(counted, "hashes"), "clusters", radius)
        attach = self._stage("attach_clusters", "images:attach_clusters")
        sources = (Source(tuple(clusters), 0), Source(tuple(_tables(counted, "images")), 1))
        grouped = self._shuffle(Shuffle(attach, sources, images.CLUSTER_IN, images.ATTACH_ORDER))
        rank = self._stage("count_similar", "images:rank")
        files = tuple(_tables(grouped, "images"))
        return _tables(self._shuffle(Shuffle(rank, (Source(files),), images.IMAGE, images.IMAGE_ORDER)), "images")

    def _clip_stages(self, plan: ClipPlan) -> ClipStages:
        return ClipStages(plan, self.recipe, self.shards, self._units, self._shuffle)

    def _assemble(self, ordered: list[Receipt], found: list[Output]) -> list[Receipt]:
        mode = "archive" if self.fetch is not None else self.options.images
        params: dict[str, Json] = {
            "recipe": recipe_param(self.recipe, stage="assemble"),
            "images": mode,
            "formats": list(self.options.formats),
        }
        stage = self._stage("assemble", "assemble:assemble_shard", params)
        of_shard = {output.part: output for output in found}
        documents = _tables(ordered, "documents")
        matched: dict[int, tuple[Output, Output]] = {}
        if self.clip is not None and self._features:
            matched = self._clip_stages(self.clip).match(documents, found, self._features, mode)
        units = []
        for output in sorted(documents, key=lambda output: output.part or 0):
            rows, spans = matched.get(output.part or 0, (of_shard.get(output.part), None))
            payload: dict[str, Json] = {
                "shard": output.part, "documents": output.path, "images": None if rows is None else rows.path,
                "spans": None if spans is None else spans.path,
            }  # fmt: skip
            inputs: tuple[str, ...] = (str(output.part), output.sha256, "" if rows is None else rows.sha256)
            inputs += () if spans is None else (spans.sha256,)
            units.append(Unit(inputs, f"shard {output.part}", payload))
        return self._units(stage, units)


def _tables(receipts: Iterable[Receipt], name: str) -> list[Output]:
    return [output for receipt in receipts for output in receipt.tables(name)]


def _after(packs: Sequence[Unit], scored: Sequence[Receipt]) -> list[Unit]:
    """Units of the next step over packs, from the scores of the step before; empty packs have none."""
    units = []
    for pack, receipt in zip(packs, scored, strict=True):
        for output in receipt.tables("scores"):
            payload: dict[str, Json] = {"pack": pack.payload["pack"], "scores": output.path}
            units.append(Unit((pack.inputs[0], output.sha256), pack.label, payload))
    return units


def _pack(receipt: Receipt, pack: Output, index: Output, *, spent: str | None = None) -> Unit:
    """The unit that scores a pack; what was spent to make it is removed then."""
    payload: dict[str, Json] = {"pack": pack.path, "index": index.path, "spent": spent}
    return Unit((pack.sha256, index.sha256), receipt.label, payload)
