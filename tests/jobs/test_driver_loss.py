"""A build whose driver is killed goes on from its receipts, on every engine, whatever it was doing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import fsspec
import pytest

from plait.jobs import Options, audit, build
from plait.jobs.store import Store
from tests.archives import WarcBuilder
from tests.jobs.clusters import Saboteur, ray_cluster, spark_cluster
from tests.jobs.corpora import write_archives
from tests.s3_proxy import BadS3, bad_s3

pytestmark = [pytest.mark.heavy, pytest.mark.slow]
SHARD_DOCS = 4
RECIPE = str(Path(__file__).parent / "plain.toml")
# The driver is killed when a stage's first receipt is there, at one stage after the other.
SOME = ("judge_pages", "place")
MIDDLE = ("order",)
MANY = ("extract", "judge_pages", "dedup_url", "order", "acquire", "place")
EVERY = 41  # requests to the object store between two faults
SELDOM = 197  # in every run of the tests: some faults wait for seconds
# Relational steps in several parts, though the archives are small; set in the program that is killed.
SMALL_PARTS = "from plait.jobs import work; work.FAN_OUT_BYTES = 20_000; from plait.jobs.cli import main; main()"
WHOLE_PARTS = "from plait.jobs.cli import main; main()"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    write_archives(folder, archives=3, pages=3)
    rules = WarcBuilder()
    rules.response("http://site1.test/robots.txt", b"User-agent: *\nDisallow: /story/1", "text/plain")
    rules.save(folder / "rules.warc.gz")
    return folder


@pytest.fixture(scope="module")
def expected(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("local") / "out"
    settings = Options(shard_docs=SHARD_DOCS)
    return build([str(archives)], str(out), recipe=RECIPE, options=settings, workers=2).fingerprint


@pytest.fixture(scope="module")
def s3(archives: Path) -> Iterator[BadS3]:
    with bad_s3(every=0) as store:
        fsspec.filesystem("s3").put(str(archives), f"{store.bucket}/in", recursive=True)
        yield store


@pytest.fixture(scope="module")
def engines(s3: BadS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[str]]]:
    """What the command line says to use each engine; clusters start when they are asked for, with the store's keys."""
    with contextlib.ExitStack() as stack:
        started: dict[str, list[str]] = {"local": ["--workers", "2"]}

        def words(name: str) -> list[str]:
            if name == "ray" and name not in started:
                cluster = stack.enter_context(ray_cluster(nodes=2))
                started[name] = ["--engine", "ray", "--ray-address", cluster.address]
            if name == "spark" and name not in started:
                folder = tmp_path_factory.mktemp("spark")
                master = stack.enter_context(spark_cluster(folder, workers=2, cores=1))
                started[name] = ["--engine", "spark", "--spark-master", master]
            return started[name]

        yield words


def _start(program: str, source: str, out: str, engine: Sequence[str]) -> subprocess.Popen[bytes]:
    settings = ["--recipe", RECIPE, "--shard-docs", str(SHARD_DOCS)]
    return subprocess.Popen(
        [sys.executable, "-c", program, "build", source, "--out", out, *settings, *engine],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _kill(running: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)


@contextlib.contextmanager
def _ended(running: subprocess.Popen[bytes]) -> Iterator[None]:
    """The driver does not outlive the test, whatever happens in it."""
    try:
        yield
    finally:
        _kill(running)
        running.wait()


def _attempts(store: Store, folder: str) -> dict[str, str]:
    """The attempt that counts, of each unit in a folder of receipts."""
    paths = [path for path in store.list(folder) if path.endswith(".json")]
    return {path.rsplit("/", 1)[1]: json.loads(store.read(path))["attempt"] for path in paths}


def _survives(program: str, source: str, out: str, engine: Sequence[str], stages: Sequence[str]) -> str:
    """Build, killed at each of the stages and started again; the fingerprint in the end.

    A kill may come late and find the next stage begun: that one is no place to be killed at any more.
    """
    store = Store(out)
    recorded: dict[str, str] = {}
    kills = 0
    for stage in stages:
        if store.list(f"work/receipts/{stage}"):
            continue
        running = _start(program, source, out, engine)
        with _ended(running), Saboteur(store, f"work/receipts/{stage}", partial(_kill, running)):
            _, errors = running.communicate(timeout=300)
        assert running.returncode == -signal.SIGKILL, errors.decode()
        assert not store.exists("manifest.json")
        now = _attempts(store, "work/receipts")
        assert recorded.items() <= now.items()
        assert len(now) > len(recorded)
        recorded = now
        kills += 1
    assert 2 * kills > len(stages)
    last = _start(program, source, out, engine)
    with _ended(last):
        _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors.decode()
    assert recorded.items() <= _attempts(store, "ledger/receipts").items()  # nothing recorded was done again
    assert audit(out).faults == ()
    return str(json.loads(store.read("manifest.json"))["fingerprint"])


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_lost_driver_costs_no_recorded_work(
    engine: str, engines: Callable[[str], list[str]], archives: Path, expected: str, tmp_path: Path
) -> None:
    stages = SOME if engine == "local" else MIDDLE
    assert _survives(WHOLE_PARTS, str(archives), str(tmp_path / "out"), engines(engine), stages) == expected


def test_a_lost_driver_of_spark_costs_no_recorded_work_on_a_bad_object_store(
    engines: Callable[[str], list[str]], s3: BadS3, expected: str
) -> None:
    out, s3.every = f"s3://{s3.bucket}/spark-once", SELDOM
    assert _survives(WHOLE_PARTS, f"s3://{s3.bucket}/in", out, engines("spark"), MIDDLE) == expected
    assert s3.faults


@pytest.mark.campaign
@pytest.mark.parametrize("engine", ["local", "ray", "spark"])
def test_drivers_lost_at_many_stages_on_a_bad_object_store(
    engine: str, engines: Callable[[str], list[str]], s3: BadS3, expected: str
) -> None:
    faults = sum(s3.faults.values())
    out, s3.every = f"s3://{s3.bucket}/{engine}", EVERY
    assert _survives(SMALL_PARTS, f"s3://{s3.bucket}/in", out, engines(engine), MANY) == expected
    assert sum(s3.faults.values()) > faults
