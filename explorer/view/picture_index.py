"""Pictures by the scores that image rules read: flat columns on disk, made with the explorer's index and mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.explorer.dropped import ledger_batches
from plait.explorer.series import picture_rows
from plait.explorer.view.index import Index, appearing
from plait.explorer.view.mapped import Mapped
from plait.filters.image_scores import picture_columns
from plait.filters.rules import Rule
from plait.loader import Corpus
from plait.schemas.shards import IMAGE_INFO

MAX_PICTURES: Final = 20_000_000  # of either kind, kept and dropped; of more, those of the first documents
WITH_DOCUMENT: Final = "document_dropped"
_ROWS: Final = 16_384  # documents of a batch
_SIZES: Final = ("width", "height", "declared_width", "declared_height")
_DERIVED: Final = {
    "width": pa.int64(), "height": pa.int64(), "side": pa.int64(), "long_side": pa.int64(), "pixels": pa.int64(),
    "aspect": pa.float64(),
}  # fmt: skip
TYPES: Final[dict[str, pa.DataType]] = {
    **{f.name: f.type for f in IMAGE_INFO if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)},
    **_DERIVED,
}
"""Scores that a corpus stores of its pictures, in the types that the build compared them in."""


def picture_rules(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules on pictures whose scores a corpus stores; those that look at some languages only are not among them."""
    return tuple(
        rule
        for rule in rules
        if rule.scope == "image" and rule.stage == "assemble" and rule.keep and not rule.languages
        and all(name in TYPES for name in rule.scores)
    )  # fmt: skip


def write_pictures(corpus: Corpus, index: Index, rules: Sequence[Rule], target: Path) -> None:
    """Writes the file: kept pictures in the corpus' order, then those that the rules or their documents took along.

    Cost: a pass over the columns of pictures' facts, and one over the ledger.

    Args:
        corpus: whole.
        index: of its documents.
        rules: `picture_rules` of its recipe.
        target: the file, which appears when it is whole.
    """
    names = sorted({name for rule in rules for name in rule.scores})
    fixed = [("document", pa.int32()), ("node", pa.int32()), ("reason", pa.string()), ("value", pa.float64())]
    schema = pa.schema([*fixed, ("url", pa.string()), *[(name, TYPES[name]) for name in names]])
    with appearing(target) as file, pa.ipc.new_file(file, schema) as writer:
        for batch in _kept(corpus, index, names, schema):
            writer.write_batch(batch)
        writer.write_table(_dropped(corpus, index, [*[rule.name for rule in rules], WITH_DOCUMENT], schema))


def _kept(corpus: Corpus, index: Index, names: Sequence[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    documents = int(np.count_nonzero(index.kept))
    wanted = {*_SIZES, *[name for name in names if name not in _DERIVED]}
    first = seen = 0
    for number in range(len(corpus.shards)):
        file = pq.ParquetFile(corpus.local(number), memory_map=True)
        held = {field.name for field in file.schema_arrow.field("image_info").type.value_type}
        columns = [f"image_info.list.element.{name}" for name in sorted(wanted & held)]
        for batch in file.iter_batches(_ROWS, columns=columns):
            if first >= documents or seen >= MAX_PICTURES:
                return
            infos, document, slot = picture_rows(pa.Table.from_batches([batch.slice(0, documents - first)]))
            known = {
                name: infos.field(name) if name in held else pa.nulls(len(infos), TYPES[name])
                for name in sorted(wanted)
            }
            for name in ("width", "height"):  # of a picture kept as a URL, rules looked at what the page declares
                known[name] = pc.coalesce(known[name], known[f"declared_{name}"])
            facts = picture_columns(pa.RecordBatch.from_pydict(known))
            given = {name: facts.column(name) for name in names}
            given |= {"document": pa.array(document + first, pa.int32()), "node": pa.array(slot, pa.int32())}
            yield _rows(given, len(document), schema)
            first, seen = first + batch.num_rows, seen + len(document)


def _dropped(corpus: Corpus, index: Index, reasons: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Pictures that one of the reasons dropped, with the places of their documents in the index."""
    columns = ["scope", "reason", "value", "doc_id", "node", "url"]
    found: list[pa.RecordBatch] = []
    seen = 0
    for batch in ledger_batches(corpus.path, corpus.manifest.lists.drops, columns):
        here = pc.and_(
            pc.equal(batch.column("scope"), "image"), pc.is_in(batch.column("reason"), pa.array(list(reasons)))
        )
        found.append(batch.filter(here))
        seen += found[-1].num_rows
        if seen >= MAX_PICTURES:
            break
    if not seen:
        return schema.empty_table()
    whole = pa.Table.from_batches(found).slice(0, MAX_PICTURES).combine_chunks()
    ids = index.table.column("doc_id").combine_chunks()
    places = pc.index_in(whole.column("doc_id"), value_set=ids)
    whole = whole.append_column("document", places).filter(places.is_valid())
    return pa.Table.from_batches([
        _rows({name: batch.column(name) for name in ("document", "node", "reason", "value", "url")},
              batch.num_rows, schema)
        for batch in whole.to_batches()
    ], schema)  # fmt: skip


def _rows(given: dict[str, pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class Pictures:
    """The file, mapped: row i is a kept picture for i < `kept`, and a dropped one from there on."""

    def __init__(self, path: Path) -> None:
        self._file = Mapped(path)
        table = self._file.table
        self.kept = int(table.column("reason").null_count)
        self._table = table.slice(0, self.kept)
        self._gone = table.slice(self.kept)
        self.document = self._whole(self._table, "document").to_numpy()
        self.dropped_document = self._whole(self._gone, "document").to_numpy()
        self.dropped_value: npt.NDArray[np.float64] = np.asarray(
            self._whole(self._gone, "value").to_numpy(zero_copy_only=False), np.float64
        )
        reasons = self._whole(self._gone, "reason").dictionary_encode()
        self.reasons: list[str] = reasons.dictionary.to_pylist()
        self.dropped_reason: npt.NDArray[np.int32] = reasons.indices.to_numpy()
        self._columns: dict[str, pa.Array] = {}

    @staticmethod
    def _whole(table: pa.Table, name: str) -> pa.Array:
        joined = table.column(name).combine_chunks()
        return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined

    def columns(self, names: Sequence[str]) -> pa.RecordBatch:
        """Scores of the kept pictures."""
        for name in names:
            if name not in self._columns:
                self._columns[name] = self._whole(self._table, name)
                self._file.let_go()
        return pa.RecordBatch.from_pydict({name: self._columns[name] for name in names})

    def where(self, row: int) -> tuple[int, int]:
        """Of a kept picture: its document's place in the index, its node."""
        return int(self.document[row]), int(self._table.column("node")[row].as_py())

    def lost(self, row: int) -> dict[str, object]:
        """What the ledger says of a dropped picture: its document's place, reason, value, URL."""
        found: dict[str, object] = (
            self._gone.select(["document", "reason", "value", "url"]).slice(row, 1).to_pylist()[0]
        )
        return found
