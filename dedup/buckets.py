"""From band keys to edges: documents that share a bucket are candidates, checked by their sketches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.dedup.minhash import MinHashConfig, estimate
from plait.schemas.conform import conform

BAND_ROW = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # bucket
        pa.field("id", pa.int64(), nullable=False),  # key64(doc_id)
        pa.field("sketch", pa.binary()),  # null where the recipe checks nothing
    ]
)
"""One row a document and band; the engine sorts it by (key, id)."""

EDGE = pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.int64(), nullable=False)])
"""Two documents that are near-duplicates: a < b, ids as in `BAND_ROW`. The same edge may come from several buckets."""

REPRESENTATIVES = 32
LINKED_REPRESENTATIVES = 16
"""Rows of a bucket that later rows are compared with, where the recipe checks.

A star from one row would miss pairs that this row resembles neither of, so every row whose sketch is new becomes a
representative, up to 16: a bucket of so few distinct sketches gives exactly what comparing all pairs gives. After that
only rows that resemble none do, up to 32; what comes later is compared with those 32, and other bands have other
buckets.
"""

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


def explode_bands(batch: pa.RecordBatch, config: MinHashConfig) -> pa.RecordBatch:
    """`plait.dedup.keys.KEYS` to `BAND_ROW`: a row for each band of each document that has words.

    Moves 16 bytes and, where the recipe checks, a sketch (half a byte a row of the signature) per band: 1,024 bytes a
    document with 16 bands of 6, 224 with FineWeb's unchecked 14.
    """
    bands = batch.column("bands")
    parents = bands.value_parent_indices()
    if config.threshold is None:
        sketch: pa.Array = pa.nulls(len(parents), pa.binary())
    else:
        sketch = batch.column("sketch").take(parents)
    columns = [bands.flatten(), batch.column("id").take(parents), sketch]
    return conform(pa.RecordBatch.from_arrays(columns, names=BAND_ROW.names), BAND_ROW)


@dataclass
class _Bucket:
    """The bucket that the last row belongs to: its key and its representatives so far."""

    key: int | None = None
    ids: list[int] = field(default_factory=list)
    sketches: list[U8] = field(default_factory=list)
    groups: list[int] = field(
        default_factory=list
    )  # of representatives that edges connect; one edge into each is enough


def _sketch_matrix(batch: pa.RecordBatch) -> U8:
    """Sketches of a batch as (rows, bytes); all are of one length."""
    column = batch.column("sketch").cast(pa.large_binary())
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return data.reshape(len(column), -1)


def bucket_edges(rows: Iterable[pa.RecordBatch], config: MinHashConfig) -> Iterator[pa.RecordBatch]:
    """`BAND_ROW` sorted by (key, id) to `EDGE`, at most one batch of edges a batch of rows and representative.

    Without a threshold: a star from the bucket's smallest id. With one: every row is compared with the bucket's
    representatives before it (`REPRESENTATIVES`) and gets an edge from those whose estimated similarity reaches the
    threshold; one is enough where representatives are linked themselves. Memory: one batch and 32 sketches, whatever a
    bucket's size. A bucket of n equal rows gives n - 1 edges and costs one comparison a row.
    """
    bucket = _Bucket()
    for batch in rows:
        if len(batch):
            yield from _edges_of(batch, bucket, config.threshold)


def _edges_of(batch: pa.RecordBatch, bucket: _Bucket, threshold: float | None) -> Iterator[pa.RecordBatch]:
    keys: I64 = np.asarray(batch.column("key"))
    ids: I64 = np.asarray(batch.column("id"))
    sketch = _sketch_matrix(batch) if threshold is not None else None
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sizes = np.diff(np.append(starts, len(keys)))
    continued = 0
    if bucket.key is not None and int(keys[0]) == bucket.key:
        pairs = _grow(bucket, ids[: sizes[0]], None if sketch is None else sketch[: sizes[0]], threshold)
        yield from _batch(pairs)
        continued = 1
        if len(starts) == 1:
            return
    # Buckets that begin in this batch: all rows against their bucket's first row at once.
    low = starts[1] if continued and len(starts) > 1 else starts[0]
    heads = np.repeat(starts[continued:], sizes[continued:])
    tails = np.arange(low, len(keys))
    other = heads != tails
    heads, tails = heads[other], tails[other]
    if sketch is None or threshold is None:
        yield from _batch([(ids[heads], ids[tails])])
        bucket.key, bucket.ids = int(keys[-1]), [int(ids[starts[-1]])]
        return
    passed = _similar(sketch, heads, tails, threshold)
    # Where a row failed, and in the last bucket (it may go on in the next batch), the rows go one representative at
    # a time.
    slow = set(np.unique(heads[~passed]).tolist()) | {int(starts[-1])}
    fast = ~np.isin(heads, np.fromiter(slow, np.int64, len(slow)))
    pairs = [(ids[heads[fast]], ids[tails[fast]])]
    for head in sorted(slow):
        size = int(sizes[np.searchsorted(starts, head)])
        bucket.key, bucket.ids, bucket.sketches, bucket.groups = int(keys[head]), [], [], []
        pairs += _grow(bucket, ids[head : head + size], sketch[head : head + size], threshold)
    yield from _batch(pairs)


def _similar(sketch: U8, left: I64, right: I64, threshold: float) -> npt.NDArray[np.bool_]:
    """Whether rows resemble each other, a slice at a time: two copies of a slice's sketches are held."""
    out = np.empty(len(left), dtype=bool)
    for low in range(0, len(left), 65536):
        part = slice(low, low + 65536)
        out[part] = estimate(sketch[left[part]], sketch[right[part]]) >= threshold
    return out


