"""Assemble: a shard's documents and their images become the shard's rows.

Images are decided first, each by the first thing that speaks against it: no bytes, the recipe's image rules in order,
the same picture earlier in the document, the corpus-wide cap, the document's budget of bytes. Then documents are: no
text or no image left, the recipe's rules that need what is left. The images of a dropped document go with it, counted
as ``document_dropped``. Every image node and every document given is either in the rows or among the drops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plait.dedup.images import degenerate_phash
from plait.filters.clip_scores import document_columns
from plait.filters.image_scores import assembled_columns, picture_columns
from plait.filters.rules import Failures, Rule, first_failure
from plait.pipeline.shard_rows import Nodes, flatten, lay_out
from plait.pipeline.verdicts import Verdicts
from plait.schemas.clip import CLIP_COLUMNS
from plait.schemas.conform import conform
from plait.schemas.documents import TIME
from plait.schemas.errors import UnitError
from plait.schemas.images import PICTURE, VERDICT
from plait.schemas.ledger import DROP
from plait.schemas.receipts import Books

if TYPE_CHECKING:
    from plait.filters.recipe import Recipe

STAGE: Final = "assemble"
Mode: TypeAlias = Literal["archive", "urls", "none"]

MAX_DOCUMENT_IMAGE_BYTES: Final = 512 << 20
"""Image bytes of one document: a row is never split, so this bounds a row group's leaf, far below Parquet's 2 GiB."""

LISTED_BAD: Final = "listed_bad"
"""Reason of pictures that are known to be bad: counted, and named nowhere."""

URL_REASONS: Final = frozenset({"image_not_in_archives", "revisit_unresolved"})
"""Why an image may have no bytes and yet be kept as a URL in mode "urls": nothing speaks against the picture itself."""

PLACED_IMAGE = pa.schema(
    [
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("node", pa.int32(), nullable=False),
        pa.field("image_url", pa.string()),
        pa.field("reason", pa.string()),  # null: the bytes can be had and are a picture
        pa.field("archive", pa.string()),
        pa.field("archive_id", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("captured", TIME),
        pa.field("pack", pa.string()),
        pa.field("pack_offset", pa.int64()),
        pa.field("pack_length", pa.int64()),
        *PICTURE,
        *VERDICT,
        pa.field("url_dup_count", pa.int64()),
        pa.field("sha256_dup_count", pa.int64()),
        pa.field("p_hash_dup_count", pa.int64()),
        pa.field("dup_rank", pa.int64()),  # rank of the document, from 0, among those that show the picture
        pa.field("url_dup_rank", pa.int64()),  # the same among those that show the URL
    ]
)
"""What is known of one image node, sorted by (order_key, doc_id, node) of its document."""

ASSEMBLE_IMAGE = pa.schema([*PLACED_IMAGE, *CLIP_COLUMNS])
"""The same with what CLIP says of it, null without a model."""

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Assembled:
    """A shard without its image bytes."""

    rows: pa.RecordBatch  # shard_schema; images[slot].bytes is null, path "<sha256 hex>.<extension>"
    references: pa.RecordBatch  # REFERENCE
    drops: pa.RecordBatch  # DROP
    books: Books


def assemble(
    documents: pa.RecordBatch,
    images: pa.RecordBatch,
    recipe: Recipe,
    *,
    mode: Mode,
    spans: pa.RecordBatch | None = None,
) -> Assembled:
    """Decides on a shard's images and documents and lays the rows out.

    Args:
        documents: `document_schema(...)`, sorted by (order_key, doc_id).
        images: `ASSEMBLE_IMAGE` in the same order. Image nodes without a row count as ``image_not_in_archives``.
        recipe: its rules at stage "assemble", scopes "image" and "document", and its image limits.
        mode: "archive" keeps images whose bytes are there; "urls" keeps those that no archive holds as URLs too;
            "none" removes all images and keeps documents on their text.
        spans: doc_id and the columns `CLIP_DOCUMENT` of documents that have them.

    Raises:
        UnitError: an image row names a document or a node that is not there.
    """
    nodes = flatten(documents)
    known = _per_node(nodes, documents, images)
    verdicts = _judge_images(documents, nodes, known, recipe, mode)
    kept_documents, alone = _judge_documents(documents, nodes, known, verdicts.kept, recipe, mode)
    image_kept = verdicts.kept & nodes.is_image
    orphans = image_kept & ~kept_documents.kept[nodes.document]
    verdicts.drop(orphans, "document_dropped")
    image_kept &= ~orphans

    keep_node = kept_documents.kept[nodes.document] & (image_kept | ~nodes.is_image)
    rows, references = lay_out(documents, nodes, known, keep_node, image_kept, kept_documents.kept, spans)
    drops = pa.Table.from_batches(
        [_document_drops(documents, kept_documents), _image_drops(documents, nodes, known, verdicts)]
    ).combine_chunks()
    books = Books(
        documents_in=documents.num_rows,
        documents_out=rows.num_rows,
        images_in=int(nodes.is_image.sum()),
        images_out=int(image_kept.sum()),
        dropped={"document": kept_documents.counts(), "image": verdicts.counts()},
        alone=alone,
    )
    return Assembled(rows, references, _one_batch(drops, DROP), books)


def image_rows(images: pa.RecordBatch) -> pa.RecordBatch:
    """`ASSEMBLE_IMAGE` from rows that may lack what CLIP says."""
    for field in CLIP_COLUMNS:
        if images.schema.get_field_index(field.name) < 0:
            images = images.append_column(field, pa.nulls(images.num_rows, field.type))
    return conform(images, ASSEMBLE_IMAGE)


def surviving_images(
    documents: pa.RecordBatch, images: pa.RecordBatch, recipe: Recipe, *, mode: Mode
) -> npt.NDArray[np.bool_]:
    """Which rows of ``images`` a shard's assembly would keep, as far as documents' own verdicts do not take them.

    Arguments are those of `assemble`.
    """
    nodes = flatten(documents)
    kept = _judge_images(documents, nodes, _per_node(nodes, documents, images), recipe, mode).kept
    return kept[_places(nodes, documents, image_rows(images))]


def _places(nodes: Nodes, documents: pa.RecordBatch, images: pa.RecordBatch) -> Ints:
    """Place of each image row's node among all nodes.

    Raises:
        UnitError: a row names a document or a node that is not there, or one that another row names too.
    """
    places = pc.index_in(images.column("doc_id"), value_set=documents.column("doc_id"))
    if places.null_count:
        raise UnitError(f"{places.null_count} image rows name documents that are not in the shard")
    lengths = np.bincount(nodes.document, minlength=documents.num_rows)
    starts = np.cumsum(lengths) - lengths
    of_document = places.to_numpy().astype(np.int64)
    node = images.column("node").to_numpy().astype(np.int64)
    if ((node < 0) | (node >= lengths[of_document])).any():
        raise UnitError("an image row names a node that its document does not have")
    flat: Ints = starts[of_document] + node
    if not nodes.is_image[flat].all() or len(np.unique(flat)) != len(flat):
        raise UnitError("an image row names a text node, or a node that another row names too")
    return flat


def _per_node(nodes: Nodes, documents: pa.RecordBatch, images: pa.RecordBatch) -> pa.RecordBatch:
    """The image rows aligned with the nodes: row i is node i, null where there is no image or nothing is known."""
    images = image_rows(images)
    flat = _places(nodes, documents, images)
    source = np.full(len(nodes.index), -1, dtype=np.int64)
    source[flat] = np.arange(len(flat))
    aligned = images.take(pa.array(source, mask=source < 0))
    reason = aligned.column("reason")
    unknown = pa.array(nodes.is_image & (source < 0))
    return aligned.set_column(
        aligned.schema.get_field_index("reason"), "reason", pc.if_else(unknown, "image_not_in_archives", reason)
    )


def _judge_images(
    documents: pa.RecordBatch, nodes: Nodes, known: pa.RecordBatch, recipe: Recipe, mode: Mode
) -> Verdicts:
    verdicts = Verdicts(len(nodes.index))
    if mode == "none":
        verdicts.drop(nodes.is_image, "images_off")
        return verdicts
    reasons = known.column("reason")
    as_url = np.zeros(len(nodes.index), dtype=bool)
    if mode == "urls":
        as_url = pc.is_in(reasons, pa.array(sorted(URL_REASONS))).to_numpy(zero_copy_only=False) & nodes.is_image
    _drop_without_bytes(nodes, known, verdicts, as_url)
    rules = recipe.rules_at(STAGE, "image")
    places = np.flatnonzero(nodes.is_image)
    facts = _image_facts(documents, nodes, known, as_url).take(pa.array(places))
    _apply(rules, first_failure(rules, facts), places, verdicts)
    if recipe.images.once_per_document:
        _drop_repeats(nodes, known, verdicts, as_url)
    cap = recipe.images.cap
    for column, reason, what in (("dup_rank", "image_cap", "picture"), ("url_dup_rank", "image_url_cap", "URL")):
        rank = known.column(column).fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
        verdicts.drop(nodes.is_image & (rank >= cap), reason, rank + 1, f"at most {cap} documents a {what}")
    _drop_over_budget(nodes, known, verdicts)
    return verdicts


def _drop_without_bytes(nodes: Nodes, known: pa.RecordBatch, verdicts: Verdicts, as_url: Bools) -> None:
    """Drops images that have a reason already, with what an earlier stage measured and said."""
    values = known.column("verdict_value").to_numpy(zero_copy_only=False)
    reasons = known.column("reason").is_valid().to_numpy(zero_copy_only=False)
    lost = np.flatnonzero(nodes.is_image & ~as_url & reasons)
    told = known.select(["reason", "verdict_threshold", "verdict_detail"]).take(pa.array(lost)).to_pylist()
    details = {place: row["verdict_detail"] for place, row in zip(lost.tolist(), told, strict=True)}
    groups: dict[tuple[str, float | None], list[int]] = {}
    for place, row in zip(lost.tolist(), told, strict=True):
        groups.setdefault((row["reason"], row["verdict_threshold"]), []).append(place)
    for (reason, limit), places in sorted(groups.items(), key=lambda group: (group[0][0], group[0][1] or 0.0)):
        here = np.zeros(len(nodes.index), dtype=bool)
        here[places] = True
        for place in verdicts.drop(here, reason, values, None if limit is None else f"<= {limit:g}").tolist():
            if details[place] is not None:
                verdicts.note(place, details[place])


def _apply(rules: Sequence[Rule], failures: Failures, places: Ints, verdicts: Verdicts) -> None:
    """Drops what failed a rule, with the rule's name, what it measured and its condition."""
    for number, rule in enumerate(rules):
        where = np.zeros(len(verdicts.kept), dtype=bool)
        value = np.full(len(verdicts.kept), np.nan)
        failed = np.flatnonzero(failures.rule == number)
        where[places[failed]] = True
        value[places[failed]] = failures.value[failed]
        dropped = set(verdicts.drop(where, rule.name, value, rule.keep).tolist())
        for row in failed:
            text = failures.text[row]
            if text is not None and int(places[row]) in dropped:
                verdicts.note(int(places[row]), text)


