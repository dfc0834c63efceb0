"""Writing, reading back and fingerprinting shards: documents and MB per CPU second.

    python benchmarks/shards.py [--documents 2000] [--image-bytes 70000]

Rows are made in memory, pictures are random bytes (nothing here decodes); every figure is the median of three.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plait.pipeline.assemble import ASSEMBLE_IMAGE, Assembled, assemble
from plait.pipeline.fingerprint import Fingerprint
from plait.pipeline.parquet_shard import row_groups, write_batches
from plait.pipeline.webdataset_shard import write_webdataset_shard
from plait.schemas import ids
from plait.schemas.documents import document_schema


def inputs(documents: int, image_bytes: int) -> tuple[pa.RecordBatch, pa.RecordBatch, bytes]:
    rng = np.random.default_rng(0)
    pack = rng.bytes(image_bytes * 256)
    rows, images = [], []
    for number in range(documents):
        doc_id = ids.doc_id(f"http://bench.example/{number}", 0, b"")
        nodes = []
        for slot in range(6):
            nodes.append({"kind": "text", "tag": "p", "text": f"words of {number} and {slot} " * 12})
            if slot < number % 6:
                at = int(rng.integers(255)) * image_bytes
                digest = hashlib.sha256(f"{number}/{slot}".encode()).digest()
                image = {"doc_id": doc_id, "node": len(nodes), "image_url": f"http://x/{number}/{slot}", "pack": "p"}
                image |= {"pack_offset": at, "pack_length": image_bytes, "image_id": digest[:16], "sha256": digest}
                image |= {"bytes": image_bytes, "format": "jpeg", "width": 640, "height": 480, "frames": 1}
                hashes = np.frombuffer(digest[16:], np.int64)
                images.append({**image, "phash": int(hashes[0]), "dhash": int(hashes[1]), "dup_rank": 0})
                nodes.append({"kind": "image", "image_url": image["image_url"], "alt": "alternative text"})
        row = {"doc_id": doc_id, "order_key": ids.order_key(doc_id), "url": f"http://bench.example/{number}"}
        rows.append({**row, "nodes": nodes, "lang": "en", "lang_score": 0.9, "words": 1.0})
    rows.sort(key=lambda row: (row["order_key"], row["doc_id"]))
    place = {row["doc_id"]: number for number, row in enumerate(rows)}
    images.sort(key=lambda image: (place[image["doc_id"]], image["node"]))
    schema = document_schema({"words": pa.float64()})
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    return batch, pa.RecordBatch.from_pylist(images, schema=ASSEMBLE_IMAGE), pack


def timed(work: Callable[[], object]) -> float:
    found = []
    for _ in range(3):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--image-bytes", type=int, default=70_000)
    given = parser.parse_args()
    documents, images, pack = inputs(given.documents, given.image_bytes)
    recipe = SimpleNamespace(images=SimpleNamespace(cap=10, once_per_document=True), rules_at=lambda _stage, _scope: ())
    made: Assembled = assemble(documents, images, recipe, mode="archive")  # type: ignore[arg-type]

    def batches() -> object:
        return row_groups(made, lambda _path, offset, length: pack[offset : offset + length])

    def fingerprint() -> None:
        total = Fingerprint()
        for batch in batches():  # type: ignore[attr-defined]
            total.add_batch(batch)

    parquet = io.BytesIO()
    write_batches(batches(), made.rows.schema, parquet)  # type: ignore[arg-type]
    steps: dict[str, Callable[[], object]] = {
        "assemble": lambda: assemble(documents, images, recipe, mode="archive"),  # type: ignore[arg-type]
        "read packs into rows": lambda: list(batches()),  # type: ignore[call-overload]
        "write Parquet, packs read": lambda: write_batches(batches(), made.rows.schema, io.BytesIO()),  # type: ignore[arg-type]
        "write WebDataset, packs read": lambda: write_webdataset_shard(batches(), io.BytesIO(), io.BytesIO()),  # type: ignore[arg-type]
        "fingerprint, packs read": fingerprint,
        "read Parquet, checksums": lambda: pq.read_table(parquet, page_checksum_verification=True),
    }
    size = made.books.images_out * given.image_bytes / 1e6
    print(f"{given.documents} documents, {made.books.images_out} images, {size:.0f} MB")
    for name, work in steps.items():
        seconds = timed(work)
        print(f"{name:30} {given.documents / seconds:9,.0f} documents/CPU-s {size / seconds:8,.0f} MB/CPU-s")


if __name__ == "__main__":
    main()
