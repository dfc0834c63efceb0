"""Reading the files of a shuffle in an engine's own tasks, with Arrow, from any store: columns by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.store import Store
from plait.jobs.work import FAN_IN, Shuffle

SCAN_BYTES = 64 << 20  # of Parquet, a task
BATCH_ROWS = 4096


@dataclass(frozen=True)
class Piece:
    """A file of a shuffle; ``side`` is its source's."""

    path: str
    bytes: int
    side: int


def pieces(shuffle: Shuffle) -> list[list[Piece]]:
    """The files of a shuffle in groups, one for each scanning task."""
    found = [Piece(output.path, output.bytes, source.side) for source in shuffle.sources for output in source.files]
    groups: list[list[Piece]] = []
    room = 0
    for piece in sorted(found, key=lambda piece: piece.path):
        if not groups or room < piece.bytes or len(groups[-1]) == FAN_IN:
            groups.append([])
            room = SCAN_BYTES
        groups[-1].append(piece)
        room -= piece.bytes
    return groups


def scan(store: Store, piece: Piece, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Rows of a file with the columns asked for: absent ones null, ``side`` the source's; all of them nullable."""
    wanted = nullable(columns)
    with store.open_read(piece.path) as file:
        parquet = pq.ParquetFile(file)
        present = set(parquet.schema_arrow.names).intersection(wanted.names) - {"side"}
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=sorted(present)):
            rows = batch.num_rows
            arrays = []
            for field in wanted:
                if field.name == "side":
                    arrays.append(pa.repeat(pa.scalar(piece.side, field.type), rows))
                elif field.name in present:
                    arrays.append(batch.column(field.name).cast(field.type))
                else:
                    arrays.append(pa.nulls(rows, field.type))
            yield pa.RecordBatch.from_arrays(arrays, schema=wanted)


def nullable(fields: Iterable[pa.Field]) -> pa.Schema:
    """The schema without its promises of no nulls, which rows on the way do not keep."""
    return pa.schema([field.with_nullable(True) for field in fields])
