"""A stage whose parser hangs on one record, crashes on another, and refuses a third."""

from __future__ import annotations

import os
import signal

import pyarrow as pa

from plait.jobs.context import Context
from plait.jobs.work import Unit
from plait.schemas.errors import RecordError

NUMBERS = pa.schema([pa.field("number", pa.int64())])


def parse(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    while number == 5:
        pass
    if number == 7:
        raise RecordError("no_content", "seven")
    return number * 10


def run(unit: Unit, ctx: Context) -> None:
    with ctx.table("numbers", NUMBERS) as table:
        for number in range(10):
            ctx.count(documents_in=1)
            try:
                value = ctx.guard.call(str(number), "parser", parse, number)
            except RecordError as error:
                ctx.drop_one("document", error.reason, detail=str(number))
                continue
            ctx.count(documents_out=1)
            table.write(pa.RecordBatch.from_pylist([{"number": value}], schema=NUMBERS))
