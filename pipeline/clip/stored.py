"""A shard's images under another recipe, from what the corpus says of them: no model, no picture, no text is read.

What CLIP said of a picture stays as it was. Who is assigned to what depends on which pictures are left: where the
corpus holds all cosines (``matrix = true``) pictures are assigned anew, elsewhere those that are left keep their spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters.clip_scores import ASSIGNED
from plait.filters.recipe import Recipe
from plait.pipeline.assemble import ASSEMBLE_IMAGE, Mode, image_rows, surviving_images
from plait.pipeline.clip.match import match
from plait.schemas.clip import CLIP_COLUMNS, DOCUMENT_SPANS, STORED_CLIP
from plait.schemas.conform import conform

Row: TypeAlias = "dict[str, object]"
_MATCHED = ("matched_text_index", "matched_span", "matched_sim")


def stored_rows(row: Mapping[str, object]) -> list[Row]:
    """`STORED_CLIP` rows of a shard's row; none where no model has looked at the document."""
    if row["clip_spans"] is None:
        return []
    name = {"order_key": row["order_key"], "doc_id": row["doc_id"]}
    own = {field: row[field] for field in DOCUMENT_SPANS.names if field != "doc_id"}
    of_images = [
        {field.name: info[field.name] for field in CLIP_COLUMNS} | {"node": node}
        for node, info in enumerate(cast("list[Row | None]", row["image_info"]))
        if info
    ]
    return [name | {"node": -1} | own, *(name | image for image in of_images)]


def restore(
    documents: pa.RecordBatch, images: pa.RecordBatch, stored: pa.RecordBatch, recipe: Recipe, *, mode: Mode
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Images with the columns that the corpus has of them, and `DOCUMENT_SPANS` of their documents.

    Args:
        documents: `document_schema(...)`, sorted by (order_key, doc_id), nodes as the corpus has them.
        images: `ASSEMBLE_IMAGE` in the same order.
        stored: `STORED_CLIP` of these documents.
        recipe: its rules at assembly.
        mode: as `plait.pipeline.assemble.assemble`.
    """
    stored = conform(stored, STORED_CLIP)
    own = pc.equal(stored.column("node"), -1)
    spans = conform(stored.filter(own), DOCUMENT_SPANS)
    known = stored.filter(pc.invert(own))
    names = zip(known.column("doc_id").to_pylist(), known.column("node").to_pylist(), strict=True)
    place = {name: row for row, name in enumerate(names)}
    images = image_rows(images)
    wanted = zip(images.column("doc_id").to_pylist(), images.column("node").to_pylist(), strict=True)
    rows = pa.array([place.get(name) for name in wanted], pa.int64())
    cells = {field.name: known.column(field.name).take(rows) for field in CLIP_COLUMNS}
    images = _with(images, cells)
    left = surviving_images(documents, images, recipe.skipping(_assigned(recipe)), mode=mode)
    return _with(images, _assign(images, spans, left, recipe.clip.top)), spans


def _assigned(recipe: Recipe) -> list[str]:
    return [rule.name for rule in recipe.rules if ASSIGNED.intersection(rule.scores)]


def _with(images: pa.RecordBatch, cells: Mapping[str, pa.Array]) -> pa.RecordBatch:
    columns = [cells.get(field.name, images.column(field.name)) for field in ASSEMBLE_IMAGE]
    return pa.RecordBatch.from_arrays(columns, schema=ASSEMBLE_IMAGE)


def _assign(images: pa.RecordBatch, spans: pa.RecordBatch, left: np.ndarray, top: int) -> dict[str, pa.Array]:
    """The columns of the assignment: null of pictures that are not left."""
    cells = {name: images.column(name).to_pylist() for name in (*_MATCHED, "clip_top")}
    for row in np.flatnonzero(~left).tolist():
        for values in cells.values():
            values[row] = None
    of_document: dict[bytes, list[int]] = {}
    for row, doc_id in enumerate(images.column("doc_id").to_pylist()):
        if left[row] and images.column("clip_similarity")[row].is_valid:
            of_document.setdefault(doc_id, []).append(row)
    text_of = dict(zip(spans.column("doc_id").to_pylist(), spans.column("clip_spans"), strict=True))
    for doc_id, rows in of_document.items():
        cosines = [images.column("clip_row")[row].as_py() for row in rows]
        if any(line is None for line in cosines):
            continue
        matched = match(np.array(cosines, np.float32), top)
        own = text_of[doc_id].as_py()
        for number, row in enumerate(rows):
            span = int(matched.span[number])
            pairs = zip(matched.top[number].tolist(), matched.top_sim[number].tolist(), strict=True)
            cells["matched_span"][row], cells["matched_text_index"][row] = span, own[span]["text"]
            cells["matched_sim"][row] = float(matched.sim[number])
            cells["clip_top"][row] = [{"span": place, "sim": value} for place, value in pairs]
    return {name: pa.array(values, ASSEMBLE_IMAGE.field(name).type) for name, values in cells.items()}
