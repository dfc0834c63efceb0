"""A corpus' Parquet shards: listed, verified, mapped, read by row groups."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from plait.loader.documents import Rows
from plait.loader.pages import picture_spans
from plait.loader.storage import Storage
from plait.schemas.errors import CorpusError

READ_BYTES: Final = 4 << 20
OPEN_SHARDS: Final = 64  # mapped at once


@dataclass(frozen=True)
class Shard:
    """A Parquet shard as the ledger's list has it."""

    path: str  # relative to the corpus
    rows: int
    bytes: int
    sha256: str
    row_group_rows: tuple[int, ...]
    max_order_key: int | None
    min_order_key: int | None


class ShardFiles:
    """The shards of a corpus, each read when it is asked for.

    Args:
        storage: where they lie.
        listed: path of the ledger's list of shards.
        verify: compare a shard's SHA-256 with the ledger's before its first use.
        check_pages: compare every page that is read with its checksum.
    """

    def __init__(self, storage: Storage, listed: str, *, verify: bool, check_pages: bool) -> None:
        self.storage = storage
        self.verify = verify
        self.check_pages = check_pages
        self._listed = listed
        self._verified: set[str] = set()
        self._maps: dict[int, tuple[memoryview, pq.FileMetaData]] = {}

    def __getstate__(self) -> dict[str, object]:
        """For worker processes: without what is mapped here."""
        return {**self.__dict__, "_maps": {}}

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """Parquet shards in global order."""
        with self.storage.open(self._listed) as file:
            table = pq.read_table(file)
        return tuple(
            Shard(
                row["path"],
                row["rows"],
                row["bytes"],
                row["sha256"],
                tuple(row["row_group_rows"]),
                row["max_order_key"],
                row["min_order_key"],
            )
            for row in table.to_pylist()
            if row["format"] == "parquet"
        )

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        """Row groups in global order: columns shard, row group in it, first row, rows."""
        found = [
            (shard, group, rows)
            for shard, entry in enumerate(self.shards)
            for group, rows in enumerate(entry.row_group_rows)
        ]
        table = np.array(found, dtype=np.int64).reshape(-1, 3)
        first = np.cumsum(table[:, 2]) - table[:, 2]
        return np.column_stack([table[:, 0], table[:, 1], first, table[:, 2]])

    def local(self, shard: int) -> Path:
        """A shard's file on this machine's disk; of a remote corpus it may be evicted when it is not open."""
        if self.verify:
            self.check(self.shards[shard])
        return self.storage.local(self.shards[shard].path)

    def table(self, shard: int, columns: Sequence[str]) -> pa.Table:
        """Columns of a whole shard.

        Raises:
            CorpusError: it cannot be read.
        """
        try:
            with self._file(shard) as file:
                return file.read(list(columns))
        except (OSError, ValueError) as error:
            raise CorpusError(f"{self.shards[shard].path} cannot be read: {error}") from error

    def schema(self) -> pa.Schema:
        """Columns of the shards.

        Raises:
            CorpusError: the first cannot be read.
        """
        try:
            with self._file(0) as file:
                return file.schema_arrow
        except (OSError, ValueError) as error:
            raise CorpusError(f"{self.shards[0].path} cannot be read: {error}") from error

    def read_group(self, group: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """A row group as one batch, page checksums verified (unless the corpus was opened without).

        Raises:
            CorpusError: the shard cannot be read there.
        """
        shard, place = int(self.groups[group, 0]), int(self.groups[group, 1])
        try:
            with self._file(shard) as file:
                table = file.read_row_group(place, columns=list(columns) if columns is not None else None)
        except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
            raise CorpusError(f"{self.shards[shard].path} cannot be read at row group {place}: {error}") from error
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)

    def documents(self, group: int, wanted: Sequence[str]) -> Rows:
        """A row group as documents; its pictures are views of the mapped file, which nothing is copied from.

        Args:
            group: number in the global order.
            wanted: columns to read; of ``image_info`` fields can be named alone ("image_info.list.element.alt").

        Raises:
            CorpusError: the shard cannot be read there.
        """
        if "images" not in wanted:
            return Rows(self.read_group(group, wanted))
        shard, place = int(self.groups[group, 0]), int(self.groups[group, 1])
        try:
            mapped, metadata = self._mapped(shard)
            spans = picture_spans(mapped, metadata.row_group(place), verify=self.check_pages)
        except (OSError, IndexError, ValueError, CorpusError) as error:  # ArrowInvalid is a ValueError
            raise CorpusError(f"{self.shards[shard].path} cannot be read at row group {place}: {error}") from error
        if spans is not None:
            others = [name for name in wanted if name != "images"]
            batch = self.read_group(group, [*others, "images.list.element.path"])
            cells = batch.column("images").values
            if len(cells) - cells.field("path").null_count == len(spans):
                return Rows(batch, [mapped[start:stop] for start, stop in spans])
        return Rows(self.read_group(group, wanted))

    def check(self, shard: Shard) -> None:
        """Compares a shard's size and SHA-256 with the ledger's, once.

        Raises:
            CorpusError: it is not what the ledger says.
        """
        if shard.path in self._verified:
            return
        digest, size = hashlib.sha256(), 0
        with self.storage.open(shard.path) as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
                size += len(block)
        if size != shard.bytes or digest.hexdigest() != shard.sha256:
            raise CorpusError(f"{shard.path} is not what the ledger says: its SHA-256 is {digest.hexdigest()}")
        self._verified.add(shard.path)

    def _file(self, shard: int) -> pq.ParquetFile:
        """A shard, from its mapping: its footer is read once."""
        mapped, metadata = self._mapped(shard)
        source = pa.BufferReader(pa.py_buffer(mapped))
        return pq.ParquetFile(source, metadata=metadata, page_checksum_verification=self.check_pages)

    def _mapped(self, shard: int) -> tuple[memoryview, pq.FileMetaData]:
        """A shard's file, mapped, and its footer. What a mapping's views outlive, they keep."""
        if shard not in self._maps:
            entry = self.shards[shard]
            if self.verify:
                self.check(entry)
            while len(self._maps) >= OPEN_SHARDS:
                del self._maps[next(iter(self._maps))]
            with self.storage.open(entry.path) as file:
                mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            metadata = pq.read_metadata(pa.BufferReader(pa.py_buffer(mapped)))
            groups = tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
            if groups != entry.row_group_rows:
                raise CorpusError(
                    f"{entry.path} is not what the ledger says: it has {metadata.num_rows} documents in {len(groups)} "
                    f"row groups, not {entry.rows} in {len(entry.row_group_rows)}"
                )
            self._maps[shard] = (mapped, metadata)
        return self._maps[shard]
