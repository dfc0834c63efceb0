"""Loaders side by side over one corpus: container-only documents/s, images/s end to end, resume, memory.

    make readers
    python benchmarks/loader.py --make /tmp/bench-corpus --documents 4000 --photos FOLDER
    python benchmarks/loader.py --corpus /tmp/bench-corpus --seconds 8 --repeats 3
    python benchmarks/loader.py --corpus /tmp/bench-corpus --only efficiency resume memory shuffle

Every measurement is a process of its own, one thread each and one for every worker, on an endless shuffled stream
whose clock starts with the second batch, so imports, opening and epochs' ends are in nobody's rate; the first batch is
told by itself. Every system gives batches of 32 documents with RGB uint8 of 224 x 224, or bytes. The order of the runs
is drawn anew for each repeat; figures are medians with the least and the greatest. The decode-only ceilings are
processes that do nothing else, measured among the others. Energon and MosaicML streaming run in the environment of
`make readers`; a system that is not installed is left out and named. `--cold` drops the corpus from the page cache
before each run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
READERS_PYTHON = HERE.parent / ".venv-readers/bin/python"
READERS = ("mds", "energon")  # whose pins clash with ours
SYSTEMS = ("plait", "plait, no CRC", "webdataset", "webdataset, our decoder", "datasets", "mds", "energon")
DECODERS = ("plait", "Pillow")

Run = tuple[str, str, int, bool]  # what, system, workers, decode
Found = dict[Run, list[dict[str, float]]]


def measured(run: Run, corpus: Path, seconds: float) -> dict[str, float]:
    """One measurement.

    Raises:
        RuntimeError: it failed: the last line that it said.
    """
    what, system, workers, decode = run
    python = READERS_PYTHON if system in READERS else Path(sys.executable)
    words = [str(python), str(HERE / "loader_run.py"), what, str(corpus), system, "--workers", str(workers)]
    words += ["--seconds", str(seconds), *(["--decode"] if decode else [])]
    path = os.pathsep.join(filter(None, (str(HERE.parent / "tests/loader"), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=300)
    except FileNotFoundError as error:
        raise RuntimeError(f"{error}: make readers") from error
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def forgotten(corpus: Path) -> None:
    """Drops the corpus' files from the page cache."""
    for path in corpus.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def print_rates(found: Found, unit: str) -> None:
    """A table of one of the two units, and what of it the others and the ceiling are."""
    decode = unit == "images"
    rows = sorted((run for run in found if run[0] == "rate" and run[3] == decode), key=lambda run: (run[2], run[1]))
    if not rows:
        return
    heads = ("median/s", "least", "most", "per CPU-s", "first s")
    print(f"\n{unit:24} {'workers':>7} " + " ".join(f"{head:>9}" for head in heads))
    medians: dict[tuple[str, int], tuple[float, float]] = {}
    for run in rows:
        _, system, workers, _ = run
        rates = [one[f"{unit}/s"] for one in found[run]]
        cpu = statistics.median(one[f"{unit}/CPU-s"] for one in found[run])
        first = statistics.median(one["first batch s"] for one in found[run])
        medians[system, workers] = statistics.median(rates), cpu
        figures = f"{statistics.median(rates):9.0f} {min(rates):9.0f} {max(rates):9.0f} {cpu:9.0f} {first:9.2f}"
        print(f"{system:24} {workers:7} {figures}")
    ceilings = found.get(("ceiling", "plait", 0, True), [])
    for (system, workers), (rate, cpu) in sorted(medians.items(), key=lambda item: item[0][1]):
        if system != "plait":
            continue
        others = {
            name: rates
            for (name, number), rates in medians.items()
            if number == workers and not name.startswith("plait") and "our decoder" not in name
        }
        said = f"workers {workers}: plait"
        if others:
            best = max(others, key=lambda name: others[name][0])
            frugal = max(others, key=lambda name: others[name][1])
            said += f" is {rate / others[best][0]:.2f} x {best}; per CPU-s {cpu / others[frugal][1]:.2f} x {frugal}"
        if decode and ceilings:
            alone = statistics.median(one["images/s"] for one in ceilings)
            alone_cpu = statistics.median(one["images/CPU-s"] for one in ceilings)
            said += (
                f"; {rate / (max(workers, 1) * alone):.0%} of its decode-only ceiling, per CPU-s {cpu / alone_cpu:.0%}"
            )
        print(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", type=Path)
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=SYSTEMS)
    kinds = ("documents", "images", "efficiency", "crossing", "resume", "memory", "shuffle")
    parser.add_argument("--only", nargs="*", default=list(kinds), choices=kinds)
    parser.add_argument("--cold", action="store_true")
    given = parser.parse_args()
    if given.make:
        from loader_corpus import make

        print(make(given.make, given.documents, given.photos))
        return
    rates = [decode for decode, kind in ((False, "documents"), (True, "images")) if kind in given.only]
    runs: list[Run] = [
        ("rate", name, workers, decode) for name in given.systems for workers in given.workers for decode in rates
    ]
    if "images" in given.only:
        runs += [("ceiling", name, 0, True) for name in DECODERS]
    if "efficiency" in given.only:
        runs += [("efficiency", "plait", workers, True) for workers in given.workers]
    runs += [(kind, "plait", 0, True) for kind in ("crossing", "resume", "memory", "shuffle") if kind in given.only]
    found: Found = {}
    missing: dict[str, str] = {}
    for repeat in range(given.repeats):
        random.shuffle(runs)
        for run in runs:
            if run[1] in missing or (run[0] in ("memory", "shuffle") and repeat):
                continue
            if given.cold:
                forgotten(given.corpus)
            try:
                found.setdefault(run, []).append(measured(run, given.corpus, given.seconds))
            except RuntimeError as error:
                missing[run[1]] = str(error)
    for name, why in missing.items():
        print(f"{name} is left out: {why}")
    print_rates(found, "documents")
    print_rates(found, "images")
    for run in sorted(run for run in found if run[0] != "rate"):
        what, name, workers, _ = run
        ones = found[run]
        medians = {key: round(statistics.median(one[key] for one in ones), 3) for key in ones[0]}
        print(f"{what}, {name}{f', workers {workers}' if what == 'efficiency' else ''}: {medians}")


if __name__ == "__main__":
    main()
