"""`plait append`: further archives as a new generation of a corpus, deduplicated against what it has."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from plait.filters.recipe import Recipe
from plait.jobs.auditing import open_manifest, shard_receipts
from plait.jobs.clip import ClipChoice, ClipPlan, same_model
from plait.jobs.engines import EngineChoice, choice_of
from plait.jobs.evaluation import kept_evaluation
from plait.jobs.fetching import Fetching, FetchPlan, check_fetching, plan_fetch
from plait.jobs.flow import Flow, Options
from plait.jobs.listings import OptOutList, PictureLists, open_opt_out, picture_lists
from plait.jobs.progress import Silent, Watcher
from plait.jobs.publish import (
    RETAINED,
    copy_file,
    distinct,
    input_list,
    keep_known,
    merge_tables,
    renewed,
    retain,
    write_around,
)
from plait.jobs.requirements import missing_requirements
from plait.jobs.selection import Selection
from plait.jobs.store import Store
from plait.jobs.superseding import forget_superseded, known_files, superseded_documents, without_superseded
from plait.jobs.suppression import SUPPRESSED, Suppression, keep_suppression, load_suppression
from plait.jobs.wholeness import ledger_list, need_whole, read_receipts
from plait.jobs.work import Unit
from plait.pipeline.publish import corpus_files
from plait.pipeline.read.inputs import Archive
from plait.schemas.errors import ConfigError
from plait.schemas.fetched import FETCHED
from plait.schemas.ledger import DROP, FETCHED_FOLDER, KNOWN, NODE_SAMPLE
from plait.schemas.manifest import Lists, Manifest
from plait.schemas.receipts import RECEIPTS, Receipt
from plait.schemas.version import plait_version


@dataclass(frozen=True)
class AppendPlan:
    """An append that has been checked and not begun."""

    manifest: Manifest
    recipe: Recipe
    options: Options
    archives: tuple[Archive, ...]
    fetch: FetchPlan | None
    opt_out: OptOutList
    lists: PictureLists
    clip: ClipPlan | None
    supersede: bool

    @property
    def generation(self) -> int:
        """Number of the generation that it makes."""
        return self.manifest.generation + 1

    def to_json(self) -> str:
        """What the corpus' folder remembers of it while it is unfinished."""
        plan: dict[str, object] = {"generation": self.generation}
        plan |= {"inputs": sorted(archive.id for archive in self.archives)}
        plan |= {"supersede": True} if self.supersede else {}
        return json.dumps(plan, sort_keys=True, indent=1)


def make_append(
    corpus: str,
    inputs: Sequence[str] | Selection,
    fetching: Fetching,
    supersede: bool = False,
    clip: ClipChoice | None = None,
) -> AppendPlan | None:
    """Check everything that can be checked before a byte is written; None where all inputs are in the corpus already.

    Raises:
        ConfigError: there is no corpus, or it has no signatures; some of the inputs are in it already; a setting is
            wrong.
        CorpusError: its manifest is damaged, or files of it are missing.
    """
    store = Store(corpus)
    manifest = open_manifest(store)
    archives = (inputs if isinstance(inputs, Selection) else Selection(tuple(inputs))).archives()
    known = set(ledger_list(store, manifest.lists.inputs, ["archive_id"]).column("archive_id").to_pylist())
    there = [archive for archive in archives if archive.id in known]
    if len(there) == len(archives):
        return None
    if there:
        raise ConfigError(f"{there[0].name} is in {corpus} already ({len(there)} of the inputs are): leave it out")
    need_whole(store, manifest, known=True)
    has_keys = any(path.startswith(f"{KNOWN}/keys-") for path in store.list(KNOWN))
    if manifest.totals.documents and not has_keys:
        raise ConfigError(f"{corpus} holds no signatures to compare with: only what plait build made can be added to")
    recipe, missing = missing_requirements(Recipe.model_validate_json(manifest.recipe.text))
    if missing:
        raise ConfigError(f"{corpus} was built with what is not here ({'; '.join(missing)}): supply it")
    held = manifest.options
    options = Options(str(held["images"]), manifest.formats, int(held["shard_docs"] or 1000), str(held["retain"]))
    check_fetching(fetching)
    fetch = plan_fetch(fetching, recipe.limits.image_bytes) if options.images == "http" else None
    opt_out = open_opt_out(fetching.opt_out)
    model = None if options.images == "none" else same_model(recipe, clip or ClipChoice())
    return AppendPlan(
        manifest, recipe, options, tuple(archives), fetch, opt_out, picture_lists(recipe), model, supersede
    )


