"""The same build on local, Ray and Spark: CPU a stage, bytes through shuffles, start-up; a driver's memory.

    python benchmarks/engines.py build [--pages 2400] [--archives 2]      CPU, start-up
    python benchmarks/engines.py build --pages 150 --part-bytes 40000 --shard-docs 20     shuffles in parts: bytes moved
    python benchmarks/engines.py driver --engine ray [--units 90000]      memory of the driver

Archives are made of the pages of ../shared/data/wcxb, each page once an archive under a host of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from plait.jobs import work
from plait.jobs.building import make_plan, run_plan
from plait.jobs.engine import Engine
from plait.jobs.engines import EngineChoice
from plait.jobs.flow import Options
from plait.jobs.progress import Silent
from plait.jobs.store import Store
from plait.jobs.work import Stage, Unit
from plait.schemas.manifest import Manifest
from plait.schemas.receipts import Receipt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
PAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "wcxb"
TEXT_STAGE = "order"  # moves text, once; all other stages move keys, hashes and counts
BOUND_BYTES = 2048  # of keys, a document


def pages() -> Iterator[bytes]:
    for path in sorted(PAGES.rglob("*.html*")):
        data = path.read_bytes()
        yield gzip.decompress(data) if path.suffix == ".gz" else data


def make_archives(folder: Path, archives: int, count: int) -> list[str]:
    from tests.archives import WarcBuilder, picture

    found = [page for page, _ in zip(pages(), range(count), strict=False)]
    photo = picture(400, 300, 1)
    paths = []
    for number in range(archives):
        archive = WarcBuilder()
        for place in range(count):
            host = f"http://site{place % 97}.test"
            page = found[place % len(found)]
            # A line and a picture of its own make each page a document of its own.
            own = f"<p>Page {number}-{place}.</p><img src='{host}/photo.jpg' alt='photo'>".encode()
            archive.response(f"{host}/{number}/{place}", page.replace(b"</body>", own + b"</body>"))
        for site in range(97):
            archive.response(f"http://site{site}.test/photo.jpg", photo, "image/jpeg")
        paths.append(str(archive.save(folder / f"made-{number}.warc.gz")))
    return paths


class TreeCpu(threading.Thread):
    """CPU seconds of this process and of all that it started, ended ones too: looked at four times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._seen: dict[psutil.Process, float] = {}
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.25):
            self.seconds()

    def seconds(self) -> float:
        """So far."""
        own = psutil.Process()
        for process in [own, *own.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._seen[process] = times.user + times.system
        return sum(self._seen.values())

    def close(self) -> None:
        self._over.set()
        self.join()


class Stages(Silent):
    """CPU of all processes in each stage, and of the units alone."""

    def __init__(self, cpu: TreeCpu) -> None:
        self._cpu = cpu
        self.whole: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        self.longest: Counter[str] = Counter()
        self.written: Counter[str] = Counter()  # bytes of each table of the units that read archives
        self._began = 0.0

    def stage(self, name: str, units: int) -> None:
        self._began = self._cpu.seconds()

    def unit(self, receipt: Receipt) -> None:
        self.units[receipt.stage] += receipt.cost.cpu_s
        self.longest[receipt.stage] = max(self.longest[receipt.stage], receipt.cost.wall_s)
        if receipt.stage == "extract":
            for output in receipt.outputs:
                self.written[output.table] += output.bytes

    def end(self, name: str) -> None:
        self.whole[name] += self._cpu.seconds() - self._began


@dataclass(frozen=True)
class Run:
    """One build on one engine; seconds."""

    manifest: Manifest
    start_up: float
    start_up_cpu: float
    wall: float
    stages: Stages
    moved: Counter[str]  # bytes through the shuffle of each stage

    @property
    def cpu(self) -> float:
        """Of all stages."""
        return sum(self.stages.whole.values())


def run(inputs: list[str], out: Path, name: str, args: argparse.Namespace) -> Run:
    workers, cpu = args.workers, TreeCpu()
    plan = make_plan(inputs, recipe="annotate", options=Options(images="archive", shard_docs=args.shard_docs))
    began, before = time.monotonic(), cpu.seconds()
    choice = EngineChoice(name, workers)
    if name == "spark":
        from plait.jobs.spark_engine import start_session

        choice = EngineChoice(name, spark_session=start_session(None, workers))
    store, watch = Store(str(out)), Stages(cpu)
    engine = choice.open(store)
    started, start_up_cpu = time.monotonic(), cpu.seconds() - before
    try:
        manifest = run_plan(plan, store, engine, watch, started)
        wall = time.monotonic() - started
        return Run(manifest, started - began, start_up_cpu, wall, watch, moved_bytes(engine, choice))
    finally:
        cpu.close()
        engine.close()
        if choice.spark_session is not None:
            choice.spark_session.stop()


def moved_bytes(engine: Engine, choice: EngineChoice) -> Counter[str]:
    """What went through each stage's shuffle, by the engine's own metrics: Ray's uncompressed, Spark's compressed."""
    from plait.jobs.ray_engine import RayEngine

    if isinstance(engine, RayEngine):
        return engine.moved
    total: Counter[str] = Counter()
    if choice.spark_session is None:
        return total
    context = choice.spark_session.sparkContext
    no_quantiles = context._gateway.new_array(context._jvm.double, 0)
    stages = context._jsc.sc().statusStore().stageList(None, False, False, no_quantiles, None)
    for number in range(stages.size()):
        stage = stages.apply(number)
        if stage.description().isDefined():
            total[stage.description().get()] += stage.shuffleWriteBytes()
    return total


def compare(args: argparse.Namespace) -> None:
    work.FAN_OUT_BYTES = args.part_bytes
    folder = Path(tempfile.mkdtemp(prefix="plait-engines-"))
    try:
        inputs = make_archives(folder, args.archives, args.pages)
        size = sum(Path(path).stat().st_size for path in inputs)
        print(f"{args.archives} archives of {args.pages} pages, {size / 1e6:.0f} MB, {args.workers} workers")
        base: Run | None = None
        for name in args.engines.split(","):
            done = run(inputs, folder / name, name, args)
            base = base or done
            assert done.manifest.fingerprint == base.manifest.fingerprint
            print_run(name, done, base)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def print_run(name: str, done: Run, base: Run) -> None:
    documents = max(1, next(line.entered for line in done.manifest.funnel if line.stage == "extract"))
    print(f"\n{name}: fingerprint {done.manifest.fingerprint[:16]}, build {done.wall:.1f} s; ", end="")
    print(f"start-up {done.start_up:.1f} s and {done.start_up_cpu:.1f} CPU-s apart")
    print(f"  {'stage':20} {'CPU-s':>8} {'x local':>8} {'in units':>9} {'longest unit':>13}")
    for stage, cpu in done.stages.whole.most_common(8):
        ratio = cpu / max(base.stages.whole[stage], 0.01)
        print(
            f"  {stage:20} {cpu:8.1f} {ratio:8.2f} {done.stages.units[stage]:9.1f} {done.stages.longest[stage]:11.1f} s"
        )
    print(f"  {'all stages':20} {done.cpu:8.1f} {done.cpu / base.cpu:8.2f} {sum(done.stages.units.values()):9.1f}")
    tables = ", ".join(f"{table} {size / documents:.0f}" for table, size in done.stages.written.most_common())
    print(f"  written by extract, B a document: {tables}")
    print_moved(done, documents)


def print_moved(done: Run, documents: int) -> None:
    """Bytes through shuffles: of text, of what decides about documents, of rows about pictures."""
    text = done.moved[TEXT_STAGE]
    keys = sum(size for stage, size in done.moved.items() if stage.startswith("dedup") or stage == "survivors")
    about = sum(done.moved.values()) - text - keys
    if not text + keys + about:
        return
    pictures = max(1, max(line.entered for line in done.manifest.funnel if line.scope == "image"))
    print(f"  shuffled: keys {keys / documents:.0f} B a document, text {text / documents:.0f} B a document; ", end="")
    print(f"rows about pictures {about / pictures:.0f} B a picture ({pictures / documents:.1f} a document)")
    for stage, count in done.moved.most_common(8):
        print(f"    {stage:20} {count / documents:8.1f} B a document")
    assert keys / documents < BOUND_BYTES


def of_jvm(engine: Engine, process: psutil.Process) -> str:
    """What a Spark driver's JVM holds: resident, and what its heap keeps after a collection."""
    from plait.jobs.spark_engine import SparkEngine

    if not isinstance(engine, SparkEngine):
        return ""
    resident = sum(child.memory_info().rss for child in process.children(recursive=True) if child.name() == "java")
    java = engine._spark.sparkContext._jvm.java.lang
    java.System.gc()
    runtime = java.Runtime.getRuntime()
    live = runtime.totalMemory() - runtime.freeMemory()
    return f"; JVM {resident / 1e6:.0f} MB resident, {live / 1e6:.0f} MB of heap after a collection"


def driver(args: argparse.Namespace) -> None:
    """Run units that do nothing on a real engine; what the driver's process holds then."""
    folder = Path(tempfile.mkdtemp(prefix="plait-driver-"))
    stage = Stage("simulated", "plait.jobs.simulated:nothing", {})
    units = [
        Unit((f"{number:032x}",), f"archive-{number:06d}.warc.gz", {"archive": "s3://bucket/" + "x" * 120})
        for number in range(args.units)
    ]
    engine = EngineChoice(args.engine, args.workers).open(Store(str(folder)))
    process = psutil.Process()
    before, began = process.memory_info().rss, time.monotonic()
    count = itertools.count(1)

    def held(receipt: Receipt) -> None:
        if (number := next(count)) % 10_000 == 0:
            own = process.memory_info().rss / 1e6
            print(
                f"  {number} units in {time.monotonic() - began:.0f} s; {own:.0f} MB{of_jvm(engine, process)}",
                flush=True,
            )

    try:
        done = engine.run(stage, units, held)
        took, after = time.monotonic() - began, process.memory_info().rss
        print(
            f"{args.engine}: {len(done)} units in {took:.0f} s; driver {after / 1e6:.0f} MB, "
            f"{(after - before) / len(done):.0f} B a unit{of_jvm(engine, process)}"
        )
        began = time.monotonic()
        engine.run(stage, units, lambda receipt: None)
        print(f"{args.engine}: all found done again in {time.monotonic() - began:.0f} s")
    finally:
        engine.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    commands = parser.add_subparsers(required=True)
    build = commands.add_parser("build")
    build.add_argument("--pages", type=int, default=2400)
    build.add_argument("--archives", type=int, default=2)
    build.add_argument("--engines", default="local,ray,spark")
    build.add_argument("--shard-docs", type=int, default=1000)
    build.add_argument("--part-bytes", type=int, default=work.FAN_OUT_BYTES, help="small: shuffles of several parts")
    build.set_defaults(run=compare)
    memory = commands.add_parser("driver")
    memory.add_argument("--engine", default="ray")
    memory.add_argument("--units", type=int, default=90_000)
    memory.set_defaults(run=driver)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
