"""`plait refilter`: a corpus under another recipe, nothing extracted or fetched again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from plait.filters.clip_scores import AESTHETIC_SCORE, IMAGE_SCORES, NEED
from plait.filters.recipe import Recipe, load_recipe
from plait.jobs.auditing import open_manifest
from plait.jobs.building import BUILD_VERSION, claim
from plait.jobs.clip import ClipPlan, plan_clip, without_paths
from plait.jobs.clip_stored import with_stored_scores
from plait.jobs.engines import EngineChoice, choice_of
from plait.jobs.evaluation import Evaluation, kept_evaluation, open_evaluation
from plait.jobs.flow import Flow, Options
from plait.jobs.listings import PictureLists, picture_lists
from plait.jobs.loosening import Need, Retained, needs
from plait.jobs.progress import Silent, Watcher
from plait.jobs.publish import publish
from plait.jobs.requirements import missing_requirements
from plait.jobs.selection import Selection
from plait.jobs.store import Store
from plait.jobs.superseding import known_files
from plait.jobs.suppression import SUPPRESSED, keep_suppression, load_suppression
from plait.jobs.wholeness import ledger_list, need_whole, retained_paths
from plait.jobs.work import Json, Unit
from plait.pipeline.read.inputs import Archive
from plait.schemas.errors import ConfigError
from plait.schemas.ledger import KNOWN, LOCATORS, PAGES
from plait.schemas.manifest import Manifest
from plait.schemas.version import plait_version


@dataclass(frozen=True)
class Beginning:
    """What a flow under another recipe begins with.

    Attributes:
        shards: a unit for each shard whose documents or pictures are used.
        reopening: settings of those units.
        pages: a unit for each file of retained pages; none: the documents are those of the shards.
        edits: whether rules on lines, nodes and images are applied again.
        locators: a unit for each retained file of locators, where archives are at hand.
        drops: a unit for each file of the ledger's drops, where pictures come from shards.
        policies: a unit for each file of what the corpus knows of sites' rules.
    """

    shards: Sequence[Unit]
    reopening: Mapping[str, Json]
    pages: Sequence[Unit] = ()
    edits: bool = True
    locators: Sequence[Unit] = ()
    drops: Sequence[Unit] = ()
    policies: Sequence[Unit] = ()


@dataclass(frozen=True)
class RefilterPlan:
    """A refilter that has been checked and not begun."""

    corpus: str
    manifest: Manifest
    old: Recipe
    recipe: Recipe
    options: Options
    missing: tuple[str, ...]
    archives: tuple[Archive, ...]
    evaluation: Evaluation | None
    lists: PictureLists
    clip: ClipPlan | None
    stored_clip: bool = False  # whether scores of the corpus' model are used as they stand

    def to_json(self) -> str:
        """What the folder remembers: equal for the same corpus, wherever it lies, and the same settings."""
        plan = {
            "version": BUILD_VERSION,
            "inputs": [f"corpus {self.manifest.fingerprint}", *sorted(archive.id for archive in self.archives)],
            "recipe": json.loads(self.recipe.model_dump_json()),
            "options": asdict(self.options),
        }
        if self.clip is not None:
            plan["clip"] = self.clip.params()
        if self.evaluation is not None:
            plan["evaluation"] = self.evaluation.digest
        return json.dumps(plan, sort_keys=True, indent=1)

    @property
    def has_pages(self) -> bool:
        """Whether every page was retained."""
        return self.manifest.options.get("retain") == "all"

    def beginning(self) -> Beginning:
        """The units that read the corpus."""
        store = Store(self.corpus)
        edits = [rule for rule in self.recipe.rules if rule.stage == "text" and rule.scope != "document"]
        before = [rule for rule in self.old.rules if rule.stage == "text" and rule.scope != "document"]
        again = self.has_pages or edits != before or self.recipe.passes != self.old.passes
        reopening: dict[str, Json] = {"scores": dict(self.manifest.scores), "documents": not self.has_pages}
        if self.stored_clip:
            reopening["clip"] = True
        retained = retained_paths(store, self.manifest) if self.has_pages or self.archives else []
        pages = [path for path in retained if path.startswith(f"{PAGES}/")] if self.has_pages else []
        locators = [path for path in retained if path.startswith(f"{LOCATORS}/")] if self.archives else []
        drops = store.list(self.manifest.lists.drops) if self.has_pages and not self.archives else []
        return Beginning(
            shards=() if self.archives else self._shards(store),
            reopening=reopening,
            pages=self._units(store, pages),
            edits=again,
            locators=self._units(store, locators),
            drops=self._units(store, drops),
            policies=self._units(store, _policies(store, self.manifest)),
        )

    def _shards(self, store: Store) -> list[Unit]:
        shards = ledger_list(store, self.manifest.lists.shards, ["shard", "format", "path", "sha256"]).to_pylist()
        return [
            Unit(
                (shard["sha256"],),
                f"shard {shard['shard']}",
                {"corpus": self.corpus, "path": shard["path"], "format": shard["format"]},
            )
            for shard in shards
            if shard["format"] == self.manifest.formats[0]
        ]

    def _units(self, store: Store, paths: Sequence[str]) -> list[Unit]:
        units = []
        for path in paths:
            table = path.rpartition("/")[2].partition("-")[0]
            payload: dict[str, Json] = {"corpus": self.corpus, "path": path, "table": table}
            units.append(Unit((store.sha256(path),), path, payload))
        return units


def _policies(store: Store, manifest: Manifest) -> list[str]:
    """Files of what a corpus knows of sites' rules."""
    return sorted(p for p in known_files(store, manifest.generation) if p.startswith(f"{KNOWN}/policies-"))


