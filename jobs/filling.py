"""`plait fill`: a corpus of URLs becomes one of pictures, in a folder of its own."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

from plait.filters.recipe import Recipe
from plait.jobs.auditing import open_manifest
from plait.jobs.building import BUILD_VERSION, claim
from plait.jobs.clip import ClipChoice, ClipPlan, plan_clip, without_paths
from plait.jobs.engines import EngineChoice, choice_of
from plait.jobs.evaluation import evaluation_path, kept_evaluation
from plait.jobs.fetching import Fetching, FetchPlan, plan_fetch
from plait.jobs.flow import Flow, Options
from plait.jobs.listings import PictureLists, picture_lists
from plait.jobs.progress import Silent, Watcher
from plait.jobs.publish import publish
from plait.jobs.store import Store
from plait.jobs.superseding import known_files
from plait.jobs.suppression import SUPPRESSED, keep_suppression, load_suppression
from plait.jobs.wholeness import ledger_list, need_whole
from plait.jobs.work import Json, Unit
from plait.schemas.errors import ConfigError
from plait.schemas.ledger import KNOWN
from plait.schemas.manifest import Manifest
from plait.schemas.version import plait_version


@dataclass(frozen=True)
class FillPlan:
    """A fill that has been checked and not begun."""

    corpus: str
    manifest: Manifest
    recipe: Recipe
    options: Options
    fetch: FetchPlan
    lists: PictureLists
    clip: ClipPlan | None = None
    evaluation: str | None = None  # digest of the evaluation text that the corpus was built without

    def to_json(self) -> str:
        """What the folder remembers: equal for the same corpus, wherever it lies, and the same settings."""
        plan = {
            "version": BUILD_VERSION,
            "inputs": [f"corpus {self.manifest.fingerprint}"],
            "recipe": json.loads(self.recipe.model_dump_json()),
            "options": asdict(self.options),
            "fetch": self.fetch.params(),
            "lists": self.lists.paths,
        }
        if self.clip is not None:
            plan["clip"] = self.clip.params()
        if self.evaluation is not None:
            plan["evaluation"] = self.evaluation
        return json.dumps(plan, sort_keys=True, indent=1)

    def units(self) -> list[Unit]:
        """One for each shard of the corpus."""
        store = Store(self.corpus)
        shards = ledger_list(store, self.manifest.lists.shards, ["shard", "format", "path", "sha256"]).to_pylist()
        units = []
        for shard in shards:
            if shard["format"] == self.manifest.formats[0]:
                payload: dict[str, Json] = {"corpus": self.corpus, "path": shard["path"], "format": shard["format"]}
                units.append(Unit((shard["sha256"],), f"shard {shard['shard']}", payload))
        return units


def make_fill(corpus: str, fetching: Fetching, clip: ClipChoice | None = None) -> FillPlan:
    """Check everything that can be checked before a byte is written.

    Raises:
        ConfigError: there is no corpus, or not one of URLs; a setting is wrong.
        CorpusError: its manifest is damaged, or files of it are missing.
    """
    manifest = open_manifest(Store(corpus))
    if manifest.options.get("images") != "urls":
        raise ConfigError(
            f"{corpus} was built with --images {manifest.options.get('images')}: only a corpus built with "
            "--images urls has pictures to fetch"
        )
    need_whole(Store(corpus), manifest)
    recipe = Recipe.model_validate_json(manifest.recipe.text)
    options = Options("http", manifest.formats, int(manifest.options.get("shard_docs") or 1000))
    clip = clip or ClipChoice()
    clips = plan_clip(clip.over(recipe), device=clip.device, cache=clip.cache)
    recipe = without_paths(clip.over(recipe), clips)
    fetch = plan_fetch(fetching, recipe.limits.image_bytes)
    kept = kept_evaluation(Store(corpus))
    evaluation = None if kept is None else kept[0]
    return FillPlan(corpus, manifest, recipe, options, fetch, picture_lists(recipe), clips, evaluation)


def fill(
    corpus: str,
    out: str,
    fetching: Fetching,
    *,
    clip: ClipChoice | None = None,
    workers: int | None = None,
    watcher: Watcher | None = None,
    engine: str | EngineChoice = "local",
) -> Manifest:
    """Fetch the pictures of a corpus of URLs, and write the corpus with them to another folder.

    Documents keep their order; image rules, deduplication and caps are applied again with what is now known of the
    pictures, so a document whose pictures cannot be had may be dropped, with its reason in the ledger. Stop it at any
    time; the same call goes on where it was.

    Args:
        corpus: path or fsspec URL of a corpus built with ``--images urls``; it is not changed.
        out: folder of the new corpus: empty, absent, or this same fill's.
        fetching: contact and manners.
        clip: CLIP model, device and cache; a corpus made with a model of a folder needs the folder again.
        workers: processes; None is one a core.
        watcher: is told of progress.
        engine: as `plait.jobs.build`.

    Raises:
        ConfigError: an argument is wrong; nothing was written.
        UnitError: a unit failed again and again; what was done is kept, run the same call again.
    """
    began = time.monotonic()
    choice = choice_of(engine, workers)
    plan = make_fill(corpus, fetching, clip)
    store = Store(out)
    running = choice.open(store)
    try:
        done = claim(store, plan)
        if done is None:
            plan.fetch.opt_out.keep(store)
            plan.lists.keep(store)
            listed = load_suppression(Store(corpus), SUPPRESSED) if Store(corpus).exists(SUPPRESSED) else None
            kept = keep_suppression(store, listed)
            flow = Flow(
                running, watcher or Silent(), plan.recipe, plan.options, (), plan.fetch,
                suppression=kept, lists=plan.lists.paths, clip=plan.clip,
            )  # fmt: skip
            shards = flow.refill(plan.units(), plan.manifest.scores)
            flow.inputs = ledger_list(Store(corpus), plan.manifest.lists.inputs)
            _keep_known(Store(corpus), plan, store)
            missing = plan.manifest.recipe.missing
            done = publish(store, flow, shards, missing=missing, version=plait_version(), began=began)
        store.remove("work")
        return done
    finally:
        running.close()


def _keep_known(source: Store, plan: FillPlan, store: Store) -> None:
    """Copy what the corpus of URLs knows of its documents' text, so that crawls can be added to the new corpus.

    Keys and counts of paragraphs are of the documents that deduplication left, whatever became of their pictures: those
    of a build that fetches. What is known of pictures the fill found out itself.
    """
    numbers = {"keys": 0, "paragraphs": 0, "policies": 0}
    for path in sorted(known_files(source, plan.manifest.generation)):
        name = path.rpartition("/")[2].partition("-")[0]
        if name in numbers:
            _copy(source, path, store, f"{KNOWN}/{name}-g0-{numbers[name]:05d}.parquet")
            numbers[name] += 1
    if plan.evaluation is not None:
        path = evaluation_path(plan.evaluation)
        _copy(source, path, store, path)


def _copy(source: Store, path: str, store: Store, target: str) -> None:
    with source.open_read(path) as held, store.open_write(target) as file:
        while block := held.read(1 << 20):
            file.write(block)