def _image_facts(documents: pa.RecordBatch, nodes: Nodes, known: pa.RecordBatch, as_url: Bools) -> pa.RecordBatch:
    """Columns that image rules may name: what is known of the picture, and what the page says of it.

    Of an image kept as a URL, width and height are those that the page declares.
    """
    values, url = nodes.values, pa.array(as_url)
    for name in ("width", "height"):
        side = pc.if_else(url, values.field(name), known.column(name))
        known = known.set_column(known.schema.get_field_index(name), name, side)
    facts = picture_columns(known)
    extra = {
        "alt": values.field("alt"),
        "caption": values.field("caption"),
        "declared_width": values.field("width"),
        "declared_height": values.field("height"),
        "lang": documents.column("lang").take(pa.array(nodes.document)),
    }
    for name, column in extra.items():
        facts = facts.append_column(name, column)
    return facts


def _drop_repeats(nodes: Nodes, known: pa.RecordBatch, verdicts: Verdicts, as_url: Bools) -> None:
    """Drops pictures that stand earlier in their document: same bytes, same pair of perceptual hashes, same URL.

    Hashes that flat and ruled pictures share by nature tell nothing.
    """
    identity = known.column("image_id")
    url = pc.if_else(pa.array(as_url), nodes.values.field("image_url"), None)
    phash = known.column("phash").fill_null(0).to_numpy(zero_copy_only=False)
    telling = pa.array(~degenerate_phash(np.ascontiguousarray(phash)))
    hashes = (pc.if_else(telling, known.column("phash"), None), known.column("dhash"))
    for columns in ((identity,), hashes, (url,)):
        alive = verdicts.kept & nodes.is_image
        codes = [column.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False) for column in columns]
        for code in codes:
            alive &= code >= 0
        places = np.flatnonzero(alive)
        keys = np.stack([nodes.document[places], *[code[places].astype(np.int64) for code in codes]])
        _, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
        kept = places[first][group.reshape(-1)]
        repeats = np.zeros(len(nodes.index), dtype=bool)
        repeats[places[places != kept]] = True
        of = dict(zip(places.tolist(), kept.tolist(), strict=True))
        for place in verdicts.drop(repeats, "duplicate_in_document"):
            verdicts.note(int(place), f"node {int(nodes.index[of[int(place)]])}")


