"""Parsers that hang or crash cost one record, and what was judged stays judged."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from plait.jobs.guard import Guard
from plait.jobs.local import LocalEngine
from plait.jobs.store import Store
from plait.jobs.work import Stage, Unit
from plait.schemas.errors import RecordError
from plait.schemas.receipts import Receipt
from tests.jobs import hostile_stage

STAGE = Stage("hostile", "tests.jobs.hostile_stage:run", guarded=True, watchdog_cpu_s=1)
UNIT = Unit(("x",), "x", {})


def _run(folder: Path) -> Receipt:
    engine = LocalEngine(Store(str(folder)), 1)
    try:
        return engine.run(STAGE, [UNIT], lambda receipt: None)[0]
    finally:
        engine.close()


def test_a_crash_and_a_hang_cost_their_records_and_the_unit_goes_on(tmp_path: Path) -> None:
    receipt = _run(tmp_path)
    assert receipt.books.balanced()
    assert receipt.books.dropped["document"] == {"parser_crashed": 1, "parser_hung": 1, "no_content": 1}
    [output] = receipt.tables("numbers")
    assert pq.read_table(tmp_path / output.path)["number"].to_pylist() == [0, 10, 20, 40, 60, 80, 90]


def test_a_verdict_is_input_from_then_on(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first = Guard(store, "verdicts", isolate=True)
    with pytest.raises(RecordError, match="parser_crashed"):
        first.call("3", "parser", hostile_stage.parse, 3)
    assert first.call("4", "parser", hostile_stage.parse, 4) == 40  # a new child serves what comes after
    first.close()
    later = Guard(store, "verdicts", isolate=False)
    with pytest.raises(RecordError, match="parser_crashed"):  # the record is not tried again: it would end this process
        later.call("3", "parser", hostile_stage.parse, 3)
    later.close()


def test_refusals_come_through_the_child_with_their_reason(tmp_path: Path) -> None:
    guard = Guard(Store(str(tmp_path)), "verdicts", isolate=True)
    with pytest.raises(RecordError) as caught:
        guard.call("7", "parser", hostile_stage.parse, 7)
    guard.close()
    assert (caught.value.reason, caught.value.detail) == ("no_content", "seven")
