"""Words as numbers, and sets of words that are asked for whole arrays at once.

Words become 64-bit hashes of their text: the same word has the same number in every batch, process and year, and two
different words share one with probability 2^-64.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from plait.filters.chunks import utf8


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spreads uint64 over all their bits (splitmix64's finaliser)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_BYTE = _mixed(np.arange(1, 257, dtype=np.uint64) * _BASE)  # what a byte counts for


@functools.lru_cache(maxsize=2)
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first powers of the base, and their inverses: uint64."""
    powers, inverses = np.full(count, _BASE), np.full(count, _INVERSE)
    powers[0] = inverses[0] = 1
    return np.cumprod(powers), np.cumprod(inverses)


def span_hashes(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Hashes of the words whose UTF-8 is data[starts[i] : ends[i]], the same everywhere: uint64.

    A polynomial over the bytes modulo 2^64, for all words in one pass; mixed. About 5 ns a byte.
    """
    powers, inverses = _powers(1 << len(data).bit_length())
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(_BYTE[data] * powers[: len(data)], out=sums[1:])
    return _mixed((sums[ends] - sums[starts]) * inverses[starts])


def word_hashes(listed: Sequence[str]) -> np.ndarray:
    """Hashes of words' text: uint64."""
    data, bounds = utf8(listed)
    return span_hashes(data, bounds[:-1], bounds[1:])


class HashSet:
    """A set of 64-bit hashes, asked for whole arrays at once.

    A table of 65,536 answers for the lowest bits of a hash rules out nearly every word; the rest are looked up.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        """A set of uint64 hashes, in any order."""
        self.hashes = np.sort(hashes)
        self._maybe = np.zeros(1 << 16, bool)
        self._maybe[(self.hashes & np.uint64(0xFFFF)).astype(np.int64)] = True

    def __len__(self) -> int:
        return len(self.hashes)

    def holds(self, codes: np.ndarray) -> np.ndarray:
        """Whether each hash is in the set: bool."""
        found = self._maybe[codes.astype(np.uint16)]
        asked = np.flatnonzero(found)
        if len(asked):
            place = np.minimum(np.searchsorted(self.hashes, codes[asked]), len(self.hashes) - 1)
            found[asked] = self.hashes[place] == codes[asked]
        return np.asarray(found)


def word_set(listed: Sequence[str]) -> HashSet:
    """The set of some words, for `Words.hash` or, if they are in lower case, `Words.lower`."""
    return HashSet(word_hashes(list(dict.fromkeys(listed))))
