"""A unit on another machine: what an engine's task runs, and what comes back to the driver."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterable, Sequence

import pyarrow as pa

from plait.jobs.runner import find_receipt, receipt_path, run_unit
from plait.jobs.store import Store
from plait.jobs.work import Shuffle, Stage, Unit
from plait.jobs.worker import run_task, storage_fault
from plait.schemas.errors import ConfigError, UnitError
from plait.schemas.receipts import Receipt

ATTEMPTS = 4  # of a unit, as the local engine and Spark have it


def do_unit(root: str, task: Stage | Shuffle, unit: Unit, rows: Iterable[pa.RecordBatch] | None = None) -> bytes:
    """Run a unit in a task; its answer, a few KB, for `receipt_of`.

    A shuffle's part brings its rows, or reads and sorts them itself where the task is the whole shuffle.

    A wrong configuration is an answer, since trying again cannot mend it. Everything else that fails is a `UnitError`
    with the traceback as its text, which every engine can send and tries again.
    """
    pa.set_cpu_count(1)
    stage = task if isinstance(task, Stage) else task.stage
    try:
        if rows is None:
            return pickle.dumps(run_task(Store(root), task, unit))
        return pickle.dumps(run_unit(Store(root), stage, unit, iter(rows)))
    except ConfigError as error:
        return pickle.dumps(error)
    except Exception as error:
        fault = storage_fault(Store(root), error) if isinstance(error, OSError) else None
        if fault is not None:
            return pickle.dumps(fault)
        raise UnitError(f"{unit.label} of {stage.name}: {traceback.format_exc()}") from error


class ModelWorker:
    """A long-lived worker of a stage that runs a model: what a unit has loaded, the next one finds loaded."""

    def do_unit(self, root: str, stage: Stage, unit: Unit) -> bytes:
        """As the function."""
        return do_unit(root, stage, unit)


def receipt_of(answer: bytes) -> Receipt:
    """What `do_unit` answered.

    Raises:
        ConfigError: the unit's.
    """
    value: Receipt | ConfigError = pickle.loads(answer)
    if isinstance(value, ConfigError):
        raise value
    return value


def finished(store: Store, stage: Stage, units: Sequence[Unit]) -> dict[int, Receipt]:
    """Receipts of the units that are done, by the unit's place; one listing, and a read for each that is there."""
    there = set(store.list(f"work/receipts/{stage.name}"))
    found = {}
    for number, unit in enumerate(units):
        if receipt_path(stage, unit) in there and (receipt := find_receipt(store, stage, unit)) is not None:
            found[number] = receipt
    return found
