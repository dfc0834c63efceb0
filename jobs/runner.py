"""Running one unit, on whatever engine: find its receipt, or do the work and write it."""

from __future__ import annotations

import resource
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from plait.jobs.context import Context
from plait.jobs.guard import Guard
from plait.jobs.store import Store
from plait.jobs.work import Stage, Unit
from plait.schemas.receipts import Cost, Receipt

Stream: TypeAlias = Iterator[pa.RecordBatch]
ISOLATE_FROM = 1  # attempts before this one isolate nothing
LAST_CHANCE_FROM = 3


def receipt_path(stage: Stage, unit: Unit) -> str:
    """Where a unit's receipt is put."""
    return f"work/receipts/{stage.name}/{unit.id(stage)}.json"


def find_receipt(store: Store, stage: Stage, unit: Unit) -> Receipt | None:
    """The unit's receipt, if it is done."""
    try:
        return Receipt.from_json(store.read(receipt_path(stage, unit)))
    except FileNotFoundError:
        return None


def peak_rss() -> int:
    """Peak resident memory of this process so far, in bytes.

    From the kernel's own high-water mark where there is one: ``ru_maxrss`` starts at what the parent had when it
    started this process.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def _cpu_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _earlier_attempts(store: Store, stage: Stage, unit: Unit, attempt: str) -> int:
    """Attempts at this unit that began before; this one is put on the list."""
    if not stage.guarded:
        return 0
    folder = f"work/attempts/{stage.name}/{unit.id(stage)}"
    earlier = len(store.list(folder))
    store.put_new(f"{folder}/{attempt}", b"")
    return earlier


def run_unit(store: Store, stage: Stage, unit: Unit, stream: Stream | None = None) -> Receipt:
    """Do one unit, or find it done.

    The receipt is the last act and is created once: where two attempts raced, the first receipt counts and the other
    attempt's files are never read. A failure leaves nothing that counts.

    Args:
        store: the build's folder.
        stage: what to do.
        unit: on what.
        stream: for a shuffle's part, its sorted rows.
    """
    if (done := find_receipt(store, stage, unit)) is not None:
        return done
    attempt = uuid.uuid4().hex[:8]
    earlier = _earlier_attempts(store, stage, unit, attempt)
    guard = Guard(
        store,
        f"work/verdicts/{stage.name}/{unit.id(stage)}",
        isolate=stage.guarded and earlier >= ISOLATE_FROM,
        last_chance=earlier >= LAST_CHANCE_FROM,
        cpu_s=stage.watchdog_cpu_s,
    )
    context = Context(stage, unit, store, attempt, guard)
    run = stage.load()  # what importing costs is the worker's, not the unit's
    cpu, wall = _cpu_s(), time.monotonic()
    try:
        if stream is None:
            run(unit, context)
        else:
            run(stream, unit, context)
        outputs, books = context.finish()
    except BaseException as error:
        context.abandon(error)
        raise
    finally:
        guard.close()
    cost = Cost(round(_cpu_s() - cpu, 3), round(time.monotonic() - wall, 3), peak_rss())
    receipt = Receipt(stage.name, unit.id(stage), unit.label, attempt, outputs, books, cost, context.facts)
    if store.put_new(receipt_path(stage, unit), receipt.to_json()):
        return receipt
    first = find_receipt(store, stage, unit)
    return receipt if first is None else first
