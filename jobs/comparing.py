"""`plait compare`: what one corpus keeps that another drops, by the other's reasons, with examples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.filters.pii import masked
from plait.jobs.auditing import open_manifest
from plait.jobs.comparing_pictures import PICTURE, Pictures, compare_pictures, picture_rows
from plait.jobs.sorted_rows import connection, streamed
from plait.jobs.store import Store
from plait.jobs.wholeness import ledger_list
from plait.schemas.errors import ConfigError, CorpusError
from plait.schemas.manifest import Manifest

SHOWN_CHARS = 300
BATCH_ROWS = 256
ABSENT = "not_in_its_inputs"
"""Reason of a document that the other corpus neither has nor says it dropped: its inputs do not have the capture."""

_ROW = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("order_key", pa.int64()),
        pa.field("shard", pa.int32()),
        pa.field("place", pa.int64()),
        pa.field("chars", pa.int64()),
        pa.field("images", pa.int64()),
    ]
)
_DROP = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        *[pa.field(name, pa.string()) for name in ("stage", "reason", "threshold", "detail")],
        pa.field("value", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Shown:
    """A document that one corpus keeps and the other does not."""

    doc_id: str
    url: str
    title: str
    text: str  # its beginning, personal data masked
    value: float | None  # what the other corpus measured
    threshold: str | None  # the condition that it failed there
    detail: str | None


@dataclass(frozen=True)
class Reason:
    """Why the other corpus does not have documents."""

    stage: str
    reason: str
    documents: int
    examples: tuple[Shown, ...]


@dataclass(frozen=True)
class Side:
    """One of the two corpora.

    Attributes:
        corpus: as it was named.
        recipe: name of its recipe.
        documents: in all.
        only: documents that the other does not have.
        reasons: why it does not, most documents first.
        shared_chars: characters of text in the documents that both have.
        shared_images: pictures in those.
    """

    corpus: str
    recipe: str
    documents: int
    only: int
    reasons: tuple[Reason, ...]
    shared_chars: int
    shared_images: int


@dataclass(frozen=True)
class Comparison:
    """Two corpora side by side."""

    shared: int  # documents that both have
    edited: int  # of those, documents whose text or number of pictures differs
    pictures: Pictures  # of those documents
    sides: tuple[Side, Side]


def compare(first: str, second: str, *, examples: int = 5) -> Comparison:
    """Compare what two corpora of the same inputs keep: two recipes, or two versions of one.

    Documents are the same where URL, capture time and payload are. Reads both corpora without their pictures twice, and
    their ledgers; memory is bounded, what does not fit is spilled.

    Args:
        first: path or fsspec URL of a corpus.
        second: of another.
        examples: shown for each reason; the same ones each time.

    Raises:
        ConfigError: one of them is no corpus, or has no Parquet shards.
        CorpusError: a file of one cannot be read.
    """
    stores = Store(first), Store(second)
    manifests = open_manifest(stores[0]), open_manifest(stores[1])
    with connection() as con:
        for name, store, manifest in zip("ab", stores, manifests, strict=True):
            with streamed(con, "rows", _ROW, _documents(store, manifest)):
                con.sql(f"CREATE TABLE {name} AS SELECT * FROM rows")
            with streamed(con, "rows", PICTURE, _pictures(store, manifest)):
                con.sql(f"CREATE TABLE pictures_{name} AS SELECT * FROM rows")
            with streamed(con, "rows", _DROP, _drops(store, manifest)):
                con.sql(f"CREATE TABLE drops_{name} AS SELECT * FROM rows")
        both = con.sql(
            "SELECT count(*), coalesce(sum(a.chars), 0), coalesce(sum(a.images), 0), coalesce(sum(b.chars), 0), "
            "coalesce(sum(b.images), 0), coalesce(sum((a.chars != b.chars OR a.images != b.images)::INT), 0) "
            "FROM a JOIN b USING (doc_id)"
        ).fetchall()[0]
        shared, *sums, edited = (int(value) for value in both)
        pictures = compare_pictures(con)
        sides = []
        for place, (own, other) in enumerate((("a", "b"), ("b", "a"))):
            # Of several drops of one capture, the first by stage and reason stands.
            found = con.sql(
                f"SELECT {own}.doc_id, order_key, shard, place, stage, coalesce(reason, '{ABSENT}') AS reason, value, "
                f"threshold, detail FROM {own} ANTI JOIN {other} USING (doc_id) LEFT JOIN (SELECT DISTINCT ON (doc_id) "
                f"* FROM drops_{other} ORDER BY doc_id, stage, reason, detail) d ON {own}.doc_id = d.doc_id"
            )
            con.sql("DROP TABLE IF EXISTS only_one")
            found.create("only_one")
            counts = con.sql(
                "SELECT coalesce(stage, ''), reason, count(*) FROM only_one GROUP BY ALL ORDER BY 3 DESC, 1, 2"
            ).fetchall()
            picked = con.sql(
                f"SELECT * FROM only_one QUALIFY row_number() OVER (PARTITION BY stage, reason ORDER BY order_key, "
                f"doc_id) <= {int(examples)} ORDER BY order_key, doc_id"
            ).to_arrow_table()
            shown = _shown(stores[place], manifests[place], picked)
            reasons = tuple(
                Reason(stage, reason, int(count), tuple(shown.get((stage, reason), ())))
                for stage, reason, count in counts
            )
            sides.append(
                Side(
                    stores[place].root, manifests[place].recipe.name, manifests[place].totals.documents,
                    sum(reason.documents for reason in reasons), reasons, sums[2 * place], sums[2 * place + 1],
                )
            )  # fmt: skip
    return Comparison(shared, edited, pictures, (sides[0], sides[1]))


def _shards(store: Store, manifest: Manifest) -> list[str]:
    shards = ledger_list(store, manifest.lists.shards, ["format", "path"]).to_pylist()
    if "parquet" not in manifest.formats:
        raise ConfigError(f"{store.root} has no Parquet shards to compare; build with --format parquet")
    return [shard["path"] for shard in shards if shard["format"] == "parquet"]


@contextlib.contextmanager
def _opened(store: Store, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with store.open_read(path) as file:
            yield pq.ParquetFile(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise CorpusError(f"{path} of {store.root} cannot be read: {error}") from error


def _documents(store: Store, manifest: Manifest) -> Iterator[pa.RecordBatch]:
    """`_ROW` of every document of a corpus."""
    for shard, path in enumerate(_shards(store, manifest)):
        place = 0
        with _opened(store, path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=["doc_id", "order_key", "texts", "image_info"]):
                texts = batch.column("texts")
                owner = np.asarray(texts.value_parent_indices())
                lengths = np.asarray(pc.utf8_length(texts.flatten()).fill_null(0)).astype(np.int64)
                infos = batch.column("image_info")
                images = np.asarray(pc.is_valid(infos.flatten())).astype(np.int64)
                pictured = np.asarray(infos.value_parent_indices())
                count = batch.num_rows
                columns = [
                    batch.column("doc_id"), batch.column("order_key"), pa.array(np.full(count, shard), pa.int32()),
                    pa.array(place + np.arange(count), pa.int64()),
                    pa.array(np.bincount(owner, weights=lengths, minlength=count).astype(np.int64)),
                    pa.array(np.bincount(pictured, images, count).astype(np.int64)),
                ]  # fmt: skip
                place += count
                yield pa.RecordBatch.from_arrays(columns, schema=_ROW)


def _pictures(store: Store, manifest: Manifest) -> Iterator[pa.RecordBatch]:
    for path in _shards(store, manifest):
        with _opened(store, path) as file:
            yield from picture_rows(file)


def _drops(store: Store, manifest: Manifest) -> Iterator[pa.RecordBatch]:
    """`_DROP` of every document that a corpus dropped and names."""
    for path in store.list(manifest.lists.drops):
        with _opened(store, path) as file:
            for batch in file.iter_batches(columns=["scope", *_DROP.names]):
                named = pc.and_(pc.equal(batch["scope"], "document"), pc.is_valid(batch["doc_id"]))
                yield batch.filter(named).select(_DROP.names).cast(_DROP)


def _shown(store: Store, manifest: Manifest, picked: pa.Table) -> dict[tuple[str, str], list[Shown]]:
    """The picked documents with what a reader wants to see of them."""
    paths = _shards(store, manifest)
    found: dict[tuple[str, str], list[Shown]] = {}
    for row in picked.to_pylist():
        with _opened(store, paths[row["shard"]]) as parquet:
            place, group = row["place"], 0
            while place >= parquet.metadata.row_group(group).num_rows:
                place -= parquet.metadata.row_group(group).num_rows
                group += 1
            document = parquet.read_row_group(group, columns=["url", "title", "texts"]).slice(place, 1).to_pylist()[0]
        text = masked(" ".join(part for part in document["texts"] if part))
        example = Shown(
            row["doc_id"].hex(), document["url"], masked(document["title"] or ""), " ".join(text.split())[:SHOWN_CHARS],
            row["value"], row["threshold"], row["detail"],
        )  # fmt: skip
        found.setdefault((row["stage"] or "", row["reason"]), []).append(example)
    return found
