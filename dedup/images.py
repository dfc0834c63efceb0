"""Clusters of near-equal perceptual hashes without chaining: a member lies within the radius of its representative.

Distinct hashes are taken in order of how many pictures have them, most first (then by a mix of their bits, which is the
same whatever order the pictures came in). A hash joins the first representative within the radius, else it becomes one:
greedy, so two representatives never lie within the radius of each other, and a chain A-B-C of near pairs does not
put A and C together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plait.dedup.hamming import HammingIndex, plan
from plait.dedup.words import mix64

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

_FIRST_BLOCK = 2048
_BLOCK = 1 << 17  # a block of hashes that all resemble each other costs at most _BLOCK^2 comparisons

MIN_PHASH_BITS = 20
"""Fewest set bits of a pHash that says something.

pHash sets the bits of coefficients above the median of 64: exactly 32 where no two are equal. A flat picture, a ramp, a
checkerboard or a few ruled lines have many coefficients of exactly 0, which all lie at the median, and few bits set.
"""
MIN_DHASH_BITS = 4
"""Fewest set and fewest unset bits of a dHash that says something: flat pictures have none set, ramps none or all."""


def degenerate_phash(hashes: I64) -> npt.NDArray[np.bool_]:
    """Hashes that flat, blank and ruled pictures share by nature; such pictures are no duplicates of each other."""
    return np.asarray(np.bitwise_count(hashes.view(np.uint64)) < MIN_PHASH_BITS)


def degenerate_dhash(hashes: I64) -> npt.NDArray[np.bool_]:
    """The same for dHash: nearly no brightness steps, or nearly all of one direction."""
    ones = np.bitwise_count(hashes.view(np.uint64)).astype(np.int64)
    return np.asarray((ones < MIN_DHASH_BITS) | (ones > 64 - MIN_DHASH_BITS))


@dataclass(frozen=True)
class Clusters:
    """Clusters of hashes.

    Attributes:
        representative: for each input hash, the position of an input hash: the first one that has its representative's
            value; an excluded hash represents itself.
        distinct: distinct hashes that were clustered.
        clusters: clusters among them.
        candidates: full comparisons made.
    """

    representative: I64
    distinct: int
    clusters: int
    candidates: int


def cluster_hashes(hashes: I64, radius: int, exclude: npt.NDArray[np.bool_] | None = None) -> I64:
    """Position of each hash's representative: `cluster` without its figures."""
    return cluster(hashes, radius, exclude).representative


def assign(hashes: I64, leaders: I64, radius: int) -> I64:
    """Incremental clusters: the cluster of an earlier build that each hash belongs to, as a position in ``leaders``.

    -1 where no leader is within the radius: `cluster` those among themselves, and add their representatives to the
    leaders. Earlier clusters stay as they are, so a leader that came first wins even where a new one would be commoner.

    Args:
        hashes: of new pictures.
        leaders: representatives so far, in the order in which they became that; the first within the radius wins.
        radius: as they were clustered with.
    """
    if not len(leaders) or not len(hashes):
        return np.full(len(hashes), -1, dtype=np.int64)
    values, inverse = np.unique(hashes.view(np.uint64), return_inverse=True)
    index = HammingIndex(leaders.view(np.uint64), plan(len(leaders), radius), radius)
    return index.first_within(values)[0][inverse]


def cluster(hashes: I64, radius: int, exclude: npt.NDArray[np.bool_] | None = None) -> Clusters:
    """Greedy clusters of hashes within a Hamming radius, exact, the same whatever the order of the input.

    Args:
        hashes: one a picture, 64 bits as signed integers; repeats are welcome.
        radius: greatest number of differing bits between a member and its representative, 0 to 20.
        exclude: pictures that stay alone (`degenerate_phash`); None excludes nothing.

    Returns:
        The value of the representative is the same in any order of the input, as are the clusters; the position given
        is that value's first in the input.
    """
    out = np.arange(len(hashes), dtype=np.int64)
    chosen = out if exclude is None else out[~exclude]
    values, first, inverse, counts = np.unique(
        hashes[chosen].view(np.uint64), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((mix64(values), -counts))
    leaders, compared = _leaders(values[order], radius)
    # leaders[i]: rank of the representative of the hash of rank i. Back to positions in the input.
    of_value = np.empty(len(values), dtype=np.int64)
    of_value[order] = first[order[leaders]]
    out[chosen] = chosen[of_value[inverse]]
    return Clusters(out, len(values), int((leaders == np.arange(len(leaders))).sum()), compared)


def _leaders(ranked: U64, radius: int) -> tuple[I64, int]:
    """Rank of the leader of each of the distinct hashes, which come in rank order; and comparisons made.

    A block of hashes first asks the leaders so far; those that none takes settle among themselves. Blocks grow with the
    number of leaders, so the leaders' index is built O(log n) times and a block's pairs stay few.
    """
    total = len(ranked)
    leader = np.arange(total, dtype=np.int64)
    if radius == 0:
        return leader, 0
    leaders = np.zeros(0, dtype=np.int64)
    compared, place = 0, 0
    while place < total:
        size = max(_FIRST_BLOCK, min(len(leaders), _BLOCK), len(leaders) // 8)
        block = np.arange(place, min(total, place + size))
        if len(leaders):
            found, cost = _ask(ranked, leaders, block, radius)
            compared += cost
            hit = found >= 0
            leader[block[hit]] = leaders[found[hit]]
            block = block[~hit]
        fresh, cost = _settle(ranked, block, radius)
        compared += cost
        members = np.setdiff1d(block, fresh, assume_unique=True)
        if len(members):
            found, cost = _ask(ranked, fresh, members, radius)
            compared += cost
            leader[members] = fresh[found]
        leaders = np.concatenate([leaders, fresh])
        place += size
    return leader, compared


def _ask(ranked: U64, leaders: I64, queries: I64, radius: int) -> tuple[I64, int]:
    """Which leader comes first within the radius of each query, as a place in ``leaders``; -1 for none."""
    index = HammingIndex(ranked[leaders], plan(len(leaders), radius), radius)
    return index.first_within(ranked[queries])


def _settle(ranked: U64, block: I64, radius: int) -> tuple[I64, int]:
    """Leaders among hashes that no earlier leader took, in rank order.

    Rounds: whoever has no earlier neighbour left leads, and takes its neighbours out of the running. That is the set
    the one-by-one greedy pass finds, because a hash leads there exactly if no earlier neighbour leads.
    """
    fresh: list[I64] = []
    compared = 0
    rest = block
    while len(rest):
        lowest, cost = _ask(ranked, rest, rest, radius)
        compared += cost
        roots = lowest == np.arange(len(rest))
        fresh.append(rest[roots])
        others = rest[~roots]
        if not len(others):
            break
        found, cost = _ask(ranked, rest[roots], others, radius)
        compared += cost
        rest = others[found < 0]
    return np.sort(np.concatenate(fresh)) if fresh else np.zeros(0, np.int64), compared