def make_refilter(
    corpus: str, recipe: str | Recipe, *, archives: Sequence[str] = (), contamination: Sequence[str] = ()
) -> RefilterPlan:
    """Check everything that can be checked before a byte is written.

    Raises:
        ConfigError: there is no corpus, a setting is wrong, or the recipe would bring back what was not retained.
        CorpusError: the corpus' manifest is damaged, or files of it are missing.
    """
    store = Store(corpus)
    manifest = open_manifest(store)
    need_whole(store, manifest, retained=True)
    old = Recipe.model_validate_json(manifest.recipe.text)
    asked = load_recipe(recipe) if isinstance(recipe, str) else recipe
    evaluation = open_evaluation([*asked.resources.evaluation_text, *contamination])
    asked = asked.model_copy(update={"resources": asked.resources.model_copy(update={"evaluation_text": []})})
    beyond = bool(archives) or manifest.options.get("retain") == "all"
    asked, unused = with_stored_scores(old, asked, beyond_shards=beyond)
    new, missing = missing_requirements(asked)
    missing = tuple(f"{entry} ({unused})" if NEED in entry else entry for entry in missing)
    if old.mask_pii and not new.mask_pii:
        raise ConfigError(f"{corpus} holds text with personal data masked: the recipe must say mask_pii = true")
    for name, held in old.consent:
        if held and not getattr(new.consent, name) and _policies(store, manifest):
            raise ConfigError(
                f"{corpus} holds nothing that its sites' rules forbid: the recipe must say consent.{name} = true"
            )
    if manifest.options.get("images") == "none":
        on_images = [rule.name for rule in new.rules if rule.stage == "assemble"]
        new = new.skipping(on_images)
    if new.extract != old.extract.model_copy(update={"require_image": new.extract.require_image}):
        missing = (*missing, "extract: the pages stay as the corpus extracted them")
    new = new.model_copy(
        update={
            "extract": old.extract.model_copy(update={"require_image": new.extract.require_image}),
            "order_seed": old.order_seed,
        }
    )
    mode = str(manifest.options.get("images"))
    options = Options(
        "archive" if mode == "http" else mode,
        manifest.formats,
        int(manifest.options.get("shard_docs") or 1000),
        str(manifest.options.get("retain") or "kept"),
    )
    given = _archives(store, manifest, archives)
    if not given:
        unmeasured = {rule.name: rule.scores for rule in new.rules if rule.scope == "image" and rule.requires}
        measured = {name for rule in old.rules for name in rule.scores}
        if new.clip.model is not None:
            measured |= IMAGE_SCORES - ({AESTHETIC_SCORE} if not unused else set())
        lacking = {name: set(scores) - measured for name, scores in unmeasured.items() if set(scores) - measured}
        missing = (*missing, *(f"{name}: the corpus measured no {', '.join(s)}" for name, s in sorted(lacking.items())))
        new = new.skipping(lacking)
    clip = None if mode == "none" or not unused else plan_clip(new)
    new = without_paths(new, clip)
    plan = RefilterPlan(
        corpus, manifest, old, new, options, missing, given, evaluation, picture_lists(new), clip, not unused
    )
    pictures = bool(given) or mode == "none"
    before = kept_evaluation(store)
    same_text = before is None or (evaluation is not None and evaluation.digest == before[0])
    _refuse(plan, needs(store, manifest, old, new, Retained(plan.has_pages, pictures, same_text)))
    return plan


