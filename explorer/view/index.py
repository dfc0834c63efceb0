"""The index that the explorer answers from: a row a document, kept or dropped, its scores as columns on disk.

It is made once a corpus' generation from the shards' columns without texts and pictures, and from the ledger, and is
then mapped: memory holds the columns that somebody asks about.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.explorer.dropped import RETAINED, ledger_batches, ledger_files
from plait.explorer.view.mapped import Mapped
from plait.loader import Corpus
from plait.schemas.manifest import Manifest

INDEX_VERSION: Final = 1  # raised when the columns change
MAX_DOCUMENTS: Final = 2_000_000  # of either kind, kept and dropped; of more, the head of the global shuffle: a sample
HELD_COLUMNS: Final = 24  # in memory at once; 8 bytes a document each
_ROWS: Final = 65_536  # of a batch of the file

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Progress = Callable[[float], None]

_PLAIN = ("url", "domain", "lang", "title", "archive", "archive_id", "offset", "length")
FIXED: Final = (
    pa.field("doc_id", pa.binary()),
    pa.field("row", pa.int64()),  # in the corpus; -1 of what was dropped
    pa.field("file", pa.int32()),  # of the retained documents that holds a dropped one; -1 where none does
    pa.field("place", pa.int64()),  # in that file
    pa.field("stage", pa.string()),  # where it was dropped; null where it was kept
    pa.field("reason", pa.string()),
    pa.field("value", pa.float64()),
    pa.field("threshold", pa.string()),
    pa.field("images", pa.int32()),
    *[pa.field(name, pa.string()) for name in _PLAIN[:6]],
    *[pa.field(name, pa.int64()) for name in _PLAIN[6:]],
)
_NUMERIC = ("double", "float", "int64", "int32", "bool")


def score_names(manifest: Manifest) -> list[str]:
    """Score columns that an index holds, sorted."""
    return sorted({n for n, kind in manifest.scores.items() if kind in _NUMERIC and n != "images"} | {"lang_score"})


def index_path(path: str, manifest: Manifest, cache: Path) -> Path:
    """Where the index of a corpus' generation lies: by its contents and its ledger, not by its place."""
    name = f"{INDEX_VERSION}:{manifest.fingerprint}:{manifest.receipts.digest}:{manifest.generation}:{path}"
    return cache / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.arrow"


def write_index(corpus: Corpus, target: Path, progress: Progress) -> None:
    """Writes the index of a corpus; the file appears when it is whole.

    Cost: about 4 s per million documents with 20 scores on one core; memory is one batch and the ids of what the
    ledger holds.

    Args:
        corpus: whole, no view.
        target: the file.
        progress: is told the share that is done, 0 to 1.
    """
    names = score_names(corpus.manifest)
    schema = pa.schema([*FIXED, *[pa.field(name, pa.float64()) for name in names]])
    target.parent.mkdir(parents=True, exist_ok=True)
    total = max(1, min(len(corpus), MAX_DOCUMENTS))
    with appearing(target) as file, pa.ipc.new_file(file, schema) as writer:
        done = 0
        for batch in _joined(_kept(corpus, schema), schema):
            writer.write_batch(batch)
            done += batch.num_rows
            progress(0.9 * done / total)
        for batch in _joined(_dropped(corpus.path, corpus.manifest, schema), schema):
            writer.write_batch(batch)
    progress(1.0)


@contextmanager
def appearing(target: Path) -> Iterator[IO[bytes]]:
    """A file that has its name when it is whole; two viewers that make it at once each write one of their own."""
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            yield file
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    part.replace(target)


