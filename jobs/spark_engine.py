"""Spark: units as tasks of `mapInArrow`, relational steps by Spark SQL's shuffle and sort."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from plait.jobs.engine import Progress
from plait.jobs.exchange import PART, Exchange
from plait.jobs.remote import ATTEMPTS, do_unit, finished, receipt_of
from plait.jobs.scan import pieces
from plait.jobs.store import Store
from plait.jobs.work import Shuffle, Stage, Unit
from plait.schemas.errors import ConfigError, UnitError
from plait.schemas.receipts import Receipt

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

Rows: TypeAlias = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

WAVE = 8  # units of a job, for each core of the cluster
WAVES = 3  # jobs at once: a slow unit of one leaves no core idle
ANSWER = pa.schema([pa.field("answer", pa.binary(), nullable=False)])
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4096",
    "spark.ui.showConsoleProgress": "false",
    "spark.scheduler.mode": "FAIR",
    "spark.task.maxFailures": str(ATTEMPTS),
    # Over TCP each task waits 40 ms for an acknowledgement that the other side delays; below a path that is short.
    "spark.python.unix.domain.socket.enabled": "true",
    "spark.python.unix.domain.socket.dir": "/tmp",
    # What the driver remembers of what is done: by default 100,000 tasks and 1,000 of each of the others.
    "spark.ui.retainedTasks": "5000",
    "spark.ui.retainedStages": "200",
    "spark.ui.retainedJobs": "200",
    "spark.sql.ui.retainedExecutions": "50",
}

# A Spark within this process is for trials: most of what its Java would do is compile itself for a long life.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_modules = 0  # of a Python worker, when its objects were last set aside


def start_session(master: str | None, workers: int | None, more: Mapping[str, str] | None = None) -> SparkSession:
    """A Spark session of our own.

    Args:
        master: URL of a cluster's master; None runs Spark in this process' JVM.
        workers: cores of a Spark without a cluster; None: all.
        more: settings of Spark's.

    Raises:
        ConfigError: no Java, or no such master.
    """
    from pyspark.sql import SparkSession

    from plait.jobs.java import java_home

    settings = dict(SETTINGS)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # else spark-submit has started the driver, with a master of its own
        os.environ["JAVA_HOME"] = str(java_home())
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else workers run whatever `python3` is on their path
        # A local Spark tries a failed task again only where its master's URL says how often.
        settings["spark.master"] = master or f"local[{workers or '*'},{ATTEMPTS}]"
        if master is None:
            settings |= dict.fromkeys(("spark.driver.host", "spark.driver.bindAddress"), "127.0.0.1")
            settings["spark.ui.enabled"] = "false"
            settings["spark.driver.extraJavaOptions"] = QUICK_JAVA
    builder = SparkSession.builder.appName("plait")
    for name, value in (settings | dict(more or {})).items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise ConfigError(f"Spark does not start with master {master or 'local'}: {error}") from error
    session.sparkContext.setLogLevel("ERROR")
    return session


class SparkEngine:
    """Runs on Spark: on a session that is given, the active one, or one that is made.

    Args:
        store: the build's folder; executors must be able to open it.
        session: to use; it is not stopped.
        master: URL of a cluster's master, where a session is made.
        workers: cores of a Spark without a cluster.
    """

    def __init__(
        self,
        store: Store,
        *,
        session: SparkSession | None = None,
        master: str | None = None,
        workers: int | None = None,
    ):
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise ConfigError("--engine spark needs PySpark: pip install 'plait[spark]'") from error
        self._store = Store(str(Path(store.root).resolve())) if store.is_local else store
        given = session or SparkSession.getActiveSession()
        self._ours = given is None
        self._spark = start_session(master, workers) if given is None else given
        self._cores = max(1, self._spark.sparkContext.defaultParallelism)

    def close(self) -> None:
        """Stop a session that was made here."""
        if self._ours:
            self._spark.stop()

    def run(self, stage: Stage, units: Sequence[Unit], progress: Progress) -> list[Receipt]:
        """Run independent units, a Spark task each; see `Engine.run`.

        Spark runs a task again when it fails or its executor is lost, and may run one twice at once (speculation):
        the first receipt counts. Units go to Spark in jobs of some hundreds, so that the driver stays small.
        """
        return self._tasks(stage, units, progress, empty=False)

    def shuffle(self, shuffle: Shuffle, progress: Progress) -> list[Receipt]:
        """Move rows to their parts with Spark SQL and run the parts where they arrive; see `Engine.shuffle`.

        What fits one task is read and sorted there.
        """
        units, told = shuffle.units(), set[str]()
        if shuffle.fits_one_task:
            return self._tasks(shuffle, units, progress, empty=False)

        def once(receipt: Receipt) -> None:
            if receipt.unit not in told:
                told.add(receipt.unit)
                progress(receipt)

        for answer in self._exchange(shuffle, finished(self._store, shuffle.stage, units)):
            once(receipt_of(answer))
        return self._tasks(shuffle.stage, units, once, empty=True)  # parts without a row are told so

    def _tasks(self, work: Stage | Shuffle, units: Sequence[Unit], progress: Progress, *, empty: bool) -> list[Receipt]:
        stage = work if isinstance(work, Stage) else work.stage
        done = finished(self._store, stage, units)
        for receipt in done.values():
            progress(receipt)
        waiting = [number for number in range(len(units)) if number not in done]
        size = WAVE * self._cores
        waves = [waiting[start : start + size] for start in range(0, len(waiting), size)]

        def job(wave: list[int]) -> list[bytes]:
            self._spark.sparkContext.setJobDescription(stage.name)
            return self._collect(self._wave(work, [units[number] for number in wave], empty))

        pool = ThreadPoolExecutor(WAVES)
        try:
            for wave, answers in zip(waves, pool.map(job, waves), strict=True):
                for number, answer in zip(wave, answers, strict=True):
                    done[number] = receipt_of(answer)
                    progress(done[number])
        finally:
            pool.shutdown(cancel_futures=True)  # after an error no further wave begins
        return [done.pop(number) for number in range(len(units))]

    def _wave(self, work: Stage | Shuffle, units: list[Unit], empty: bool) -> DataFrame:
        root = self._store.root
        stage = work if isinstance(work, Stage) else work.stage
        profile = _profile(stage) if stage.threads and not self._spark.sparkContext.master.startswith("local") else None

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for number in _numbers(batches):
                yield _answer(do_unit(root, work, units[number], () if empty else None))

        return self._spread(len(units), run, ANSWER, profile)

    def _exchange(self, shuffle: Shuffle, done: Collection[int]) -> list[bytes]:
        from pyspark.sql import functions as sql

        groups = pieces(shuffle)
        exchange = Exchange.of(self._store.root, shuffle, done)
        if not groups or len(done) == len(exchange.units):
            return []

        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for number in _numbers(batches):
                yield from exchange.read(groups[number])

        def run_parts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for part, rows in itertools.groupby(_by_part(batches), key=lambda piece: piece[0]):
                yield _answer(exchange.run(part, (batch for _, batch in rows)))

        self._spark.sparkContext.setJobDescription(shuffle.stage.name)
        columns = [
            sql.col(name).desc_nulls_last() if descending else sql.col(name).asc_nulls_last()
            for name, descending in exchange.sorting
        ]
        moved = self._spread(len(groups), read, exchange.schema).repartitionById(len(exchange.units), PART)
        return self._collect(moved.sortWithinPartitions(*columns).mapInArrow(_settled(run_parts), _spark(ANSWER)))

    def _spread(
        self,
        count: int,
        function: Rows,
        schema: pa.Schema,
        profile: ResourceProfile | None = None,
    ) -> DataFrame:
        """Rows that a function gives for numbers below ``count``, each of them a task."""
        return self._spark.range(0, count, 1, count).mapInArrow(_settled(function), _spark(schema), profile=profile)

    def _collect(self, answers: DataFrame) -> list[bytes]:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            return [bytes(row[0]) for row in answers.collect()]
        except (PySparkException, Py4JError) as error:
            raise UnitError(f"Spark gave a job up: {error}") from error


def _settled(function: Rows) -> Rows:
    """The same for a Python worker that is used again.

    Spark has a worker collect garbage after each task. That takes 40 ms where all that the work imports is loaded,
    unless those objects are set aside: once, and again when more was imported.
    """

    def settled(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from function(batches)
        _set_aside()

    return settled


def _set_aside() -> None:
    global _modules
    if len(sys.modules) != _modules:
        gc.collect()
        gc.freeze()
        _modules = len(sys.modules)


def _spark(schema: pa.Schema) -> StructType:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)


def _profile(stage: Stage) -> ResourceProfile:
    """What a task that runs a model takes of an executor: its threads, and a GPU where it runs on one.

    Python workers are used again for the tasks of a stage, so each loads its model once.
    """
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    wanted = TaskResourceRequests().cpus(stage.threads)
    if stage.device == "cuda":
        wanted = wanted.resource("gpu", 1)
    return ResourceProfileBuilder().require(wanted).build


def _answer(answer: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([answer], pa.binary())], schema=ANSWER)


def _numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


def _by_part(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A sorted partition's batches, cut where the part changes."""
    for batch in batches:
        parts = batch.column(PART).to_pylist()
        start = 0
        while start < len(parts):
            end = start + 1
            while end < len(parts) and parts[end] == parts[start]:
                end += 1
            yield parts[start], batch.slice(start, end - start)
            start = end
