"""A shard's documents against their pictures: cosines, neighbourhoods, ranks, and the assignment of what is left.

Texts go through the model once, in batches that cross documents. Their features wait in a temporary file, so that
memory is one batch and one document's cosines (`MAX_CELLS`), whatever a document or a shard holds. Rules on cosines are
applied before pictures are assigned, as MMC4 does it: a picture that is dropped takes no other picture's sentence.
"""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.filters.clip_scores import ASSIGNED
from plait.filters.clip_settings import Clip
from plait.filters.recipe import Recipe
from plait.pipeline.aesthetic import AestheticHead
from plait.pipeline.assemble import ASSEMBLE_IMAGE, Mode, image_rows, surviving_images
from plait.pipeline.clip.features import STORED, unpack
from plait.pipeline.clip.match import F32, Ints, Matched, best_and_near, match, rank
from plait.pipeline.clip.model import ClipModel
from plait.pipeline.clip.spans import Span, split
from plait.pipeline.shard_rows import flatten
from plait.schemas.clip import CLIP_COLUMNS, DOCUMENT_SPANS, PLACED_FEATURE
from plait.schemas.conform import conform

Cells: TypeAlias = "dict[str, list[object]]"
_COLUMNS = [field.name for field in CLIP_COLUMNS]

MAX_CELLS = 8_000_000
"""Cosines of one document at most (32 MB; the assignment makes them 64 MB of float64): spans are cut, and counted."""
READ_TEXTS = 2048  # spans tokenized and embedded before they are written to the temporary file


@dataclass
class _Document:
    """One document whose pictures have features.

    Attributes:
        doc_id: its id.
        lang: its language.
        spans: compared with its pictures.
        span_nodes: places of the spans' nodes.
        images: rows of the images.
        nodes: places of those images' nodes.
        first: its first span in the file of features.
        cut: spans that were left out.
        tokens_cut: tokens cut off.
    """

    doc_id: bytes
    lang: str | None
    spans: list[Span]
    span_nodes: Ints
    images: Ints
    nodes: Ints
    first: int
    cut: int = 0
    tokens_cut: int = 0


