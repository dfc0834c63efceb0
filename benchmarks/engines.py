"""The same build on local, Ray and Spark: CPU a stage, bytes through shuffles, start-up; a driver's memory.

    python benchmarks/engines.py build [--pages 2400] [--archives 2]      CPU, bytes moved, start-up
    python benchmarks/engines.py driver --engine ray [--units 90000]      memory of the driver

Archives are made of the pages of ../shared/data/wcxb, each page once an archive under a host of its own.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from plait.jobs.building import make_plan, run_plan
from plait.jobs.engine import Engine
from plait.jobs.engines import EngineChoice
from plait.jobs.flow import Options
from plait.jobs.progress import Silent
from plait.jobs.store import Store
from plait.jobs.work import Stage, Unit
from plait.schemas.manifest import Manifest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
PAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "wcxb"
TEXT_STAGE = "order"  # moves text, once; all other stages move keys, hashes and counts
BOUND_BYTES = 2048  # a document, in all stages but that one


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


def run(inputs: list[str], out: Path, name: str, workers: int) -> tuple[Manifest, float, float, Counter[str]]:
    """Manifest, seconds to start the engine, seconds of the build, bytes through each shuffle."""
    plan = make_plan(inputs, recipe="annotate", options=Options(images="archive"))
    began = time.monotonic()
    choice = EngineChoice(name, workers)
    if name == "spark":
        from plait.jobs.spark_engine import start_session

        choice = EngineChoice(name, spark_session=start_session(None, workers))
    store = Store(str(out))
    engine = choice.open(store)
    started = time.monotonic()
    try:
        manifest = run_plan(plan, store, engine, Silent(), started)
        return manifest, started - began, time.monotonic() - started, moved_bytes(engine, choice)
    finally:
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
    folder = Path(tempfile.mkdtemp(prefix="plait-engines-"))
    try:
        inputs = make_archives(folder, args.archives, args.pages)
        size = sum(Path(path).stat().st_size for path in inputs)
        print(f"{args.archives} archives of {args.pages} pages, {size / 1e6:.0f} MB, {args.workers} workers")
        base: Manifest | None = None
        for name in args.engines.split(","):
            manifest, start, wall, moved = run(inputs, folder / name, name, args.workers)
            base = base or manifest
            documents = max(1, next(line.entered for line in manifest.funnel if line.stage == "extract"))
            print(f"\n{name}: fingerprint {manifest.fingerprint[:16]}, start-up {start:.1f} s, build {wall:.1f} s")
            assert manifest.fingerprint == base.fingerprint
            for stage, cpu in manifest.cost.items():
                if stage.startswith("cpu_s."):
                    ratio = float(cpu) / max(float(base.cost.get(stage, 0)), 0.001)
                    print(f"  {stage[6:]:20} {float(cpu):8.1f} CPU-s   {ratio:5.2f} x local")
            text = moved.pop(TEXT_STAGE, 0)
            keys = sum(moved.values())
            if keys:
                print(f"  shuffled: keys {keys / documents:.0f} B a document, text {text / documents:.0f} B a document")
                for stage, count in moved.most_common(6):
                    print(f"    {stage:20} {count / documents:8.1f} B a document")
                assert keys / documents < BOUND_BYTES
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    try:
        done = engine.run(stage, units, lambda receipt: None)
        took, after = time.monotonic() - began, process.memory_info().rss
        jvm = sum(child.memory_info().rss for child in process.children(recursive=True) if child.name() == "java")
        print(
            f"{args.engine}: {len(done)} units in {took:.0f} s; driver {after / 1e6:.0f} MB, "
            f"{(after - before) / len(done):.0f} B a unit; JVM {jvm / 1e6:.0f} MB"
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
    build.set_defaults(run=compare)
    memory = commands.add_parser("driver")
    memory.add_argument("--engine", default="ray")
    memory.add_argument("--units", type=int, default=90_000)
    memory.set_defaults(run=driver)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
