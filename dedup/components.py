"""Connected components of edges: in memory with numpy, or out of core by alternating stars over sorted streams.

Both give the same labels: the smallest id of the component.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.dedup.words import mix64

I64 = npt.NDArray[np.int64]

LABEL = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("label", pa.int64(), nullable=False)])
"""Component of a node; nodes without an edge have no row."""

ARC = pa.schema([pa.field("key", pa.int64(), nullable=False), pa.field("other", pa.int64(), nullable=False)])
"""An edge as seen from one of its ends; star kernels take it sorted by (key, other)."""


def components(a: I64, b: I64) -> tuple[I64, I64]:
    """Nodes that have an edge, sorted, and the label of each: the smallest id of its component.

    Hooks the larger root of each edge onto the smaller and halves paths until nothing changes: O(log n) rounds over
    the edges that still join two roots. Memory: about 80 bytes an edge while it runs.

    Args:
        a: one end of each edge.
        b: the other end; repeated edges and loops are allowed.
    """
    nodes, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    left, right = places[: len(a)], places[len(a) :]
    parent = np.arange(len(nodes))
    while len(left):
        roots_a, roots_b = parent[left], parent[right]
        open_edges = roots_a != roots_b
        left, right = roots_a[open_edges], roots_b[open_edges]
        if not len(left):
            break
        low, high = np.minimum(left, right), np.maximum(left, right)
        np.minimum.at(parent, high, low)
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above
    return nodes, nodes[parent]


def label_batch(a: I64, b: I64) -> pa.RecordBatch:
    """`components` as `LABEL`, sorted by id."""
    nodes, labels = components(a, b)
    return pa.RecordBatch.from_arrays([pa.array(nodes), pa.array(labels)], schema=LABEL)


def both_ways(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Edges (any two int64 columns) as `ARC` from both ends: the input of `large_star` once sorted."""
    a, b = (np.asarray(batch.column(i)) for i in range(2))
    return _arcs(np.concatenate([a, b]), np.concatenate([b, a]))


def downward(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Edges as `ARC` from the larger end to the smaller: the input of `small_star` once sorted."""
    a, b = (np.asarray(batch.column(i)) for i in range(2))
    return _arcs(np.maximum(a, b), np.minimum(a, b))


def _arcs(key: I64, other: I64) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(key), pa.array(other)], schema=ARC)


@dataclass
class _Groups:
    """First ``other`` of the open key, and the last row seen, so that a repeated row is dropped across batches."""

    key: int | None = None
    least: int = 0
    last: int | None = None


def _with_least(rows: Iterable[pa.RecordBatch]) -> Iterator[tuple[I64, I64, I64, npt.NDArray[np.bool_]]]:
    """Distinct rows of each batch, with their key's smallest ``other`` and whether the row is the key's first."""
    state = _Groups()
    for batch in rows:
        if not len(batch):
            continue
        key: I64 = np.asarray(batch.column(0))
        other: I64 = np.asarray(batch.column(1))
        first = np.ones(len(key), dtype=bool)
        first[1:] = key[1:] != key[:-1]
        first[0] = state.key is None or int(key[0]) != state.key
        fresh = np.ones(len(key), dtype=bool)
        fresh[1:] = first[1:] | (other[1:] != other[:-1])
        fresh[0] = first[0] or int(other[0]) != state.last
        place = np.maximum.accumulate(np.where(first, np.arange(len(key)), -1))
        least = np.where(place >= 0, other[np.maximum(place, 0)], state.least)
        state = _Groups(int(key[-1]), int(least[-1]), int(other[-1]))
        yield key[fresh], other[fresh], least[fresh], first[fresh]


def large_star(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One large-star step (Kiveris et al., SOCC 2014): larger neighbours are hung on the least of the neighbourhood.

    `ARC` from `both_ways`, sorted by (key, other), in; edges as `ARC` (node, smaller node) out. Memory: one batch.
    """
    for key, other, least, _ in _with_least(rows):
        root = np.minimum(key, least)
        larger = other > key
        yield _arcs(other[larger], root[larger])


def small_star(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One small-star step: a node and its smaller neighbours are hung on the least of them.

    `ARC` from `downward`, sorted by (key, other), in; edges as `ARC` (node, smaller node) out. Memory: one batch.
    """
    for key, other, least, first in _with_least(rows):
        further = (other != least) & ~first
        proper = first & (key != least)
        node = np.concatenate([key[proper], other[further]])
        yield _arcs(node, np.concatenate([least[proper], least[further]]))


@dataclass(frozen=True)
class EdgeDigest:
    """Size and sum of hashes of a set of edges: equal before and after a round when the components are found."""

    edges: int
    digest: int


def edge_digest(rows: Iterable[pa.RecordBatch]) -> EdgeDigest:
    """Digest of distinct edges, in whatever order the batches come."""
    edges, digest = 0, 0
    for batch in rows:
        a, b = (np.asarray(batch.column(i)).view(np.uint64) for i in range(2))
        hashed = mix64(mix64(a + np.uint64(0x9E3779B97F4A7C15)) ^ b)
        edges += len(batch)
        digest = (digest + int(hashed.sum(dtype=np.uint64))) & 0xFFFFFFFFFFFFFFFF
    return EdgeDigest(edges, digest)


def star_labels(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Edges at convergence, (node, root), as `LABEL`; a root may come once a batch, so drop repeated rows."""
    node, root = (np.asarray(batch.column(i)) for i in range(2))
    ids = np.concatenate([node, np.unique(root)])
    return pa.RecordBatch.from_arrays([pa.array(ids), pa.array(np.concatenate([root, np.unique(root)]))], schema=LABEL)
