"""Paragraphs that a site repeats: seen N times or more within one host, they are boilerplate and go everywhere.

OBELICS (script 09): an exact paragraph seen 3 times or more under the same netloc is removed from all its documents,
about 15% of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plait.dedup.keys import normalised
from plait.schemas.conform import conform
from plait.schemas.ids import text_key

PARAGRAPH = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # text_key of host and normalised text
        pa.field("order_key", pa.int64(), nullable=False),
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("node", pa.int32(), nullable=False),
    ]
)
"""One row a text node; the engine sorts it by (key, order_key, doc_id, node). 36 bytes: no text moves.

A row whose order key is `STORED_ORDER` stands for copies in earlier generations: ``node`` is how many there are.
"""

STORED_ORDER = -1

REMOVED_NODE = pa.schema([PARAGRAPH.field("order_key"), PARAGRAPH.field("doc_id"), PARAGRAPH.field("node")])
"""A text node to be removed; sorted by all three it can be merged with documents in the corpus' order."""


def host(url: str) -> str:
    """Host and port of a URL in lower case: OBELICS' netloc. "" where there is none."""
    try:
        return urlsplit(url).netloc.lower().rpartition("@")[2]
    except ValueError:
        return ""


def paragraph_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Documents to `PARAGRAPH`: a row for each text node that is not blank. Reads doc_id, order_key, url and nodes."""
    nodes = batch.column("nodes")
    flat = nodes.flatten()
    texts = flat.field("text").to_pylist()
    kinds = flat.field("kind").to_pylist()
    sizes = nodes.value_lengths().to_pylist()
    keys: list[int] = []
    owners: list[int] = []
    places: list[int] = []
    low = 0
    for row, (url, size) in enumerate(zip(batch.column("url").to_pylist(), sizes, strict=True)):
        site = host(url)
        for place in range(size or 0):
            text = texts[low + place]
            plain = normalised(text) if text and kinds[low + place] == "text" else ""
            if plain:
                keys.append(text_key(f"{site}\0{plain}"))
                owners.append(row)
                places.append(place)
        low += size or 0
    owner = pa.array(owners, pa.int64())
    columns = [
        pa.array(keys, pa.int64()),
        batch.column("order_key").take(owner),
        batch.column("doc_id").take(owner),
        pa.array(places, pa.int32()),
    ]
    return conform(pa.RecordBatch.from_arrays(columns, names=PARAGRAPH.names), PARAGRAPH)


def repeated_paragraphs(rows: Iterable[pa.RecordBatch], least: int) -> Iterator[pa.RecordBatch]:
    """`PARAGRAPH` sorted by (key, order_key, doc_id, node) to `REMOVED_NODE`: all rows of keys seen ``least`` times.

    Repeats within one document count too, and copies in earlier generations, which stay where they are. Memory: one
    batch and ``least`` rows, since a key's rows can go as soon as there are enough of them.
    """
    held: list[pa.RecordBatch] = []  # of the open key, while there are too few
    seen, key = 0, None
    for batch in rows:
        if not len(batch):
            continue
        keys = np.asarray(batch.column("key"))
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sizes = np.diff(np.append(starts, len(keys)))
        stored = np.asarray(batch.column("order_key")) == STORED_ORDER
        copies = np.where(stored, np.asarray(batch.column("node")), 1).astype(np.int64)
        totals = np.add.reduceat(copies, starts)
        continued = key is not None and int(keys[0]) == key
        if continued:
            totals[0] += seen
            if totals[0] >= least:
                yield from (_removed(part) for part in held)
                held = []
        else:
            held = []
        chosen = np.repeat(totals >= least, sizes)
        if chosen.any():
            yield _removed(batch.filter(pa.array(chosen)))
        if len(starts) > 1:
            held = []
        key, seen = int(keys[-1]), int(totals[-1])
        if seen < least:
            held.append(batch.slice(int(starts[-1])))


def _removed(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select(REMOVED_NODE.names).filter(pc.not_equal(batch.column("order_key"), STORED_ORDER))


def paragraph_counts(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Arriving `PARAGRAPH` rows, sorted, as rows that later generations count: one for each key that a batch has."""
    for batch in rows:
        fresh = batch.filter(pc.not_equal(batch.column("order_key"), STORED_ORDER))
        if not fresh.num_rows:
            continue
        keys, counts = np.unique(np.asarray(fresh.column("key")), return_counts=True)
        size = len(keys)
        columns = [
            pa.array(keys, pa.int64()), pa.array(np.full(size, STORED_ORDER), pa.int64()),
            pa.array([b""] * size, pa.binary()), pa.array(counts, pa.int32()),
        ]  # fmt: skip
        yield pa.RecordBatch.from_arrays(columns, schema=PARAGRAPH)


def without_nodes(documents: pa.RecordBatch, removed: pa.RecordBatch) -> pa.RecordBatch:
    """The documents without the named nodes; every other column untouched.

    Args:
        documents: any columns, among them doc_id and nodes.
        removed: doc_id and node (index in the document's nodes), in any order; rows of other documents are ignored.
    """
    nodes = documents.column("nodes")
    sizes = np.asarray(nodes.value_lengths().fill_null(0)).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    keep: npt.NDArray[np.bool_] = np.ones(int(starts[-1]), dtype=bool)
    row = np.asarray(pc.index_in(removed.column("doc_id"), documents.column("doc_id")).fill_null(-1))
    here = row >= 0
    place = np.asarray(removed.column("node")).astype(np.int64)[here]
    inside = place < sizes[row[here]]
    keep[starts[row[here][inside]] + place[inside]] = False
    left = np.concatenate([[0], np.cumsum(keep)])[starts]
    kept = pa.ListArray.from_arrays(pa.array(left, pa.int32()), nodes.flatten().filter(pa.array(keep)))
    field = documents.schema.get_field_index("nodes")
    return documents.set_column(field, documents.schema.field(field), kept.cast(documents.schema.field(field).type))
