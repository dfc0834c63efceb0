"""Fetching from nginx on loopback, beside img2dataset: images per CPU second, wall time, memory.

    python benchmarks/fetch.py compare --img2dataset VENV/bin/python [--count 6000]
    python benchmarks/fetch.py flat [--count 100000]

Needs nginx (Debian: apt-get install nginx-light). img2dataset wants a virtual environment of its own:

    python -m venv VENV && VENV/bin/pip install "img2dataset==1.47.0" "setuptools<80"

- compare: both fetch the same JPEGs of about 92 KB with two processes and no limits of hosts. Ours: fetch, SHA-256,
  format and size from the headers, answers journalled on disk. img2dataset: resize_mode=no, SHA-256, webdataset tars.
  CPU seconds are those of all processes of each, nginx not among them.
- flat: resident memory of one process every 10,000 URLs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from plait.jobs.journal import Journal
from plait.jobs.store import Store
from plait.pipeline.decode import inspect_image
from plait.pipeline.fetch.client import Fetcher
from plait.pipeline.fetch.policy import LOOPBACK, FetchPolicy
from plait.schemas.ids import text_key

DISTINCT = 200  # pictures; names beyond them are links
PROCESSES = 2
CONFIG = """
worker_processes 2;
daemon off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  types {{ image/jpeg jpg; }}
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


def draw(folder: Path, count: int) -> int:
    """Write ``count`` JPEGs of about 92 KB; the mean size in bytes."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1)
    for number in range(min(DISTINCT, count)):
        small = noise.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(small).resize((800, 600), Image.Resampling.BICUBIC)).astype(np.int16)
        grain = noise.normal(0, 7.5, smooth.shape[:2])[:, :, None]
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=75)
    for number in range(DISTINCT, count):
        os.link(folder / f"{number % DISTINCT}.jpg", folder / f"{number}.jpg")
    sizes = [(folder / f"{number}.jpg").stat().st_size for number in range(min(DISTINCT, count))]
    return sum(sizes) // len(sizes)


@contextmanager
def serving(folder: Path, port: int) -> Iterator[str]:
    """nginx over a folder's www."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        sys.exit("no nginx: apt-get install nginx-light")
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port))
    server = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{url}/0.jpg").read()
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait()


@dataclass(frozen=True)
class Run:
    """What a run took."""

    images: int
    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return (
            f"{self.images:,} images, {self.wall_s:.1f} s wall, {self.cpu_s:.1f} CPU s: "
            f"{self.images / self.wall_s:.0f} images/s, {self.images / self.cpu_s:.0f} images/CPU-s"
        )


def timed(commands: list[list[str]]) -> tuple[float, float]:
    """Wall and CPU seconds of programs run side by side, children included."""
    began = time.monotonic()
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    cpu = 0.0
    for process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{process.args[:3]} ended with {process.returncode}")
        cpu += usage.ru_utime + usage.ru_stime
    return time.monotonic() - began, cpu


def policy(concurrency: int) -> FetchPolicy:
    """No limits of hosts; robots.txt and signals as in earnest."""
    return FetchPolicy(
        contact="https://bench.test/", host_rate=0, host_concurrency=concurrency, concurrency=concurrency,
        allow_networks=LOOPBACK,
    )  # fmt: skip


async def fetch(urls: Iterator[str], out: Path, concurrency: int, every: int = 0) -> Counter[str | None]:
    """Fetch, hash, look at the header, journal; memory is printed every so many."""
    reasons: Counter[str | None] = Counter()
    process = psutil.Process()
    with Journal(Store(str(out)), "answers", "bench") as journal:
        async with Fetcher(policy(concurrency)) as fetcher:
            async for answer in fetcher.answers(urls):
                if answer.reason is None:
                    inspect_image(answer.body)
                journal.append(answer, text_key(answer.url))
                reasons[answer.reason] += 1
                if every and reasons.total() % every == 0:
                    print(f"{reasons.total():,} URLs: {process.memory_info().rss / 2**20:.0f} MB", flush=True)
    return reasons


def ours(folder: Path, urls: list[str]) -> Run:
    """Two processes of ours, each with half of the URLs."""
    commands = []
    for part in range(PROCESSES):
        listed = folder / f"urls-{part}.json"
        listed.write_text(json.dumps(urls[part::PROCESSES]))
        commands.append([sys.executable, __file__, "worker", "--urls", str(listed), "--out", str(folder / f"o{part}")])
    return Run(len(urls), *timed(commands))


def theirs(python: str, folder: Path, urls: list[str]) -> Run:
    """img2dataset with two processes."""
    listed, out = folder / "urls.txt", folder / "img2dataset"
    listed.write_text("\n".join(urls))
    code = (
        "from img2dataset import download\n"
        "if __name__ == '__main__':\n"
        f"    download(url_list={str(listed)!r}, output_folder={str(out)!r}, input_format='txt',"
        f" output_format='webdataset', resize_mode='no', compute_hash='sha256', processes_count={PROCESSES},"
        f" thread_count=64, number_sample_per_shard=1000, enable_wandb=False)\n"
    )
    script = folder / "run_img2dataset.py"
    script.write_text(code)
    wall, cpu = timed([[python, str(script)]])
    done = sum(json.loads(path.read_text())["successes"] for path in out.glob("*_stats.json"))
    return Run(done, wall, cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("compare", "flat", "worker"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--img2dataset", help="python of the virtual environment that has it")
    parser.add_argument("--port", type=int, default=18_080)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--urls", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.what == "worker":
        reasons = asyncio.run(fetch(iter(json.loads(given.urls.read_text())), given.out, given.concurrency))
        sys.exit(f"not all were fetched: {reasons}" if set(reasons) != {None} else 0)
    with tempfile.TemporaryDirectory(prefix="plait-fetch-") as name:
        folder = Path(name)
        count = given.count or (6_000 if given.what == "compare" else 100_000)
        files = min(count, 6_000)
        mean = draw(folder / "www", files)
        print(f"{files:,} JPEGs of {mean / 1000:.0f} KB; load of the machine before: {os.getloadavg()[0]:.1f}")
        with serving(folder, given.port) as url:
            if given.what == "flat":
                urls = (f"{url}/{number % files}.jpg?{number}" for number in range(count))
                out = folder / "flat"
                print(asyncio.run(fetch(urls, out, given.concurrency, every=10_000)))
                return
            urls_all = [f"{url}/{number}.jpg" for number in range(count)]
            mine = ours(folder, urls_all)
            print("plait:      ", mine, flush=True)
            if given.img2dataset:
                other = theirs(given.img2dataset, folder, urls_all)
                print("img2dataset:", other)
                per_cpu = (mine.images / mine.cpu_s) / (other.images / other.cpu_s)
                print(f"{per_cpu:.1f}x images per CPU second, {other.wall_s / mine.wall_s:.1f}x in wall time")


if __name__ == "__main__":
    main()
