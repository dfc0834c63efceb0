"""A long build over generated archives, with the memory of every process watched.

    python benchmarks/soak.py [--megabytes 1024] [--records 30000] [--copies 100000] [--files 16] [--workers 2]

The archives hold what is hard about crawls (benchmarks/soak_archives.py): one host with a fifth of the images, one page
100,000 times. Resident memory of the driver and of each worker is read four times a second; for each, the peak of the
first and of the second half of the time is printed: flat means that the second is not higher. The books are audited.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil
from rich.console import Console

from plait.jobs import Options, audit, build
from plait.jobs.progress import Terminal
from plait.schemas.manifest import Manifest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.soak_archives import make_archives

MIB = 1 << 20


@dataclass
class Memory:
    """Resident memory of this process and its children, read by a thread."""

    seen: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(0.25):
            self._read("driver", own)
            for child in own.children(recursive=True):
                self._read(f"worker {child.pid}", child)

    def _read(self, name: str, process: psutil.Process) -> None:
        try:
            self.seen.setdefault(name, []).append((time.monotonic(), process.memory_info().rss))
        except psutil.Error:
            return

    def halves(self) -> dict[str, tuple[int, int]]:
        """Peak of each process in the first and in the second half of its time, bytes."""
        found = {}
        for name, readings in self.seen.items():
            middle = (readings[0][0] + readings[-1][0]) / 2
            first = max((rss for when, rss in readings if when <= middle), default=0)
            second = max((rss for when, rss in readings if when > middle), default=0)
            found[name] = (first, second)
        return found


def soak(archives: list[Path], out: Path, workers: int, *, quiet: bool = False) -> tuple[Manifest, Memory]:
    """Build, watch, audit.

    Raises:
        SystemExit: the books do not balance.
    """
    watcher = None if quiet else Terminal(Console())
    with Memory() as memory:
        manifest = build(
            [str(path) for path in archives], str(out), recipe="default", workers=workers,
            options=Options(shard_docs=500), watcher=watcher,
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
    print(f"{'process':<16}{'first half':>12}{'second half':>13}   (peak resident MiB)")
    for name, (first, second) in memory.halves().items():
        print(f"{name:<16}{first / MIB:>12,.0f}{second / MIB:>13,.0f}")


if __name__ == "__main__":
    main()
