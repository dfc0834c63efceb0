"""What a network said: one row for each URL that was asked for, recorded once and then input."""

from __future__ import annotations

import pyarrow as pa

from plait.schemas.documents import TIME

FETCH_URL = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # text_key(host): a host's URLs stay together
        pa.field("image_key", pa.int64(), nullable=False),  # text_key(canonical image URL)
        pa.field("url", pa.string(), nullable=False),
        pa.field("order_key", pa.int64(), nullable=False),  # of a document that shows it: where its bytes will go
    ]
)
"""A distinct image URL that no archive holds."""

FETCHED = pa.schema(
    [
        pa.field("image_key", pa.int64(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("reason", pa.string()),  # null: its bytes were fetched; else a code of schemas.reasons
        pa.field("status", pa.int32()),  # of the last HTTP response
        pa.field("bytes", pa.int64()),  # of the last body, as sent
        pa.field("sha256", pa.binary()),  # of the picture's bytes, content encoding undone
        pa.field("content_type", pa.string()),
        pa.field("final_url", pa.string()),
        pa.field("redirects", pa.int32()),
        pa.field("attempts", pa.int32()),
        pa.field("asked", TIME),
        pa.field("first_byte_s", pa.float64()),  # of the last request
        pa.field("total_s", pa.float64()),  # of the last request
        pa.field("detail", pa.string()),
    ]
)
"""`ledger/fetched/`: the one end of each URL."""
