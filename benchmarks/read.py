"""What reading costs beside FastWARC's bare iteration over the same file, in one run.

    python benchmarks/read.py ARCHIVE... [--megabytes 64] [--rounds 7]

The archives are repeated until the file has the size; both contenders then read it in turn. Ours is `read_archive`
(HTTP, classification, decoding, payload digests, SHA-256 of pages, addresses) and each page's bytes as text (charset
by BOM, header, meta, detection). FastWARC's bare iteration parses WARC headers and skips the payloads. CPU
time, medians.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fastwarc.warc import ArchiveIterator

from plait.pipeline.extract.charset import decode_html
from plait.pipeline.read import Archive, Limits, Record, Tally, expand, read_archive

Result = TypeVar("Result")


def repeated(archives: list[Archive], target: int, out: Path) -> int:
    """Write archives one after another until the file has `target` bytes; gives the number of bytes."""
    size = 0
    with out.open("wb") as file:
        while size < target:
            for archive in archives:
                with Path(archive.uri).open("rb") as part:
                    shutil.copyfileobj(part, file)
                size = file.tell()
    return size


def bare(path: Path) -> int:
    """FastWARC's iteration; gives the number of records."""
    return sum(1 for _ in ArchiveIterator(str(path), parse_http=False))


def ours(archive: Archive) -> tuple[int, int]:
    """Our reading; gives pages and bytes of text."""
    pages = characters = 0
    for record in read_archive(archive, Limits(), spool_dir=None):
        if isinstance(record, Record) and record.kind == "page" and record.payload is not None:
            pages += 1
            characters += len(decode_html(record.payload, record.charset))
    return pages, characters


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="+")
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "repeated.warc.gz")
        size = repeated(expand(arguments.archive), arguments.megabytes << 20, path)
        (archive,) = expand([str(path)])
        before = peak_mib()
        tally = Tally()
        for _ in read_archive(archive, Limits(), spool_dir=None, tally=tally):
            pass
        bare_times, our_times = [], []
        for _ in range(arguments.rounds):
            seconds, records = timed(lambda: bare(path))
            bare_times.append(seconds)
            seconds, (pages, characters) = timed(lambda: ours(archive))
            our_times.append(seconds)
    bare_s, our_s = statistics.median(bare_times), statistics.median(our_times)
    ratios = sorted(b / a for a, b in zip(bare_times, our_times, strict=True))
    print(f"{size / 1e6:.0f} MB, {records} records, {pages} pages, {characters / 1e6:.0f} M characters")
    print(f"read: {dict(sorted(tally.read.items()))} skipped: {dict(sorted(tally.skipped.items()))}")
    print(f"{'':24}{'CPU s':>8}{'records/CPU-s':>15}{'pages/CPU-s':>13}{'MB/CPU-s':>10}")
    for name, seconds in (("FastWARC bare iteration", bare_s), ("plait read", our_s)):
        print(f"{name:24}{seconds:8.3f}{records / seconds:15.0f}{pages / seconds:13.0f}{size / 1e6 / seconds:10.0f}")
    print(f"ratio {our_s / bare_s:.2f} (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})")
    print(f"peak memory {peak_mib():.0f} MiB, {before:.0f} before reading")


if __name__ == "__main__":
    main()
