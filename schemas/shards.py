"""The published shard: one row a document, texts, tags and images as parallel lists with nulls.

Slot i of ``texts``, ``tags``, ``images`` and ``image_info`` is node i of the document: a text (``texts[i]`` set,
``images[i]`` and ``image_info[i]`` null) or an image (the reverse). OBELICS and OmniCorpus readers take the columns as
they are; Hugging Face decodes ``images`` from the features in the schema's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

from plait.schemas.clip import CLIP_COLUMNS, CLIP_DOCUMENT
from plait.schemas.documents import TIME

SCHEMA_VERSION = 1

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

IMAGE_INFO = pa.struct(
    [
        ("image_id", pa.binary()),
        ("url", pa.string()),
        ("alt", pa.string()),
        ("caption", pa.string()),
        ("declared_width", pa.int32()),
        ("declared_height", pa.int32()),
        ("sha256", pa.binary()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frames", pa.int32()),
        ("phash", pa.int64()),
        ("dhash", pa.int64()),
        ("entropy", pa.float32()),
        ("sharpness", pa.float32()),
        ("nsfw", pa.float32()),  # null where no model was asked
        ("stored_format", pa.string()),  # of ``images``' bytes where the recipe encodes again; null: as acquired
        ("stored_width", pa.int32()),  # the same
        ("stored_height", pa.int32()),
        ("url_dup_count", pa.int64()),  # documents that show this URL, those of earlier generations included
        ("sha256_dup_count", pa.int64()),  # occurrences of these bytes in the build
        ("p_hash_dup_count", pa.int64()),  # occurrences of this perceptual cluster in the build
        ("captured", TIME),
        ("archive", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        *[(field.name, field.type) for field in CLIP_COLUMNS],
    ]
)

_LEADING = [
    pa.field("doc_id", pa.binary(), nullable=False),
    pa.field("order_key", pa.int64(), nullable=False),
    pa.field("url", pa.string(), nullable=False),
    pa.field("domain", pa.string()),
    pa.field("captured", TIME),
    pa.field("archive", pa.string()),
    pa.field("archive_id", pa.string()),
    pa.field("offset", pa.int64()),
    pa.field("length", pa.int64()),
    pa.field("lang", pa.string()),
    pa.field("lang_score", pa.float32()),
    pa.field("title", pa.string()),
    pa.field("licence", pa.string()),
    pa.field("canonical", pa.string()),
    pa.field("published", pa.string()),
    pa.field("site_name", pa.string()),
    pa.field("author", pa.string()),
    pa.field("html_lang", pa.string()),
    pa.field("texts", pa.list_(pa.string())),
    pa.field("tags", pa.list_(pa.string())),
    pa.field("images", pa.list_(IMAGE)),
    pa.field("image_info", pa.list_(IMAGE_INFO)),
    *CLIP_DOCUMENT,
]


def _feature(kind: pa.DataType) -> object:
    """The Hugging Face feature of an Arrow type."""
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"_type": "Value", "dtype": str(kind) if kind != pa.float32() else "float32"}


def shard_schema(scores: Mapping[str, pa.DataType]) -> pa.Schema:
    """Schema of a Parquet shard, with score columns sorted by name and Hugging Face's features in its metadata."""
    fields = [*_LEADING, *[pa.field(name, scores[name]) for name in sorted(scores)]]
    features = {field.name: _feature(field.type) for field in fields}
    metadata = {
        "huggingface": json.dumps({"info": {"features": features}}),
        "plait": json.dumps({"schema_version": SCHEMA_VERSION}),
    }
    return pa.schema(fields, metadata=metadata)


def stored_schema(kinds: Mapping[str, str]) -> pa.Schema:
    """Schema of a Parquet shard, from the scores and their types as a corpus' manifest names them."""
    return shard_schema({name: pa.type_for_alias(kind) for name, kind in kinds.items()})
