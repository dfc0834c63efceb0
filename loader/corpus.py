"""`Corpus`: a finished corpus, opened for reading by row, by id, by filter, by sample, as Arrow, pandas or DuckDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plait.loader.documents import Document, Rows
from plait.loader.shard_files import Shard, ShardFiles
from plait.loader.storage import Cache, Storage
from plait.schemas.errors import ConfigError, CorpusError
from plait.schemas.ids import order_key
from plait.schemas.json_rows import Cell
from plait.schemas.manifest import MANIFEST_NAME, Manifest
from plait.schemas.shards import stored_schema

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

ID_BYTES: Final = 16
ROWS_AT_ONCE: Final = 16  # whose picture bytes are copied into Python objects


class Corpus:
    """A corpus on disk or at a URL, read-only.

    Rows are numbered in the corpus' global order. Opening reads the manifest and the list of shards; everything else
    is read when it is asked for. Remote shards are brought whole into a bounded cache that processes share.

    Args:
        path: folder of the corpus, or a URL that fsspec opens.
        verify: compare every shard's SHA-256 with the ledger's before first use; reads every byte once.
        check_pages: compare every page that is read with its checksum; without, a flipped bit goes unseen.
        cache: where remote files are held.
        rows: only these rows, ascending; `filter` makes such views.
        manifest: the corpus' manifest, where it is at hand; else it is read.

    Raises:
        CorpusError: no corpus is there, or it is damaged.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        verify: bool = False,
        check_pages: bool = True,
        cache: Cache | None = None,
        rows: npt.NDArray[np.int64] | None = None,
        manifest: Manifest | None = None,
    ) -> None:
        self.path = str(path)
        self._selected = rows
        self._last: tuple[int, Rows] | None = None
        storage = Storage(self.path, cache or Cache())
        try:
            if manifest is None:
                with storage.open(MANIFEST_NAME) as file:
                    manifest = Manifest.from_json(file.read().decode())
        except CorpusError as error:
            raise CorpusError(f"{self.path} cannot be opened as a corpus: {error}") from error
        self.manifest = manifest
        if "parquet" not in self.manifest.formats:
            raise ConfigError(
                f"{self.path} holds {', '.join(self.manifest.formats)} shards alone: the loader reads Parquet; "
                "read tar shards with webdataset or Energon, or build with --format parquet"
            )
        self._files = ShardFiles(storage, self.manifest.lists.shards, verify=verify, check_pages=check_pages)

    def __getstate__(self) -> dict[str, object]:
        """For worker processes: without the row group at hand."""
        return {**self.__dict__, "_last": None}

    @property
    def shards(self) -> tuple[Shard, ...]:
        """Parquet shards in global order."""
        return self._files.shards

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """Row groups in global order: columns shard, row group in it, first row, rows."""
        return self._files.groups

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the shards; of a corpus of no documents, those that its shards would have."""
        if not self.shards:
            return stored_schema(self.manifest.scores)
        return self._files.schema()

    @property
    def is_view(self) -> bool:
        """Whether this is a part of a corpus: what `filter`, `sample` and `head` give."""
        return self._selected is not None

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)

    def __len__(self) -> int:
        if self._selected is not None:
            return len(self._selected)
        return int(self.groups[:, 3].sum())

    def __getitem__(self, row: int) -> Document:
        """The document at a row of the global order (of the view, where this is one). Reads one row group."""
        if row < 0:
            row += len(self)
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        place = int(self._selected[row]) if self._selected is not None else row
        group = int(np.searchsorted(self.groups[:, 2], place, side="right")) - 1
        return self._rows(group)[place - int(self.groups[group, 2])]

    def __iter__(self) -> Iterator[Document]:
        return self.documents()

    def documents(self, columns: Sequence[str] | None = None) -> Iterator[Document]:
        """Documents in global order; memory is one row group.

        Args:
            columns: read only these; without "images" no picture is read, and pictures have no bytes.
        """
        for group, places in self._by_group():
            rows = self.group_documents(group, columns)
            for place in places:
                yield rows[int(place)]

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Cell]]:
        """Rows as plain Python values, in global order, as the shards hold them; memory is one row group."""
        if columns is not None:
            self._known(columns)
        for group, places in self._by_group():
            batch = self.read_group(group, columns)
            for at in range(0, len(places), ROWS_AT_ONCE):
                yield from batch.take(pa.array(places[at : at + ROWS_AT_ONCE])).to_pylist()

    def get(self, doc_id: bytes | str) -> Document:
        """A document by its id (16 bytes, or 32 hex characters): its order key tells the shard.

        Raises:
            KeyError: the corpus, or the view, has no such document.
            ConfigError: that is no id.
        """
        place = self.row_of(doc_id)
        if self._selected is not None:
            found = int(np.searchsorted(self._selected, place))
            if found == len(self._selected) or self._selected[found] != place:
                raise KeyError(f"the view has no document {doc_id!r}")
        group = int(np.searchsorted(self.groups[:, 2], place, side="right")) - 1
        return self._rows(group)[place - int(self.groups[group, 2])]

    def row_of(self, doc_id: bytes | str) -> int:
        """Row of a document in the corpus' global order; reads a column of one shard a generation."""
        wanted = _id(doc_id)
        key = order_key(wanted, self._order_seed)
        first = 0
        for number, shard in enumerate(self.shards):
            low, high = shard.min_order_key, shard.max_order_key
            if shard.rows and low is not None and high is not None and low <= key <= high:
                ids = self._files.table(number, ["doc_id"]).column("doc_id")
                place: int = pc.index(ids, pa.scalar(wanted, pa.binary())).as_py()
                if place >= 0:
                    return first + place
            first += shard.rows
        raise KeyError(f"the corpus has no document {wanted.hex()}")

    def filter(self, condition: pc.Expression) -> Corpus:
        """The documents for which a condition on columns holds, as a view: ``pc.field("words") > 100``.

        Reads the condition's columns alone; the view holds 8 bytes a document. Conditions on ``images`` read pictures.

        Raises:
            ConfigError: the condition names a column that is not there, or compares what cannot be compared.
        """
        names = self.columns
        text = str(condition)
        needed = [name for name in names if name in text]  # never too few: a column's name is in the text
        kept, first = [], 0
        for number, shard in enumerate(self.shards):
            table = self._files.table(number, needed)
            table = table.append_column("__row__", pa.array(np.arange(first, first + shard.rows)))
            try:
                kept.append(table.filter(condition).column("__row__").to_numpy())
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
                raise ConfigError(f"the condition {text} cannot be applied: {error} (columns: {names})") from error
            first += shard.rows
        rows = np.concatenate(kept) if kept else np.zeros(0, np.int64)
        if self._selected is not None:
            rows = np.intersect1d(rows, self._selected, assume_unique=True)
        return self._view(rows.astype(np.int64))

    def head(self, n: int) -> Corpus:
        """The first ``n`` documents, as a view: the global order is a keyed shuffle, so they are a random sample."""
        return self._view(self._selected[:n] if self._selected is not None else np.arange(min(n, len(self))))

    def sample(self, n: int, seed: int = 0) -> Corpus:
        """``n`` documents drawn without repetition, in global order, as a view; the same seed draws the same."""
        drawn = np.sort(np.random.default_rng(seed).choice(len(self), size=min(n, len(self)), replace=False))
        return self._view(self._selected[drawn] if self._selected is not None else drawn.astype(np.int64))

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The documents as one table; without ``columns`` everything but the pictures' bytes.

        Raises:
            ConfigError: a column is not there.
        """
        wanted = list(columns) if columns is not None else [name for name in self.columns if name != "images"]
        self._known(wanted)
        tables = []
        for group, places in self._by_group():
            batch = self.read_group(group, wanted)
            tables.append(batch if len(places) == batch.num_rows else batch.take(pa.array(places)))
        schema = pa.schema([self.schema.field(name) for name in wanted])
        return pa.Table.from_batches(tables, schema=schema) if tables else schema.empty_table()

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """As `to_arrow`, as a pandas data frame."""
        return self.to_arrow(columns).to_pandas()

    def duckdb(self) -> duckdb.DuckDBPyRelation:
        """The corpus as a DuckDB relation, read lazily from the shards (a view: from its table in memory).

        Raises:
            ConfigError: DuckDB is not installed.
        """
        try:
            import duckdb
        except ImportError as error:
            raise ConfigError("Corpus.duckdb needs DuckDB: pip install duckdb") from error
        if self._selected is not None or not self.shards:
            return duckdb.from_arrow(self.to_arrow())
        return duckdb.read_parquet([str(self.local(number)) for number in range(len(self.shards))])

    def verify(self) -> None:
        """Compares every shard's size and SHA-256 with the ledger's.

        Raises:
            CorpusError: names the first shard that is not what the ledger says.
        """
        for shard in self.shards:
            self._files.check(shard)

    def local(self, shard: int) -> Path:
        """A shard's file on this machine's disk."""
        return self._files.local(shard)

    def read_group(self, group: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """A row group as one batch, page checksums verified (unless the corpus was opened without).

        Raises:
            CorpusError: the shard cannot be read there.
        """
        return self._files.read_group(group, columns)

    def group_documents(self, group: int, columns: Sequence[str] | None = None) -> Rows:
        """A row group as documents; its pictures are views of the mapped file, which nothing is copied from.

        Args:
            group: number in the global order.
            columns: to read; of ``image_info`` fields can be named alone ("image_info.list.element.alt").

        Raises:
            CorpusError: the shard cannot be read there.
        """
        return self._files.documents(group, columns if columns is not None else self.columns)

    def _rows(self, group: int) -> Rows:
        if self._last is None or self._last[0] != group:
            self._last = (group, self.group_documents(group))
        return self._last[1]

    def _by_group(self) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Row groups with the places in them that belong to the view."""
        for group, (_, _, first, rows) in enumerate(self.groups.tolist()):
            if self._selected is None:
                yield group, np.arange(rows)
                continue
            low, high = np.searchsorted(self._selected, [first, first + rows])
            if high > low:
                yield group, self._selected[low:high] - first

    def _view(self, rows: npt.NDArray[np.int64]) -> Corpus:
        return Corpus(
            self.path,
            verify=self._files.verify,
            check_pages=self._files.check_pages,
            cache=self._files.storage.cache,
            rows=rows,
            manifest=self.manifest,
        )

    def _known(self, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise ConfigError(f"the corpus has no column {missing[0]!r} (it has: {', '.join(self.columns)})")

    @cached_property
    def _order_seed(self) -> int:
        """The recipe's seed of the global order."""
        try:
            recipe = json.loads(self.manifest.recipe.text)
        except json.JSONDecodeError:
            return 0
        seed = recipe.get("order_seed", 0) if isinstance(recipe, dict) else 0
        return seed if isinstance(seed, int) else 0


def _id(doc_id: bytes | str) -> bytes:
    try:
        found = bytes.fromhex(doc_id) if isinstance(doc_id, str) else doc_id
    except ValueError as error:
        raise ConfigError(f"{doc_id!r} is no document id: 32 hex characters are") from error
    if len(found) != ID_BYTES:
        raise ConfigError(f"{doc_id!r} is no document id: it has {len(found)} bytes, not {ID_BYTES}")
    return found