def _drop_over_budget(nodes: Nodes, known: pa.RecordBatch, verdicts: Verdicts) -> None:
    """Drops the images after which a document's bytes are over `MAX_DOCUMENT_IMAGE_BYTES`."""
    size = known.column("pack_length").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    size = np.where(verdicts.kept & nodes.is_image, size, 0)
    if size.sum() <= MAX_DOCUMENT_IMAGE_BYTES:
        return
    running = np.cumsum(size)
    first = np.searchsorted(nodes.document, nodes.document)
    inside = running - (running[first] - size[first])
    over = nodes.is_image & (inside > MAX_DOCUMENT_IMAGE_BYTES)
    verdicts.drop(over, "document_bytes", inside.astype(np.float64), f"at most {MAX_DOCUMENT_IMAGE_BYTES} bytes")


def _judge_documents(
    documents: pa.RecordBatch, nodes: Nodes, known: pa.RecordBatch, kept: Bools, recipe: Recipe, mode: Mode
) -> tuple[Verdicts, dict[str, int]]:
    """Verdicts on documents, and how many each rule alone would have dropped."""
    verdicts = Verdicts(documents.num_rows)
    rows = documents.num_rows
    images = np.bincount(nodes.document[kept & nodes.is_image], minlength=rows)
    texts = np.bincount(nodes.document[~nodes.is_image], minlength=rows)
    verdicts.drop(texts == 0, "no_text_left")
    if mode != "none":
        verdicts.drop(images == 0, "no_image_left")
    rules = recipe.rules_at(STAGE, "document")
    nsfw = np.full(rows, np.nan)
    np.fmax.at(nsfw, nodes.document, known.column("nsfw").cast(pa.float64()).to_numpy(zero_copy_only=False))
    bad = pc.equal(known.column("reason"), LISTED_BAD).fill_null(False).to_numpy(zero_copy_only=False)
    here = kept & nodes.is_image
    matched = document_columns(known.column("matched_sim"), nodes.document, here, rows, recipe.clip.related)
    columns = assembled_columns(documents, images, nsfw, np.bincount(nodes.document[bad], minlength=rows), matched)
    failures = first_failure(rules, columns)
    _apply(rules, failures, np.arange(rows), verdicts)
    return verdicts, {rule.name: int(count) for rule, count in zip(rules, failures.alone, strict=True)}


