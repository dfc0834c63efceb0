"""Deduplication of documents: speed, error, what the presets find, and how cost grows with the corpus.

    python benchmarks/dedup.py speed|error|curves|planted|growth [--data FOLDER] [--docs N]...

- speed: MinHash and banding, documents per CPU second, beside datasketch where it is installed.
- error: bias and root mean square of the estimate beside theory.
- curves: share of pairs that the bands of each preset find beside 1 - (1 - J^r)^b.
- planted: edited pages, shuffled paragraphs and shared boilerplate made from real text; pairs that the whole
  path (signatures, buckets, check) joins, by their true Jaccard similarity; chains reported apart.
- growth: CPU time a document and peak memory of the whole path at 10 k, 100 k and 1 M documents; rows are sorted in
  parts by key range, by the local engine's own code. What else the machine does changes CPU times by more than the size
  does, so the path over 10 k documents runs again and again between the pieces of the larger one, in its process: the
  ratio of the two, measured over the same minutes, is what grows or does not.

The text is the gold of ../shared/data/wcxb, or of any folder of such files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plait.dedup.buckets import BAND_ROW, bucket_edges, explode_bands
from plait.dedup.components import components
from plait.dedup.documents import CLAIM, keep_latest
from plait.dedup.keys import KEYS, document_keys
from plait.dedup.minhash import (
    FINEWEB,
    OMNICORPUS,
    MinHashConfig,
    band_keys,
    estimate,
    find_probability,
    jaccard,
    signatures,
    sketches,
)
from plait.dedup.words import shingles, words
from plait.jobs.sorted_rows import sorted_rows
from plait.jobs.store import Store
from plait.jobs.work import Shuffle, Source, Stage
from plait.schemas.documents import PAGE
from plait.schemas.receipts import Output

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "wcxb" / "ground-truth"


def real_paragraphs(folder: Path) -> list[list[str]]:
    """Words of each paragraph of at least 20 words."""
    out = []
    for file in sorted(folder.glob("*.json")):
        gold = json.loads(file.read_text("utf-8"))["ground_truth"].get("main_content") or ""
        out += [line.split() for line in gold.split("\n") if len(line.split()) >= 20]
    if not out:
        sys.exit(f"no paragraphs in {folder}: give a folder of WCXB gold files with --data")
    return out


def page_of(rng: random.Random, paragraphs: list[list[str]], size: int) -> list[str]:
    """A page of about `size` words: windows of real paragraphs, each sentence-like run cut at a random place."""
    out: list[str] = []
    while len(out) < size:
        paragraph = paragraphs[rng.randrange(len(paragraphs))]
        low = rng.randrange(max(1, len(paragraph) - 40))
        out += paragraph[low : low + rng.randrange(15, 60)]
    return out[:size]


def edited(rng: random.Random, source: list[str], edits: int) -> list[str]:
    out = list(source)
    for _ in range(edits):
        place = rng.randrange(len(out))
        kind = rng.randrange(3)
        if kind == 0:
            out[place] = f"w{rng.randrange(10**6)}"
        elif kind == 1:
            out.insert(place, f"w{rng.randrange(10**6)}")
        else:
            del out[place]
    return out


def speed(paragraphs: list[list[str]], docs: int) -> None:
    rng = random.Random(0)
    texts = [" ".join(page_of(rng, paragraphs, 500)) for _ in range(docs)]
    config = MinHashConfig(ngram=5, bands=16, rows=8)
    signatures(texts[:10], config)
    rounds = []
    for _ in range(5):
        start = time.process_time()
        sig = signatures(texts, config)
        band_keys(sig, config)
        sketches(sig)
        rounds.append(docs / (time.process_time() - start))
    chars = sum(map(len, texts)) / docs
    print(f"plait: {np.median(rounds):.0f} docs/CPU-s (128 permutations, 5-grams, 500 words, {chars:.0f} characters)")
    try:
        from datasketch import MinHash
    except ImportError:
        print("datasketch is not installed: no comparison")
        return
    start = time.process_time()
    grams = [[" ".join(w[i : i + 5]).encode() for i in range(len(w) - 4)] for w in map(str.split, texts)]
    MinHash.bulk(grams, num_perm=128)
    print(f"datasketch bulk: {docs / (time.process_time() - start):.0f} docs/CPU-s")


def pair(rng: random.Random, similarity: float, size: int) -> tuple[str, str, float]:
    shared = round(2 * size * similarity / (1 + similarity))
    names = [f"{rng.getrandbits(48):x}" for _ in range(2 * size - shared)]
    return " ".join(names[:size]), " ".join(names[size - shared :]), shared / (2 * size - shared)


def error(pairs: int) -> None:
    rng = random.Random(1)
    config = MinHashConfig(ngram=1, bands=16, rows=8)
    for similarity in (0.2, 0.5, 0.7, 0.8, 0.9):
        made = [pair(rng, similarity, 500) for _ in range(pairs)]
        left, right = signatures([p[0] for p in made], config), signatures([p[1] for p in made], config)
        true = np.array([p[2] for p in made])
        full, small = jaccard(left, right) - true, estimate(sketches(left), sketches(right)) - true
        theory = np.sqrt(true * (1 - true) / config.permutations).mean()
        print(
            f"J {similarity}: bias {full.mean():+.4f}, RMSE {np.sqrt((full**2).mean()):.4f} (theory {theory:.4f}); "
            f"4-bit sketch: bias {small.mean():+.4f}, RMSE {np.sqrt((small**2).mean()):.4f}"
        )


def curves(pairs: int) -> None:
    rng = random.Random(2)
    for name, preset in (("fineweb", FINEWEB), ("omnicorpus", OMNICORPUS)):
        config = replace(preset, ngram=1)
        for similarity in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            made = [pair(rng, similarity, 300) for _ in range(pairs)]
            left, right = signatures([p[0] for p in made], config), signatures([p[1] for p in made], config)
            hit = (band_keys(left, config) == band_keys(right, config)).any(axis=1)
            passed = hit.copy()
            if config.threshold is not None:
                passed &= estimate(sketches(left), sketches(right)) >= config.threshold
            theory = np.mean([find_probability(p[2], config) for p in made])
            print(f"{name} J {similarity}: found {hit.mean():.4f} (curve {theory:.4f}), joined {passed.mean():.4f}")


def planted(paragraphs: list[list[str]], docs: int) -> None:
    """Families of 4 of one page: edits at random, paragraphs shuffled, boilerplate shared by all; true Jaccard."""
    rng = random.Random(3)
    banner = " ".join(page_of(rng, paragraphs, 60))
    texts: list[str] = []
    for _ in range(docs // 4):
        source = page_of(rng, paragraphs, rng.choice((120, 300, 600)))
        kind = rng.randrange(3)
        for _ in range(4):
            if kind == 0:
                texts.append(" ".join(edited(rng, source, rng.randrange(len(source) // 12))))
            elif kind == 1:
                parts = [source[i : i + 40] for i in range(0, len(source), 40)]
                rng.shuffle(parts)
                texts.append(" ".join(word for part in parts for word in part))
            else:
                own = page_of(rng, paragraphs, len(source) // rng.choice((1, 2, 4, 8)))
                texts.append(banner + " " + " ".join(source + own))
    for name, config in (("fineweb", FINEWEB), ("omnicorpus", OMNICORPUS)):
        _planted(name, config, texts)


def _planted(name: str, config: MinHashConfig, texts: list[str]) -> None:
    found = shingles(words(texts), config.ngram)
    sets = [set(found.hashes[found.bounds[i] : found.bounds[i + 1]].tolist()) for i in range(len(texts))]

    def true(a: int, b: int) -> float:
        return len(sets[a] & sets[b]) / len(sets[a] | sets[b])

    sig = signatures(texts, config)
    keys, marks = band_keys(sig, config), sketches(sig)
    ids = np.repeat(np.arange(len(texts)), config.bands)
    order = np.lexsort((ids, keys.ravel()))
    table = pa.RecordBatch.from_arrays(
        [pa.array(keys.ravel()[order]), pa.array(ids[order]), pa.array([marks[i].tobytes() for i in ids[order]])],
        schema=BAND_ROW,
    )
    direct = {(a, b) for e in bucket_edges([table], config) for a, b in zip(*e.to_pydict().values(), strict=True)}
    nodes, labels = components(*np.array(sorted(direct), np.int64).T)
    label = dict(zip(nodes.tolist(), labels.tolist(), strict=True))
    family = [(a, b) for low in range(0, len(texts), 4) for a in range(low, low + 4) for b in range(a + 1, low + 4)]
    rng = random.Random(4)
    apart = [(a, b) for a, b in (sorted(rng.sample(range(len(texts)), 2)) for _ in range(200_000)) if a // 4 != b // 4]
    pairs = [(a, b, true(a, b)) for a, b in family + apart]
    close = [(a, b) for a, b, j in pairs if j >= 0.8]
    joined = sum(a in label and label.get(a) == label.get(b) for a, b in close)
    candidates = (keys[[a for a, _ in close]] == keys[[b for _, b in close]]).any(axis=1)
    least = config.threshold if config.threshold is not None else -1.0
    passed = estimate(marks[[a for a, _ in close]], marks[[b for _, b in close]]) >= least
    unlike = [(a, b) for a, b, j in pairs if j < 0.5]
    family_unlike = sum(1 for a, b in unlike if a // 4 == b // 4)
    wrong = sum((a, b) in direct for a, b in unlike)
    chained = sum(a in label and label.get(a) == label.get(b) for a, b in unlike)
    edges_wrong = sum(true(a, b) < 0.5 for a, b in direct)
    print(
        f"{name}: J >= 0.8: {len(close)} pairs, {joined / len(close):.4%} in one component, "
        f"{(candidates & passed).mean():.4%} by their own bucket and check\n"
        f"  J < 0.5: {len(unlike)} pairs ({family_unlike} of one family), {wrong} joined directly "
        f"({wrong / max(family_unlike, 1):.4%} of those of one family), {chained - wrong} more by chains; "
        f"{edges_wrong} of {len(direct)} edges join a pair below 0.5"
    )


def documents(paragraphs: list[list[str]], docs: int) -> Iterator[pa.RecordBatch]:
    """Pages of about 150 words, every fifth an edited copy of a recent one, every hundredth an exact copy."""
    rng = random.Random(5)
    recent: list[list[str]] = []
    rows: list[dict[str, object]] = []
    for number in range(docs):
        if recent and number % 5 == 0:
            page = edited(rng, recent[rng.randrange(len(recent))], 3)
        elif recent and number % 100 == 1:
            page = recent[rng.randrange(len(recent))]
        else:
            page = page_of(rng, paragraphs, 150)
        recent = [*recent[-63:], page]
        node = {"kind": "text", "tag": "p", "text": " ".join(page)}
        name = (number * 0x9E3779B97F4A7C15 & (1 << 64) - 1).to_bytes(16, "big")
        url = f"http://site{number % 9973}.example/{number}"
        rows.append({"doc_id": name, "order_key": number, "url": url, "nodes": [node]})
        if len(rows) == 1000 or number == docs - 1:
            yield pa.RecordBatch.from_pylist(rows, schema=PAGE)
            rows = []


class Clock:
    """CPU seconds of this process by step."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - start


