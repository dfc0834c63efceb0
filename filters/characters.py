"""Classes of characters, counted for whole texts at once.

Texts are concatenated and looked at as an array of code points; a table maps a code point to a set of classes. The
table covers planes 0 to 2 (code points below 0x30000; above are only private use, tags and rare Han) and is made once
per process from the interpreter's Unicode data, in about 0.1 s.
"""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Sequence

import numpy as np

ALPHA = 1 << 0  # str.isalpha
UPPER = 1 << 1  # str.isupper
DIGIT = 1 << 2  # decimal digits (category Nd)
SPACE = 1 << 3  # str.isspace
PUNCTUATION = 1 << 4  # categories P*
SYMBOL = 1 << 5  # categories S*
HAN = 1 << 6  # Chinese characters
UNSPACED = 1 << 7  # letters and marks of scripts without spaces between words, Han and kana included
LATIN = 1 << 8
MARK = 1 << 9  # combining marks: categories Mn, Mc
CONTROL = 1 << 10  # Cc, Cf, Co, Cn, Cs
CLASSES = 11

_COVERED = 0x30000
_UNSPACED_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),
    (0x20000, 0x2FFFF),
)
_HAN_RANGES = ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FFFF))
_LATIN_RANGES = (
    (0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x2B8), (0x1E00, 0x1EFF),
    (0x2C60, 0x2C7F), (0xA722, 0xA7FF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A),
)  # fmt: skip


@functools.cache
def table() -> np.ndarray:
    """Classes of every code point below 0x30000, as uint16 sets of the flags above; the last stands for the rest."""
    flags = np.zeros(_COVERED + 1, np.uint16)
    by_category = {"N": 0, "P": PUNCTUATION, "S": SYMBOL, "C": CONTROL, "Z": 0, "L": 0, "M": MARK}
    for code in range(_COVERED):
        char = chr(code)
        category = unicodedata.category(char)
        value = by_category[category[0]]
        if category == "Nd":
            value |= DIGIT
        if category[0] == "L":
            value |= ALPHA
        if char.isupper():
            value |= UPPER
        if char.isspace():
            value |= SPACE
        flags[code] = value
    for ranges, flag in ((_UNSPACED_RANGES, UNSPACED), (_HAN_RANGES, HAN), (_LATIN_RANGES, LATIN)):
        for low, high in ranges:
            flags[low : high + 1] |= flag
    flags[_COVERED] = ALPHA | UNSPACED | HAN  # planes 3: rare Han
    return flags


def code_points(text: str) -> np.ndarray:
    """The text as uint32 code points; lone surrogates stay what they are."""
    order = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"
    return np.frombuffer(text.encode(order, "surrogatepass"), np.uint32)


_PIECE = 1023  # characters; the counts of a piece fit into ten bits
_FIELDS = 6  # counts of ten bits in one 64-bit number


@functools.cache
def _packed(first: int) -> np.ndarray:
    """For every code point, its classes first..first + 5 as ones in fields of ten bits."""
    flags = table()
    packed = np.zeros(len(flags), np.uint64)
    for field, bit in enumerate(range(first, min(first + _FIELDS, CLASSES))):
        packed |= ((flags >> bit) & 1).astype(np.uint64) << np.uint64(10 * field)
    return packed


def class_counts(texts: Sequence[str]) -> np.ndarray:
    """How many characters of each class every text has: int64 (texts, CLASSES), bit i of the flags in column i.

    Cost: about 10 ns per character. Six counts are added up at once, in fields of one number, over pieces of at most
    1,023 characters.
    """
    counts = np.zeros((len(texts), CLASSES), np.int64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    full = np.flatnonzero(lengths)
    if not len(full):
        return counts
    points = np.minimum(code_points("".join(texts)), _COVERED)
    ends = np.cumsum(lengths)
    pieces = -(-lengths[full] // _PIECE)
    first = np.cumsum(pieces) - pieces
    within = np.arange(int(pieces.sum())) - np.repeat(first, pieces)
    starts = np.repeat((ends - lengths)[full], pieces) + within * _PIECE
    for low in range(0, CLASSES, _FIELDS):
        sums = np.add.reduceat(_packed(low)[points], starts)
        for field, bit in enumerate(range(low, min(low + _FIELDS, CLASSES))):
            part = ((sums >> np.uint64(10 * field)) & np.uint64(1023)).astype(np.int64)
            counts[full, bit] = np.add.reduceat(part, first)
    return counts
