"""One measurement in a process of its own, as a line of JSON: run by `benchmarks/loader.py`.

python benchmarks/loader_run.py rate CORPUS webdataset --workers 2 --decode --seconds 8
python benchmarks/loader_run.py ceiling CORPUS plait --seconds 8
python benchmarks/loader_run.py resume CORPUS
python benchmarks/loader_run.py memory CORPUS
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from loader_systems import SIDE, SYSTEMS, WINDOW, images_of, with_ours, with_pillow


def cpu_seconds() -> float:
    """Of this process and of its workers, alive or not: what another program's load changes little."""
    used = psutil.Process().cpu_times()
    total = used.user + used.system + used.children_user + used.children_system
    for child in psutil.Process().children(recursive=True):
        own = child.cpu_times()
        total += own.user + own.system
    return float(total)


def rate(corpus: Path, system: str, workers: int, decode: bool, seconds: float) -> dict[str, float]:
    """Documents and images per second and CPU second, from the second batch on; seconds to the first."""
    begin = time.perf_counter()
    stream = SYSTEMS[system](corpus, workers, decode)
    next(stream)
    first = time.perf_counter() - begin
    documents = images = 0
    begin, cpu = time.perf_counter(), cpu_seconds()
    while (took := time.perf_counter() - begin) < seconds:
        batch = next(stream)
        documents += len(batch)
        images += images_of(batch)
    cpu = cpu_seconds() - cpu
    return {
        "documents/s": documents / took,
        "images/s": images / took,
        "documents/CPU-s": documents / cpu,
        "images/CPU-s": images / cpu,
        "first batch s": first,
    }


def ceiling(corpus: Path, decoder: str, seconds: float) -> dict[str, float]:
    """Images per second of a process that only decodes, from bytes in memory."""
    from plait.loader import Corpus

    data = [bytes(picture.data) for document in Corpus(corpus).head(200) for picture in document.images if picture.data]
    decode = with_ours if decoder == "plait" else with_pillow
    decode(data[0])
    images = 0
    begin, cpu = time.perf_counter(), cpu_seconds()
    while (took := time.perf_counter() - begin) < seconds:
        decode(data[images % len(data)])
        images += 1
    return {"images/s": images / took, "images/CPU-s": images / (cpu_seconds() - cpu)}


def efficiency(corpus: Path, workers: int, seconds: float) -> dict[str, float]:
    """plait's images per CPU second through the whole loader, and decoding alone, by turns in one process.

    A machine that others use changes from second to second; turns of half a second meet the same machine. Workers stand
    still while this process decodes alone; their CPU seconds count with this process' own.
    """
    from plait.loader import Corpus

    data = [bytes(picture.data) for document in Corpus(corpus).head(200) for picture in document.images if picture.data]
    stream = SYSTEMS["plait"](corpus, workers, True)
    for _ in range(2 * workers + 1):  # until the first batches that were prefetched are through
        next(stream)
    children = psutil.Process().children()
    images, spent = [0, 0], [0.0, 0.0]
    while sum(spent) < seconds:
        for side in (0, 1):
            for child in children:
                child.suspend() if side else child.resume()
            begin = cpu_seconds()
            while cpu_seconds() - begin < 0.5:
                if side:
                    for _ in range(64):
                        with_ours(data[images[1] % len(data)])
                        images[1] += 1
                else:
                    images[0] += images_of(next(stream))
            spent[side] += cpu_seconds() - begin
    for child in children:
        child.resume()
    loaded, alone = images[0] / spent[0], images[1] / spent[1]
    return {"images/CPU-s": loaded, "decoding alone, images/CPU-s": alone, "share": loaded / alone}


def crossing() -> dict[str, float]:
    """CPU ms of both processes for each picture of 224 x 224 that one worker sends, as a `Batch` and as a list."""
    import numpy as np
    from torch.utils.data import DataLoader, IterableDataset

    from plait.loader import Batch

    class Made(IterableDataset):
        def __iter__(self) -> object:
            pixels = np.random.default_rng(0).integers(0, 255, (80, SIDE, SIDE, 3), dtype=np.uint8)
            while True:
                for number in range(40):
                    yield ["text " * 100, pixels[2 * number], pixels[2 * number + 1]]

    streams = {
        name: iter(DataLoader(Made(), batch_size=32, num_workers=1, collate_fn=collate))
        for name, collate in (("Batch", Batch), ("list", list))
    }
    taken: dict[str, list[float]] = {name: [] for name in streams}
    for turn in range(7):
        for name, stream in streams.items():
            begin = cpu_seconds()
            for _ in range(12):
                next(stream)
            if turn:
                taken[name].append((cpu_seconds() - begin) / (12 * 64) * 1000)
    return {f"{name}, ms": statistics.median(times) for name, times in taken.items()}


