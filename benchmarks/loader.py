"""Loaders side by side over one corpus: container-only documents/s, images/s end to end, resume, memory.

    python benchmarks/loader.py --make /tmp/bench-corpus --documents 1500 --photos FOLDER
    python benchmarks/loader.py --corpus /tmp/bench-corpus --seconds 10 --repeats 3

Every system gives RGB uint8 224 x 224 in batches of 32 lists; torch uses one thread; the order of the systems is
shuffled in each repeat; figures are medians with the least and the greatest. The decode-only ceiling is one process
over the same bytes in memory. Systems that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import io
import json
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
BATCH = 32


def make(folder: Path, documents: int, photos: Path | None) -> None:
    """A corpus of photographs of about 0.3 megapixels and 70 KB, 0 to 5 a document, as loaders.md D measured on."""
    import pyarrow as pa

    from plait.pipeline.publish import write_corpus
    from plait.schemas import ids
    from plait.schemas.manifest import Manifest, RecipeRecord, Totals
    from plait.schemas.shards import shard_schema

    rng = np.random.default_rng(0)
    found = (
        sorted(path for path in photos.rglob("*") if path.suffix in (".jpg", ".jpeg") and "corrupt" not in path.name)
        if photos
        else []
    )
    sources = [Image.open(path).convert("RGB") for path in found[:40]]
    if not sources:
        noise = [rng.integers(0, 255, (60, 80, 3), dtype=np.uint8) for _ in range(20)]
        sources = [Image.fromarray(pixels).resize((800, 600), Image.Resampling.BICUBIC) for pixels in noise]

    def picture(number: int) -> bytes:
        source = sources[number % len(sources)]
        draw = np.random.default_rng(number)
        zoom = draw.uniform(0.6, 0.95)
        left, top = draw.uniform(0, 1 - zoom, 2)
        box = (source.width * left, source.height * top, source.width * (left + zoom), source.height * (top + zoom))
        scaled = source.crop(tuple(map(int, box))).resize((640, 480), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        scaled.save(file, "jpeg", quality=88)
        return file.getvalue()

    schema = shard_schema({"words": pa.float64()})
    rows = []
    count = 0
    for number in range(documents):
        doc_id = ids.doc_id(f"http://bench.example/{number}", 0, b"")
        texts, cells, infos = ["word " * 120], [None], [None]
        for _ in range(number % 6):
            data = picture(count)
            count += 1
            digest = hashlib.sha256(data).digest()
            texts += [None, "word " * 120]
            cells += [{"bytes": data, "path": f"{digest.hex()}.jpg"}, None]
            info = {
                "url": "http://x",
                "sha256": digest,
                "bytes": len(data),
                "format": "jpeg",
                "width": 640,
                "height": 480,
            }
            infos += [info, None]
        row = {
            "doc_id": doc_id,
            "order_key": ids.order_key(doc_id),
            "url": f"http://bench.example/{number}",
            "lang": "en",
        }
        tags = [None if text is None else "p" for text in texts]
        rows.append({**row, "texts": texts, "tags": tags, "images": cells, "image_info": infos, "words": 1.0})
    rows.sort(key=lambda row: (row["order_key"], row["doc_id"]))
    size = -(-len(rows) // 4)
    shards = [
        [pa.RecordBatch.from_pylist(part[at : at + 64], schema=schema) for at in range(0, len(part), 64)]
        for part in (rows[start : start + size] for start in range(0, len(rows), size))
    ]
    empty = Manifest("bench", RecipeRecord("bench", "{}", ""), "", Totals(), formats=("parquet", "webdataset"))
    made = write_corpus(folder, schema, shards, empty)
    to_mds(folder, rows)
    print(f"{made.totals.documents} documents, {made.totals.images} images, {made.totals.image_bytes / 1e6:.0f} MB")


def to_mds(folder: Path, rows: list[dict]) -> None:
    try:
        from plait.loader.export import export
    except ImportError:
        return
    export(str(folder), folder / "mds", "mds")


def resized(data: bytes) -> np.ndarray:
    """What the others' users write: Pillow, whole, resized."""
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(image)


def loader_of(dataset: object, workers: int) -> Iterator[list]:
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    options = {"prefetch_factor": 2} if workers else {}
    return iter(DataLoader(dataset, batch_size=BATCH, num_workers=workers, collate_fn=list, **options))


