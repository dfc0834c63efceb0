"""Rows of Parquet files by key range, sorted out of core: DuckDB's work, in the process of the unit that reads them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from plait.jobs.store import Store
from plait.jobs.work import Shuffle
from plait.schemas.conform import conform
from plait.schemas.receipts import Output

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 4096
SORT_MEMORY = "768MB"  # beyond it DuckDB spills to the folder given


def _files(store: Store, outputs: tuple[Output, ...]) -> str:
    paths = sorted(store.path(output.path) for output in outputs)
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{quoted}], union_by_name = true)"


def _column(field: pa.Field, present: set[str]) -> str:
    return f'"{field.name}"' if field.name in present else f'NULL AS "{field.name}"'


def _query(con: duckdb.DuckDBPyConnection, store: Store, shuffle: Shuffle, low: int, high: int) -> str:
    key = shuffle.order[0]
    selects = []
    for source in shuffle.sources:
        if not source.files:
            continue
        files = _files(store, source.files)
        present = {row[0] for row in con.sql(f"DESCRIBE SELECT * FROM {files}").fetchall()}
        columns = [
            f'{source.side}::INTEGER AS "side"' if field.name == "side" else _column(field, present)
            for field in shuffle.columns
        ]
        # high - 1: the last key of the space is 2^63 - 1, and 2^63 itself is no BIGINT.
        where = f'"{key}" BETWEEN {low} AND {high - 1}'
        if shuffle.only:
            where += f' AND "doc_id" IN (SELECT "doc_id" FROM {_files(store, shuffle.only)})'
        selects.append(f"SELECT {', '.join(columns)} FROM {files} WHERE {where}")
    if not selects:
        return ""
    order = ", ".join(
        f'"{name.lstrip("-")}" {"DESC" if name[0] == "-" else "ASC"} NULLS LAST' for name in shuffle.order
    )
    return f"SELECT * FROM ({' UNION ALL BY NAME '.join(selects)}) ORDER BY {order}"


def sorted_rows(store: Store, shuffle: Shuffle, low: int, high: int) -> Iterator[pa.RecordBatch]:
    """The rows of a shuffle whose key is in [low, high), in its order, as batches of its schema."""
    import duckdb

    spill = tempfile.mkdtemp(prefix="plait-sort-")
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": "1",
        "memory_limit": SORT_MEMORY,
        "temp_directory": str(Path(spill)),
    }
    try:
        with duckdb.connect(":memory:", config=config) as con:
            con.sql("SET preserve_insertion_order = false")
            query = _query(con, store, shuffle, low, high)
            if not query:
                return
            for batch in con.sql(query).to_arrow_reader(BATCH_ROWS):
                yield conform(batch, shuffle.columns)
    finally:
        shutil.rmtree(spill, ignore_errors=True)
