"""Neighbours of 64-bit hashes within a Hamming radius: multi-index banding, exact for the radius.

Cut the 64 bits into m chunks and give chunk i a radius r_i with sum(r_i + 1) > radius: two hashes within the radius
lie within r_i of each other in some chunk i (else they would differ by sum(r_i + 1) or more). So a chunk's table is
probed at every value within r_i of the query's, and what is found there is compared in full (Norouzi, Punjani, Fleet
2014, with unequal radii).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plait.schemas.errors import ConfigError

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

MAX_RADIUS = 20
"""Beyond it unlike pictures meet: two random pHashes differ by 32 bits, with a standard deviation of 4."""

_PROBE_COST = 4.0  # of looking a value up, in units of comparing one candidate: 66 and 19 ns (benchmarks/images.py)
_SLOT_COST = 0.3  # of making a table, for each value a chunk can have; shared by as many queries as hashes
_MAX_WIDTH = 24  # bits of a chunk's direct table in memory: 2^24 starts of 4 bytes
_CANDIDATES_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class BandPlan:
    """How 64 bits are cut for a radius and a number of hashes.

    Attributes:
        widths: bits of each chunk, highest bits first.
        radii: radius of each chunk's probes; -1 leaves the chunk out.
        probes: table look-ups a query makes.
        candidates: comparisons a query makes on average, if hashes were uniform.
    """

    widths: tuple[int, ...]
    radii: tuple[int, ...]
    probes: int
    candidates: float


def plan(hashes: int, radius: int) -> BandPlan:
    """The cheapest cut for this many distinct hashes in memory and this radius (0 to 20)."""
    if not 0 <= radius <= MAX_RADIUS:
        raise ConfigError(f"a Hamming radius must be 0 to {MAX_RADIUS} bits of 64, not {radius}")
    found = []
    for chunks in range(math.ceil(64 / _MAX_WIDTH), 17):
        widths = tuple(64 // chunks + (i < 64 % chunks) for i in range(chunks))
        # The budget of radius + 1 spread evenly, what is left over to the first chunks, which are the widest.
        radii = tuple((radius + 1) // chunks + (i < (radius + 1) % chunks) - 1 for i in range(chunks))
        per_chunk = [sum(math.comb(w, k) for k in range(r + 1)) for w, r in zip(widths, radii, strict=True)]
        probes = sum(per_chunk)
        candidates = sum(n * hashes / 2**w for n, w in zip(per_chunk, widths, strict=True))
        slots = sum(2.0**w for w, r in zip(widths, radii, strict=True) if r >= 0)
        cost = _PROBE_COST * probes + candidates + _SLOT_COST * slots / max(hashes, 1)
        found.append((cost, BandPlan(widths, radii, probes, candidates)))
    return min(found, key=lambda pair: pair[0])[1]


@dataclass(frozen=True)
class ShufflePlan:
    """How an engine that groups by key would find the same pairs, without probing.

    Two hashes within the radius agree in at least ``chunks - radius`` of the chunks, so each hash gives a row for every
    choice of that many chunks, and pairs meet where all of the chosen agree (Manku, Jain, Das Sarma 2007).

    Attributes:
        chunks: into which the 64 bits are cut.
        agree: chunks in a key.
        rows: rows a hash gives: the number of choices.
        bits: of a key, at least.
        candidates: hashes that meet each hash on average, if hashes were uniform.
    """

    chunks: int
    agree: int
    rows: int
    bits: int
    candidates: float


def shuffle_plan(hashes: int, radius: int, *, row_cost: float = 30.0) -> ShufflePlan:
    """The cheapest shuffle for this many distinct hashes: a moved row costs ``row_cost`` compared candidates."""
    if not 0 <= radius <= MAX_RADIUS:
        raise ConfigError(f"a Hamming radius must be 0 to {MAX_RADIUS} bits of 64, not {radius}")
    found = []
    for chunks in range(radius + 1, 33):
        agree = chunks - radius
        rows, bits = math.comb(chunks, agree), 64 * agree // chunks
        candidates = rows * hashes / 2**bits
        found.append((row_cost * rows + candidates, ShufflePlan(chunks, agree, rows, bits, candidates)))
    return min(found, key=lambda pair: pair[0])[1]


def _masks(width: int, radius: int) -> list[int]:
    """Every pattern of at most ``radius`` flipped bits of a chunk, fewest first."""
    flips = (c for k in range(radius + 1) for c in itertools.combinations(range(width), k))
    return [sum(1 << bit for bit in chosen) for chosen in flips]


class HammingIndex:
    """Tables over distinct hashes that answer, for many queries at once, which hash within the radius comes first.

    Memory: for each chunk 4 bytes a hash and 4 bytes a possible value (at most 64 MB), and 8 bytes a hash.
    """

    def __init__(self, hashes: U64, cut: BandPlan, radius: int):
        self._hashes = hashes
        self._radius = radius
        self._tables: list[tuple[int, int, int, npt.NDArray[np.uint32], npt.NDArray[np.uint32]]] = []
        shift = 64
        for width, reach in zip(cut.widths, cut.radii, strict=True):
            shift -= width
            if reach < 0:
                continue
            values = self._chunk(hashes, shift, width)
            order = np.argsort(values, kind="stable").astype(np.uint32)
            starts = np.zeros((1 << width) + 1, dtype=np.uint32)
            np.cumsum(np.bincount(values, minlength=1 << width), out=starts[1:])
            self._tables.append((shift, width, reach, order, starts))

    @staticmethod
    def _chunk(hashes: U64, shift: int, width: int) -> npt.NDArray[np.uint32]:
        return ((hashes >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.uint32)

    def first_within(self, queries: U64) -> tuple[I64, int]:
        """Lowest position of an indexed hash within the radius of each query, -1 where there is none.

        Also says how many candidates were compared.
        """
        none = len(self._hashes)
        best = np.full(len(queries), none, dtype=np.int64)
        compared = 0
        for shift, width, reach, order, starts in self._tables:
            values = self._chunk(queries, shift, width)
            for mask in _masks(width, reach):
                probe = values ^ np.uint32(mask)
                low = starts[probe].astype(np.int64)
                sizes = starts[probe + np.uint32(1)].astype(np.int64) - low
                asking = np.flatnonzero(sizes)
                compared += int(sizes[asking].sum())
                self._compare(queries, asking, low, sizes, order, best)
        best[best == none] = -1
        return best, compared

    def _compare(
        self, queries: U64, asking: I64, low: I64, sizes: I64, order: npt.NDArray[np.uint32], best: I64
    ) -> None:
        """Compare queries with their candidates, a bounded number of candidates at a time."""
        total = np.cumsum(sizes[asking])
        place = 0
        while place < len(asking):
            done = int(total[place - 1]) if place else 0
            stop = max(place + 1, int(np.searchsorted(total, done + _CANDIDATES_AT_ONCE, side="right")))
            part = asking[place:stop]
            count = sizes[part]
            if len(part) == 1:
                self._compare_one(queries, int(part[0]), order[low[part[0]] : low[part[0]] + count[0]], best)
            else:
                owner = np.repeat(part, count)
                ends = np.cumsum(count)
                found = order[np.arange(ends[-1]) + np.repeat(low[part] - ends + count, count)]
                near = np.bitwise_count(self._hashes[found] ^ queries[owner]) <= self._radius
                np.minimum.at(best, owner[near], found[near].astype(np.int64))
            place = stop

    def _compare_one(self, queries: U64, query: int, found: npt.NDArray[np.uint32], best: I64) -> None:
        """One query against a bucket of any size: positions rise within a bucket, so the first hit is the lowest."""
        for begin in range(0, len(found), _CANDIDATES_AT_ONCE):
            part = found[begin : begin + _CANDIDATES_AT_ONCE]
            near = np.bitwise_count(self._hashes[part] ^ queries[query]) <= self._radius
            if near.any():
                best[query] = min(int(best[query]), int(part[int(np.argmax(near))]))
                return
