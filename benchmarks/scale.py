"""A monthly crawl on a cluster, simulated: how long the last 1% takes, what failures and stragglers cost.

    python benchmarks/scale.py
    python benchmarks/scale.py --units 90000 --workers 2000 --mean-s 1100 --node-mtbf-h 400
    python benchmarks/scale.py --page-ms 44      what a month costs at this rate is printed last (`Month`)


One stage of independent units (an archive each) is drawn from the durations given and run by a list of workers, as an
engine's scheduler does: the next unit goes to the first free worker. A node that is lost takes its running units with
it, and they are run again. A hostile archive kills its first attempt and is slower in the second (records isolated).
With speculation, once no unit waits, a unit that has run longer than twice the median gets a second copy on a free
worker, and the first receipt counts.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
from dataclasses import dataclass, replace

RECEIPT_BYTES = 4922  # of an extract unit with nine tables, in the driver's memory: measured on 10,000 of them
UNIT_BYTES = 1100  # of a unit asked for: measured likewise
ATTEMPTS = 4


@dataclass(frozen=True)
class Cluster:
    """What is simulated; times in seconds.

    Attributes:
        units: of the stage.
        workers: slots, one core each.
        mean_s: of a unit.
        spread: sigma of the logarithm of a unit's time (0.35: archives of one crawl differ by ±40%).
        slow_share: of the workers that are slow.
        slow_factor: how much slower those are.
        slots: workers of a node: they are lost together.
        node_mtbf_h: hours between losses of a node.
        hostile: share of the units that crash their first attempt.
        isolated: how much slower an attempt with isolated records is.
        speculate: whether slow units get a second copy.
    """

    units: int = 90_000
    workers: int = 2_000
    mean_s: float = 1_100.0
    spread: float = 0.35
    slow_share: float = 0.01
    slow_factor: float = 4.0
    slots: int = 16
    node_mtbf_h: float = 400.0
    hostile: float = 0.002
    isolated: float = 1.6
    speculate: bool = True


@dataclass(frozen=True)
class Outcome:
    """Of one simulated stage; times in seconds."""

    total: float
    at_99: float
    busy: float  # worker seconds spent
    useful: float  # of those, in attempts whose receipt counts
    lost: int  # attempts that ended without a receipt
    copies: int
    failed: int  # units that failed `ATTEMPTS` times


def simulate(cluster: Cluster, seed: int) -> Outcome:
    """Run one stage. 90,000 units on 2,000 workers take about a second."""
    draw = random.Random(seed)
    mu = -(cluster.spread**2) / 2  # so that the mean is mean_s
    need = [cluster.mean_s * draw.lognormvariate(mu, cluster.spread) for _ in range(cluster.units)]
    hostile = {number for number in range(cluster.units) if draw.random() < cluster.hostile}
    slow = {worker for worker in range(cluster.workers) if draw.random() < cluster.slow_share}
    loss_rate = 1 / (cluster.node_mtbf_h * 3600)  # of a worker: it goes with its node
    typical = statistics.median(need)

    waiting = list(range(cluster.units - 1, -1, -1))
    free = list(range(cluster.workers))
    attempts = [0] * cluster.units
    done: set[int] = set()
    times: list[float] = []
    events: list[tuple[float, int, int, bool, float]] = []  # end, worker, unit, whether it succeeds, begin
    running: dict[int, list[tuple[float, int]]] = {}
    now = busy = useful = 0.0
    lost = copies = failed = 0

    def start(unit: int, worker: int) -> None:
        attempts[unit] += 1
        isolated = unit in hostile and attempts[unit] > 1
        takes = need[unit] * (cluster.slow_factor if worker in slow else 1) * (cluster.isolated if isolated else 1)
        crash = takes * draw.random() if unit in hostile and not isolated else float("inf")
        end = min(takes, crash, draw.expovariate(loss_rate))
        heapq.heappush(events, (now + end, worker, unit, end == takes, now))
        running.setdefault(unit, []).append((now, worker))

    while len(done) + failed < cluster.units:
        while waiting and free:
            start(waiting.pop(), free.pop())
        if cluster.speculate and free and not waiting:
            late = [u for u, at in running.items() if len(at) == 1 and now - at[0][0] > 2 * typical]
            for unit in sorted(late, key=lambda u: running[u][0])[: len(free)]:
                start(unit, free.pop())
                copies += 1
        if not events:
            break
        now, worker, unit, ok, began = heapq.heappop(events)
        free.append(worker)
        busy += now - began
        running[unit].remove((began, worker))
        if unit in done:
            continue
        if ok:
            useful += now - began
            done.add(unit)
            times.append(now)
        else:
            lost += 1
            if attempts[unit] >= ATTEMPTS and not running[unit]:
                failed += 1
            elif not running[unit]:
                waiting.append(unit)
        if not running[unit]:
            del running[unit]
    return Outcome(times[-1], times[int(len(times) * 0.99)], busy, useful, lost, copies, failed)


@dataclass(frozen=True)
class Month:
    """A crawl of Common Crawl's size, and what each part of it takes.

    Attributes:
        archives: of it; assumed.
        archive_bytes: of one, compressed; assumed.
        pages: of it; assumed (26,700 an archive).
        text_share: of the pages that the text rules keep (OmniCorpus, figure 2).
        near_share: of the pages that deduplication leaves (the same).
        images: of the documents that are left (the same: 2.97 a document at the end, 60% kept by the image filters).
        page_ms: of CPU a page, reading to keys (`benchmarks/engines.py build --pages 1200`, busy cores).
        document_bytes: that extraction writes for a page that the text rules keep (the same).
        key_bytes: that deduplication is given for each (the same).
        dedup_rate: documents a CPU second through all steps of deduplication (`benchmarks/dedup.py growth`: 118 µs,
            signatures too, the slower of two runs at a million).
        image_ms: of CPU a picture, decoding, hashes, scores (`benchmarks/images.py hashes --count 60`).
        image_bytes: of one; assumed.
        shard_rate: documents a CPU second, assembled and written (`benchmarks/shards.py`).
        clip_rate: pictures a second and GPU (OmniCorpus, figure 2).
        cpu_hour: dollars for a vCPU: c5.24xlarge on demand, $4.08 for 96 (EC2 Auto Scaling's user guide, an example).
        gpu_hour: dollars for an A100: p4d.24xlarge on demand, $32.77 for 8 (as of 2024).
    """

    archives: int = 90_000
    archive_bytes: float = 1e9
    pages: float = 2.4e9
    text_share: float = 0.106
    near_share: float = 0.011
    images: float = 131e6
    page_ms: float = 44.0
    document_bytes: float = 4_400.0
    key_bytes: float = 170.0
    dedup_rate: float = 8_500.0
    image_ms: float = 2.0
    image_bytes: float = 100e3
    shard_rate: float = 1_183.0
    clip_rate: float = 113.0
    cpu_hour: float = 4.08 / 96
    gpu_hour: float = 32.77 / 8


@dataclass(frozen=True)
class Step:
    """What one part of a month takes: hours of CPU and GPU; bytes read, moved by a shuffle, written."""

    name: str
    cpu_h: float = 0.0
    gpu_h: float = 0.0
    read: float = 0.0
    moved: float = 0.0
    written: float = 0.0


def steps(month: Month) -> list[Step]:
    """The parts of a month, in order. What the shuffles of pictures' rows move is not among them."""
    kept, left = month.pages * month.text_share, month.pages * month.near_share
    documents, keys = kept * month.document_bytes, kept * month.key_bytes
    text, pictures = left * month.document_bytes, month.images * month.image_bytes
    crawl = month.archives * month.archive_bytes
    return [
        Step("read, extract, text", month.pages * month.page_ms / 3.6e6, 0, crawl, 0, documents + keys),
        Step("deduplicate", kept / month.dedup_rate / 3600, 0, keys, keys, left * month.key_bytes),
        Step("order", 0, 0, documents, 24 * left + text, text),
        Step("pictures: decode, score", month.images * month.image_ms / 3.6e6, 0, pictures, 0, pictures),
        Step("pictures: CLIP", 0, month.images / month.clip_rate / 3600, pictures, 0, 0),
        Step("assemble, write", left / month.shard_rate / 3600, 0, text + pictures, 0, text + pictures),
    ]


def print_month(month: Month) -> None:
    print(f"\n{'a month':24} {'CPU-h':>8} {'GPU-h':>6} {'read':>9} {'moved':>9} {'written':>9} {'dollars':>8}")
    rows = steps(month)
    for step in rows:
        dollars = step.cpu_h * month.cpu_hour + step.gpu_h * month.gpu_hour
        size = "".join(f" {value / 1e12:6.2f} TB" for value in (step.read, step.moved, step.written))
        print(f"{step.name:24} {step.cpu_h:8,.0f} {step.gpu_h:6,.0f}{size} {dollars:8,.0f}")
    cpu, gpu = sum(step.cpu_h for step in rows), sum(step.gpu_h for step in rows)
    print(f"{'all':24} {cpu:8,.0f} {gpu:6,.0f} {'':29} {cpu * month.cpu_hour + gpu * month.gpu_hour:8,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    base = Cluster()
    parser.add_argument("--units", type=int, default=base.units)
    parser.add_argument("--workers", type=int, default=base.workers)
    parser.add_argument("--mean-s", type=float, default=base.mean_s)
    parser.add_argument("--node-mtbf-h", type=float, default=base.node_mtbf_h)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--page-ms", type=float, default=Month.page_ms)
    args = parser.parse_args()
    base = replace(base, units=args.units, workers=args.workers, mean_s=args.mean_s, node_mtbf_h=args.node_mtbf_h)
    cases = {
        "nothing goes wrong": replace(base, slow_share=0, hostile=0, node_mtbf_h=1e9, speculate=False),
        "failures, slow workers": replace(base, speculate=False),
        "the same, with second copies": base,
        "a node lost every 20 h, copies": replace(base, node_mtbf_h=20),
    }
    ideal = args.units * args.mean_s / args.workers / 3600
    print(f"{args.units:,} units of {args.mean_s:.0f} s on {args.workers:,} workers: {ideal:.2f} h if all were equal")
    for name, cluster in cases.items():
        runs = [simulate(cluster, seed) for seed in range(args.seeds)]
        hours = statistics.mean(run.total for run in runs) / 3600
        tail = statistics.mean(run.total - run.at_99 for run in runs) / 60
        waste = 1 - statistics.mean(run.useful / run.busy for run in runs)
        print(
            f"{name:32} {hours:6.2f} h, last 1% {tail:6.1f} min, wasted {waste:5.1%}, attempts lost {runs[0].lost:5}, "
            f"copies {runs[0].copies:5}, units given up {runs[0].failed}"
        )
    print(f"driver: {args.units * (RECEIPT_BYTES + UNIT_BYTES) / 1e6:.0f} MB of units and receipts")
    print_month(Month(page_ms=args.page_ms))


if __name__ == "__main__":
    main()