def _grow(bucket: _Bucket, ids: I64, sketch: U8 | None, threshold: float | None) -> list[tuple[I64, I64]]:
    """Edges of further rows of the open bucket; its representatives are added to. Rows in order of id."""
    if sketch is None or threshold is None:
        if not bucket.ids:
            bucket.ids = [int(ids[0])]
        later = ids[ids != bucket.ids[0]]
        return [(np.full(len(later), bucket.ids[0]), later)]
    pairs: list[tuple[I64, I64]] = []
    linked = np.zeros(len(ids), dtype=bool)
    known = np.zeros(len(ids), dtype=bool)  # a representative has this very sketch
    groups: dict[int, npt.NDArray[np.bool_]] = {}  # rows that have an edge into a group of linked representatives

    def compare(place: int, start: int, of: U8, least: float) -> None:
        group = groups.setdefault(bucket.groups[place], np.zeros(len(ids), dtype=bool))
        likeness = estimate(of[start:], bucket.sketches[place])
        close = likeness >= least
        fresh = close & ~group[start:]
        pairs.append((np.full(int(fresh.sum()), bucket.ids[place]), ids[start:][fresh]))
        group[start:] |= close
        linked[start:] |= close
        known[start:] |= likeness >= 1.0

    for place in range(len(bucket.ids)):
        compare(place, 0, sketch, threshold)
    while len(bucket.ids) < REPRESENTATIVES:
        crowded = len(bucket.ids) >= LINKED_REPRESENTATIVES
        new = ~(known | linked) if crowded else ~known
        row = int(np.argmax(new))
        if not new[row]:
            break
        within = [group for group, members in groups.items() if members[row]]
        bucket.groups.append(min(within) if within else len(bucket.ids))
        bucket.ids.append(int(ids[row]))
        bucket.sketches.append(sketch[row].copy())
        known[: row + 1] = True  # rows before this one have had their turn
        compare(len(bucket.ids) - 1, row + 1, sketch, threshold)
    return pairs


def _batch(pairs: list[tuple[I64, I64]]) -> Iterator[pa.RecordBatch]:
    left = np.concatenate([a for a, _ in pairs]) if pairs else np.zeros(0, np.int64)
    right = np.concatenate([b for _, b in pairs]) if pairs else np.zeros(0, np.int64)
    distinct = left != right
    if distinct.any():
        yield pa.RecordBatch.from_arrays([pa.array(left[distinct]), pa.array(right[distinct])], schema=EDGE)
