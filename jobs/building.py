"""`plait build`: archives in, a corpus out."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from plait.filters.recipe import Recipe, load_recipe
from plait.jobs.clip import ClipChoice, ClipPlan, plan_clip, without_paths
from plait.jobs.engine import Engine
from plait.jobs.engines import EngineChoice, choice_of
from plait.jobs.evaluation import Evaluation, open_evaluation
from plait.jobs.fetching import Fetching, FetchPlan, check_fetching, plan_fetch
from plait.jobs.flow import Flow, Options
from plait.jobs.listings import OptOutList, PictureLists, open_opt_out, picture_lists
from plait.jobs.picking import Picked
from plait.jobs.progress import Silent, Watcher
from plait.jobs.publish import publish
from plait.jobs.requirements import missing_requirements, ways
from plait.jobs.selection import Selection
from plait.jobs.store import Store
from plait.jobs.suppression import Suppression, keep_suppression, open_suppression
from plait.jobs.worker import storage_fault
from plait.pipeline.read.inputs import Archive
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import MANIFEST_NAME, Manifest
from plait.schemas.version import plait_version

IMAGE_MODES = ("archive", "urls", "http", "none")
FORMATS = ("parquet", "webdataset")
RETAIN = ("kept", "all")
IMAGE_SCORES = frozenset({"images", "image_nodes", "words_per_image"})  # rules on them have no meaning without images
PLAN = "ledger/build.json"
_ONE_SLASH = re.compile(r"([a-z][a-z0-9+.-]+):/(?!/)(.*)")  # s3:/bucket would be a folder named "s3:"
BUILD_VERSION = 1  # raised when the same plan would give another corpus


@dataclass(frozen=True)
class Plan:
    """A build that has been checked and not begun."""

    archives: tuple[Archive, ...]
    recipe: Recipe
    options: Options
    missing: tuple[str, ...]  # rules left out because something that they require is absent
    fetch: FetchPlan | None = None  # where images are fetched
    opt_out: OptOutList = field(default_factory=lambda: open_opt_out(""))  # whose pages and images are left out
    lists: PictureLists = field(default_factory=lambda: PictureLists({}))  # pictures that are left out
    suppression: Suppression | None = None  # what was taken down elsewhere and must stay out
    evaluation: Evaluation | None = None  # text that must stay out
    clip: ClipPlan | None = None  # the model that pictures and texts are compared with
    picked: Picked | None = None  # records of an index, where not all of the archives is taken

    def to_json(self) -> str:
        """What the build's folder remembers; equal for the same inputs, wherever they lie, and the same settings."""
        plan = {
            "version": BUILD_VERSION,
            "inputs": sorted(archive.id for archive in self.archives),
            "recipe": json.loads(self.recipe.model_dump_json()),
            "options": asdict(self.options),
        }
        if self.fetch is not None:
            plan["fetch"] = self.fetch.params()
        if self.opt_out.digest:
            plan["opt_out"] = self.opt_out.digest
        if self.lists.texts:
            plan["lists"] = self.lists.paths
        if self.suppression is not None:
            plan["suppression"] = self.suppression.digest
        if self.evaluation is not None:
            plan["evaluation"] = self.evaluation.digest
        if self.clip is not None:
            plan["clip"] = self.clip.params()
        if self.picked is not None:
            plan["records"] = self.picked.digest
        return json.dumps(plan, sort_keys=True, indent=1)


def make_plan(
    inputs: Sequence[str] | Selection,
    *,
    recipe: str | Recipe = "default",
    options: Options | None = None,
    extractor: str | None = None,
    fetching: Fetching | None = None,
    suppress: str | None = None,
    contamination: Sequence[str] = (),
    clip: ClipChoice | None = None,
) -> Plan:
    """Check everything that can be checked before a byte is written.

    Raises:
        ConfigError: an input, the recipe or an option is wrong; the message says what to do.
    """
    options = options or Options()
    _one_of("--images", options.images, IMAGE_MODES)
    _one_of("--retain", options.retain, RETAIN)
    for form in options.formats:
        _one_of("--format", form, FORMATS)
    if not options.formats or len(set(options.formats)) != len(options.formats):
        raise ConfigError(f"--format takes each of {', '.join(FORMATS)} at most once, and at least one of them")
    if options.shard_docs < 1:
        raise ConfigError(f"--shard-docs must be 1 or more, not {options.shard_docs}")
    checked = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if extractor is not None:
        _one_of("--extractor", extractor, ("blocks", "fast", "trafilatura"))
        extract = checked.extract.model_copy(update={"extractor": extractor})
        checked = checked.model_copy(update={"extract": extract})
    if options.images == "none":
        extract = checked.extract.model_copy(update={"require_image": False})
        on_images = [rule.name for rule in checked.rules if IMAGE_SCORES.intersection(rule.scores)]
        checked = checked.model_copy(update={"extract": extract}).skipping(on_images)
    clip = clip or ClipChoice()
    if options.images != "none":
        checked = clip.over(checked)
    checked, missing = missing_requirements(checked)
    clips = plan_clip(checked, device=clip.device, cache=clip.cache) if options.images != "none" else None
    checked = without_paths(checked, clips)
    fetching = fetching or Fetching()
    check_fetching(fetching)
    fetch = plan_fetch(fetching, checked.limits.image_bytes) if options.images == "http" else None
    opt_out = open_opt_out(fetching.opt_out)
    chosen = inputs if isinstance(inputs, Selection) else Selection(tuple(inputs))
    listed = open_suppression(suppress) if suppress else None
    evaluation = open_evaluation([*checked.resources.evaluation_text, *contamination])
    # From here on the text's digest stands for the files, whose place says nothing of the corpus.
    checked = checked.model_copy(update={"resources": checked.resources.model_copy(update={"evaluation_text": []})})
    lists = picture_lists(checked)
    picked = chosen.picked()
    archives = tuple(chosen.archives()) if picked is None else picked.archives
    return Plan(archives, checked, options, missing, fetch, opt_out, lists, listed, evaluation, clips, picked)


