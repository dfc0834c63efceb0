"""What a recipe would need that a build under another recipe has not kept: counted before a byte is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plait.filters.recipe import Recipe
from plait.filters.rules import Rule
from plait.filters.strictness import at_least_as_strict, still_dropped
from plait.jobs.store import Store
from plait.jobs.wholeness import read_receipts
from plait.schemas.manifest import Manifest

COLUMNS = ("stage", "scope", "reason", "value", "detail")
TEXT_STAGES = ("extract", "extract_revisits", "retext")
BATCH_ROWS = 16384

Setting = Callable[[Recipe, Recipe], bool]

# Whether a setting is as strict in the second recipe as in the first, by the reason that it drops for.
_ON_PAGES: dict[str, Setting] = {
    "record_too_large": lambda old, new: new.limits.page_bytes <= old.limits.page_bytes,
    "too_many_nodes": lambda old, new: new.limits.page_nodes <= old.limits.page_nodes,
    "too_deep": lambda old, new: new.limits.page_depth <= old.limits.page_depth,
    "no_image": lambda old, new: new.extract.require_image or not old.extract.require_image,
}
_ON_DOCUMENTS: dict[str, Setting] = {
    "duplicate_url": lambda old, new: new.dedup.url,
    "duplicate_text": lambda old, new: new.dedup.exact,
    "duplicate_image_set": lambda old, new: new.dedup.image_sets,
    "near_duplicate": lambda old, new: _near(old, new),
}
_ON_NODES: dict[str, Setting] = {
    "repeated_node": lambda old, new: _at_most(new.dedup.node_similarity, old.dedup.node_similarity),
    "repeated_paragraph": lambda old, new: _at_most(new.dedup.paragraphs, old.dedup.paragraphs),
}
_ON_IMAGES: dict[str, Setting] = {
    "image_too_large": lambda old, new: new.limits.image_bytes <= old.limits.image_bytes,
    "image_too_many_pixels": lambda old, new: new.limits.image_pixels <= old.limits.image_pixels,
    "image_too_many_frames": lambda old, new: new.limits.image_frames <= old.limits.image_frames,
    "image_unsupported": lambda old, new: set(new.images.formats) <= set(old.images.formats),
    "image_cap": lambda old, new: (
        new.images.cap <= old.images.cap and new.images.hamming_radius >= old.images.hamming_radius
    ),
    "duplicate_in_document": lambda old, new: new.images.once_per_document,
}


def _at_most(new: float | None, old: float | None) -> bool:
    return new is not None and (old is None or new <= old)


def _near(old: Recipe, new: Recipe) -> bool:
    before, after = old.dedup.minhash, new.dedup.minhash
    if before is None or after is None:
        return after is not None
    if before == after:
        return True
    same = (before.ngram, before.bands, before.rows, before.seed) == (after.ngram, after.bands, after.rows, after.seed)
    return same and _at_most(after.threshold, before.threshold)


@dataclass(frozen=True)
class Retained:
    """What a refilter has to work with.

    Attributes:
        pages: every page as extraction gave it, else only the documents that were kept.
        pictures: every picture that a page names can be had again, else only those in the shards.
        evaluation: whether the text that was kept out is kept out again.
    """

    pages: bool
    pictures: bool
    evaluation: bool = True


@dataclass(frozen=True)
class Need:
    """Something that a looser recipe would bring back, and that was not retained."""

    scope: str  # "document", "image" or "text node"
    reason: str  # by which it was dropped
    count: int


def needs(store: Store, manifest: Manifest, old: Recipe, new: Recipe, retained: Retained) -> list[Need]:
    """What ``new`` may keep of what ``old`` dropped, where it was not retained; counts are upper bounds.

    A dropped document counts where no rule of ``new`` surely drops it: by the value in the ledger where the rule looks
    at one score, else by the rule being there unchanged. Other rules of ``new`` may drop it all the same.
    """
    found: Counter[tuple[str, str]] = Counter()
    for batch in _drops(store, manifest):
        for scope, reason, rows in _by_reason(batch):
            if scope == "document":
                found[scope, reason] += _documents(rows, reason, old, new, retained)
            elif scope == "image" and not retained.pictures:
                found[scope, reason] += _images(rows, reason, old, new, retained)
            elif scope == "record" and reason in _ON_PAGES and not _ON_PAGES[reason](old, new):
                found["document", reason] += rows.num_rows
    if not retained.pages:
        found.update(_edits(store, old, new))
        kept_edits = {rule.edit for rule in new.rules}
        for rule in old.rules:
            if rule.edit and rule.edit not in kept_edits:
                found["document", rule.name] += manifest.totals.documents  # any of them may have been edited
    return [Need(scope, reason, count) for (scope, reason), count in sorted(found.items()) if count]


def _drops(store: Store, manifest: Manifest) -> Iterator[pa.RecordBatch]:
    for path in store.list(manifest.lists.drops):
        with store.open_read(path) as file:
            yield from pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=list(COLUMNS))


def _by_reason(batch: pa.RecordBatch) -> Iterator[tuple[str, str, pa.RecordBatch]]:
    keys = np.array(
        [
            f"{scope}\0{reason}"
            for scope, reason in zip(batch["scope"].to_pylist(), batch["reason"].to_pylist(), strict=True)
        ]
    )
    for key in np.unique(keys).tolist():
        scope, _, reason = key.partition("\0")
        yield scope, reason, batch.filter(pa.array(keys == key))


def _rule(recipe: Recipe, reason: str, scope: str) -> Rule | None:
    return next((rule for rule in recipe.rules if rule.name == reason and rule.scope == scope), None)


def _loose(rows: pa.RecordBatch, by: Rule, new: Recipe) -> int:
    """Rows that a rule dropped and that no rule of the same stage surely drops again."""
    rules = tuple(rule for rule in new.rules if rule.scope == by.scope)
    return int(np.count_nonzero(~still_dropped(rules, by, rows["value"], rows["detail"])))


def _documents(rows: pa.RecordBatch, reason: str, old: Recipe, new: Recipe, retained: Retained) -> int:
    if reason in _ON_PAGES:
        return 0 if _ON_PAGES[reason](old, new) else rows.num_rows
    by = _rule(old, reason, "document")
    if by is not None and by.stage == "assemble":
        return 0 if retained.pages and retained.pictures else _loose(rows, by, new)
    if retained.pages:
        return 0
    if by is not None:
        return _loose(rows, by, new)
    if reason in _ON_DOCUMENTS:
        return 0 if _ON_DOCUMENTS[reason](old, new) else rows.num_rows
    if reason == "evaluation_text":
        return 0 if retained.evaluation else rows.num_rows
    return 0


def _images(rows: pa.RecordBatch, reason: str, old: Recipe, new: Recipe, retained: Retained) -> int:
    by = _rule(old, reason, "image")
    if by is not None:
        return 0 if retained.pages and by.stage == "text" else _loose(rows, by, new)
    if reason in ("image_cap", "duplicate_in_document") and retained.pages:
        return 0  # another document, or another node, holds the picture
    return 0 if reason not in _ON_IMAGES or _ON_IMAGES[reason](old, new) else rows.num_rows


def _edits(store: Store, old: Recipe, new: Recipe) -> Counter[tuple[str, str]]:
    """Text nodes and images that the text stage took out of documents, and that ``new`` may leave in."""
    found: Counter[tuple[str, str]] = Counter()
    for receipt in read_receipts(store):
        removed = [("text node", name, count) for name, count in receipt.books.removed.items()]
        if receipt.stage in TEXT_STAGES:
            removed += [("image", name, count) for name, count in receipt.books.dropped.get("image", {}).items()]
        for scope, reason, count in removed:
            if not _edit_stays(reason, scope, old, new):
                found[scope, reason] += count
    return found


def _edit_stays(reason: str, scope: str, old: Recipe, new: Recipe) -> bool:
    if reason in _ON_NODES:
        return _ON_NODES[reason](old, new)
    by = next((rule for rule in old.rules if rule.name == reason and rule.stage == "text"), None)
    if by is None or by.scope == "document" or (scope == "image") != (by.scope == "image"):
        return True  # extraction's own reasons, which no recipe changes
    passes = by.scope == "image" or new.passes >= old.passes
    return passes and any(at_least_as_strict(rule, by) for rule in new.rules)
