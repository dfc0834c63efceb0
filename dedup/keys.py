"""What deduplication knows of a document: 64-bit keys, band keys and a sketch; text never moves in a shuffle."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.dedup.minhash import MinHashConfig, band_keys, has_words, signatures, sketches
from plait.schemas.conform import conform
from plait.schemas.documents import TIME
from plait.schemas.ids import archive_key, key64, text_key
from plait.schemas.urls import canonical_url

KEYS = pa.schema(
    [
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("url", pa.string()),  # so that the ledger can name what is dropped
        pa.field("id", pa.int64(), nullable=False),  # key64(doc_id): the document's name in edges and labels
        pa.field("order_key", pa.int64(), nullable=False),
        pa.field("captured", TIME),
        pa.field("archive_key", pa.int64()),  # `archive_key` of where the capture is; null where that is not known
        pa.field("url_key", pa.int64(), nullable=False),  # text_key(canonical_url(url))
        pa.field("text_key", pa.int64()),  # of the normalised text; null where there is none
        # Of the set of canonical image URLs; the document's own id where there is none: alone in its group.
        pa.field("image_set_key", pa.int64(), nullable=False),
        pa.field("bands", pa.list_(pa.int64()), nullable=False),  # bucket keys; empty where there are no words
        pa.field("sketch", pa.binary()),  # 4 bits a row of the signature; null where there are no words
        pa.field("images", pa.int32(), nullable=False),  # image nodes
        pa.field("chars", pa.int64(), nullable=False),  # of the text nodes, as extracted
    ]
)
"""One row a document. Each shuffle takes the columns it needs: (url_key | text_key, captured, doc_id) is 32 bytes."""


def normalised(text: str) -> str:
    """The form in which two texts are "the same": composed (NFC), white space runs as one space, ends stripped."""
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def document_texts(batch: pa.RecordBatch) -> list[str]:
    """Text of each document: its text nodes in order, one a line."""
    nodes = batch.column("nodes")
    flat = nodes.flatten()
    is_text = pc.equal(flat.field("kind"), "text")
    parents = np.asarray(nodes.value_parent_indices())[np.asarray(is_text.fill_null(False), dtype=bool)]
    texts = flat.field("text").filter(is_text).fill_null("").to_pylist()
    bounds = np.searchsorted(parents, np.arange(len(batch) + 1))
    return ["\n".join(texts[bounds[i] : bounds[i + 1]]) for i in range(len(batch))]


def document_keys(batch: pa.RecordBatch, config: MinHashConfig) -> pa.RecordBatch:
    """Documents to `KEYS`, row by row.

    Args:
        batch: `plait.schemas.documents.document_schema`; only doc_id, order_key, url, captured, archive_id and nodes
            are read.
        config: of the MinHash signatures.
    """
    texts = document_texts(batch)
    sig = signatures(texts, config)
    worded = has_words(sig)
    bands = band_keys(sig, config)
    kept = np.where(worded, config.bands, 0)
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    sketch_rows = sketches(sig)
    plain = [normalised(text) for text in texts]
    ids = batch.column("doc_id").to_pylist()
    names = [key64(doc) for doc in ids]
    columns = {
        "doc_id": batch.column("doc_id"),
        "url": batch.column("url"),
        "id": pa.array(names, pa.int64()),
        "order_key": batch.column("order_key"),
        "captured": batch.column("captured"),
        "archive_key": pa.array(
            [None if name is None else archive_key(name) for name in batch.column("archive_id").to_pylist()], pa.int64()
        ),
        "url_key": pa.array([text_key(canonical_url(url)) for url in batch.column("url").to_pylist()], pa.int64()),
        "text_key": pa.array([text_key(text) if text else None for text in plain], pa.int64()),
        "bands": pa.ListArray.from_arrays(pa.array(offsets), pa.array(bands[worded].ravel())),
        "sketch": pa.array(
            [row.tobytes() if w else None for row, w in zip(sketch_rows, worded, strict=True)], pa.binary()
        ),
        **_images(batch, names),
        "chars": pa.array([len(text) for text in texts], pa.int64()),
    }
    return conform(pa.RecordBatch.from_pydict(columns), KEYS)


def _images(batch: pa.RecordBatch, names: list[int]) -> dict[str, pa.Array]:
    """Number of image nodes, and the key of the set of their URLs: order and repeats make no difference."""
    nodes = batch.column("nodes")
    flat = nodes.flatten()
    is_image = pc.equal(flat.field("kind"), "image").fill_null(False)
    parents = np.asarray(nodes.value_parent_indices())[np.asarray(is_image, dtype=bool)]
    urls = flat.field("image_url").filter(is_image).to_pylist()
    bounds = np.searchsorted(parents, np.arange(len(batch) + 1)).tolist()
    keys = []
    for name, (low, high) in zip(names, pairwise(bounds), strict=True):
        distinct = sorted({canonical_url(url) for url in urls[low:high] if url})
        keys.append(text_key("\n".join(distinct)) if distinct else name)
    return {
        "images": pa.array(np.diff(bounds), pa.int32()),
        "image_set_key": pa.array(keys, pa.int64()),
    }