def ordered(store: Store, name: str, schema: pa.Schema, order: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """The rows of a file as a unit of the local engine gets them: part by part, sorted."""
    size = Path(store.path(name)).stat().st_size
    output = Output(table="rows", path=name, rows=0, bytes=size, sha256="", part=None)
    shuffle = Shuffle(Stage("sort", ""), (Source((output,)),), schema, order)
    for low, high in shuffle.parts():
        yield from sorted_rows(store, shuffle, low, high)


def whole_path(
    paragraphs: list[list[str]], docs: int, folder: Path, rest: Callable[[], None]
) -> tuple[Clock, int, int]:
    """Signatures, Parquet, bands in order, buckets, components, the latest of each: time, documents dropped, edges.

    `rest` is called after every 100,000 documents and every step.
    """
    config, clock, store = OMNICORPUS, Clock(), Store(str(folder))
    with (
        pq.ParquetWriter(folder / "keys.parquet", KEYS) as keys,
        pq.ParquetWriter(folder / "bands.parquet", BAND_ROW) as bands,
    ):
        for number, batch in enumerate(documents(paragraphs, docs)):
            if number % 100 == 99:
                rest()
            with clock.step("signatures"):
                made = document_keys(batch, config)
            with clock.step("write"):
                keys.write_batch(made)
                bands.write_batch(explode_bands(made, config))
    rest()
    with clock.step("sort and buckets"):
        parts = list(bucket_edges(ordered(store, "bands.parquet", BAND_ROW, ("key", "id")), config))
        a = np.concatenate([np.asarray(part.column(0)) for part in parts])
        b = np.concatenate([np.asarray(part.column(1)) for part in parts])
    rest()
    with clock.step("components"):
        nodes, labels = components(a, b)
    rest()
    with clock.step("keep the latest"):
        with pq.ParquetWriter(folder / "claims.parquet", CLAIM) as claims:
            for batch in pq.ParquetFile(folder / "keys.parquet").iter_batches(columns=["id", "captured", "doc_id"]):
                ids = np.asarray(batch.column("id"))
                place = np.minimum(np.searchsorted(nodes, ids), len(nodes) - 1)
                found = pa.array(nodes[place] == ids)
                rows = [pa.array(labels[place]), batch.column("captured"), batch.column("doc_id")]
                named = dict(zip(("key", "captured", "doc_id"), rows, strict=True))
                claims.write_batch(
                    pa.RecordBatch.from_arrays([named[name] for name in CLAIM.names], schema=CLAIM).filter(found)
                )
        dropped = 0
        stream = ordered(store, "claims.parquet", CLAIM, ("key", "-captured", "doc_id"))
        for verdict in keep_latest(stream, "near_duplicate"):
            dropped += len(verdict) - verdict.column("kept").true_count
    return clock, dropped, len(a)


SMALL = 10_000


def grow(paragraphs: list[list[str]], docs: int) -> None:
    """The whole path over `docs` documents, and over 10,000 in between: a line of JSON."""
    beside: list[float] = []
    with tempfile.TemporaryDirectory() as folder:

        def small() -> None:
            clock, _, _ = whole_path(paragraphs, SMALL, Path(folder), lambda: None)
            beside.append(sum(clock.spent.values()) / SMALL)

        small()
        beside.clear()  # it made tables and loaded libraries
        large = Path(folder) / "large"
        large.mkdir()
        clock, dropped, edges = whole_path(paragraphs, docs, large, small)
        small()
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    found = {"spent": clock.spent, "beside": beside, "dropped": dropped, "edges": edges, "peak": peak}
    print(json.dumps(found))


def growth(data: Path, sizes: list[int]) -> None:
    """`grow` for each size in a process of its own, three times up to 100 k documents; medians of the ratio."""
    before = 1.0
    for docs in sizes:
        ratios: list[float] = []
        for _ in range(3 if docs <= 10 * SMALL else 1):
            command = [sys.executable, __file__, "grow", "--data", str(data), "--docs", str(docs)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            cost, small = sum(found["spent"].values()) / docs, float(np.mean(found["beside"]))
            ratios.append(cost / small)
        steps = ", ".join(f"{name} {seconds / docs * 1e6:.1f}" for name, seconds in found["spent"].items())
        ratio = float(np.median(ratios))
        print(
            f"{docs} documents: {cost * 1e6:.1f} µs of CPU a document ({steps}), {small * 1e6:.1f} at {SMALL} between "
            f"its pieces ({len(found['beside'])} times); ratio {ratio:.3f} of {', '.join(f'{r:.3f}' for r in ratios)}: "
            f"{ratio / before - 1:+.1%} on the size before; {found['dropped']} dropped, {found['edges']} edges, "
            f"peak {found['peak']:.0f} MB",
            flush=True,
        )
        before = ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["speed", "error", "curves", "planted", "growth", "grow"])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--docs", type=int, action="append")
    given = parser.parse_args()
    if given.part == "growth":
        growth(given.data, given.docs or [SMALL, 10 * SMALL, 100 * SMALL])
        return
    docs = (given.docs or [2000])[0]
    if given.part == "error":
        error(docs)
    elif given.part == "curves":
        curves(docs)
    else:
        run = {"speed": speed, "planted": planted, "grow": grow}[given.part]
        run(real_paragraphs(given.data), docs)


if __name__ == "__main__":
    main()