def _archives(store: Store, manifest: Manifest, inputs: Sequence[str]) -> tuple[Archive, ...]:
    """The corpus' own archives, where they are given to take pictures from.

    Raises:
        ConfigError: the corpus did not retain where its pictures are, or some of its archives are not given.
    """
    if not inputs:
        return ()
    if manifest.options.get("retain") != "all":
        raise ConfigError(
            f"{store.root} was built with --retain kept: only what its shards hold can be had; leave --archives out"
        )
    given = {archive.id: archive for archive in Selection(tuple(inputs)).archives()}
    known = ledger_list(store, manifest.lists.inputs, ["archive_id", "archive"]).to_pylist()
    absent = [row["archive"] for row in known if row["archive_id"] not in given]
    if absent:
        raise ConfigError(f"--archives lacks {len(absent)} of the corpus' archives, {absent[0]} among them")
    return tuple(given[row["archive_id"]] for row in known)


def _refuse(plan: RefilterPlan, found: list[Need]) -> None:
    """Raises ConfigError where a recipe would bring back what was not retained."""
    if not found:
        return
    kinds = {"document": "documents", "image": "images", "text node": "text nodes"}
    totals = {kind: sum(need.count for need in found if need.scope == kind) for kind in kinds}
    counted = " and ".join(f"{count:,} {kinds[kind]}" for kind, count in totals.items() if count)
    why = ", ".join(f"{need.reason} {need.count:,}" for need in found)
    hint = "build with --retain all" if not plan.has_pages else "give the archives with --archives"
    raise ConfigError(
        f"the recipe {plan.recipe.name} may keep what {plan.corpus} dropped and did not retain: it would need up to "
        f"{counted} ({why}); make it as strict as {plan.old.name} there, or {hint}"
    )


def refilter(
    corpus: str,
    out: str,
    *,
    recipe: str | Recipe,
    archives: Sequence[str] = (),
    contamination: Sequence[str] = (),
    workers: int | None = None,
    watcher: Watcher | None = None,
    engine: str | EngineChoice = "local",
) -> Manifest:
    """Write a corpus anew under another recipe, from what it retained.

    A corpus built with ``retain="kept"`` gives its documents, their scores and their pictures: thresholds can be made
    stricter, rules and deduplication added. One built with ``retain="all"`` gives every page as it was extracted:
    every rule on text and every deduplication is applied anew; its pictures are those in the shards, or, where
    ``archives`` are given, all that the pages name. CLIP's scores in the shards serve a recipe that names no model as
    long as text is edited as it was; else the recipe names a model, and pictures are compared again. Stop it at any
    time; the same call goes on where it was.

    Args:
        corpus: path or fsspec URL; it is not changed.
        out: folder of the new corpus: empty, absent, or this same refilter's.
        recipe: name of a built-in recipe, path of a TOML file, or a loaded recipe.
        archives: those that the corpus was built from, all of them.
        contamination: files of evaluation text, as `plait.jobs.build`.
        workers: processes; None is one a core.
        watcher: is told of progress.
        engine: as `plait.jobs.build`.

    Raises:
        ConfigError: an argument is wrong, or the recipe is looser than what was retained: the message says how many
            documents, images and text nodes it would need.
        UnitError: a unit failed again and again; what was done is kept, run the same call again.
    """
    began = time.monotonic()
    choice = choice_of(engine, workers)
    plan = make_refilter(corpus, recipe, archives=archives, contamination=contamination)
    store, source = Store(out), Store(corpus)
    running = choice.open(store)
    try:
        done = claim(store, plan)
        if done is None:
            listed = load_suppression(source, SUPPRESSED) if source.exists(SUPPRESSED) else None
            kept = keep_suppression(store, listed)
            plan.lists.keep(store)
            evaluation = {} if plan.evaluation is None else plan.evaluation.keep(store)
            strict = plan.has_pages and not plan.archives and plan.options.images == "archive"
            flow = Flow(
                running, watcher or Silent(), plan.recipe, plan.options, plan.archives, suppression=kept,
                lists=plan.lists.paths, evaluation=evaluation, strict=store if strict else None, clip=plan.clip,
            )  # fmt: skip
            flow.inputs = ledger_list(source, plan.manifest.lists.inputs)
            shards = flow.refilter(plan.beginning())
            done = publish(store, flow, shards, missing=plan.missing, version=plait_version(), began=began)
        store.remove("work")
        return done
    finally:
        running.close()
