"""A document on its way through the pipeline: one row, nodes in reading order."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

TEXT_TAGS = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "quote", "code", "table", "caption")
TIME = pa.timestamp("us", tz="UTC")

# kind is "text" (tag, text set) or "image" (image_url, alt, caption, width, height set); width and height are what the
# page declares, in CSS pixels, null where it says nothing.
NODE = pa.struct(
    [
        ("kind", pa.string()),
        ("tag", pa.string()),
        ("text", pa.string()),
        ("image_url", pa.string()),
        ("alt", pa.string()),
        ("caption", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)

PAGE_FIELDS = [
    pa.field("doc_id", pa.binary(), nullable=False),
    pa.field("order_key", pa.int64(), nullable=False),
    pa.field("url", pa.string(), nullable=False),
    pa.field("domain", pa.string()),
    pa.field("captured", TIME),
    pa.field("archive", pa.string()),  # name of the archive, as the ledger's inputs table has it
    pa.field("archive_id", pa.string()),  # identity of the archive's content
    pa.field("offset", pa.int64()),  # of the record in the archive, in bytes
    pa.field("length", pa.int64()),  # of the record in the archive, in bytes
    pa.field("title", pa.string()),
    pa.field("licence", pa.string()),
    pa.field("canonical", pa.string()),
    pa.field("published", pa.string()),  # ISO 8601, as far as the page says
    pa.field("site_name", pa.string()),
    pa.field("author", pa.string()),
    pa.field("html_lang", pa.string()),
    pa.field("nodes", pa.list_(NODE), nullable=False),
]

PAGE = pa.schema(PAGE_FIELDS)
"""What extraction gives for a page."""

LANGUAGE_FIELDS = [pa.field("lang", pa.string()), pa.field("lang_score", pa.float32())]


def document_schema(scores: Mapping[str, pa.DataType]) -> pa.Schema:
    """Schema of a document after the text stage: a page, its language, and its score columns sorted by name."""
    extra = [pa.field(name, scores[name]) for name in sorted(scores)]
    return pa.schema([*PAGE_FIELDS, *LANGUAGE_FIELDS, *extra])