def _document_drops(documents: pa.RecordBatch, verdicts: Verdicts) -> pa.RecordBatch:
    gone = documents.take(pa.array(verdicts.dropped()))
    columns = {name: gone.column(name) for name in ("doc_id", "url", "archive", "offset")}
    return _drops("document", gone.num_rows, {**columns, **verdicts.columns()})


def _image_drops(documents: pa.RecordBatch, nodes: Nodes, known: pa.RecordBatch, verdicts: Verdicts) -> pa.RecordBatch:
    places = verdicts.dropped()
    taken = pa.array(places)
    why = verdicts.columns()
    named = pc.not_equal(why["reason"], LISTED_BAD)  # a ledger is no directory of what is known to be bad
    where = {
        "url": nodes.values.field("image_url").take(taken),
        "archive": known.column("archive").take(taken),
        "offset": known.column("offset").take(taken),
    }
    columns = {
        "doc_id": documents.column("doc_id").take(pa.array(nodes.document[places])),
        "node": pa.array(nodes.index[places], pa.int32()),
        **{name: pc.if_else(named, column, None) for name, column in where.items()},
    }
    return _drops("image", len(places), {**columns, **why})


def _drops(scope: str, rows: int, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    columns = {**columns, "stage": pa.repeat(STAGE, rows), "scope": pa.repeat(scope, rows)}
    arrays = [columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in DROP]
    return conform(pa.RecordBatch.from_arrays(arrays, names=DROP.names), DROP)


def _one_batch(table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=schema)
