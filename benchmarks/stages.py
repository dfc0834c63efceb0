"""What each stage of a build costs, beside FastWARC's bare iteration over the same archives, in one run.

    python benchmarks/stages.py [ARCHIVE...] [--recipe default] [--rounds 3]

Without archives: those of ../shared/data that hold pages and pictures. The kernels of the fused first stage are timed
one by one over the same pages (CPU time, medians of the rounds, interleaved), then one build with one worker gives CPU
time and peak memory of every stage as its receipts have them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fastwarc.warc import ArchiveIterator

from plait.dedup.keys import document_keys
from plait.dedup.minhash import MinHashConfig
from plait.filters.models import lid176
from plait.filters.recipe import load_recipe
from plait.jobs import build
from plait.jobs.runner import peak_rss
from plait.jobs.settings import extract_options
from plait.pipeline.extract import decode_html, extract_html
from plait.pipeline.pages import Capture, pages_batch
from plait.pipeline.read import Archive, Limits, Record, expand, read_archive
from plait.pipeline.text import apply_text
from plait.schemas.errors import RecordError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
DEFAULT = (
    "warc_made/wikipedia_en_ray_charles_2015-06.warc.gz",
    "warc_made/iot-21lang.warc.gz",
    "warc_made/oi-wiki-zh.warc.gz",
)


class Stages:
    """The fused stage's kernels, one by one, over the pages of some archives."""

    def __init__(self, archives: list[Archive], recipe_name: str):
        self.archives = archives
        self.recipe = load_recipe(recipe_name)
        self.options = extract_options(self.recipe)
        self.records = [
            (archive, record)
            for archive in archives
            for record in read_archive(archive, Limits(), spool_dir=None)
            if isinstance(record, Record) and record.kind == "page" and record.payload is not None
        ]
        self.captures: list[Capture] = []
        for archive, record in self.records:
            try:
                page = extract_html(record.payload or b"", record.url, options=self.options, charset=record.charset)
            except RecordError:
                continue
            place = (archive.name, archive.id, record.offset, record.length)
            self.captures.append(Capture(page, record.url, record.captured, record.sha256 or b"", *place))
        self.kept = apply_text(pages_batch(self.captures, 0), self.recipe).kept

    def bare(self) -> None:
        for archive in self.archives:
            for record in ArchiveIterator(archive.uri, parse_http=False):
                record.record_id  # noqa: B018

    def read(self) -> None:
        for archive in self.archives:
            for record in read_archive(archive, Limits(), spool_dir=None):
                if isinstance(record, Record) and record.kind == "page" and record.payload is not None:
                    decode_html(record.payload, record.charset)

    def extract(self) -> None:
        for _, record in self.records:
            try:
                extract_html(record.payload or b"", record.url, options=self.options, charset=record.charset)
            except RecordError:
                continue

    def text(self) -> None:
        apply_text(pages_batch(self.captures, 0), self.recipe)

    def keys(self) -> None:
        document_keys(self.kept, MinHashConfig(seed=1))


def cpu(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", nargs="*")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    lid176()
    archives = expand(args.archives or [str(SHARED / name) for name in DEFAULT])
    stages = Stages(archives, args.recipe)
    names: dict[str, Callable[[], None]] = {
        "FastWARC bare iteration": stages.bare, "read (digests, charset)": stages.read,
        f"extract ({stages.options.extractor})": stages.extract, f"text ({args.recipe})": stages.text,
        "dedup keys (MinHash 14x8)": stages.keys,
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(args.rounds):
        for name, work in names.items():
            times[name].append(cpu(work))
    pages = len(stages.records)
    floor = statistics.median(times["FastWARC bare iteration"])
    print(f"{pages} pages in {len(archives)} archives, {sum(archive.bytes for archive in archives):,} bytes\n")
    print(f"{'kernel':<28}{'pages/CPU-s':>12}{'ms/page':>10}{'x bare iteration':>18}")
    for name, found in times.items():
        seconds = statistics.median(found)
        print(f"{name:<28}{pages / seconds:>12,.0f}{1000 * seconds / pages:>10.3f}{seconds / floor:>18.1f}")
    print(f"peak memory of this process: {peak_rss() / 2**20:,.0f} MiB\n")
    with tempfile.TemporaryDirectory(prefix="plait-bench-") as folder:
        manifest = build([archive.uri for archive in archives], f"{folder}/corpus", recipe=args.recipe, workers=1)
    print(f"{'stage of a build, 1 worker':<28}{'pages/CPU-s':>12}{'CPU s':>10}")
    for name, value in manifest.cost.items():
        if name.startswith("cpu_s.") and value:
            print(f"{name.removeprefix('cpu_s.'):<28}{pages / float(value):>12,.0f}{float(value):>10.2f}")
    total = float(manifest.cost["cpu_s"] or 1)
    print(f"{'all':<28}{pages / total:>12,.0f}{total:>10.2f}")
    print(f"peak memory of a worker: {float(manifest.cost['peak_rss'] or 0) / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