def _one_of(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{option} must be one of {', '.join(known)}, not {value!r}")


class Remembered(Protocol):
    """What a folder remembers of the work that it belongs to."""

    def to_json(self) -> str:
        """As it is written."""


def claim(store: Store, plan: Remembered) -> Manifest | None:
    """Make the folder this build's, or find that it is; the manifest where the build is finished.

    Raises:
        ConfigError: the folder belongs to another build, or to something else. Nothing in it is touched.
    """
    if mistyped := _ONE_SLASH.match(store.root):
        scheme, rest = mistyped.groups()
        raise ConfigError(f"--out {store.root} is neither a path nor a URL: write {scheme}://{rest}")
    wanted = plan.to_json()
    try:
        found = store.read(PLAN).decode()
    except FileNotFoundError:
        found = None
    except NotADirectoryError:
        raise ConfigError(f"--out {store.root} is a file: name a folder") from None
    if found is None:
        if store.list(""):
            raise ConfigError(
                f"--out {store.root} is not empty and holds no build of plait: name another folder, or empty it"
            )
        try:
            if store.put_new(PLAN, wanted.encode()):
                return None
        except OSError as error:
            raise ConfigError(f"cannot write to --out {store.root}: {error.strerror or error}") from error
        found = store.read(PLAN).decode()
    if found != wanted:
        raise ConfigError(
            f"--out {store.root} holds a build of {_difference(found, wanted)}: name another folder, or remove that one"
        )
    if not store.exists(MANIFEST_NAME):
        return None
    return Manifest.from_json(store.read(MANIFEST_NAME).decode())


def _difference(found: str, wanted: str) -> str:
    """What sets two builds apart, in words."""
    theirs, ours = json.loads(found), json.loads(wanted)
    names = {
        "inputs": "other inputs",
        "recipe": "another recipe",
        "options": "other options",
        "fetch": "other rules of fetching",
        "opt_out": "another opt-out list",
        "lists": "other lists of pictures",
        "suppression": "another suppression list",
        "evaluation": "other evaluation text",
        "clip": "another CLIP model or device",
        "records": "other records",
        "version": "another plait",
    }
    return " and ".join(names[key] for key in names if theirs.get(key) != ours.get(key))


def build(
    inputs: Sequence[str] | Selection,
    out: str,
    *,
    recipe: str | Recipe = "default",
    workers: int | None = None,
    options: Options | None = None,
    extractor: str | None = None,
    fetching: Fetching | None = None,
    suppress: str | None = None,
    contamination: Sequence[str] = (),
    clip: ClipChoice | None = None,
    watcher: Watcher | None = None,
    engine: str | EngineChoice = "local",
) -> Manifest:
    """Build a corpus from web archives.

    Stop it at any time; the same call goes on where it was. A finished build is found finished.

    Args:
        inputs: files, globs, folders, fsspec URLs, crawls (``cc://CC-MAIN-2026-43``); a `Selection` of their archives.
        out: folder of the corpus, a path or an fsspec URL; empty, absent, or this same build's.
        recipe: name of a built-in recipe, path of a TOML file, or a loaded recipe.
        workers: processes; None is one a core. An `EngineChoice` brings its own.
        options: images, formats, shard size, what is retained.
        extractor: overrides the recipe's.
        fetching: contact and manners, where ``options.images`` is "http"; its opt-out list holds for archives too.
        suppress: corpus, or its suppression list: what was taken down there stays out of this one.
        contamination: files of evaluation text, beside those that the recipe names: documents that contain 13 words in
            a row of any item are dropped.
        clip: CLIP model, device and cache, over the recipe's.
        watcher: is told of progress.
        engine: "local", "ray" or "spark", or a choice that says where the cluster is.

    Returns:
        The corpus' manifest.

    Raises:
        ConfigError: an argument is wrong; nothing was written.
        UnitError: a unit failed again and again; what was done is kept, run the same call again.
    """
    began = time.monotonic()
    choice = choice_of(engine, workers)
    plan = make_plan(
        inputs, recipe=recipe, options=options, extractor=extractor, fetching=fetching, suppress=suppress,
        contamination=contamination, clip=clip,
    )  # fmt: skip
    store = Store(out)
    running = choice.open(store)
    try:
        return run_plan(plan, store, running, watcher or Silent(), began)
    finally:
        running.close()


def run_plan(plan: Plan, store: Store, engine: Engine, watcher: Watcher, began: float) -> Manifest:
    """Run a checked build on an engine, publish it, clean up."""
    done = claim(store, plan)
    if done is None:
        for missing in plan.missing:
            watcher.note(f"left out, because something is missing: {missing}{ways((missing,))}")
        plan.opt_out.keep(store)
        plan.lists.keep(store)
        evaluation = {} if plan.evaluation is None else plan.evaluation.keep(store)
        if plan.picked is not None:
            plan.picked.keep(store)
        flow = Flow(
            engine, watcher, plan.recipe, plan.options, plan.archives, plan.fetch,
            suppression=keep_suppression(store, plan.suppression), opt_out=plan.opt_out.path, lists=plan.lists.paths,
            evaluation=evaluation, clip=plan.clip, picked=plan.picked,
        )  # fmt: skip
        shards = flow.run()
        try:
            done = publish(store, flow, shards, missing=plan.missing, version=plait_version(), began=began)
        except OSError as error:
            raise storage_fault(store, error) or error from error
    store.remove("work")
    return done
