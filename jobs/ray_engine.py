"""Ray: units as tasks, relational steps by Ray Data's hash shuffle."""

from __future__ import annotations

import contextlib
import itertools
import logging
import pickle
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from plait.jobs.engine import Progress
from plait.jobs.exchange import PART, Exchange
from plait.jobs.remote import ATTEMPTS, ModelWorker, do_unit, finished, receipt_of
from plait.jobs.scan import pieces
from plait.jobs.sorted_rows import sort_table
from plait.jobs.store import Store
from plait.jobs.work import Shuffle, Stage, Unit
from plait.schemas.conform import conform
from plait.schemas.errors import ConfigError, UnitError
from plait.schemas.receipts import Receipt

if TYPE_CHECKING:
    from ray import ObjectRef

AHEAD = 2  # units submitted for each CPU of the cluster: enough to keep it busy, few enough to keep the driver small
BLOCK_BYTES = 32 << 20  # of rows, from a scanning task
ANSWER = "answer"
_MOVED = re.compile(r"HashShuffleMap\(.*?Output size bytes per block: [^\n]*, (\d+) total", re.DOTALL)


class RayEngine:
    """Runs on a Ray cluster: the one that is connected, the one at an address, or one of this machine.

    Attributes:
        moved: bytes that went through each shuffle, uncompressed, as Ray Data's own statistics have it.

    Args:
        store: the build's folder; workers must be able to open it.
        address: of a cluster; None takes what is connected, or starts Ray here.
        workers: CPUs of a Ray started here; None: all.
    """

    def __init__(self, store: Store, *, address: str | None = None, workers: int | None = None):
        try:
            import ray
        except ImportError as error:
            raise ConfigError("--engine ray needs Ray: pip install 'plait[ray]'") from error
        self._store = Store(str(Path(store.root).resolve())) if store.is_local else store
        self.moved: Counter[str] = Counter()
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(
                    address=address or "local", num_cpus=None if address else workers, include_dashboard=False,
                    log_to_driver=False, logging_level=logging.WARNING,
                )  # fmt: skip
            except (ConnectionError, ValueError) as error:
                raise ConfigError(f"no Ray cluster answers at {address}: {error}") from error
            settings = ray.data.DataContext.get_current()
            settings.enable_progress_bars = settings.print_on_execution_start = False

    def close(self) -> None:
        """Disconnect, and stop a Ray that was started here."""
        import ray

        if self._ours:
            ray.shutdown()

    def run(self, stage: Stage, units: Sequence[Unit], progress: Progress) -> list[Receipt]:
        """Run independent units as Ray tasks; see `Engine.run`.

        A task that is lost with its worker or its node is run again by Ray, elsewhere; so is one that fails with
        `UnitError`. No more are submitted than keep the cluster busy.
        """
        return self._models(stage, units, progress) if stage.threads else self._tasks(stage, units, progress, None)

    def shuffle(self, shuffle: Shuffle, progress: Progress) -> list[Receipt]:
        """Move rows to their parts with Ray Data and run the parts where they arrive; see `Engine.shuffle`.

        What fits one task is read and sorted there: a shuffle of Ray Data's takes seconds however little it moves.
        """
        units, told = shuffle.units(), set[str]()
        if shuffle.fits_one_task:
            return self._tasks(shuffle, units, progress, None)

        def once(receipt: Receipt) -> None:
            if receipt.unit not in told:
                told.add(receipt.unit)
                progress(receipt)

        for attempt in range(1, ATTEMPTS + 1):
            done = finished(self._store, shuffle.stage, units)
            try:
                for answer in self._exchange(shuffle, done):
                    once(receipt_of(answer))
                break
            except UnitError:  # what was done stays done, and is not moved again
                if attempt == ATTEMPTS:
                    raise
        return self._tasks(shuffle.stage, units, once, ())  # parts without a row are told so

    def _tasks(
        self,
        work: Stage | Shuffle,
        units: Sequence[Unit],
        progress: Progress,
        rows: Sequence[pa.RecordBatch] | None,
    ) -> list[Receipt]:
        import ray

        stage = work if isinstance(work, Stage) else work.stage
        done = finished(self._store, stage, units)
        for receipt in done.values():
            progress(receipt)
        task = ray.remote(do_unit).options(
            name=stage.name, num_cpus=1, memory=stage.memory, max_retries=ATTEMPTS - 1, retry_exceptions=[UnitError]
        )
        waiting = iter([number for number in range(len(units)) if number not in done])
        running: dict[ObjectRef, int] = {}
        while len(done) < len(units):
            room = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1))) - len(running)
            for number in itertools.islice(waiting, max(room, 0)):
                running[task.remote(self._store.root, work, units[number], rows)] = number
            for ref in ray.wait(list(running), num_returns=1)[0]:
                number = running.pop(ref)
                with _as_unit_error():
                    answer = ray.get(ref)
                done[number] = receipt_of(answer)
                progress(done[number])
        return [done.pop(number) for number in range(len(units))]

    def _models(self, stage: Stage, units: Sequence[Unit], progress: Progress) -> list[Receipt]:
        """Units that run a model: a pool of actors with a GPU or the model's CPU threads each, for the stage's life.

        No actor has more than `AHEAD` units at a time. Ray starts a lost actor again; a unit that fails goes to the
        next free one.
        """
        import ray

        done = finished(self._store, stage, units)
        for receipt in done.values():
            progress(receipt)
        waiting = [number for number in reversed(range(len(units))) if number not in done]
        if not waiting:
            return [done.pop(number) for number in range(len(units))]
        have = ray.cluster_resources()
        gpus = 1 if stage.device == "cuda" else 0
        cpus = min(stage.threads, max(1, int(have.get("CPU", 1))))
        room = int(have.get("GPU", 0)) if gpus else int(have.get("CPU", 1)) // cpus
        options = {"num_cpus": cpus, "num_gpus": gpus, "memory": stage.memory}
        kind = ray.remote(ModelWorker).options(max_restarts=ATTEMPTS - 1, max_task_retries=ATTEMPTS - 1, **options)
        actors = [kind.remote() for _ in range(max(1, min(room, len(waiting))))]
        running: dict[ObjectRef, tuple[int, int]] = {}
        load = Counter[int]()
        attempts = Counter[int]()
        try:
            while len(done) < len(units):
                while waiting:
                    free = min(range(len(actors)), key=load.__getitem__)
                    if load[free] >= AHEAD:
                        break
                    number = waiting.pop()
                    attempts[number] += 1
                    load[free] += 1
                    running[actors[free].do_unit.remote(self._store.root, stage, units[number])] = (number, free)
                for ref in ray.wait(list(running), num_returns=1)[0]:
                    number, actor = running.pop(ref)
                    load[actor] -= 1
                    try:
                        with _as_unit_error():
                            done[number] = receipt_of(ray.get(ref))
                    except UnitError:
                        if attempts[number] >= ATTEMPTS:
                            raise
                        waiting.append(number)
                    else:
                        progress(done[number])
        finally:
            for worker in actors:
                ray.kill(worker)
        return [done.pop(number) for number in range(len(units))]

    def _exchange(self, shuffle: Shuffle, done: Collection[int]) -> Iterator[bytes]:
        import ray

        groups = pieces(shuffle)
        exchange = Exchange.of(self._store.root, shuffle, done)
        if not groups or len(done) == len(exchange.units):
            return
        schema = pa.schema([large(field) for field in exchange.schema])

        def read(batch: pa.Table) -> Iterator[pa.Table]:
            for group in batch.column("group").to_pylist():
                yield from _blocks(exchange.read(pickle.loads(group)), schema)

        def run_part(rows: pa.Table) -> pa.Table:
            number = rows.column(PART)[0].as_py()
            return pa.table({ANSWER: [exchange.run(number, sort_table(rows, exchange.sorting))]})

        with _as_unit_error():
            rows = ray.data.from_items(
                [{"group": pickle.dumps(group)} for group in groups], override_num_blocks=len(groups)
            ).map_batches(read, batch_size=1, batch_format="pyarrow")
            parts = rows.groupby(PART, num_partitions=len(exchange.units))
            answered = parts.map_groups(run_part, batch_format="pyarrow")
            for answers in answered.iter_batches(batch_format="pyarrow"):
                yield from answers.column(ANSWER).to_pylist()
            self.moved[shuffle.stage.name] += sum(map(int, _MOVED.findall(answered.stats())))


def _blocks(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches as tables of bounded bytes, at least one: an empty block without columns would have no part to go to."""
    pending: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        pending.append(conform(batch, schema))
        size += batch.nbytes
        if size >= BLOCK_BYTES:
            yield pa.Table.from_batches(pending, schema=schema)
            pending, size = [], 0
    yield pa.Table.from_batches(pending, schema=schema)


def large(field: pa.Field) -> pa.Field:
    """The field with 64-bit offsets all the way down: Ray makes one array of a column of a part, beyond 2 GiB too."""
    kind = field.type
    if pa.types.is_string(kind):
        kind = pa.large_string()
    elif pa.types.is_binary(kind):
        kind = pa.large_binary()
    elif pa.types.is_list(kind):
        kind = pa.large_list(large(kind.value_field))
    elif pa.types.is_struct(kind):
        kind = pa.struct([large(child) for child in kind])
    return field.with_type(kind)


@contextlib.contextmanager
def _as_unit_error() -> Iterator[None]:
    """Whatever Ray says of a failed task, as a `UnitError`."""
    from ray.data.exceptions import SystemException, UserCodeException
    from ray.exceptions import RayError

    try:
        yield
    except (RayError, SystemException, UserCodeException) as error:
        raise UnitError(str(error)) from error