def plait_unchecked(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    return plait_stream(folder, workers, decode, check_pages=False)


def plait_stream(folder: Path, workers: int, decode: bool, check_pages: bool = True) -> Iterator[list]:
    from plait.loader import Corpus, InterleavedDataset, Order, Resize, SampleRecipe, Source

    pixels = Resize(SIDE) if decode else None
    order = Order((Source(Corpus(folder, check_pages=check_pages)),), seed=1, window=256)
    return loader_of(InterleavedDataset(order, SampleRecipe(pixels=pixels)), workers)


def plait_images(sample: object) -> int:
    return sum(not isinstance(node, str) for node in sample.nodes)  # type: ignore[attr-defined]


def webdataset_stream(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    import webdataset

    shards = [str(path) for path in sorted((folder / "webdataset").glob("*.tar"))]
    dataset = webdataset.WebDataset(shards, shardshuffle=100, seed=1).shuffle(256)
    return loader_of(dataset.map(lambda sample: _members(sample, decode)), workers)


def _members(sample: dict, decode: bool) -> list:
    document = json.loads(sample["json"])
    pictures = [None if field is None else sample[field] for field in document["images"]]
    return [
        text if picture is None else (resized(picture) if decode else picture)
        for text, picture in zip(document["texts"], pictures, strict=True)
    ]


def listed_images(sample: list) -> int:
    return sum(node is not None and not isinstance(node, str) for node in sample)


def datasets_stream(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    import datasets

    files = [str(path) for path in sorted((folder / "data").iterdir())]
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
    loaded = loaded.cast_column("images", datasets.List(datasets.Image(decode=False)))
    loaded = loaded.select_columns(["texts", "images"]).shuffle(seed=1, buffer_size=256)
    return loader_of(
        loaded.map(lambda row: {"nodes": _cells(row, decode)}, remove_columns=["texts", "images"]), workers
    )


def _cells(row: dict, decode: bool) -> list:
    pictures = [cell and cell["bytes"] for cell in row["images"]]
    return [
        text if picture is None else (resized(picture) if decode else picture)
        for text, picture in zip(row["texts"], pictures, strict=True)
    ]


def datasets_images(sample: dict) -> int:
    return listed_images(sample["nodes"])


def mds_stream(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    from streaming import StreamingDataset

    class Interleaved(StreamingDataset):
        def __getitem__(self, at: int) -> list:
            row = super().__getitem__(at)
            pictures = row["images"]
            slots = iter(pictures)
            return [
                text if text is not None else _from_pil(next(slots), decode)
                for text, kept in zip(row["texts"], row["slots"], strict=True)
                if text is not None or kept
            ]

    import streaming.base.util

    streaming.base.util.clean_stale_shared_memory()
    dataset = Interleaved(local=str(folder / "mds"), shuffle=True, shuffle_seed=1, batch_size=BATCH)
    return loader_of(dataset, workers)


def _from_pil(image: Image.Image, decode: bool) -> object:
    if not decode:
        return image
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def energon_stream(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    from megatron.energon import WorkerConfig, get_loader, get_val_dataset

    config = WorkerConfig(rank=0, world_size=1, num_workers=workers)
    dataset = get_val_dataset(
        str(folder / "webdataset"), split_part="train", worker_config=config, batch_size=None, auto_decode=False
    )
    held: list = []
    for sample in get_loader(dataset):
        held.append(
            [node if isinstance(node, str) else (resized(node) if decode else node) for node in sample.sequence]
        )
        if len(held) == BATCH:
            yield held
            held = []


SYSTEMS: dict[str, tuple[Callable[[Path, int, bool], Iterator[list]], Callable[..., int]]] = {
    "plait": (plait_stream, plait_images),
    "plait, no CRC": (plait_unchecked, plait_images),
    "webdataset": (webdataset_stream, listed_images),
    "datasets": (datasets_stream, datasets_images),
    "mds": (mds_stream, listed_images),
    "energon": (energon_stream, listed_images),
}


def measure(name: str, folder: Path, workers: int, decode: bool, seconds: float) -> dict[str, float]:
    """Documents/s and images/s, epoch after epoch, for ``seconds`` (of CPU, without workers), imports left out."""
    stream, images_of = SYSTEMS[name]
    documents = images = 0
    gc.collect()
    begin = time.perf_counter()
    warm = stream(folder, workers, decode)
    next(warm)
    first = time.perf_counter() - begin
    del warm  # what was imported and opened for it stays
    gc.collect()
    begin, cpu_before = time.perf_counter(), cpu_seconds()
    clock = time.perf_counter if workers else cpu_seconds  # a busy machine does not make a run shorter
    until = clock() + seconds
    while clock() < until:
        batches = stream(folder, workers, decode)
        for batch in batches:
            documents += len(batch)
            images += sum(images_of(sample) for sample in batch)
            if clock() >= until:
                break
        del batches  # ends the workers, whose time counts
        gc.collect()
    took, cpu = time.perf_counter() - begin, cpu_seconds() - cpu_before
    return {
        "documents/s": documents / took,
        "images/s": images / took,
        "documents/CPU-s": documents / cpu,
        "images/CPU-s": images / cpu,
        "first batch s": first,
    }


def cpu_seconds() -> float:
    """Of this process and of the workers that have ended: what another program's load changes little."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def ceiling(folder: Path, seconds: float) -> dict[str, float]:
    """Images/CPU-s of one process that only decodes: plait's decoder, and Pillow with a resize."""
    from plait.loader import Corpus, Resize

    data = [bytes(p.data) for document in Corpus(folder).head(200) for p in document.images if p.data]
    found = {}
    for name, decode in (("plait", Resize(SIDE).apply), ("pillow", resized)):
        begin, count = cpu_seconds(), 0
        while cpu_seconds() - begin < seconds:
            for picture in data:
                decode(picture)
            count += len(data)
        found[name] = count / (cpu_seconds() - begin)
    return found


def resume(folder: Path) -> dict[str, float]:
    """Seconds to the first sample: cold, and resumed at 90% of an epoch."""
    from plait.loader import Corpus, InterleavedDataset, Order, Resize, SampleRecipe, Source

    def dataset() -> InterleavedDataset:
        order = Order((Source(Corpus(folder)),), seed=1, window=256)
        return InterleavedDataset(order, SampleRecipe(pixels=Resize(SIDE)))

    used = dataset()
    progress = used.progress()
    stop = int(used.order.documents * 0.9)
    for number, sample in enumerate(used):
        if number == stop:
            break
        progress.used(sample.positions)
    state = json.dumps(progress.state_dict())
    cold, resumed = [], []
    for _ in range(5):
        for times, load in ((cold, False), (resumed, True)):
            fresh = dataset()
            begin = time.perf_counter()
            if load:
                fresh.load_state_dict(json.loads(state))
            next(iter(fresh))
            times.append(time.perf_counter() - begin)
    return {
        "cold s": statistics.median(cold), "resumed at 90% s": statistics.median(resumed), "state bytes": len(state),
    }  # fmt: skip


def memory(folder: Path, epochs: int = 3) -> list[int]:
    """Resident MiB at the end of each epoch, mapped shards included."""
    import psutil

    from plait.loader import Corpus, InterleavedDataset, Order, Resize, SampleRecipe, Source

    dataset = InterleavedDataset(
        Order((Source(Corpus(folder)),), seed=1, window=256), SampleRecipe(pixels=Resize(SIDE))
    )
    found = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        for _ in dataset:
            pass
        found.append(psutil.Process().memory_info().rss >> 20)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", type=Path)
    parser.add_argument("--documents", type=int, default=1500)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS))
    given = parser.parse_args()
    if given.make:
        make(given.make, given.documents, given.photos)
        return
    results: dict[tuple[str, int, bool], list[dict[str, float]]] = {}
    missing: dict[str, str] = {}
    runs = [(name, workers, decode) for name in given.systems for workers in given.workers for decode in (False, True)]
    for _ in range(given.repeats):
        random.shuffle(runs)
        for name, workers, decode in runs:
            if name in missing:
                continue
            try:
                results.setdefault((name, workers, decode), []).append(
                    measure(name, given.corpus, workers, decode, given.seconds)
                )
            except (ImportError, FileNotFoundError) as error:
                missing[name] = str(error)
    for name, why in missing.items():
        print(f"{name} is left out: {why}")
    heads = ("median/s", "least", "most", "per CPU-s", "first s")
    print(f"{'system':13} {'workers':>7} {'what':>10} " + " ".join(f"{head:>9}" for head in heads))
    for (name, workers, decode), found in sorted(
        results.items(), key=lambda item: (item[0][2], item[0][1], item[0][0])
    ):
        unit = "images" if decode else "documents"
        rates = [one[f"{unit}/s"] for one in found]
        cpu = statistics.median(one[f"{unit}/CPU-s"] for one in found)
        first = statistics.median(one["first batch s"] for one in found)
        print(
            f"{name:13} {workers:7} {unit:>10} {statistics.median(rates):9.0f} {min(rates):9.0f} {max(rates):9.0f} "
            f"{cpu:9.0f} {first:9.2f}"
        )
    if "plait" in given.systems:
        limit = ceiling(given.corpus, given.seconds / 2)
        print("decode only, images/CPU-s, one process:", {name: round(rate) for name, rate in limit.items()})
        print("resume:", {name: round(value, 3) for name, value in resume(given.corpus).items()})
        print("resident MiB after each epoch:", memory(given.corpus))


if __name__ == "__main__":
    main()
