"""The fingerprint: one hash of a corpus' logical rows.

Each document is hashed by itself over all its columns, with the SHA-256 of its pictures' bytes in the bytes' place;
the document hashes are hashed in the corpus' global order. Names of archives and of image files, row groups, file
layout, compression and writers leave no trace, so Parquet and WebDataset shards of one corpus have one fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from plait.pipeline.json_rows import Cell, to_json_value
from plait.schemas.errors import CorpusError

LEFT_OUT: Final = frozenset({"archive"})  # a name; archive_id is the identity
BATCH_ROWS: Final = 64


class Fingerprint:
    """Takes rows in global order and gives their hash.

    Cost: about the SHA-256 of the image bytes; memory: one row.
    """

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=32, person=b"plait-rows")
        self._last = (-1, b"")
        self.documents = 0
        self.images = 0

    def add(self, row: Mapping[str, Cell]) -> None:
        """Adds one document.

        Raises:
            CorpusError: it does not come after the one before in (order_key, doc_id).
        """
        order, document = row["order_key"], row["doc_id"]
        if not isinstance(order, int) or not isinstance(document, bytes):
            raise CorpusError("a row of a shard has no order_key or no doc_id")
        if (order, document) <= self._last:
            raise CorpusError(
                f"document {document.hex()} stands out of order: shards are sorted by order_key and doc_id"
            )
        self._last = (order, document)
        self._digest.update(document_digest(row))
        self.documents += 1
        self.images += sum(image is not None for image in _items(row["images"]))

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Adds the documents of a batch."""
        for row in batch.to_pylist():
            self.add(row)

    def hexdigest(self) -> str:
        """The hash of all that was added, 64 hex characters."""
        return self._digest.hexdigest()


def document_digest(row: Mapping[str, Cell]) -> bytes:
    """Hash of one document, 32 bytes."""
    logical = {name: to_json_value(_logical(name, value)) for name, value in row.items() if name not in LEFT_OUT}
    text = json.dumps(logical, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32, person=b"plait-doc").digest()


def fingerprint_parquet(files: Iterable[str]) -> str:
    """Fingerprint of Parquet shards, given in the order of their order keys."""
    fingerprint = Fingerprint()
    for batch in parquet_batches(files):
        fingerprint.add_batch(batch)
    return fingerprint.hexdigest()


def parquet_batches(files: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Rows of Parquet shards in small batches, page checksums verified."""
    for path in files:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(BATCH_ROWS)


def _logical(name: str, value: Cell) -> Cell:
    """What of a column counts."""
    if name == "images":
        return [_picture(image) for image in _items(value)]
    if name == "image_info":
        return [
            {key: item for key, item in info.items() if key not in LEFT_OUT} if isinstance(info, dict) else None
            for info in _items(value)
        ]
    return value


def _picture(image: Cell) -> Cell:
    if not isinstance(image, dict):
        return None
    data = image["bytes"]
    return hashlib.sha256(data).digest() if isinstance(data, bytes) else None


def _items(value: Cell) -> list[Cell]:
    return value if isinstance(value, list) else []