def _joined(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Small batches as large ones."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= _ROWS:
            yield pa.Table.from_batches(held, schema).combine_chunks().to_batches()[0]
            held, rows = [], 0
    if rows:
        yield pa.Table.from_batches(held, schema).combine_chunks().to_batches()[0]


def _kept(corpus: Corpus, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    wanted = [n for n in ("doc_id", *_PLAIN, *schema.names[len(FIXED) :]) if n in corpus.columns]
    images = "image_info.list.element.image_id"
    row = 0
    for number in range(len(corpus.shards)):
        file = pq.ParquetFile(corpus.local(number), memory_map=True)
        for batch in file.iter_batches(_ROWS, columns=[*wanted, images]):
            if row >= MAX_DOCUMENTS:
                return
            batch = batch.slice(0, MAX_DOCUMENTS - row)
            counts = _images(batch.column("image_info"))
            known = {name: batch.column(name) for name in wanted}
            known |= {"row": pa.array(np.arange(row, row + batch.num_rows)), "images": counts}
            row += batch.num_rows
            yield _conformed(known, batch.num_rows, schema)


def _images(infos: pa.ListArray) -> pa.Array:
    valid = np.asarray(infos.flatten().is_valid()).astype(np.int64)
    lengths = infos.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    running, ends = np.concatenate([[0], np.cumsum(valid)]), np.concatenate([[0], np.cumsum(lengths)])
    return pa.array(running[ends[1:]] - running[ends[:-1]], pa.int32())


def _conformed(known: dict[str, pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    absent = {"row": -1, "file": -1, "place": -1}
    columns = []
    for field in schema:
        if field.name in known:
            columns.append(known[field.name].cast(field.type))
        elif field.name in absent:
            columns.append(pa.repeat(pa.scalar(absent[field.name], field.type), rows))
        else:
            columns.append(pa.nulls(rows, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _dropped(path: str, manifest: Manifest, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The ledger's documents, with the scores of those that the build retained."""
    retained, where = _retained(path, schema)
    columns = ["stage", "scope", "reason", "value", "threshold", "doc_id", "url", "archive", "offset"]
    seen = 0
    for batch in ledger_batches(path, manifest.lists.drops, columns):
        batch = batch.filter(pc.equal(batch.column("scope"), "document"))
        batch = batch.slice(0, max(0, MAX_DOCUMENTS - seen))
        seen += batch.num_rows
        if not batch.num_rows:
            continue
        known = {name: batch.column(name) for name in columns if name != "scope"}
        if retained is not None:
            places = pa.array([where.get(doc_id) for doc_id in known["doc_id"].to_pylist()], pa.int64())
            for name in retained.schema.names:
                if name not in known or name in ("archive", "offset"):
                    taken = retained.column(name).take(places)
                    known[name] = pc.coalesce(known[name], taken) if name in known else taken
            known["file"] = known["file"].fill_null(-1)
            known["place"] = known["place"].fill_null(-1)
        yield _conformed(known, batch.num_rows, schema)


def _retained(path: str, schema: pa.Schema) -> tuple[pa.RecordBatch | None, dict[bytes | None, int]]:
    """Retained documents' columns in the order of their files, and the place of each id."""
    batches: list[pa.RecordBatch] = []
    rows = 0
    files, names = ledger_files(path, RETAINED)
    for number, name in enumerate(names):
        place = 0
        with files.open(name, "rb") as file:
            held = pq.ParquetFile(file)
            wanted = [n for n in ("doc_id", *_PLAIN, *schema.names[len(FIXED) :]) if n in held.schema_arrow.names]
            for batch in held.iter_batches(_ROWS, columns=wanted):
                known = {column: batch.column(column) for column in wanted}
                known["file"] = pa.repeat(pa.scalar(number, pa.int32()), batch.num_rows)
                known["place"] = pa.array(np.arange(place, place + batch.num_rows))
                place, rows = place + batch.num_rows, rows + batch.num_rows
                batches.append(pa.RecordBatch.from_pydict(known))
        if rows >= MAX_DOCUMENTS:
            break
    if not batches:
        return None, {}
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    return whole, {doc_id: place for place, doc_id in enumerate(whole.column("doc_id").to_pylist())}


class Index:
    """An index, mapped. Rows are numbered as they stand: kept documents in the corpus' order, then dropped ones."""

    def __init__(self, path: Path) -> None:
        self._file = Mapped(path)
        self.table = self._file.table
        self._columns: OrderedDict[str, Floats] = OrderedDict()
        self._words: dict[str, pa.DictionaryArray] = {}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which documents the corpus has."""
        return self.integers("row") >= 0

    @cached_property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Which documents have scores: kept ones, and dropped ones that the build retained."""
        return self.kept | (self.integers("file") >= 0)

    @property
    def scores(self) -> list[str]:
        """Names of the scores."""
        return list(self.table.column_names[len(FIXED) :])

    def integers(self, name: str) -> Ints:
        """A column of integers without nulls."""
        return np.asarray(self.table.column(name).to_numpy(), np.int64)

    def numbers(self, name: str) -> Floats:
        """A numeric column, nulls as NaN; the ones used last stay in memory."""
        if name in self._columns:
            self._columns.move_to_end(name)
        else:
            self._columns[name] = np.array(self.table.column(name).to_numpy(), np.float64)
            self._file.let_go()
            if len(self._columns) > HELD_COLUMNS:
                self._columns.popitem(last=False)
        return self._columns[name]

    def words(self, name: str) -> pa.DictionaryArray:
        """A column of few strings, as codes."""
        if name not in self._words:
            joined = self.table.column(name).dictionary_encode().combine_chunks()
            self._words[name] = joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined
            self._file.let_go()
        return self._words[name]

    def row(self, place: int) -> dict[str, object]:
        """All that is known of one document."""
        found: dict[str, object] = self.table.slice(place, 1).to_pylist()[0]
        return found
