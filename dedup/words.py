"""Words of many texts at once, as 64-bit hashes: the tokeniser that MinHash, paragraphs and decontamination share.

A word is a run of letters, digits and marks. Scripts that write no spaces between words (Han, kana, Thai, Lao, Khmer,
Myanmar, Tibetan and neighbours) give one word a character, so that an n-gram of them is n characters. Case and
compatibility forms are folded; punctuation and spaces separate and leave no trace. No dictionary is asked: the same
text gives the same words on every machine with the same Unicode tables.
"""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

_SPACE, _WORD, _ALONE = 0, 1, 2

# Blocks whose scripts put no spaces between words (Unicode 15, by name); Hangul has spaces and is not among them.
_ALONE_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3100, 0x312F),  # Bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),  # Han extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA000, 0xA4CF),  # Yi
    (0xAA80, 0xAADF),  # Tai Viet
    (0xF900, 0xFAFF),  # Han compatibility
    (0x1B000, 0x1B16F),  # Kana supplement
    (0x20000, 0x3FFFF),  # Han extensions B and later
)
# Digits may be any odd number for the sum to be invertible; this is the 64-bit golden ratio, as in splitmix64.
_BASE = 0x9E3779B97F4A7C15
_BASE_INVERSE = pow(_BASE, -1, 1 << 64)
_WORD_BITS = (1 << 64) - 1


@dataclass(frozen=True)
class Words:
    """Words of a batch of texts.

    Attributes:
        hashes: uint64, all words of all texts in order.
        bounds: int64 of length texts + 1; text i has the words ``bounds[i]:bounds[i + 1]``.
    """

    hashes: U64
    bounds: npt.NDArray[np.int64]


def mix64(values: U64) -> U64:
    """Finaliser of splitmix64 (Steele, Lea, Flood 2014), element by element: a bijection whose bits all depend on all.

    Works in place on a copy; wraps modulo 2^64.
    """
    out = values.copy()
    out ^= out >> np.uint64(30)
    out *= np.uint64(0xBF58476D1CE4E5B9)
    out ^= out >> np.uint64(27)
    out *= np.uint64(0x94D049BB133111EB)
    out ^= out >> np.uint64(31)
    return out


@functools.lru_cache(maxsize=1)
def _tables() -> tuple[npt.NDArray[np.uint8], U64]:
    """Class and folded, mixed value of every code point (10 MB, built once in about half a second)."""
    kinds = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    folded = np.arange(sys.maxunicode + 1, dtype=np.uint64)
    # Planes 4 to 16 hold no letters: private use and specials.
    for point in range(0x30000 + 0x2000):
        char = chr(point)
        if unicodedata.category(char)[0] not in "LNM":
            continue
        kinds[point] = _WORD
        plain = unicodedata.normalize("NFKC", char).casefold()
        if len(plain) == 1:
            folded[point] = ord(plain)
    for low, high in _ALONE_RANGES:
        part = kinds[low : high + 1]
        part[part == _WORD] = _ALONE
    return kinds, mix64(folded + np.uint64(1))


@functools.lru_cache(maxsize=1)
def _powers(length: int) -> tuple[U64, U64]:
    up = np.full(length, _BASE, dtype=np.uint64)
    down = np.full(length, _BASE_INVERSE, dtype=np.uint64)
    up[0] = down[0] = 1
    return np.cumprod(up, dtype=np.uint64), np.cumprod(down, dtype=np.uint64)


def _power_arrays(length: int) -> tuple[U64, U64]:
    """Powers of the base and of its inverse, at least ``length`` of each; sizes are rounded up so the cache holds."""
    return _powers(1 << max(16, (length - 1).bit_length()))


def words(texts: Sequence[str]) -> Words:
    """Hashes of the words of each text.

    A word's hash is a polynomial over its folded characters modulo 2^64, mixed; equal words have equal hashes and
    unequal ones differ but for chance (2^-64). Costs about 20 bytes a character while it runs and 40 ns a character.
    Text is compared after composition (NFC), so that a letter with an accent is one character.
    """
    plain = [text if text.isascii() else unicodedata.normalize("NFC", text) for text in texts]
    lengths = np.fromiter((len(text) for text in plain), dtype=np.int64, count=len(plain))
    # One separator after each text keeps words from running over its end.
    data = "\n".join([*plain, ""]).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(data, dtype=np.uint32)
    ends = np.cumsum(lengths + 1)
    if not len(points):
        return Words(np.zeros(0, np.uint64), np.zeros(len(plain) + 1, np.int64))
    kinds_table, value_table = _tables()
    kinds = kinds_table[points]
    inside = kinds != _SPACE
    alone = kinds == _ALONE
    before = np.empty_like(kinds)
    before[0] = _SPACE
    before[1:] = kinds[:-1]
    # A word starts where a word character follows another kind, and at every character that stands alone.
    starts = np.flatnonzero(inside & (alone | (before != kinds)))
    after = np.empty_like(kinds)
    after[-1] = _SPACE
    after[:-1] = kinds[1:]
    stops = np.flatnonzero(inside & (alone | (after != kinds))) + 1
    up, down = _power_arrays(len(points) + 1)
    sums = np.empty(len(points) + 1, dtype=np.uint64)
    sums[0] = 0
    np.cumsum(value_table[points] * up[: len(points)], out=sums[1:])
    hashes = mix64((sums[stops] - sums[starts]) * down[starts])
    bounds = np.zeros(len(plain) + 1, dtype=np.int64)
    bounds[1:] = np.searchsorted(starts, ends)
    return Words(hashes, bounds)


def shingles(found: Words, ngram: int) -> Words:
    """Hashes of the n-grams of words of each text, in order, repeats kept.

    A text of fewer than ``ngram`` words but at least one gives one shingle of all its words; a text without words
    gives none.
    """
    counts = np.diff(found.bounds)
    per_text = np.where(counts == 0, 0, np.maximum(counts - ngram + 1, 1))
    bounds = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(per_text, out=bounds[1:])
    total = len(found.hashes)
    if not total:
        return Words(np.zeros(0, np.uint64), bounds)
    sums = np.zeros(total, dtype=np.uint64)
    weight = 1
    for step in range(min(ngram, total)):
        weight = weight * _BASE & _WORD_BITS
        sums[: total - step] += found.hashes[step:] * np.uint64(weight)
    first = np.repeat(found.bounds[:-1] - bounds[:-1], per_text) + np.arange(bounds[-1])
    out = sums[first]
    for text in np.flatnonzero((counts > 0) & (counts < ngram)).tolist():
        value = int(counts[text])  # a short text's shingle says how many words it has
        weight = 1
        for word in found.hashes[found.bounds[text] : found.bounds[text + 1]].tolist():
            weight = weight * _BASE & _WORD_BITS
            value = (value + word * weight) & _WORD_BITS
        out[bounds[text]] = value
    return Words(mix64(out), bounds)
