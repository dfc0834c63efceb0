"""The explorer on a million documents with synthetic scores: first page, sliders, search, memory.

    python benchmarks/explorer.py --documents 1_000_000 --folder /tmp/million

The corpus has the rules and score columns of the recipe `omnicorpus`, values drawn around its thresholds, two short
texts a document and between them three pictures (what is stored of them, no bytes); a fifth as many dropped documents
were retained, and as many pictures as there are documents were dropped. It is written once to the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from plait.filters.recipe import load_recipe
from plait.pipeline.parquet_shard import write_batches
from plait.pipeline.publish import ShardFile, corpus_files, recipe_record, shard_list, shard_path
from plait.pipeline.text import score_types
from plait.schemas.documents import document_schema
from plait.schemas.ledger import DROP
from plait.schemas.manifest import INPUT_LIST, Manifest, StageBooks, Totals
from plait.schemas.shards import IMAGE, IMAGE_INFO, shard_schema

SHARD, GROUP = 10_000, 1_000
PICTURES = 3  # a document
WORDS = [f"word{number}" for number in range(2000)]
RANGES = {"lang_score": (0.6, 1.0), "tokens": (20, 4000), "mean_token_length": (2.5, 9), "longest_node_words": (0, 400)}


def scores(rng: np.random.Generator, names: dict[str, pa.DataType], rows: int) -> dict[str, pa.Array]:
    """Values between 0 and 1, or a range of their own."""
    found = {}
    for name, kind in names.items():
        low, high = RANGES.get(name, (0.0, 60.0) if pa.types.is_integer(kind) else (0.0, 1.0))
        values = rng.uniform(low, high, rows)
        found[name] = pa.array(
            values > 0.999 if pa.types.is_boolean(kind) else values.astype(kind.to_pandas_dtype()), kind
        )
    return found


def pictures(rng: np.random.Generator, rows: int) -> tuple[pa.Array, pa.Array]:
    """``images`` without bytes and ``image_info`` with what rules read; a text before and after a document's."""
    slots = PICTURES + 2
    text = np.tile(np.isin(np.arange(slots), (0, slots - 1)), rows)
    size = rows * slots
    ids = rng.bytes(16 * size)
    given = {
        "image_id": pa.array([ids[16 * n : 16 * n + 16] for n in range(size)]),
        "width": pa.array(rng.integers(150, 1600, size), pa.int32()),
        "height": pa.array(rng.integers(150, 1600, size), pa.int32()),
        "nsfw": pa.array(rng.uniform(0, 0.8, size), pa.float32()),
    }
    fields = [given.get(field.name, pa.nulls(size, field.type)) for field in IMAGE_INFO]
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * slots)
    info = pa.StructArray.from_arrays(fields, fields=list(IMAGE_INFO), mask=pa.array(text))
    return pa.ListArray.from_arrays(offsets, pa.nulls(size, IMAGE)), pa.ListArray.from_arrays(offsets, info)


def lost(rng: np.random.Generator, ids: pa.Array, name: str, rule: str, low: float, high: float) -> pa.RecordBatch:
    """The ledger's line of a picture of each document that a rule dropped."""
    rows = len(ids)
    given = {
        "stage": pa.repeat("assemble", rows), "scope": pa.repeat("image", rows), "reason": pa.repeat(name, rows),
        "doc_id": ids, "node": pa.repeat(PICTURES + 2, rows), "value": pa.array(rng.uniform(low, high, rows)),
        "threshold": pa.repeat(rule, rows), "url": pa.repeat("https://host.example/p.jpg", rows),
    }  # fmt: skip
    columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(rows, f.type) for f in DROP]
    return pa.RecordBatch.from_arrays(columns, schema=DROP)


def batch(
    rng: np.random.Generator, schema: pa.Schema, names: dict[str, pa.DataType], first: int, rows: int
) -> pa.RecordBatch:
    """Documents in order, columns that matter filled."""
    picks = rng.integers(0, len(WORDS), (rows, 24))
    said = [" ".join(WORDS[word] for word in line) for line in picks.tolist()]
    hosts = rng.zipf(1.3, rows) % 50_000
    images, info = pictures(rng, rows)
    columns = {
        "doc_id": pa.array([n.to_bytes(16, "big") for n in range(first, first + rows)], pa.binary()),
        "order_key": pa.array(np.arange(first, first + rows)),
        "url": pa.array([f"https://host{h}.example/{first + n}" for n, h in enumerate(hosts)]),
        "domain": pa.array([f"host{h}.example" for h in hosts]),
        "lang": pa.array(np.array(["en", "de", "fr"])[rng.integers(0, 3, rows)]),
        "title": pa.array([line[:40] for line in said]),
        "archive": pa.repeat("synthetic.warc.gz", rows),
        "texts": pa.array([[line, *[None] * PICTURES, line[::-1]] for line in said]),
        "tags": pa.array([["p", *[None] * PICTURES, "p"]] * rows),
        "images": images,
        "image_info": info,
        **scores(rng, {**names, "lang_score": pa.float32()}, rows),
    }  # fmt: skip
    return pa.RecordBatch.from_arrays(
        [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema], schema=schema
    )


