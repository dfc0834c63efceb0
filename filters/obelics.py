"""OBELICS' own statistics (arXiv 2306.16527, table 3 and appendix A.1.2): repeated characters, punctuation."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

from plait.filters.batch import TextBatch, ratio
from plait.filters.characters import code_points
from plait.filters.score import Score, of_text
from plait.filters.word_sets import HashSet, word_set

_LENGTH = 10  # characters of an n-gram; OBELICS' configuration
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MARKS = (",", ";", ":", "?", "!", ".")


def _grams(points: np.ndarray) -> np.ndarray:
    """A 64-bit number for every 10 characters in a row."""
    count = len(points) - _LENGTH + 1
    key = points[:count].astype(np.uint64)
    for step in range(1, _LENGTH):
        key = key * _MULTIPLIER + points[step : step + count].astype(np.uint64)
    return np.asarray(key ^ (key >> np.uint64(31)))


def char_repetition(text: TextBatch) -> np.ndarray:
    """Share of the 10-character n-grams that the most frequent ones make up; 0 in a text too short for one.

    With d different n-grams, of which s occur once, the most frequent are min(floor(sqrt(d)), d - s). OBELICS keeps at
    most 0.1. Cost: about 0.1 microseconds a character.
    """
    found = np.zeros(len(text))
    for place, unit in enumerate(text.texts):
        if len(unit) < _LENGTH:
            continue
        keys = np.sort(_grams(code_points(unit)))
        edges = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
        counts = np.diff(edges)
        often = counts[counts > 1]
        top = min(int(np.sqrt(len(counts))), len(often))
        if top:
            best = often if top == len(often) else np.partition(often, len(often) - top)[-top:]
            found[place] = best.sum() / len(keys)
    return found


@functools.cache
def _mark_words() -> HashSet:
    return word_set(_MARKS)


def mark_ratio(text: TextBatch) -> np.ndarray:
    """Marks , ; : ? ! . per word or mark. OBELICS keeps 0.001 in a paragraph of 12 words, 0.03 in a document."""
    return ratio(text.total_words("marks", lambda words: words.among(_mark_words())), text.tokens)


SCORES: tuple[Score, ...] = (
    of_text(char_repetition, pa.float64(), ("node", "document")),
    of_text(mark_ratio, pa.float64(), ("node", "document")),
)
