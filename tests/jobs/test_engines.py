"""One build on every engine: the same corpus, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import pytest

from plait.jobs import Options, audit, build, merging, work
from plait.jobs.engines import EngineChoice
from plait.jobs.store import Store
from plait.schemas.errors import ConfigError
from tests.jobs.clusters import Saboteur, kill, ray_cluster, spark_cluster, speculative_session
from tests.jobs.corpora import write_archives, write_repeats
from tests.s3_proxy import BadS3, bad_s3

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from ray.cluster_utils import Cluster

pytestmark = [pytest.mark.heavy, pytest.mark.slow]
SETTINGS = Options(shard_docs=16)
REAL = (
    "warc_images/iah-archiveorg-2008.arc.gz",
    "warc_images/ukwa-govuk-2014-orig.warc.gz",
    "warc_images/ukwa-govuk-2014-revisits.warc.gz",
    "warc_images/warc2zim-single-page-fr.warc",
)
HOSTILE = ("*.warc", "*.warc.gz", "*.arc")
EVERY = 41  # requests to the object store between two faults
PART_BYTES = 52_000  # text, keys of URLs, redirects and rows about pictures are each in several parts
SELDOM = 197  # in every run of the tests: some faults wait for seconds


@pytest.fixture(scope="module", autouse=True)
def small_parts() -> Iterator[None]:
    """Relational steps in several parts and of merged files, though the archives are small and few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "FAN_OUT_BYTES", PART_BYTES)
        patch.setattr(merging, "MANY", 4)
        yield


