"""A corpus in the small: documents in several languages with JPEG, PNG, WebP and URL-only pictures, in three shards."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from plait.pipeline.publish import write_corpus
from plait.schemas import ids
from plait.schemas.manifest import Manifest, RecipeRecord, Totals
from plait.schemas.shards import shard_schema

SCORES = {"words": pa.float64()}
SCHEMA = shard_schema(SCORES)
MakeCorpus = Callable[..., Path]


def picture(number: int, kind: str, side: int = 40) -> bytes:
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 255, (4, 5, 3), dtype=np.uint8))
    file = io.BytesIO()
    small.resize((side + number % 7, side - number % 5), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def row(number: int, salt: str = "", images: int | None = None) -> dict:
    doc_id = ids.doc_id(f"http://site{salt}.example/{number}", number, b"")
    texts, tags, cells, infos = [f"Heading {number}."], ["h1"], [None], [None]
    for slot in range(number % 4 if images is None else images):
        kind = ("jpeg", "png", "webp")[(number + slot) % 3]
        data = picture(number * 10 + slot, kind)
        digest = hashlib.sha256(data).digest()
        texts += [None, f"Text {slot} of {number} after a picture. " * (1 + number % 3)]
        tags += [None, "p"]
        cells += [{"bytes": data, "path": f"{digest.hex()}.{kind.replace('jpeg', 'jpg')}"}, None]
        info = {"url": f"http://x/{number}/{slot}", "alt": "alt", "sha256": digest, "bytes": len(data), "format": kind}
        info |= {
            "image_id": digest[:16],
            "width": 40 + (number * 10 + slot) % 7,
            "height": 40 - (number * 10 + slot) % 5,
        }
        infos += [info, None]
    if number % 6 == 5:
        texts, tags, cells = [*texts, None], [*tags, None], [*cells, None]
        infos.append({"url": f"http://x/{number}/only-a-url"})
    made = {"doc_id": doc_id, "order_key": ids.order_key(doc_id), "url": f"http://site.example/{number}"}
    made |= {"texts": texts, "tags": tags, "images": cells, "image_info": infos}
    return {**made, "lang": ("en", "de", "zh")[number % 3], "lang_score": 0.9, "words": float(number)}


@pytest.fixture(scope="session")
def make_corpus(tmp_path_factory) -> MakeCorpus:
    """Builds a corpus of ``documents`` in ``shards`` shards with row groups of ``group`` rows."""

    def make(documents: int = 120, shards: int = 3, group: int = 7, salt: str = "", images: int | None = None) -> Path:
        rows = sorted((row(n, salt, images) for n in range(documents)), key=lambda r: (r["order_key"], r["doc_id"]))
        parts = [[r for r in rows if ids.shard_of(r["order_key"], shards) == number] for number in range(shards)]
        batches = [
            [pa.RecordBatch.from_pylist(part[at : at + group], schema=SCHEMA) for at in range(0, len(part), group)]
            for part in parts
        ]
        folder = tmp_path_factory.mktemp("corpus")
        scores = {name: str(kind) for name, kind in SCORES.items()}
        empty = Manifest("0.1.0", RecipeRecord("tiny", "{}", "d"), "", Totals(), scores=scores)
        write_corpus(folder, SCHEMA, batches, empty)
        return folder

    return make


@pytest.fixture(scope="session")
def corpus_folder(make_corpus) -> Path:
    """120 documents."""
    return make_corpus()
