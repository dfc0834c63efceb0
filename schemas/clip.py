"""What CLIP says of pictures and documents: features on their way, and the columns of the corpus."""

from __future__ import annotations

import pyarrow as pa

CACHED = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # key64(image_id)
        pa.field("image_id", pa.binary(), nullable=False),
        pa.field("feature", pa.binary()),  # float16, little endian, length 1; null where the picture gives none
    ]
)
"""A picture's feature: it depends on the model and how it runs, and on no recipe."""

FEATURE = pa.schema(
    [
        *CACHED,
        pa.field("clip_text_image", pa.float32()),
        pa.field("clip_logo", pa.float32()),
        pa.field("clip_nsfw", pa.float32()),
    ]
)
"""A picture's feature, recorded once for each picture of a build."""

PLACED_FEATURE = pa.schema(
    [
        pa.field("order_key", pa.int64(), nullable=False),
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("node", pa.int32(), nullable=False),
        *[field for field in FEATURE if field.name not in ("key", "image_id")],
    ]
)
"""The feature of an image node's picture, brought to its document."""

TOP = pa.list_(pa.struct([("span", pa.int32()), ("sim", pa.float32())]))

CLIP_COLUMNS = [
    pa.field("clip_similarity", pa.float32()),  # cosine with the best span of the document, -1 to 1
    pa.field("clip_near", pa.float32()),  # cosine with the best of the nearest spans
    pa.field("clip_rank", pa.int32()),  # of the best span's cosine among those with texts of other documents; 1: best
    pa.field("clip_text_image", pa.float32()),  # zero-shot probability that the picture shows text, 0 to 1
    pa.field("clip_logo", pa.float32()),  # that it is a logo
    pa.field("clip_nsfw", pa.float32()),  # that it is pornographic
    pa.field("aesthetic", pa.float32()),  # by the head that the recipe names, about 1 to 10
    pa.field("matched_text_index", pa.int32()),  # the document's text (counted over texts, from 0) that the picture...
    pa.field("matched_span", pa.int32()),  # ...is assigned to, and the span of clip_spans in it
    pa.field("matched_sim", pa.float32()),  # cosine with that span
    pa.field("clip_top", TOP),  # the most similar spans, best first
    pa.field("clip_row", pa.list_(pa.float32())),  # cosines with all spans, where the recipe asks for the matrix
]
"""Columns of an image of a document; null without a model, or where the picture gives no feature."""

SPANS = pa.list_(pa.struct([("text", pa.int32()), ("start", pa.int32()), ("end", pa.int32())]))

CLIP_DOCUMENT = [
    pa.field("clip_spans", SPANS),  # characters [start, end) of the document's text number `text`, in reading order
    pa.field("clip_spans_cut", pa.int32()),  # spans over the limit of one document, compared with no picture
    pa.field("clip_tokens_cut", pa.int32()),  # tokens cut off because the model's context is shorter
]
"""Columns of a document; null without a model, and in documents none of whose pictures gives a feature."""

DOCUMENT_SPANS = pa.schema([pa.field("doc_id", pa.binary(), nullable=False), *CLIP_DOCUMENT])
"""What CLIP adds to a document."""

STORED_CLIP = pa.schema(
    [
        pa.field("order_key", pa.int64(), nullable=False),
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("node", pa.int32(), nullable=False),  # of the image; -1: the row holds the document's own columns
        *CLIP_COLUMNS,
        *CLIP_DOCUMENT,
    ]
)
"""What a corpus says of its pictures and texts, on its way to another corpus."""
