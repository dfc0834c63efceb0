"""What is listed goes out of a corpus' ledger: files are written again without it, a batch in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.store import Store
from plait.jobs.suppression import Suppression
from plait.schemas.ledger import DOCUMENTS, FETCHED_FOLDER, KNOWN, LOCATORS, PAGES

Named: TypeAlias = "Mapping[str, str | bytes | None]"
BATCH_ROWS = 1024


def purge_fetched(store: Store, listed: Suppression) -> None:
    """Leave what was listed out of the record of what servers answered."""
    _purge_in_place(store, FETCHED_FOLDER, lambda row: _fetched_listed(row, listed))


def purge_locators(store: Store, listed: Suppression) -> None:
    """Leave listed pictures out of what says where pictures lie."""
    _purge_in_place(store, LOCATORS, lambda row: _located(row, listed))


def _purge_in_place(store: Store, folder: str, is_listed: Callable[[Named], bool]) -> None:
    """Leave listed rows out of the files of a folder."""

    def without(batch: pa.RecordBatch) -> pa.RecordBatch:
        names = [
            name
            for name in ("url", "final_url", "image_url", "target", "sha256", "doc_id")
            if name in batch.schema.names
        ]
        kept = [not is_listed(row) for row in batch.select(names).to_pylist()]
        return batch.filter(pa.array(kept, pa.bool_()))

    for path in store.list(folder):
        rewrite(store, path, path, without)


def purge_retained(store: Store, listed: Suppression, documents: set[bytes]) -> None:
    """Leave listed documents out of the retained ones, and listed pictures out of the others' nodes."""

    def without(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = batch.select(["url", "doc_id"]).to_pylist()
        kept = [not (listed.lists_url(row["url"]) or row["doc_id"] in documents) for row in rows]
        batch = batch.filter(pa.array(kept, pa.bool_()))
        place = batch.schema.get_field_index("nodes")
        nodes = [
            [node for node in document if not listed.lists_url(node["image_url"])]
            for document in batch.column(place).to_pylist()
        ]
        kind = batch.schema.field(place)
        return batch.set_column(place, kind, pa.array(nodes, kind.type))

    for path in (*store.list(DOCUMENTS), *store.list(PAGES)):
        rewrite(store, path, path, without)


def purge_keys(store: Store, listed: Suppression, documents: set[bytes]) -> None:
    """Leave documents out of the keys and signatures that later generations are compared with."""

    def without(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = batch.select(["url", "doc_id"]).to_pylist()
        return batch.filter(pa.array([not (listed.lists_url(r["url"]) or r["doc_id"] in documents) for r in rows]))

    for path in store.list(KNOWN):
        if path.startswith(f"{KNOWN}/keys-"):
            rewrite(store, path, path, without)


def _fetched_listed(row: Named, listed: Suppression) -> bool:
    urls = [row["url"], row["final_url"]]
    return any(listed.lists_url(str(url)) for url in urls if url) or listed.lists_sha256(_bytes(row["sha256"]))


def _located(row: Named, listed: Suppression) -> bool:
    return any(listed.lists_url(str(row[name])) for name in ("image_url", "target") if row[name])


def _bytes(value: str | bytes | None) -> bytes | None:
    return value if isinstance(value, bytes) else None


def batches(store: Store, path: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, `BATCH_ROWS` at a time; all columns, or those named."""
    with store.open_read(path) as file:
        yield from pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=columns)


def rewrite(store: Store, source: str, target: str, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> None:
    """Copy a file with every batch changed; memory is one batch."""
    with store.open_read(source) as file:
        schema = pq.read_schema(file)
    with store.open_write(target) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches(store, source):
            writer.write_batch(change(batch))
