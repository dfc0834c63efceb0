"""Units that write small files of a table again as one."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.context import Context
from plait.jobs.scan import Piece, nullable, scan
from plait.jobs.store import Store
from plait.jobs.work import Unit
from plait.schemas.errors import UnitError


def merge_files(unit: Unit, ctx: Context) -> None:
    """The rows of some files, file after file, in one; a column that a file lacks is null in its rows."""
    paths = unit.payload["paths"]
    if not isinstance(paths, list):
        raise UnitError(f"{unit.label} names no files")
    columns = nullable(pa.unify_schemas([_schema(ctx.store, str(path)) for path in paths]))
    with ctx.table(str(unit.payload["table"]), columns) as table:
        for path in paths:
            for batch in scan(ctx.store, Piece(str(path), 0, 0), columns):
                table.write(batch)


def _schema(store: Store, path: str) -> pa.Schema:
    with store.open_read(path) as file:
        return pq.read_schema(file).remove_metadata()
