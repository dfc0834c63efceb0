"""The ledger: everything that was dropped, with the value and the threshold that decided it."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

DOCUMENTS: Final = "ledger/documents"  # folders in a corpus: documents that rules dropped, where all is retained
PAGES: Final = "ledger/pages"  # pages as they were extracted, likewise
LOCATORS: Final = "ledger/locators"  # where pictures lie in the archives, likewise
KNOWN: Final = "ledger/known"  # what later generations are compared with
FETCHED_FOLDER: Final = "ledger/fetched"  # what servers answered

DROP = pa.schema(
    [
        pa.field("stage", pa.string(), nullable=False),
        pa.field("scope", pa.string(), nullable=False),  # "record", "document" or "image"
        pa.field("reason", pa.string(), nullable=False),
        pa.field("value", pa.float64()),  # what was measured
        pa.field("threshold", pa.string()),  # the condition that it failed, as the recipe has it
        pa.field("doc_id", pa.binary()),
        pa.field("node", pa.int32()),  # images: index in the document's nodes
        pa.field("url", pa.string()),  # of the page, or of the image
        pa.field("archive", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("detail", pa.string()),  # what else helps to understand it: an error's text, the id that was kept
    ]
)

NODE_SAMPLE = pa.schema(
    [
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("doc_id", pa.binary()),
        pa.field("tag", pa.string()),
        pa.field("text", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("value", pa.float64()),
    ]
)
"""A keyed sample of removed nodes; all of them are counted in the receipts."""
