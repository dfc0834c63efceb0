"""The chunks that need no word rules: one word of ASCII letters, with at most one mark before it and one after.

Three new chunks in four of an English page are like that. They are told apart and split for a whole batch at once,
over their bytes; what they fall into is what `plait.filters.word_rules` says of them.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from plait.filters.word_rules import exceptions
from plait.filters.word_sets import HashSet, span_hashes, word_hashes, word_set
from plait.filters.word_table import ALPHABETIC, STOP_BIT, UPPER

_BEFORE, _AFTER = '(["', ',.;:!?)]"'  # marks that word_rules takes off an ordinary word


def _among(characters: str) -> np.ndarray:
    found = np.zeros(256, bool)
    found[list(characters.encode())] = True
    return found


_LETTER = _among("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_OPENS, _ENDS = _among(_BEFORE), _among(_AFTER)
_STOP, _SMALL_A = ord("."), ord("a")


class PlainChunks(NamedTuple):
    """Chunks of a list that are a word of letters with at most one mark before and after it.

    Attributes:
        place: int64, index of each in the list.
        before: uint8, the code of the mark before the word; 0 where there is none.
        after: uint8, of the one after it.
        hash: uint64, of the word.
        lower: uint64, of the word in lower case.
        facts: uint64, of the word, as `plait.filters.word_table.facts_of` has them.
    """

    place: np.ndarray
    before: np.ndarray
    after: np.ndarray
    hash: np.ndarray
    lower: np.ndarray
    facts: np.ndarray


@functools.cache
def _exceptional() -> HashSet:
    """Words that, with or without marks around them, split by heart or stay whole."""
    bare = (chunk.strip(_BEFORE + _AFTER) for chunk in exceptions())
    return word_set([word for word in bare if word.isascii() and word.isalpha()])


@functools.cache
def _stop_words() -> tuple[np.ndarray, np.ndarray]:
    """Hashes of Gopher's stop words in order, and the bit of each."""
    hashes = word_hashes(list(STOP_BIT))
    order = np.argsort(hashes)
    return hashes[order], np.array(list(STOP_BIT.values()), np.uint64)[order]


def _facts(hashes: np.ndarray, length: np.ndarray, capitals: np.ndarray) -> np.ndarray:
    listed, bits = _stop_words()
    place = np.minimum(np.searchsorted(listed, hashes), len(listed) - 1)
    stop = np.where(listed[place] == hashes, bits[place], np.uint64(0))
    flags = np.where((length > 1) & (capitals == length), ALPHABETIC | UPPER, ALPHABETIC)
    return np.asarray((length << 16).astype(np.uint64) | stop << np.uint64(8) | flags.astype(np.uint64))


def _running(hits: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(hits)])


def plain_chunks(data: np.ndarray, bounds: np.ndarray) -> PlainChunks:
    """Those of some chunks that are plain, none of them empty.

    Args:
        data: uint8, the UTF-8 of the chunks in a row.
        bounds: int32 of length chunks + 1; data[bounds[i] : bounds[i + 1]] is chunk i.
    """
    first, end = bounds[:-1].astype(np.int64), bounds[1:].astype(np.int64)
    letters = _running(_LETTER[data])
    opened, closed = _OPENS[data[first]], _ENDS[data[end - 1]]
    start, stop = first + opened, end - closed
    fits = (start < stop) & (letters[np.maximum(stop, start)] - letters[start] == stop - start)
    # A full stop after a capital may belong to an abbreviation.
    fits &= (data[end - 1] != _STOP) | (data[np.maximum(stop - 1, 0)] >= _SMALL_A)
    place = np.flatnonzero(fits)
    hashes = span_hashes(data, start[place], stop[place])
    common = ~_exceptional().holds(hashes)
    place, hashes = place[common], hashes[common]
    begins, ends = start[place], stop[place]
    large = (data >= ord("A")) & (data <= ord("Z"))
    capitals = _running(large)
    small = np.where(large, data | 0x20, data)
    return PlainChunks(
        place,
        np.where(opened, data[first], 0).astype(np.uint8)[place],
        np.where(closed, data[end - 1], 0).astype(np.uint8)[place],
        hashes,
        span_hashes(small, begins, ends),
        _facts(hashes, ends - begins, capitals[ends] - capitals[begins]),
    )
