"""Images on their way through the pipeline: occurrences in documents, locators in archives, packs, scores."""

from __future__ import annotations

import pyarrow as pa

from plait.schemas.documents import TIME

OCCURRENCE = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # text_key(canonical image URL)
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("order_key", pa.int64(), nullable=False),
        pa.field("node", pa.int32(), nullable=False),  # index in the document's nodes
        pa.field("image_url", pa.string(), nullable=False),
        pa.field("captured", TIME),  # of the page
    ]
)
"""One image node of one document; (doc_id, node) is its name in the books."""

LOCATOR = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # text_key(canonical image URL)
        pa.field("image_url", pa.string(), nullable=False),
        pa.field("captured", TIME),
        pa.field("archive_id", pa.string(), nullable=False),
        pa.field("archive", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # counted: in how many documents the URL stands
        pa.field("length", pa.int64(), nullable=False),
        pa.field(
            "kind", pa.string(), nullable=False
        ),  # "payload", "revisit", "redirect", "inline", "opted_out", "refused", "dropped", "counted"
        pa.field(
            "digest", pa.string()
        ),  # payload digest as the archive states it ("sha1:…"), or ours; refused and dropped: the reason
        pa.field("target", pa.string()),  # redirect: URL it leads to; revisit: URL it refers to
        pa.field("target_captured", TIME),  # revisit: time it refers to
    ]
)
"""Where the bytes of an image URL can be had."""

PACKED = pa.schema(
    [
        pa.field("archive_id", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # (archive_id, offset) names the record
        pa.field("digest", pa.string()),  # of a data: image within a page's record; else null
        pa.field("pack", pa.string()),  # path of the pack, null where nothing could be read
        pa.field("pack_offset", pa.int64()),
        pa.field("pack_length", pa.int64()),
        pa.field("reason", pa.string()),  # null, or why there are no bytes
    ]
)
"""What acquisition wrote: the bytes of a record are pack[pack_offset : pack_offset + pack_length]."""

IMAGE_SCORES = [
    pa.field("image_id", pa.binary()),
    pa.field("sha256", pa.binary()),
    pa.field("bytes", pa.int64()),
    pa.field("format", pa.string()),  # "jpeg", "png", "webp", "gif", "avif", "bmp", "tiff"
    pa.field("width", pa.int32()),  # as shown, EXIF orientation applied
    pa.field("height", pa.int32()),
    pa.field("phash", pa.int64()),  # 64 bits of imagehash.phash, first bit highest, as signed integer
    pa.field("dhash", pa.int64()),
    pa.field("frames", pa.int32()),
    pa.field("entropy", pa.float32()),  # bits of the grey histogram, 0 (blank) to 8
    pa.field("sharpness", pa.float32()),  # variance of the Laplacian, 0 upwards; NaN under 3 pixels a side
]
"""Scores of one picture's bytes as they were acquired."""

PICTURE = [
    *IMAGE_SCORES,
    pa.field("nsfw", pa.float32()),  # probability of pornography, 0 to 1; null where no model was asked
    pa.field("stored_format", pa.string()),  # of the bytes in the corpus; null: they are as they were acquired
    pa.field("stored_width", pa.int32()),  # the same
    pa.field("stored_height", pa.int32()),
]
"""All that is known of a picture: what was measured, and how its bytes are stored."""

VERDICT = [
    pa.field("verdict_value", pa.float64()),  # what a limit measured, where one decided
    pa.field("verdict_threshold", pa.float64()),  # the limit
    pa.field("verdict_detail", pa.string()),  # what a decoder said, which kind of hash a list knew
]
"""Why a picture with a reason has it, for the ledger."""