def _dataset(corpus: Path) -> object:
    from plait.loader import Corpus, InterleavedDataset, Order, Resize, SampleRecipe, Source

    order = Order((Source(Corpus(corpus)),), seed=1, window=WINDOW)
    return InterleavedDataset(order, SampleRecipe(pixels=Resize(SIDE)))


def resume(corpus: Path) -> dict[str, float]:
    """Seconds to plait's first batch of 32: cold, and resumed at 10, 50 and 90% of an epoch (medians of 5)."""
    from itertools import islice

    states: dict[str, str | None] = {"cold": None}
    used = _dataset(corpus)
    progress = used.progress()
    documents = used.order.documents
    marks = {int(documents * share): f"{share:.0%}" for share in (0.1, 0.5, 0.9)}
    from plait.loader.samples import Position

    window = used.order.window
    for number in range(documents):  # what a trainer tells of an epoch's documents, without reading them
        if number in marks:
            states[marks[number]] = json.dumps(progress.state_dict())
        at, place = divmod(number, window)
        last = place + 1 == min(window, documents - at * window)
        progress.used([Position(at, place + 1, last)])
    times: dict[str, list[float]] = {name: [] for name in states}
    for _ in range(5):
        for name, state in states.items():
            begin = time.perf_counter()
            fresh = _dataset(corpus)
            if state:
                fresh.load_state_dict(json.loads(state))
            list(islice(fresh, 32))
            times[name].append(time.perf_counter() - begin)
            del fresh
            gc.collect()
    found = {f"{name} s": statistics.median(taken) for name, taken in times.items()}
    return {**found, "state bytes": float(len(states["90%"] or ""))}


def memory(corpus: Path) -> dict[str, float]:
    """MiB of plait's process, mapped shards left out, at quarters of two epochs; and the greatest with them."""
    found: dict[str, float] = {}
    dataset = _dataset(corpus)
    greatest = 0
    process = psutil.Process()
    for epoch in range(2):
        dataset.set_epoch(epoch)
        for number, _ in enumerate(dataset):
            if number % (dataset.order.documents // 4) == 0:
                info = process.memory_info()
                found[f"epoch {epoch}, {number * 100 // dataset.order.documents}%"] = (info.rss - info.shared) / 2**20
                greatest = max(greatest, info.rss)
    return {**found, "greatest, with mapped shards": greatest / 2**20}


def shuffle(corpus: Path) -> dict[str, float]:
    """How far plait's order is from one drawn of all documents: means of 20 epochs, for windows of several sizes.

    Of documents that come one after the other, the share that lie in one row group, and the correlation of the place
    on disk with the place in the epoch (its size); the same for orders drawn by numpy.
    """
    import numpy as np

    from plait.loader import Corpus, Order, Source

    opened = Corpus(corpus)
    groups = np.repeat(np.arange(len(opened.groups)), opened.groups[:, 3])
    first = opened.groups[:, 2]
    rng = np.random.default_rng(0)
    orders = {"drawn of all": [rng.permutation(len(opened)) for _ in range(20)]}
    for window in (64, 256, 512, 2048):
        order = Order((Source(opened),), seed=1, window=window)
        orders[f"window {window}"] = [
            np.array(
                [
                    first[place.group] + place.row
                    for number in range(epoch * order.windows, (epoch + 1) * order.windows)
                    for place in order.places(number)
                ]
            )
            for epoch in range(20)
        ]
    found: dict[str, float] = {}
    for name, epochs in orders.items():
        same = [float((np.diff(groups[rows]) == 0).mean()) for rows in epochs]
        along = [abs(float(np.corrcoef(rows, np.arange(len(rows)))[0, 1])) for rows in epochs]
        found[f"{name}: one row group"] = statistics.mean(same)
        found[f"{name}: correlation"] = statistics.mean(along)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rate", "ceiling", "efficiency", "crossing", "resume", "memory", "shuffle"))
    parser.add_argument("corpus", type=Path)
    parser.add_argument("system", nargs="?", default="plait")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--decode", action="store_true")
    parser.add_argument("--seconds", type=float, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    runs: dict[str, Callable[[], dict[str, float]]] = {
        "rate": lambda: rate(given.corpus, given.system, given.workers, given.decode, given.seconds),
        "ceiling": lambda: ceiling(given.corpus, given.system, given.seconds),
        "efficiency": lambda: efficiency(given.corpus, given.workers, given.seconds),
        "crossing": crossing,
        "resume": lambda: resume(given.corpus),
        "memory": lambda: memory(given.corpus),
        "shuffle": lambda: shuffle(given.corpus),
    }
    print(json.dumps(runs[given.what]()), flush=True)


if __name__ == "__main__":
    main()
