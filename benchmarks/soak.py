"""A long build over generated archives, with the memory of every process watched.

    python benchmarks/soak.py [--megabytes 1024] [--records 30000] [--copies 100000] [--files 16] [--workers 2]

The archives hold what is hard about crawls (benchmarks/soak_archives.py): one host with a fifth of the images, one page
100,000 times. Resident memory of the driver and of each worker is read four times a second. Printed are each process'
peak and, for every stage that lasts, its peak in the second and in the last quarter of the stage: flat means that the
last is not higher. The books are audited.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
from rich.console import Console

from plait.jobs import Options, audit, build
from plait.jobs.progress import Silent, Terminal, Watcher
from plait.schemas.manifest import Manifest
from plait.schemas.receipts import Receipt

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.soak_archives import make_archives

MIB = 1 << 20


class Memory:
    """Resident memory of this process and its children, read by a thread; told of the stages as their watcher."""

    def __init__(self, then: Watcher):
        self._then = then
        self.readings: list[tuple[float, str, int]] = []  # (when, "driver" or "worker <pid>", bytes)
        self.stages: list[tuple[str, float, float]] = []  # (name, begun, ended), seconds of the monotonic clock
        self._begun = 0.0
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def note(self, text: str) -> None:
        pass

    def stage(self, name: str, units: int) -> None:
        """A stage begins."""
        self._begun = time.monotonic()
        self._then.stage(name, units)

    def unit(self, receipt: Receipt) -> None:
        """Passed on."""
        self._then.unit(receipt)

    def end(self, name: str) -> None:
        """A stage is done."""
        self.stages.append((name, self._begun, time.monotonic()))
        self._then.end(name)

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(0.25):
            self._read("driver", own)
            for child in own.children(recursive=True):
                self._read(f"worker {child.pid}", child)

    def _read(self, name: str, process: psutil.Process) -> None:
        try:
            self.readings.append((time.monotonic(), name, process.memory_info().rss))
        except psutil.Error:
            return

    def peak(self, begun: float, ended: float) -> dict[str, int]:
        """The most each process held between two moments, bytes."""
        found: dict[str, int] = {}
        for when, name, size in self.readings:
            if begun <= when < ended:
                found[name] = max(found.get(name, 0), size)
        return found

    def peaks(self) -> dict[str, int]:
        """The most each process ever held, bytes."""
        return self.peak(0.0, float("inf"))


def growth(memory: Memory, shortest_s: float = 4.0) -> Iterator[tuple[str, str, int, int]]:
    """For each stage of some length and each process: (stage, process, peak of its 2nd, of its 4th quarter), bytes.

    The first quarter is left out: a process that has just begun loads what the stage needs.
    """
    for name, begun, ended in memory.stages:
        if ended - begun >= shortest_s:
            quarter = (ended - begun) / 4
            early, late = memory.peak(begun + quarter, begun + 2 * quarter), memory.peak(ended - quarter, ended)
            for process in sorted(early.keys() & late.keys()):
                yield name, process, early[process], late[process]


def soak(archives: list[Path], out: Path, workers: int, *, quiet: bool = False) -> tuple[Manifest, Memory]:
    """Build, watch, audit.

    Raises:
        SystemExit: the books do not balance.
    """
    with Memory(Silent() if quiet else Terminal(Console())) as memory:
        manifest = build(
            [str(path) for path in archives], str(out), recipe="default", workers=workers,
            options=Options(shard_docs=500), watcher=memory,
        )  # fmt: skip
    faults = audit(str(out)).faults
    if faults:
        raise SystemExit("\n".join(faults))
    return manifest, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--records", type=int, default=30_000)
    parser.add_argument("--copies", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plait-soak-") as folder:
        archives = make_archives(
            Path(folder) / "archives", total_bytes=args.megabytes * MIB, records=args.records, copies=args.copies,
            files=args.files,
        )  # fmt: skip
        size = sum(path.stat().st_size for path in archives)
        print(f"{len(archives)} archives, {size / MIB:,.0f} MiB, {args.records:,} records and {args.copies:,} copies")
        manifest, memory = soak(archives, Path(folder) / "corpus", args.workers)
    for line in manifest.funnel:
        if line.dropped:
            print(f"{line.stage:<18}{line.scope:<10}{line.entered:>9,} in {line.left:>9,} out  {line.dropped}")
    totals, cost = manifest.totals, manifest.cost
    print(f"\n{totals.documents:,} documents, {totals.images:,} images in {float(cost['wall_s'] or 0):,.0f} s")
    for name, most in memory.peaks().items():
        print(f"peak of {name:<16}{most / MIB:>8,.0f} MiB")
    print(f"{'stage':<18}{'process':<16}{'2nd quarter':>12}{'4th quarter':>12}   (peak resident MiB)")
    for stage, name, early, late in growth(memory):
        print(f"{stage:<18}{name:<16}{early / MIB:>12,.0f}{late / MIB:>12,.0f}")


if __name__ == "__main__":
    main()