def append(
    corpus: str,
    inputs: Sequence[str] | Selection,
    *,
    supersede: bool = False,
    fetching: Fetching | None = None,
    clip: ClipChoice | None = None,
    workers: int | None = None,
    watcher: Watcher | None = None,
    engine: str | EngineChoice = "local",
) -> Manifest:
    """Add archives to a corpus: a new generation of it, with further shards; those that are there stay as they are.

    The corpus' own recipe and options are applied. A document whose URL, text, pictures or near-duplicate the corpus
    has is dropped, whichever is later: shards are immutable (but see ``supersede``). Of the new ones among themselves
    the latest is kept, as in a build. Caps and counts of pictures and of a site's paragraphs go on from those of the
    corpus. Nothing of the corpus is read again but keys, signatures and counts. Stop it at any time; the same call goes
    on where it was.

    Args:
        corpus: path or fsspec URL of the folder.
        inputs: as `plait.jobs.build`; none of them in the corpus.
        supersede: a document of the corpus goes where the inputs have a later capture of its URL that passes the
            recipe's rules on text; its shard is written anew for this generation.
        fetching: contact and manners, where the corpus' images are fetched.
        clip: where the corpus' CLIP model is, if it came from a folder or a file; device and cache.
        workers: processes; None is one a core. An `EngineChoice` brings its own.
        watcher: is told of progress.
        engine: as `plait.jobs.build`.

    Raises:
        ConfigError: an argument is wrong; nothing was changed.
        UnitError: a unit failed again and again; what was done is kept, run the same call again.
    """
    began = time.monotonic()
    choice = choice_of(engine, workers)
    plan = make_append(corpus, inputs, fetching or Fetching(), supersede, clip)
    store = Store(corpus)
    if plan is None:
        store.remove("work")
        return open_manifest(store)
    _claim(store, plan)
    _forget(store, plan.generation)
    watcher = watcher or Silent()
    running = choice.open(store)
    try:
        plan.opt_out.keep(store)
        plan.lists.keep(store)
        kept = keep_suppression(store, _suppressed(store))
        evaluation = kept_evaluation(store)
        flow = Flow(
            running, watcher, plan.recipe, plan.options, plan.archives, plan.fetch, suppression=kept,
            opt_out=plan.opt_out.path, lists=plan.lists.paths, clip=plan.clip,
            evaluation={} if evaluation is None else evaluation[1], generation=plan.generation,
            first_shard=_next_shard(store, plan.manifest),
        )  # fmt: skip
        flow.reopen_known(_known(store, plan.manifest.generation))
        flow.stored = replace(flow.stored, supersede=supersede)
        shards = flow.run()
        gone = superseded_documents(store, flow)
        rewritten = without_superseded(store, plan.manifest, running, watcher, flow.generation, gone)
        forget_superseded(store, flow.generation, gone)
        done = _publish(store, plan.manifest, flow, [*shards, *rewritten], began)
    finally:
        running.close()
    store.remove("work")
    return done


def _claim(store: Store, plan: AppendPlan) -> None:
    """Make the next generation this append's, or find that it is.

    Raises:
        ConfigError: another append of that generation was begun and not finished.
    """
    path, wanted = _claimed(plan.generation), plan.to_json()
    if not store.put_new(path, wanted.encode()) and store.read(path).decode() != wanted:
        raise ConfigError(
            f"{store.root} has an unfinished plait append of other archives: finish it first by the same call, "
            f"or give it up by removing {path}"
        )


def _suppressed(store: Store) -> Suppression | None:
    return load_suppression(store, SUPPRESSED) if store.exists(SUPPRESSED) else None


def _next_shard(store: Store, manifest: Manifest) -> int:
    numbers = ledger_list(store, manifest.lists.shards, ["shard"]).column("shard").to_pylist()
    return max(numbers, default=-1) + 1


def _forget(store: Store, generation: int) -> None:
    """Remove what a killed publication of this generation left in the ledger: it is made again from the work folder.

    Without it the generation would be compared with itself, and the books of an append that was given up would count.
    """
    own = re.compile(rf"-g{generation}[-./]|[.]s{generation}[.]")
    gone = [path for path in store.list("ledger") if own.search(path) and path != _claimed(generation)]
    begun = {path.removeprefix("work/receipts/") for path in store.list("work/receipts")}
    gone += [path for path in store.list(RECEIPTS) if path.removeprefix(f"{RECEIPTS}/") in begun]
    units = {path.rpartition("/")[2].removesuffix(".json") for path in begun}
    for folder in sorted(set(RETAINED.values())):
        gone += [path for path in store.list(folder) if not units.isdisjoint(path.split("-"))]
    for path in gone:
        store.remove(path)


def _claimed(generation: int) -> str:
    return f"ledger/append-g{generation}.json"


def _known(store: Store, generation: int) -> list[Unit]:
    """A unit for each file of what earlier generations know."""
    units = []
    for path in known_files(store, generation):
        table = path.rpartition("/")[2].partition("-")[0]
        units.append(Unit((store.sha256(path), table), path, {"path": path, "table": table}))
    return units


def _publish(store: Store, before: Manifest, flow: Flow, shards: Sequence[Receipt], began: float) -> Manifest:
    """The new generation's lists, ledger, report and card; the manifest comes last."""
    suffix = f"-g{flow.generation}"
    lists = Lists(
        shards=f"ledger/shards{suffix}.parquet", inputs=f"ledger/inputs{suffix}.parquet",
        drops=f"ledger/drops{suffix}", node_samples=f"ledger/nodes{suffix}",
    )  # fmt: skip
    made = distinct([*(receipt for done in flow.receipts.values() for receipt in done), *shards])
    stages = {line.stage: place for place, line in enumerate(before.funnel)}
    held = sorted(read_receipts(store), key=lambda receipt: stages.get(receipt.stage, len(stages)))
    receipts = distinct([*held, *made])
    for old, new in ((before.lists.drops, lists.drops), (before.lists.node_samples, lists.node_samples)):
        for path in store.list(old):
            copy_file(store, path, new + path.removeprefix(old))
    merge_tables(store, made, "drops", DROP, lists.drops, suffix)
    merge_tables(store, made, "samples", NODE_SAMPLE, lists.node_samples, suffix)
    merge_tables(store, made, "fetched", FETCHED, FETCHED_FOLDER, suffix)
    keep_known(store, flow)
    if flow.options.retain == "all":
        retain(store, flow, made)
    inputs = pa.concat_tables([ledger_list(store, before.lists.inputs), input_list(flow)]).sort_by("archive_id")
    manifest, written = renewed(
        store, before, flow.generation, receipts, shard_receipts([*held, *shards]), lists,
        verb="append", version=plait_version(), began=began,
    )  # fmt: skip
    write_around(store, manifest, corpus_files(manifest, written, inputs))
    return manifest