@pytest.fixture(scope="module")
def archives(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("archives")
    made = write_archives(folder, archives=2, pages=4)
    real = [shared_data / name for name in REAL]
    hostile = sorted(path for form in HOSTILE for path in (shared_data / "warc_hostile/warcio").glob(form))[:4]
    assert hostile
    made.append(write_repeats(folder)[0])
    return [*made, *(Path(shutil.copy(path, folder)) for path in [*real, *hostile])]


def _recipe(archives: list[Path]) -> str:
    """A recipe that runs every stage there is on text."""
    return str(archives[0].parent / "repeats.toml")


@pytest.fixture(scope="module")
def expected(archives: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("local") / "out"
    inputs = [str(path) for path in archives]
    done = build(inputs, str(out), recipe=_recipe(archives), options=SETTINGS, workers=2)
    assert done.totals.documents >= 10
    assert done.totals.images >= 30
    dropped = {(line.stage, line.scope): line.dropped for line in done.funnel}
    assert dropped["judge_pages", "document"]["robots_disallowed"] > 0  # by robots.txt files of the real archives
    assert dropped["assemble", "image"]["robots_disallowed"] > 0
    return done.fingerprint


@pytest.fixture(scope="module")
def s3(archives: list[Path]) -> Iterator[BadS3]:
    with bad_s3(every=0) as store:
        system = fsspec.filesystem("s3")
        for path in archives:
            system.put(str(path), f"{store.bucket}/in/{path.name}")
        yield store


@pytest.fixture(scope="module")
def ray_nodes(s3: BadS3) -> Iterator[Cluster]:
    import ray

    with ray_cluster(nodes=3) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield cluster
        ray.shutdown()


@pytest.fixture(scope="module")
def spark_url(s3: BadS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with spark_cluster(tmp_path_factory.mktemp("spark"), workers=2, cores=2) as master:
        yield master


@pytest.fixture(scope="module")
def spark(spark_url: str) -> Iterator[SparkSession]:
    session = speculative_session(spark_url)
    yield session
    session.stop()


def _build(inputs: list[str], out: str, archives: list[Path], choice: EngineChoice) -> str:
    return build(inputs, out, recipe=_recipe(archives), options=SETTINGS, engine=choice).fingerprint


def _attempts(store: Store, folder: str) -> dict[str, str]:
    """The attempt that counts, of each unit in a folder of receipts."""
    paths = store.list(folder)
    return {path.rsplit("/", 1)[1]: json.loads(store.read(path))["attempt"] for path in paths}


def _driver_lost(s3: BadS3, out: str, recipe: str, engine: list[str]) -> dict[str, str]:
    """Begin a build on the object store as a program of its own, kill it in the middle; the attempts that count."""
    command = [sys.executable, "-m", "plait.jobs", "build", f"s3://{s3.bucket}/in", "--out", out]
    running = subprocess.Popen(
        [*command, "--recipe", recipe, "--shard-docs", "16", *engine],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    store = Store(out)
    with Saboteur(store, "work/receipts/extract", lambda: os.killpg(running.pid, signal.SIGKILL), files=3):
        _, errors = running.communicate(timeout=900)
    assert running.returncode == -signal.SIGKILL, errors.decode()
    assert not store.exists("manifest.json")
    return _attempts(store, "work/receipts/extract")


def _goes_on(s3: BadS3, out: str, before: dict[str, str], recipe: str, choice: EngineChoice) -> str:
    """The same build again, in this process, to its end: what was recorded has not been done again."""
    done = build([f"s3://{s3.bucket}/in"], out, recipe=recipe, options=SETTINGS, engine=choice)
    after = _attempts(Store(out), "ledger/receipts/extract")
    assert before
    assert {unit: after[unit] for unit in before} == before
    assert audit(out).faults == ()
    return done.fingerprint


def test_ray_gives_the_same_corpus_from_s3_with_a_worker_killed(
    s3: BadS3, archives: list[Path], expected: str, ray_nodes: Cluster
) -> None:
    out = f"s3://{s3.bucket}/ray-worker"
    s3.every = SELDOM
    with Saboteur(Store(out), "work/receipts/extract", lambda: kill(_is_busy_worker)) as harm:
        assert _build([f"s3://{s3.bucket}/in"], out, archives, EngineChoice("ray")) == expected
    assert harm.acted
    assert s3.faults
    s3.every = 0
    assert audit(out).faults == ()


def _is_busy_worker(line: str) -> bool:
    return line.startswith("ray::") and not line.endswith(("::IDLE", "Agent", "Actor"))


@pytest.mark.campaign
def test_ray_on_s3_goes_on_after_its_driver_and_then_a_node_are_lost(
    s3: BadS3, archives: list[Path], expected: str, ray_nodes: Cluster
) -> None:
    out = f"s3://{s3.bucket}/ray"
    s3.every = EVERY
    before = _driver_lost(s3, out, _recipe(archives), ["--engine", "ray", "--ray-address", ray_nodes.address])
    node = sorted(ray_nodes.worker_nodes, key=lambda node: str(node.node_id))[0]
    lose = Saboteur(Store(out), "work/receipts/order", lambda: ray_nodes.remove_node(node, allow_graceful=False))
    with lose:
        assert _goes_on(s3, out, before, _recipe(archives), EngineChoice("ray")) == expected
    assert lose.acted
    assert s3.faults
    s3.every = 0


def test_spark_gives_the_same_corpus_from_disk_with_an_executor_killed_and_speculation(
    archives: list[Path], expected: str, spark: SparkSession, tmp_path: Path
) -> None:
    out, inputs = str(tmp_path / "out"), [str(path) for path in archives]
    with Saboteur(Store(out), "work/receipts/extract", lambda: kill(_is_executor)) as harm:
        assert _build(inputs, out, archives, EngineChoice("spark", spark_session=spark)) == expected
    assert harm.acted
    assert audit(out).faults == ()


def _is_executor(line: str) -> bool:
    return "CoarseGrainedExecutorBackend" in line


@pytest.mark.campaign
def test_spark_on_s3_goes_on_after_its_driver_is_lost(
    s3: BadS3, archives: list[Path], expected: str, spark_url: str, spark: SparkSession
) -> None:
    out = f"s3://{s3.bucket}/spark"
    s3.every = EVERY
    before = _driver_lost(s3, out, _recipe(archives), ["--engine", "spark", "--workers", "2"])
    assert _goes_on(s3, out, before, _recipe(archives), EngineChoice("spark", spark_session=spark)) == expected
    s3.every = 0


def test_an_option_of_another_engine_is_refused(tmp_path: Path) -> None:
    for choice in (
        EngineChoice("sparks"),
        EngineChoice("local", ray_address="auto"),
        EngineChoice("ray", spark_master="spark://host:7077"),
        EngineChoice("local", workers=0),
    ):
        with pytest.raises(ConfigError, match="--"):
            build(["nowhere.warc"], str(tmp_path / "out"), engine=choice)
    assert not (tmp_path / "out").exists()
