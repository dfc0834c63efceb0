"""The corpus that `benchmarks/loader.py` measures on: photographs of about 0.3 megapixels, 70 KB, 0 to 5 a document."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from plait.loader.export import export
from plait.pipeline.publish import write_corpus
from plait.schemas import ids
from plait.schemas.manifest import Manifest, RecipeRecord, Totals
from plait.schemas.shards import shard_schema

SHARDS = 8
DISTINCT = 2500  # pictures that are drawn; more are repetitions of them


def make(folder: Path, documents: int, photos: Path | None) -> str:
    """Parquet, tar and MDS shards of the same documents; says what was made."""
    schema = shard_schema({"words": pa.float64()})
    sources = _sources(photos)
    drawn: list[bytes] = []
    rows = []
    count = 0
    for number in range(documents):
        pictures = []
        for _ in range(number % 6):
            if len(drawn) < DISTINCT:
                drawn.append(_picture(sources, len(drawn)))
            pictures.append(drawn[count % DISTINCT])
            count += 1
        rows.append(_row(number, pictures))
    rows.sort(key=lambda row: (row["order_key"], row["doc_id"]))
    size = -(-len(rows) // SHARDS)
    shards = [
        [pa.RecordBatch.from_pylist(part[at : at + 64], schema=schema) for at in range(0, len(part), 64)]
        for part in (rows[start : start + size] for start in range(0, len(rows), size))
    ]
    empty = Manifest("bench", RecipeRecord("bench", "{}", ""), "", Totals(), formats=("parquet", "webdataset"))
    made = write_corpus(folder, schema, shards, empty)
    export(str(folder), folder / "mds", "mds")
    return f"{made.totals.documents} documents, {made.totals.images} images, {made.totals.image_bytes / 1e6:.0f} MB"


def _sources(photos: Path | None) -> list[Image.Image]:
    """Photographs to cut pictures from; without a folder of them, blurred noise."""
    if photos:
        paths = [path for path in sorted(photos.rglob("*")) if path.suffix in (".jpg", ".jpeg")]
        found = [Image.open(path).convert("RGB") for path in paths if "corrupt" not in path.name][:40]
        if found:
            return found
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (60, 80, 3), dtype=np.uint8) for _ in range(20)]
    return [Image.fromarray(pixels).resize((800, 600), Image.Resampling.BICUBIC) for pixels in noise]


def _picture(sources: list[Image.Image], number: int) -> bytes:
    """A part of a photograph, another for every number."""
    source = sources[number % len(sources)]
    draw = np.random.default_rng(number)
    zoom = draw.uniform(0.6, 0.95)
    left, top = draw.uniform(0, 1 - zoom, 2)
    box = (source.width * left, source.height * top, source.width * (left + zoom), source.height * (top + zoom))
    scaled = source.crop(tuple(map(int, box))).resize((640, 480), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    scaled.save(file, "jpeg", quality=88)
    return file.getvalue()


def _row(number: int, pictures: list[bytes]) -> dict[str, object]:
    """A document: 120 words, then a picture and 120 words each time."""
    doc_id = ids.doc_id(f"http://bench.example/{number}", 0, b"")
    texts: list[str | None] = ["word " * 120]
    cells: list[dict[str, object] | None] = [None]
    infos: list[dict[str, object] | None] = [None]
    for data in pictures:
        digest = hashlib.sha256(data).digest()
        texts += [None, "word " * 120]
        cells += [{"bytes": data, "path": f"{digest.hex()}.jpg"}, None]
        info = {"url": "http://x", "sha256": digest, "bytes": len(data), "format": "jpeg", "width": 640, "height": 480}
        infos += [info, None]
    row = {"doc_id": doc_id, "order_key": ids.order_key(doc_id), "url": f"http://bench.example/{number}", "lang": "en"}
    tags = [None if text is None else "p" for text in texts]
    return {**row, "texts": texts, "tags": tags, "images": cells, "image_info": infos, "words": 1.0}
