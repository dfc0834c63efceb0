"""The rows of a shard: a document's nodes as parallel lists of texts, tags and images, bytes still to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plait.schemas.clip import CLIP_DOCUMENT
from plait.schemas.conform import conform
from plait.schemas.documents import LANGUAGE_FIELDS, PAGE_FIELDS
from plait.schemas.shards import IMAGE, IMAGE_INFO, shard_schema

REFERENCE = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("slot", pa.int32(), nullable=False),
        pa.field("pack", pa.string(), nullable=False),
        pa.field("pack_offset", pa.int64(), nullable=False),
        pa.field("pack_length", pa.int64(), nullable=False),
    ]
)
"""Where the bytes of ``images[slot]`` of a row lie, sorted by (row, slot)."""

EXTENSIONS: Final = {"jpeg": "jpg", "tiff": "tif"}

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Nodes:
    """All nodes of the shard's documents, flat."""

    values: pa.StructArray
    document: Ints  # row of each node's document
    index: Ints  # of the node in its document
    is_image: Bools


def flatten(documents: pa.RecordBatch) -> Nodes:
    """The nodes of documents, one after another."""
    lists = documents.column("nodes")
    values = lists.flatten()
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    document = np.repeat(np.arange(len(lists)), lengths)
    index = np.arange(len(values)) - starts[document]
    is_image = pc.equal(values.field("kind"), "image").to_numpy(zero_copy_only=False).astype(bool)
    return Nodes(values, document, index, is_image)


def lay_out(
    documents: pa.RecordBatch,
    nodes: Nodes,
    known: pa.RecordBatch,
    keep_node: Bools,
    image: Bools,
    keep_row: Bools,
    spans: pa.RecordBatch | None = None,
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """The shard's rows without image bytes, and where those lie.

    ``spans`` holds doc_id and `CLIP_DOCUMENT` of the documents that have them.
    """
    places = np.flatnonzero(keep_node)
    taken = pa.array(places)
    values, facts = nodes.values.take(taken), known.take(taken)
    is_image = pa.array(image[places])
    has_bytes = pc.and_(is_image, pc.is_valid(facts.column("pack")))
    rows = documents.filter(pa.array(keep_row))
    counts = np.bincount(nodes.document[places], minlength=documents.num_rows)[keep_row]
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())

    def listed(flat: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(offsets, flat)

    lists = {
        "texts": listed(pc.if_else(is_image, None, values.field("text"))),
        "tags": listed(pc.if_else(is_image, None, values.field("tag"))),
        "images": listed(_image_structs(facts, has_bytes)),
        "image_info": listed(_info_structs(values, facts, is_image)),
    }
    known_fields = {field.name for field in (*PAGE_FIELDS, *LANGUAGE_FIELDS)}
    scores = {field.name: field.type for field in documents.schema if field.name not in known_fields}
    schema = shard_schema(scores)
    lists |= _spans(rows.column("doc_id"), spans)
    columns = [lists.get(name) if name in lists else rows.column(name) for name in schema.names]
    batch = pa.RecordBatch.from_arrays(columns, names=schema.names)

    starts = np.cumsum(counts) - counts
    row_of = np.repeat(np.arange(rows.num_rows), counts)
    packed = np.flatnonzero(has_bytes.to_numpy(zero_copy_only=False))
    references = pa.RecordBatch.from_arrays(
        [
            pa.array(row_of[packed], pa.int32()),
            pa.array(packed - starts[row_of[packed]], pa.int32()),
            *[facts.column(name).take(pa.array(packed)) for name in ("pack", "pack_offset", "pack_length")],
        ],
        schema=REFERENCE,
    )
    return conform(batch, schema), references


def _spans(documents: pa.Array, spans: pa.RecordBatch | None) -> dict[str, pa.Array]:
    """The columns `CLIP_DOCUMENT` of documents, null where there are none."""
    if spans is None:
        return {field.name: pa.nulls(len(documents), field.type) for field in CLIP_DOCUMENT}
    place = pc.index_in(documents, value_set=spans.column("doc_id"))
    return {field.name: spans.column(field.name).take(place) for field in CLIP_DOCUMENT}


def _image_structs(facts: pa.RecordBatch, has_bytes: pa.Array) -> pa.Array:
    """Hugging Face's image cells, bytes still missing; null for texts and for images kept as URLs."""
    digests = facts.column("sha256").to_pylist()
    formats = pc.coalesce(facts.column("stored_format"), facts.column("format")).to_pylist()
    paths = [
        f"{digest.hex()}.{extension(kind)}" if here and digest is not None else None
        for here, digest, kind in zip(has_bytes.to_pylist(), digests, formats, strict=True)
    ]
    path = pa.array(paths, pa.string())
    return pa.StructArray.from_arrays(
        [pa.nulls(len(paths), pa.binary()), path], fields=list(IMAGE), mask=pc.invert(has_bytes)
    )


def extension(kind: str | None) -> str:
    """File name extension of an image format: "jpeg" -> "jpg"."""
    return EXTENSIONS.get(kind, kind) if kind else "bin"


def _info_structs(values: pa.StructArray, facts: pa.RecordBatch, is_image: pa.Array) -> pa.Array:
    from_page = {"url": "image_url", "alt": "alt", "caption": "caption", "declared_width": "width"}
    from_page["declared_height"] = "height"
    columns = [
        values.field(from_page[field.name]) if field.name in from_page else facts.column(field.name)
        for field in IMAGE_INFO
    ]
    cast = [column.cast(field.type) for column, field in zip(columns, IMAGE_INFO, strict=True)]
    return pa.StructArray.from_arrays(cast, fields=list(IMAGE_INFO), mask=pc.invert(is_image))
