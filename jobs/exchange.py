"""Rows between an engine's tasks: tagged with their part where they are read, a stream of one part where they go.

Both cluster engines move the same rows and differ only in who moves them. A row carries the number of its part, found
here from its key, so that no engine's hash decides anything. Where a shuffle keeps only some documents, the others are
left out here, before they travel.
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
from plait.jobs.survivors import Survivors
from plait.jobs.work import Listed, Shuffle, Stage, Unit
from plait.schemas.conform import conform

PART = "part_number"


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
        only: lists of the documents that are kept; none of them: all are.
        skip: parts that are done; their rows are not moved again.
    """

    root: str
    stage: Stage
    units: tuple[Unit, ...]
    lows: tuple[int, ...]
    columns: pa.Schema
    order: tuple[str, ...]
    only: tuple[Listed, ...]
    skip: frozenset[int]

    @staticmethod
    def of(root: str, shuffle: Shuffle, skip: Iterable[int]) -> Exchange:
        """The exchange for a shuffle."""
        lows = tuple(low for low, _ in shuffle.parts())
        return Exchange(
            root, shuffle.stage, tuple(shuffle.units()), lows, shuffle.columns, shuffle.order, shuffle.only,
            frozenset(skip),
        )  # fmt: skip

    @property
    def schema(self) -> pa.Schema:
        """Of rows on the way."""
        return pa.schema([pa.field(PART, pa.int32()), *nullable(self.columns)])

    @property
    def sorting(self) -> list[tuple[str, bool]]:
        """Columns to sort by within a partition, and whether descending; nulls last."""
        return [(PART, False), *[(name.lstrip("-"), name[0] == "-") for name in self.order]]

    def read(self, group: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
        """Tagged rows of some files."""
        store = Store(self.root)
        survivors = Survivors(store, self.only) if self.only else None
        done = pa.array(sorted(self.skip), pa.int32())
        for piece in group:
            for rows in scan(store, piece, self.columns):
                kept = rows if survivors is None else survivors.keep(rows)
                part = self._part(kept.column(self.order[0]))
                tagged = pa.RecordBatch.from_arrays([part, *kept.columns], schema=self.schema)
                if self.skip:
                    tagged = tagged.filter(pc.invert(pc.is_in(part, done)))
                if tagged.num_rows:
                    yield tagged

    def _part(self, keys: pa.Array) -> pa.Array:
        """Number of the part of each key; rows without a key are in the last."""
        place = np.searchsorted(np.array(self.lows, np.int64), np.asarray(keys.fill_null(0)), side="right") - 1
        place = np.where(np.asarray(keys.is_null()), len(self.lows) - 1, place)
        return pa.array(place.astype(np.int32))

    def rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What the runner sees of one part: its sorted rows without their tag."""
        for batch in batches:
            if batch.num_rows:
                yield conform(batch, self.columns)

    def run(self, part: int, batches: Iterable[pa.RecordBatch]) -> bytes:
        """Run a part's unit on its sorted, tagged rows; `do_unit`'s answer."""
        return do_unit(self.root, self.stage, self.units[part], self.rows(batches))