def compare(
    documents: pa.RecordBatch,
    images: pa.RecordBatch,
    features: pa.RecordBatch,
    model: ClipModel,
    recipe: Recipe,
    *,
    mode: Mode,
    head: AestheticHead | None = None,
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Everything that CLIP says of a shard.

    Args:
        documents: `document_schema(...)`, sorted by (order_key, doc_id).
        images: `ASSEMBLE_IMAGE` in the same order.
        features: `PLACED_FEATURE` of those of them that have one, in the same order.
        model: loaded.
        recipe: its table ``clip`` and its rules at assembly.
        mode: as `plait.pipeline.assemble.assemble`.
        head: of the aesthetic score; None gives none.

    Returns:
        The images with the columns of `plait.schemas.clip.CLIP_COLUMNS`, and `DOCUMENT_SPANS` of the documents one of
        whose pictures has a feature.
    """
    images, features = image_rows(images), conform(features, PLACED_FEATURE)
    features = features.filter(features.column("feature").is_valid())
    of_image = _join(images, features)
    stored = unpack(features.column("feature"), model.width)
    settings = recipe.clip
    found: list[_Document] = []
    cells: Cells = {name: [None] * images.num_rows for name in _COLUMNS}
    for name in ("clip_text_image", "clip_logo", "clip_nsfw"):
        values = features.column(name).to_pylist()
        cells[name] = [values[place] if place >= 0 else None for place in of_image]
    if head is not None:
        beauty = head.scores(stored).tolist()
        cells["aesthetic"] = [beauty[place] if place >= 0 else None for place in of_image]
    with tempfile.TemporaryFile(prefix="plait-clip-") as file:
        total = _embed_texts(_texts(documents, images, of_image, settings, found), model, file)
        spans = (
            np.memmap(file, STORED, "r", shape=(total, model.width)) if total else np.zeros((0, model.width), STORED)
        )
        _negatives_and_best(found, spans, stored, of_image, settings, cells)
        images = _filled(images, cells)
        for_rules = recipe.skipping(rule.name for rule in recipe.rules if ASSIGNED.intersection(rule.scores))
        left = surviving_images(documents, images, for_rules, mode=mode)
        for document in found:
            matched = _matched(document, spans, stored, of_image, settings, left)
            _note(document, matched, cells)
            if settings.matrix:
                _note_rows(document, spans, stored, of_image, cells)
    return _filled(images, cells), _document_rows(found)


def _join(images: pa.RecordBatch, features: pa.RecordBatch) -> Ints:
    """Row of the feature of each image, -1 where it has none."""
    names = zip(features.column("doc_id").to_pylist(), features.column("node").to_pylist(), strict=True)
    place = {name: row for row, name in enumerate(names)}
    wanted = zip(images.column("doc_id").to_pylist(), images.column("node").to_pylist(), strict=True)
    return np.array([place.get(name, -1) for name in wanted], np.int64)


def _texts(
    documents: pa.RecordBatch, images: pa.RecordBatch, of_image: Ints, settings: Clip, found: list[_Document]
) -> Iterator[tuple[_Document, str]]:
    """Every span's characters, in order; documents with a picture that has a feature are added to ``found``."""
    rows: dict[bytes, list[int]] = {}
    names, nodes = images.column("doc_id").to_pylist(), images.column("node").to_pylist()
    for row in np.flatnonzero(of_image >= 0):
        rows.setdefault(names[row], []).append(int(row))
    languages = documents.column("lang").to_pylist()
    flat = flatten(documents)
    words, starts = flat.values.field("text"), np.searchsorted(flat.document, np.arange(documents.num_rows + 1))
    first = 0
    for number, doc_id in enumerate(documents.column("doc_id").to_pylist()):
        if doc_id not in rows:
            continue
        places = np.flatnonzero(~flat.is_image[starts[number] : starts[number + 1]])
        texts = words.take(pa.array(starts[number] + places)).fill_null("").to_pylist()
        spans = split(texts, settings.spans)
        most = min(settings.document_spans, max(1, MAX_CELLS // len(rows[doc_id])))
        kept = spans[:most]
        document = _Document(
            doc_id, languages[number], kept, places[[span.text for span in kept]].astype(np.int64),
            np.array(rows[doc_id]), np.array([nodes[row] for row in rows[doc_id]], np.int64), first,
            cut=len(spans) - len(kept),
        )  # fmt: skip
        found.append(document)
        first += len(kept)
        for span in kept:
            yield document, texts[span.text][span.start : span.end]


def _embed_texts(texts: Iterator[tuple[_Document, str]], model: ClipModel, file: IO[bytes]) -> int:
    """Features of all spans to a file, in order; how many there are."""
    total = 0
    while part := list(itertools.islice(texts, READ_TEXTS)):
        features, cut = model.texts([text for _, text in part])
        for (document, _), tokens in zip(part, cut.tolist(), strict=True):
            document.tokens_cut += tokens
        file.write(features.astype(STORED).tobytes())
        total += len(part)
    file.flush()
    return total


def _similarity(document: _Document, rows: Ints, spans: npt.NDArray[np.float16], stored: F32) -> F32:
    own = np.asarray(spans[document.first : document.first + len(document.spans)], np.float32)
    # One row at a time: a product of another shape may round otherwise, and what is left of a document varies.
    found: F32 = np.stack([own @ stored[row] for row in rows]) if len(rows) else np.zeros((0, len(own)), np.float32)
    return found


def _negatives_and_best(
    found: Sequence[_Document], spans: npt.NDArray[np.float16], stored: F32, of_image: Ints, settings: Clip,
    cells: Cells,
) -> None:  # fmt: skip
    """`clip_similarity`, `clip_near` and `clip_rank` of every picture with a feature."""
    pools = _pools(found, settings.negatives)
    for document in found:
        similarity = _similarity(document, of_image[document.images], spans, stored)
        best, near = best_and_near(similarity, document.nodes, document.span_nodes, settings.near)
        for name, values in (("clip_similarity", best), ("clip_near", near)):
            for row, value in zip(document.images, values.tolist(), strict=True):
                cells[name][row] = None if value != value else value
        pool = [place for owner, place in pools.get(document.lang, []) if owner != document.doc_id]
        if len(document.spans) and len(pool) >= settings.negatives:
            others = np.asarray(spans[np.array(pool[: settings.negatives])], np.float32)
            negatives = np.stack([others @ stored[row] for row in of_image[document.images]])
            for row, place in zip(document.images, rank(best, negatives).tolist(), strict=True):
                cells["clip_rank"][row] = place


def _pools(found: Sequence[_Document], negatives: int) -> dict[str | None, list[tuple[bytes, int]]]:
    """For each language, spans of as many documents and one more, one each: (document, place among all spans).

    The corpus' order is a keyed hash of documents, so a shard is a fair sample of it, and the first documents by
    another hash are one of the shard. A picture's own document is left out of its pool.
    """
    pools: dict[str | None, list[tuple[bytes, int]]] = {}
    for document in sorted(found, key=lambda one: hashlib.blake2b(one.doc_id, key=b"negatives").digest()):
        pool = pools.setdefault(document.lang, [])
        if len(pool) <= negatives and document.spans:
            toss = int.from_bytes(hashlib.blake2b(document.doc_id, key=b"span", digest_size=8).digest(), "little")
            pool.append((document.doc_id, document.first + toss % len(document.spans)))
    return pools


def _matched(
    document: _Document, spans: npt.NDArray[np.float16], stored: F32, of_image: Ints, settings: Clip,
    left: npt.NDArray[np.bool_],
) -> tuple[Ints, Matched]:  # fmt: skip
    """The images of a document that are left, and what they are assigned to."""
    here = left[document.images]
    similarity = _similarity(document, of_image[document.images[here]], spans, stored)
    return document.images[here], match(similarity, settings.top)


def _note(document: _Document, left: tuple[Ints, Matched], cells: Cells) -> None:
    rows, matched = left
    for number, row in enumerate(rows.tolist()):
        span = int(matched.span[number])
        if span < 0:
            continue
        cells["matched_text_index"][row] = document.spans[span].text
        cells["matched_span"][row] = span
        cells["matched_sim"][row] = float(matched.sim[number])
        pairs = zip(matched.top[number].tolist(), matched.top_sim[number].tolist(), strict=True)
        cells["clip_top"][row] = [{"span": place, "sim": value} for place, value in pairs]


def _note_rows(document: _Document, spans: npt.NDArray[np.float16], stored: F32, of_image: Ints, cells: Cells) -> None:
    for row in document.images.tolist():
        cells["clip_row"][row] = _similarity(document, of_image[[row]], spans, stored)[0].tolist()


def _filled(images: pa.RecordBatch, cells: Cells) -> pa.RecordBatch:
    columns = [
        pa.array(cells[field.name], field.type) if field.name in cells else images.column(field.name)
        for field in ASSEMBLE_IMAGE
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ASSEMBLE_IMAGE)


def _document_rows(found: Sequence[_Document]) -> pa.RecordBatch:
    rows = [
        {
            "doc_id": document.doc_id,
            "clip_spans": [span._asdict() for span in document.spans],
            "clip_spans_cut": document.cut,
            "clip_tokens_cut": document.tokens_cut,
        }
        for document in found
    ]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SPANS)