def write(folder: Path, documents: int) -> None:
    """The corpus on disk."""
    recipe = load_recipe("omnicorpus")
    names = score_types(recipe)
    schema, rng = shard_schema(names), np.random.default_rng(1)
    files = []
    for number, first in enumerate(range(0, documents, SHARD)):
        rows = min(SHARD, documents - first)
        target = folder / shard_path(number, "parquet")
        target.parent.mkdir(parents=True, exist_ok=True)
        groups = (
            batch(rng, schema, names, at, min(GROUP, first + rows - at)) for at in range(first, first + rows, GROUP)
        )
        with target.open("wb") as file:
            files.append(
                ShardFile(number, "parquet", shard_path(number, "parquet"), write_batches(groups, schema, file))
            )
    (folder / "ledger/drops").mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(folder / "ledger/drops/assemble.parquet", DROP, compression="zstd") as gone:
        for first in range(0, documents, SHARD):
            ids = pa.array([n.to_bytes(16, "big") for n in range(first, min(first + SHARD, documents))], pa.binary())
            half = len(ids) // 2
            gone.write_batch(lost(rng, ids[:half], "image_too_small", "side >= 150", 20, 150))
            gone.write_batch(lost(rng, ids[half:], "image_aspect", "0.5 <= aspect <= 2", 2, 6))
    dropped = documents // 5
    rules = [rule for rule in recipe.rules if rule.scope == "document" and rule.keep and rule.stage == "text"]
    wide = document_schema(names)
    (folder / "ledger/documents").mkdir(parents=True, exist_ok=True)
    with (
        pq.ParquetWriter(
            folder / "ledger/documents/dropped_documents-0-00000.parquet", wide, compression="zstd"
        ) as held,
        pq.ParquetWriter(folder / "ledger/drops/extract.parquet", DROP, compression="zstd") as drops,
    ):
        for first in range(documents, documents + dropped, SHARD):
            rows = min(SHARD, documents + dropped - first)
            kept = batch(rng, schema, names, first, rows)
            known = {n: kept.column(n) for n in wide.names if n in kept.schema.names}
            known["nodes"] = pa.array([[]] * rows, wide.field("nodes").type)
            held.write_batch(pa.RecordBatch.from_arrays([known[n] for n in wide.names], schema=wide))
            reason = [rules[n].name for n in rng.integers(0, len(rules), rows)]
            given = {
                "stage": pa.repeat("extract", rows), "scope": pa.repeat("document", rows), "reason": pa.array(reason),
                "doc_id": known["doc_id"], "url": known["url"],
            }  # fmt: skip
            columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(rows, f.type) for f in DROP]
            drops.write_batch(pa.RecordBatch.from_arrays(columns, schema=DROP))
    manifest = Manifest(
        "benchmark", recipe_record(recipe), f"{documents:064x}",
        Totals(documents=documents, texts=2 * documents, images=PICTURES * documents),
        scores={n: str(kind) for n, kind in sorted(names.items())}, shards=len(files),
        funnel=(StageBooks("extract", "document", documents + dropped, documents, {"synthetic": dropped}),),
    )  # fmt: skip
    for path, data in corpus_files(manifest, shard_list(files), INPUT_LIST.empty_table()).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def ask(url: str, body: dict[str, object] | None = None) -> tuple[float, dict]:
    """Seconds and the answer."""
    data = json.dumps(body).encode() if body is not None else None
    began = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"X-Plait": "1"})) as answer:
        text = answer.read()
    return time.perf_counter() - began, json.loads(text) if text[:1] in b"{[" else {}


def main() -> None:
    """Writes the corpus where it is not there, and measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=lambda text: int(text.replace("_", "")), default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--moves", type=int, default=40)
    given = parser.parse_args()
    if not (given.folder / "manifest.json").exists():
        write(given.folder, given.documents)
    for state in ("without an index", "with an index"):
        measure(given.folder, state, given.moves)


def measure(folder: Path, state: str, moves: int) -> None:
    """One run of the server."""
    cache = folder / "cache"
    if state == "without an index" and cache.exists():
        for path in (cache / "index").glob("*"):
            path.unlink()
    began = time.perf_counter()
    command = [sys.executable, "-m", "plait.jobs", "view", str(folder), "--no-browser", "--port", "0"]
    env = {**os.environ, "PLAIT_CACHE": str(cache)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=folder) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[0]
            started = time.perf_counter() - began
            page = ask(url)[0] + ask(f"{url}api/documents?state=all")[0]
            print(f"{state}: command to server {started:.2f} s, first page {page:.2f} s", end="")
            while not ask(f"{url}api/about")[1]["ready"]:
                time.sleep(0.1)
            print(f", all views {time.perf_counter() - began:.1f} s")
            found, answer = ask(f"{url}api/sliders")
            sliders = answer["sliders"]
            pick, taken = random.Random(1), []
            for _ in range(moves):
                slider = pick.choice(sliders)
                value = pick.uniform(slider["low"], slider["high"])
                changes = {slider["rule"]: {str(slider["number"]): value}}
                taken.append((ask(f"{url}api/thresholds", {"changes": changes})[0], slider["rule"]))
            first, rest = taken[0], sorted(taken[1:])
            slowest = max(taken[1:], key=lambda one: one[0])
            print(f"  {len(sliders)} sliders listed in {found:.2f} s; first move {first[0] * 1e3:.0f} ms ({first[1]}), "
                  f"then median {rest[len(rest) // 2][0] * 1e3:.0f} ms, slowest {slowest[0] * 1e3:.0f} ms "
                  f"({slowest[1]})")  # fmt: skip
            filters = ask(f"{url}api/documents?domain=host7.example&state=kept&score=tokens&low=100&high=900")[0]
            words = ask(f"{url}api/documents?text=word17%20word")[0]
            document = ask(f"{url}api/document/777")[0]
            print(f"  filter {filters * 1e3:.0f} ms, words {words * 1e3:.0f} ms, a document {document * 1e3:.0f} ms")
            status = Path(f"/proc/{server.pid}/status").read_text()
            peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
            own = psutil.Process(server.pid).memory_full_info().uss / 2**20
            print(f"  memory: peak {peak:,.0f} MiB resident, of which {own:,.0f} MiB its own at the end")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
