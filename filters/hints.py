"""What chunks hint at: signs of boilerplate that a text with them may have, edits that may change it, a placeholder.

A hint is a set of bits in a uint32, the lowest of them signs by their place in `SIGNS`. Every chunk is asked once, when
it is first seen; searches and edits then look only at the few texts whose chunks hint at something.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters import characters
from plait.filters.edits import EDITS
from plait.filters.signs import ANY, AROUND, CLOSING, OPENING, SIGNS, Sign

_SIGN = [np.uint32(1 << place) for place in range(len(SIGNS))]
_FURTHER = [np.uint32(1 << place) for place in range(len(SIGNS), 32)]
_OPENS, _CLOSES = _FURTHER[:2]  # a bracket at the chunk's begin, at its end; of texts too
_TRAILS = _FURTHER[2]  # nothing but marks that may stand at the end of a text
_FIRST, _LAST = _FURTHER[3:5]  # a sign, as the first chunk of a text, as the last that does not trail
_LEADS, _FOLLOWS = _FURTHER[5:7]  # a sign, where a chunk that follows comes after one that leads
LOREM = _FURTHER[7]  # ends in "lorem"; of texts too
_BY_CHUNK = [name for name, edit in EDITS.items() if edit.marks and not any(map(str.isspace, edit.marks))]
EDITED = dict(zip(_BY_CHUNK, _FURTHER[8:], strict=False))  # has a mark of the edit; of texts too
_NOTHING_ELSE = f"^[{re.escape(AROUND)}]+$"


def _bits(signs: Iterable[Sign]) -> np.uint32:
    return np.uint32(sum(1 << SIGNS.index(sign) for sign in signs))


_FIRST_SIGNS, _LAST_SIGNS = _bits(s for s in SIGNS if s.first), _bits(s for s in SIGNS if s.last)
_PAIRED, _BRACKETED = _bits(s for s in SIGNS if any(s.pair)), _bits(s for s in SIGNS if s.brackets)
_STAYING = _bits(SIGNS) | LOREM | np.bitwise_or.reduce(list(EDITED.values()))


def _union(patterns: Iterable[str]) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns if pattern)


# Signs share a pattern of first chunks and one of last chunks: few texts have them, and the signs' tests are cheap.
_IN_LOWER_CASE = (
    *((sign.inside, bit) for sign, bit in zip(SIGNS, _SIGN, strict=True) if sign.inside),
    (_union(s.first for s in SIGNS), _FIRST),
    (_union(s.last for s in SIGNS), _LAST),
    (_union(s.pair[0] for s in SIGNS), _LEADS),
    (_union(s.pair[1] for s in SIGNS), _FOLLOWS),
    ("lorem$", LOREM),
)
_AS_WRITTEN = (
    *((sign.written, bit) for sign, bit in zip(SIGNS, _SIGN, strict=True) if sign.written),
    *((_union(map(re.escape, EDITS[name].marks)), bit) for name, bit in EDITED.items()),
)
_SUSPICIOUS = _union([*(pattern for pattern, _ in _IN_LOWER_CASE), *(pattern.lower() for pattern, _ in _AS_WRITTEN)])


def _matching(chunks: pa.StringArray, pattern: str) -> np.ndarray:
    """Whether every chunk matches a pattern somewhere: bool."""
    return np.asarray(pc.match_substring_regex(chunks, pattern))


@functools.cache
def _ascii_digits() -> dict[int, str]:
    """Digits of other scripts, and ASCII's for them: RE2 knows no others by their short name."""
    codes = np.flatnonzero(characters.table() & characters.DIGIT).tolist()
    return {code: str(unicodedata.decimal(chr(code))) for code in codes if code > 0x7F}


def _lower(chunks: pa.StringArray) -> pa.StringArray:
    """The chunks in lower case, as `str.lower` has it, with ASCII's digits."""
    low = pc.ascii_lower(chunks)
    wide = pc.invert(pc.string_is_ascii(chunks))
    if not pc.any(wide).as_py():
        return low
    texts = chunks.filter(wide).to_pylist()
    return pc.replace_with_mask(low, wide, pa.array([text.lower().translate(_ascii_digits()) for text in texts]))


def chunk_hints(chunks: pa.StringArray) -> np.ndarray:
    """What every chunk hints at: uint32. Cost: about 0.8 µs a chunk."""
    low = _lower(chunks)
    found = np.zeros(len(chunks), np.uint32)
    for bit, edge, marks in ((_OPENS, pc.starts_with, OPENING), (_CLOSES, pc.ends_with, CLOSING)):
        for mark in marks:
            found[np.asarray(edge(chunks, mark))] |= bit
    found[_matching(chunks, _NOTHING_ELSE)] |= _TRAILS
    suspects = np.flatnonzero(_matching(low, _SUSPICIOUS))
    for texts, patterns in ((low, _IN_LOWER_CASE), (chunks, _AS_WRITTEN)):
        asked = texts.take(pa.array(suspects))
        for pattern, bit in patterns:
            found[suspects[_matching(asked, pattern)]] |= bit
    return found


def text_hints(hints: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """What every text of one line hints at: uint32. A text of several lines hints at what one of its lines hints at.

    Args:
        hints: uint32, what every chunk hints at.
        offsets: int64 of length texts + 1; chunks offsets[i] : offsets[i + 1] are text i's.
    """
    found = np.zeros(len(offsets) - 1, np.uint32)
    full = np.flatnonzero(np.diff(offsets))
    if not len(full):
        return found
    begin, last = offsets[:-1][full], offsets[1:][full] - 1
    telling = np.maximum.accumulate(np.where((hints & _TRAILS) == 0, np.arange(len(hints)), 0))
    end = np.maximum(telling[last], begin)
    inside = hints & _STAYING
    led = np.flatnonzero(hints[:-1] & _LEADS)
    inside[led[(hints[led + 1] & _FOLLOWS) != 0]] |= _PAIRED
    edges = (hints[begin] & _OPENS) | (hints[last] & _CLOSES)
    edges |= np.where(hints[begin] & _FIRST, _FIRST_SIGNS, np.uint32(0))
    edges |= np.where(hints[end] & _LAST, _LAST_SIGNS, np.uint32(0))
    found[full] = np.bitwise_or.reduceat(inside, begin) | edges
    return found


def signs(texts: Sequence[str], hints: np.ndarray) -> np.ndarray:
    """The signs of every text as a set of bits, bit i for the sign at place i of `SIGNS`: int64.

    Args:
        texts: the texts.
        hints: uint32, what every text hints at.

    Cost: about 1 µs a text and sign hinted at.
    """
    both = _OPENS | _CLOSES
    hints = np.where((hints & both) == both, hints | _BRACKETED, hints)
    found = np.zeros(len(texts), np.int64)
    for place, (sign, bit) in enumerate(zip(SIGNS, _SIGN, strict=True)):
        for asked in np.flatnonzero(hints & bit).tolist():
            text = texts[asked]
            if (sign.limit == ANY or text.count(" ") < sign.limit) and sign.test(text, text.lower()):
                found[asked] |= 1 << place
    return found
