"""The chunks that need no word rules: words of ASCII letters, and whole numbers.

Words may be joined by hyphens, with at most one mark before them and one after; numbers may have a comma or a full
stop after them. Five new chunks in six of an English page are like that. They are told apart and split for a whole
batch at once, over their bytes; what they fall into is what `plait.filters.word_rules` says of them.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from plait.filters.chunks import ramps
from plait.filters.word_rules import exceptions
from plait.filters.word_sets import HashSet, span_hashes, word_hashes, word_set
from plait.filters.word_table import ALPHABETIC, STOP_BIT, UPPER

_BEFORE, _AFTER = '(["', ',.;:!?)]"'  # marks that word_rules takes off an ordinary word
_HYPHEN, _STOP, _COMMA = map(ord, "-.,")


def _among(characters: str) -> np.ndarray:
    found = np.zeros(256, bool)
    found[list(characters.encode())] = True
    return found


_OPENS, _ENDS = _among(_BEFORE), _among(_AFTER)


def _between(data: np.ndarray, low: str, high: str) -> np.ndarray:
    """Whether each byte is one of a range of ASCII: bool. What lies below it wraps to the top."""
    return np.asarray(data - np.uint8(ord(low)) <= ord(high) - ord(low))


def _letters(data: np.ndarray) -> np.ndarray:
    return _between(data | np.uint8(0x20), "a", "z")


class PlainChunks(NamedTuple):
    """Those of a list of chunks that are plain, and their words.

    Attributes:
        place: int64, index of each in the list.
        words: int64, words of each, marks included.
        mark: uint8 of every word: the code of a mark, 0 for a word of letters or digits.
        hash: uint64 of every word of letters or digits.
        lower: uint64, of the same in lower case.
        facts: uint64, of the same, as `plait.filters.word_table.facts_of` has them.
    """

    place: np.ndarray
    words: np.ndarray
    mark: np.ndarray
    hash: np.ndarray
    lower: np.ndarray
    facts: np.ndarray


@functools.cache
def _exceptional() -> HashSet:
    """Words that, with or without marks around them, split by heart or stay whole."""
    bare = (chunk.strip(_BEFORE + _AFTER) for chunk in exceptions())
    return word_set([word for word in bare if word.isascii() and word.replace("-", "").isalpha()])


@functools.cache
def _stop_words() -> tuple[np.ndarray, np.ndarray]:
    """Hashes of Gopher's stop words in order, and the bit of each."""
    hashes = word_hashes(list(STOP_BIT))
    order = np.argsort(hashes)
    return hashes[order], np.array(list(STOP_BIT.values()), np.uint64)[order]


def _facts(hashes: np.ndarray, length: np.ndarray, letters: np.ndarray, capitals: np.ndarray) -> np.ndarray:
    listed, bits = _stop_words()
    place = np.minimum(np.searchsorted(listed, hashes), len(listed) - 1)
    stop = np.where(listed[place] == hashes, bits[place], np.uint64(0))
    flags = np.where(letters, np.where((length > 1) & (capitals == length), ALPHABETIC | UPPER, ALPHABETIC), 0)
    return np.asarray((length << 16).astype(np.uint64) | stop << np.uint64(8) | flags.astype(np.uint64))


def _plain(data: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether each of the chunks data[first : end], which follow one another, is plain: bool."""
    last = data[end - 1]
    start, stop = first + _OPENS[data[first]], end - _ENDS[last]
    size = stop - start
    start, stop = np.minimum(start, len(data) - 1), np.maximum(stop, 1)
    letter, hyphen = _letters(data), data == _HYPHEN
    letters, hyphens, digits = (
        np.add.reduceat(hits, first, dtype=np.int32) for hits in (letter, hyphen, _between(data, "0", "9"))
    )
    # No hyphen comes after another, but for one at a chunk's begin.
    single = ~np.logical_or.reduceat(hyphen & np.concatenate([[False], hyphen[:-1]]), first)
    worded = (letters + hyphens == size) & letter[start] & letter[stop - 1] & single
    # A full stop after a capital may belong to an abbreviation.
    worded &= (last != _STOP) | ((data[stop - 1] >= ord("a")) & (hyphens == 0))
    numbers = (digits == size) & (start == first) & ((stop == end) | (last == _STOP) | (last == _COMMA))
    return np.asarray((size > 0) & (worded | numbers))


def plain_chunks(data: np.ndarray, bounds: np.ndarray) -> PlainChunks:
    """Those of some chunks that are plain, none of them empty.

    Args:
        data: uint8, the UTF-8 of the chunks in a row.
        bounds: int32 of length chunks + 1; data[bounds[i] : bounds[i + 1]] is chunk i.
    """
    first, end = bounds[:-1].astype(np.int64), bounds[1:].astype(np.int64)
    place = np.flatnonzero(_plain(data, first, end))
    first, end = first[place], end[place]
    stems = span_hashes(data, first + _OPENS[data[first]], end - _ENDS[data[end - 1]])
    common = ~_exceptional().holds(stems)
    place, first, end = place[common], first[common], end[common]
    if not len(place):
        return PlainChunks(place, place, *(np.zeros(0, kind) for kind in (np.uint8, np.uint64, np.uint64, np.uint64)))
    size = end - first
    data = data[ramps(first, size)]
    # A word is a run of letters or digits, or a mark.
    letter = _letters(data)
    bare = letter | _between(data, "0", "9")
    heads = ~bare
    heads[1:] |= ~bare[:-1]
    begins = np.cumsum(size) - size
    heads[begins] = True
    starts = np.flatnonzero(heads)
    words = bare[starts]
    mark = np.where(words, 0, data[starts]).astype(np.uint8)
    large = _between(data, "A", "Z")
    capitals = np.add.reduceat(large, starts, dtype=np.int64)[words]
    stops = np.concatenate([starts[1:], [len(data)]])[words]
    starts = starts[words]
    hashes = span_hashes(data, starts, stops)
    return PlainChunks(
        place,
        np.add.reduceat(heads, begins, dtype=np.int64),
        mark,
        hashes,
        span_hashes(np.where(large, data | np.uint8(0x20), data), starts, stops),
        _facts(hashes, stops - starts, letter[starts], capitals),
    )
