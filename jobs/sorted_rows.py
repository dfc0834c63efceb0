"""Rows of Parquet files by key range, sorted out of core: DuckDB's work, in the process of the unit that reads them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from plait.jobs.scan import Piece, nullable, scan
from plait.jobs.store import Store
from plait.jobs.survivors import SURVIVOR
from plait.jobs.work import Shuffle
from plait.schemas.conform import conform
from plait.schemas.ids import ARCHIVE_KEY_DIGITS
from plait.schemas.receipts import Output

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 4096
SORT_MEMORY = "768MB"  # beyond it DuckDB spills to the folder given


def _table(con: duckdb.DuckDBPyConnection, store: Store, files: tuple[Output, ...], columns: pa.Schema) -> str:
    """Files as a table of DuckDB's: read by itself from a disk, by us from an object store."""
    if store.is_local:
        paths = sorted(store.path(output.path) for output in files)
        quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        return f"read_parquet([{quoted}], union_by_name = true)"
    ordered = sorted(files, key=lambda output: output.path)
    batches = (batch for output in ordered for batch in scan(store, Piece(output.path, output.bytes, 0), columns))
    name = f"files_{uuid.uuid4().hex}"
    con.register(name, pa.RecordBatchReader.from_batches(nullable(columns), batches))
    return name


def _column(field: pa.Field, present: set[str]) -> str:
    return f'"{field.name}"' if field.name in present else f'NULL AS "{field.name}"'


def _query(con: duckdb.DuckDBPyConnection, store: Store, shuffle: Shuffle, low: int, high: int) -> str:
    key = shuffle.order[0]
    # high - 1: the last key of the space is 2^63 - 1, and 2^63 itself is no BIGINT.
    in_part = f'("{key}" BETWEEN {low} AND {high - 1}'
    in_part += f' OR "{key}" IS NULL)' if high == shuffle.space[1] else ")"  # nulls last: they are in the last part
    if shuffle.only:
        listed = _table(con, store, tuple(listed.file for listed in shuffle.only), SURVIVOR)
        archive = f"('0x' || substr(\"archive_id\", 1, {ARCHIVE_KEY_DIGITS}))::BIGINT"
        in_part += f' AND ({archive}, "doc_id") IN (SELECT "archive_key", "doc_id" FROM {listed})'
    selects = []
    for source in shuffle.sources:
        if not source.files:
            continue
        files = _table(con, store, source.files, shuffle.columns)
        present = {row[0] for row in con.sql(f"DESCRIBE SELECT * FROM {files}").fetchall()}
        columns = [
            f'{source.side}::INTEGER AS "side"' if field.name == "side" else _column(field, present)
            for field in shuffle.columns
        ]
        selects.append(f"SELECT {', '.join(columns)} FROM {files} WHERE {in_part}")
    return " UNION ALL BY NAME ".join(selects)


def _ordered(rows: str, sorting: Iterable[tuple[str, bool]]) -> str:
    terms = ", ".join(f'"{name}" {"DESC" if descending else "ASC"} NULLS LAST' for name, descending in sorting)
    return f"SELECT * FROM ({rows}) ORDER BY {terms}"


@contextlib.contextmanager
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB in memory, one thread, that spills to a folder of its own beyond `SORT_MEMORY`."""
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
            con.sql("SET TimeZone = 'UTC'")
            yield con
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextlib.contextmanager
def streamed(
    con: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> Iterator[None]:
    """A stream as a table that is read once; what fails in it comes out as itself, not as an error of DuckDB's."""
    faults: list[Exception] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except Exception as error:
            faults.append(error)
            raise

    con.register(name, pa.RecordBatchReader.from_batches(schema, watched()))
    try:
        yield
    except Exception:
        if faults:
            raise faults[0] from None
        raise
    finally:
        con.unregister(name)


def sorted_rows(store: Store, shuffle: Shuffle, low: int, high: int) -> Iterator[pa.RecordBatch]:
    """The rows of a shuffle whose key is in [low, high), in its order, as batches of its schema."""
    with connection() as con:
        rows = _query(con, store, shuffle, low, high)
        if not rows:
            return
        sorting = [(name.lstrip("-"), name[0] == "-") for name in shuffle.order]
        for batch in con.sql(_ordered(rows, sorting)).to_arrow_reader(BATCH_ROWS):
            yield conform(batch, shuffle.columns)


def sort_table(rows: pa.Table, sorting: Iterable[tuple[str, bool]]) -> Iterator[pa.RecordBatch]:
    """Rows in memory, sorted by columns (name, whether descending), nulls last; spills where they are many."""
    with connection() as con:
        con.register("rows", rows)
        yield from con.sql(_ordered("SELECT * FROM rows", sorting)).to_arrow_reader(BATCH_ROWS)
