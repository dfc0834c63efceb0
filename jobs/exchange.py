"""Rows between an engine's tasks: tagged with their part where they are read, a stream of one part where they go.

Both cluster engines move the same rows and differ only in who moves them. A row carries the number of its part, found
here from its key, so that no engine's hash decides anything. Where a shuffle keeps only some documents, their ids go
the same way, by the same key, ahead of the rows: text moves once, and no list of all documents is held anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.jobs.remote import do_unit
from plait.jobs.scan import Piece, nullable, scan
from plait.jobs.store import Store
from plait.jobs.work import Shuffle, Stage, Unit
from plait.schemas.conform import conform
from plait.schemas.errors import UnitError

PART, KIND = "part_number", "row_kind"
LISTED, ROW = 0, 1  # values of `KIND`


@dataclass(frozen=True)
class Exchange:
    """One shuffle as its tasks see it; pickled into each of them, without the lists of files.

    Attributes:
        root: of the store.
        stage: whose runner takes the parts.
        units: one a part.
        lows: first key of each part.
        columns: that the runner is promised.
        order: of a part's rows, as `Shuffle.order`.
        listed: whether only listed documents are kept.
        skip: parts that are done; their rows are not moved again.
    """

    root: str
    stage: Stage
    units: tuple[Unit, ...]
    lows: tuple[int, ...]
    columns: pa.Schema
    order: tuple[str, ...]
    listed: bool
    skip: frozenset[int]

    @staticmethod
    def of(root: str, shuffle: Shuffle, skip: Iterable[int]) -> Exchange:
        """The exchange for a shuffle."""
        lows = tuple(low for low, _ in shuffle.parts())
        return Exchange(
            root, shuffle.stage, tuple(shuffle.units()), lows, shuffle.columns, shuffle.order, bool(shuffle.only),
            frozenset(skip),
        )  # fmt: skip

    @property
    def schema(self) -> pa.Schema:
        """Of rows on the way."""
        tags = [pa.field(PART, pa.int32()), pa.field(KIND, pa.int32())]
        return pa.schema([*tags, *nullable(self.columns)])

    @property
    def sorting(self) -> list[tuple[str, bool]]:
        """Columns to sort by within a partition, and whether descending; nulls last."""
        return [(PART, False), (KIND, False), *[(name.lstrip("-"), name[0] == "-") for name in self.order]]

    def read(self, group: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
        """Tagged rows of some files."""
        store, schema = Store(self.root), self.schema
        for piece in group:
            listed = piece.side is None
            columns = self.columns
            if listed:
                columns = pa.schema([self.columns.field(self.order[0]), self.columns.field("doc_id")])
            for batch in scan(store, piece, columns):
                keys = batch.column(self.order[0])
                if listed and keys.null_count:
                    raise UnitError(f"{piece.path} lists documents without their {self.order[0]}")
                part = self._part(keys)
                kind = pa.array(np.full(batch.num_rows, LISTED if listed else ROW, np.int32))
                given = {PART: part, KIND: kind} | dict(zip(batch.schema.names, batch.columns, strict=True))
                arrays = [given.get(field.name) for field in schema]
                tagged = pa.RecordBatch.from_arrays(
                    [
                        pa.nulls(batch.num_rows, field.type) if array is None else array
                        for array, field in zip(arrays, schema, strict=True)
                    ],
                    schema=schema,
                )
                if self.skip:
                    tagged = tagged.filter(pc.invert(pc.is_in(part, pa.array(sorted(self.skip), pa.int32()))))
                if tagged.num_rows:
                    yield tagged

    def _part(self, keys: pa.Array) -> pa.Array:
        """Number of the part of each key; rows without a key are in the last."""
        place = np.searchsorted(np.array(self.lows, np.int64), np.asarray(keys.fill_null(0)), side="right") - 1
        place = np.where(np.asarray(keys.is_null()), len(self.lows) - 1, place)
        return pa.array(place.astype(np.int32))

    def rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What the runner sees of one part: its rows in order, only those of listed documents where there is a list.

        Args:
            batches: of one part, sorted by `sorting`: the list comes first.
        """
        listed: list[pa.Array] = []
        known: pa.Array | None = None
        for batch in batches:
            is_row = pc.equal(batch.column(KIND), ROW)
            if self.listed:
                ids = batch.column("doc_id")
                if known is None:
                    listed.append(ids.filter(pc.invert(is_row)).cast(pa.binary()))
                    if not pc.any(is_row).as_py():
                        continue
                    known = pa.concat_arrays(listed)
                is_row = pc.and_(is_row, pc.is_in(ids.cast(pa.binary()), known))
            kept = batch.filter(is_row)
            if kept.num_rows:
                yield conform(kept, self.columns)

    def run(self, part: int, batches: Iterable[pa.RecordBatch]) -> bytes:
        """Run a part's unit on its sorted, tagged rows; `do_unit`'s answer."""
        return do_unit(self.root, self.stage, self.units[part], self.rows(batches))
