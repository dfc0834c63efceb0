"""The fingerprint: one hash of a corpus' logical rows.

Each document is hashed by itself over all its columns, its order key among them, with the SHA-256 of its pictures'
bytes in the bytes' place; the document hashes are added up (mod 2^256), so that shards can be hashed apart and their
sums added. Names, identities and offsets in archives, names of image files, row groups, shard boundaries, compression
and writers leave no trace, so Parquet and WebDataset shards of one corpus have one fingerprint, whatever was put where.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from plait.schemas.errors import CorpusError
from plait.schemas.json_rows import Cell, to_json_value

LEFT_OUT: Final = frozenset({"archive", "archive_id", "offset", "length"})  # where a record was found, not what it is
BATCH_ROWS: Final = 64


class Fingerprint:
    """Takes rows, a shard's in global order, and gives their hash.

    Cost: about the SHA-256 of the image bytes; memory: one row.
    """

    def __init__(self) -> None:
        self._sum = 0
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
        self._add(int.from_bytes(document_digest(row), "little"))
        self.documents += 1
        self.images += sum(image is not None for image in _items(row["images"]))

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Adds the documents of a batch."""
        for row in batch.to_pylist():
            self.add(row)

    def restart(self) -> None:
        """Lets the next document lie anywhere in the order: the shards of a later generation begin."""
        self._last = (-1, b"")

    def _add(self, value: int) -> None:
        self._sum = (self._sum + value) % (1 << 256)

    def state(self) -> str:
        """What was added so far, as text: for `merge`."""
        return f"{self.documents}:{self.images}:{self._sum:064x}"

    def merge(self, state: str) -> None:
        """Adds what another fingerprint's `state` holds; its rows may lie anywhere in the order."""
        documents, images, value = state.split(":")
        self.documents += int(documents)
        self.images += int(images)
        self._add(int(value, 16))

    def hexdigest(self) -> str:
        """The hash of all that was added, 64 hex characters."""
        total = self.documents.to_bytes(8, "little") + self._sum.to_bytes(32, "little")
        return hashlib.blake2b(total, digest_size=32, person=b"plait-rows").hexdigest()


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
