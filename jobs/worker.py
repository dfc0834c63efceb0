"""A worker process of the local engine: takes units from a pipe, runs them, answers with receipts.

It is started as a program and not by `multiprocessing`, so that `plait.jobs.build` works from any script or notebook
without a ``__main__`` guard.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection

from plait.jobs.runner import run_unit
from plait.jobs.sorted_rows import sorted_rows
from plait.jobs.store import Store
from plait.jobs.work import Shuffle, Stage, Unit
from plait.schemas.errors import ConfigError, UnitError
from plait.schemas.receipts import Receipt

HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM})


def run_task(store: Store, task: Stage | Shuffle, unit: Unit) -> Receipt:
    """Run a unit of a stage, or a part of a shuffle."""
    if isinstance(task, Stage):
        return run_unit(store, task, unit)
    low, high = unit.payload["low"], unit.payload["high"]
    if not isinstance(low, int) or not isinstance(high, int):
        raise UnitError(f"{unit.label} of {task.stage.name} has no key range")
    return run_unit(store, task.stage, unit, sorted_rows(store, task, low, high))


def hopeless(error: OSError) -> bool:
    """Whether trying again would end in the same error: no room, no right (stores say it without a number)."""
    return error.errno in HOPELESS or isinstance(error, PermissionError)


def storage_fault(store: Store, error: OSError) -> ConfigError | None:
    """What to tell the user where a folder cannot be written to at all: trying again would not help."""
    if not hopeless(error):
        return None
    return ConfigError(
        f"cannot write to {store.root}: {error.strerror or error}. Make room or mend it, and run the same command "
        "again: what was done is kept"
    )


def _serve(tasks: Connection, answers: Connection, store: Store) -> None:
    while True:
        try:
            task, unit = tasks.recv()
        except EOFError:
            return
        try:
            answers.send((True, run_task(store, task, unit)))
        except ConfigError as error:
            answers.send((False, error))
        except OSError as error:
            answers.send((False, storage_fault(store, error) or UnitError(traceback.format_exc())))
        except Exception:
            # Whatever it was, a fault of ours or of the machine: the engine decides whether the unit is tried again.
            answers.send((False, UnitError(traceback.format_exc())))


def main() -> None:
    """Serve until the driver closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver closes the pipe; an interrupt must not tear a message
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import pyarrow as pa

    pa.set_cpu_count(1)
    receive, send, root = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    _serve(Connection(receive, writable=False), Connection(send, readable=False), Store(root))


if __name__ == "__main__":
    main()
