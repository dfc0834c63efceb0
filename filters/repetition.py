"""Repetition: duplicate lines and paragraphs, the most frequent n-gram, n-grams seen before.

Gopher (arXiv 2112.11446, table A1) and FineWeb (arXiv 2406.17557) define them; all are shares of characters or lines.
An n-gram is known by one 64-bit number made of its words' hashes, and equal n-grams of a unit are found by one sort
per length and batch. The n-grams of 6 to 10 words are looked for only where a 5-gram repeats, since they cannot
repeat elsewhere.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import cast

import numpy as np
import pyarrow as pa

from plait.filters.batch import TextBatch, ratio
from plait.filters.score import Score, of_text

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Spreads integers over 64 bits (a step of splitmix64)."""
    values = values.astype(np.uint64) * _MULTIPLIER
    values ^= values >> np.uint64(30)
    values *= _MIX
    return values ^ (values >> np.uint64(27))


def _equals(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brings equal keys together.

    Args:
        keys: uint64, well mixed.

    Returns:
        int64, an order of the keys in which equal ones stand in a row, in the order they came; and bool of length
        keys + 1, whether the key at a place of it equals the one before.
    """
    # Numbers sort three times as fast as they are ranked, so the place takes the lowest bits of a key. Two different
    # keys of 100,000 have the other bits in common once in 20,000 times; then the keys themselves are ranked.
    low = np.uint64((1 << len(keys).bit_length()) - 1)
    packed = np.sort((keys & ~low) | np.arange(len(keys), dtype=np.uint64))
    order = (packed & low).astype(np.int64)
    alike = np.flatnonzero((packed[1:] ^ packed[:-1]) <= low)
    if not np.array_equal(keys[order[alike]], keys[order[alike + 1]]):
        order = np.argsort(keys, kind="stable")
        alike = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    same = np.zeros(len(keys) + 1, bool)
    same[alike + 1] = True
    return order, same


class Repetition:
    """The n-grams of the units of a batch, made once and shared by the scores below."""

    def __init__(self, text: TextBatch) -> None:
        self.offsets = text.word_offsets
        self.units = len(text)
        words = text.lines.words
        self.hash = words.hash
        self.ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(words.length, dtype=np.int64)])
        self.unit = np.repeat(np.arange(self.units), np.diff(self.offsets))
        self.salt = _mixed(np.arange(1, self.units + 1))

    def keys(self, place: np.ndarray, n: int) -> np.ndarray:
        """The n-grams that begin at the places given, one number each, different in different units."""
        key = self.hash[place]
        for step in range(1, n):
            key = key * _MIX + self.hash[place + step]
        return np.asarray(_mixed(key) ^ self.salt[self.unit[place]])

    def places(self, n: int) -> np.ndarray:
        """Where an n-gram begins that ends in the same unit."""
        last = len(self.unit) - n + 1
        if last <= 0:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.unit[:last] == self.unit[n - 1 :])

    def length(self, place: np.ndarray, n: int) -> np.ndarray:
        """Characters of the words of the n-grams that begin at the places given."""
        return np.asarray(self.ends[place + n] - self.ends[place])

    def top_chars(self, n: int) -> np.ndarray:
        """Characters of all occurrences of each unit's most frequent n-gram, spaces between words counted.

        Of equally frequent ones the first counts; 0 where a unit has fewer than n words.
        """
        place = self.places(n)
        result = np.zeros(self.units, np.int64)
        if not len(place):
            return result
        keys = self.keys(place, n)
        # Where nothing repeats the first n-gram counts, once.
        full = np.flatnonzero(np.diff(self.offsets) >= n)
        result[full] = self.length(self.offsets[:-1][full], n) + n - 1
        order, same = _equals(keys)
        start = np.flatnonzero(same[1:] & ~same[:-1])  # of a run of equal keys, two at least
        if not len(start):
            return result
        end = np.flatnonzero(same[:-1] & ~same[1:]) + 1
        count = end - start
        first = place[order[start]]
        # Best: the highest count, then the earliest place.
        rank = (count << 32) + (np.int64(0xFFFFFFFF) - (first - self.offsets[:-1][self.unit[first]]))
        best = np.zeros(self.units, np.int64)
        np.maximum.at(best, self.unit[first], rank)
        chosen = np.flatnonzero(rank == best[self.unit[first]])
        result[self.unit[first[chosen]]] = (self.length(first[chosen], n) + n - 1) * count[chosen]
        return result

    @staticmethod
    def _repeated(place: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places whose key occurs more than once, in order, and the number of their group."""
        order = np.argsort(keys)
        ordered = keys[order]
        fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        group = np.cumsum(fresh) - 1
        often = np.bincount(group)[group] > 1
        places, groups = place[order][often], group[often]
        back = np.argsort(places)
        return places[back], groups[back]

    @cached_property
    def repeated_fives(self) -> tuple[np.ndarray, np.ndarray]:
        """Places and groups of the 5-grams that occur more than once in their unit."""
        place = self.places(5)
        return self._repeated(place, self.keys(place, 5)) if len(place) else (place, place)

    def duplicate_chars(self, n: int) -> np.ndarray:
        """Characters of n-grams seen before in their unit, spaces not counted.

        Read from left to right: an n-gram seen before counts and is skipped as a whole, others are remembered.
        """
        if n == 5:
            place, group = self.repeated_fives
        else:
            five, _ = self.repeated_fives if n > 5 else (self.places(n), None)
            fits = five + n <= self.offsets[1:][self.unit[five]] if len(five) else np.zeros(0, bool)
            place = five[fits]
            place, group = self._repeated(place, self.keys(place, n)) if len(place) else (place, place)
        if not len(place):
            return np.zeros(self.units, np.int64)
        hit = np.zeros(len(place), bool)
        seen: set[int] = set()
        free = -1
        for index, (here, name) in enumerate(zip(place.tolist(), group.tolist(), strict=True)):
            if here < free:
                continue
            if name in seen:
                hit[index] = True
                free = here + n
            else:
                seen.add(name)
        hits = place[hit]
        return np.bincount(self.unit[hits], self.length(hits, n), self.units).astype(np.int64)


def repetition(text: TextBatch) -> Repetition:
    """The n-grams of a batch, made on first use and kept as long as its words live."""
    kept = text.__dict__.get("_repetition")
    if not isinstance(kept, Repetition):
        kept = Repetition(text)
        text.__dict__["_repetition"] = kept
    return kept


def _duplicate_lines(text: TextBatch) -> np.ndarray:
    """Whether a line stood earlier in its unit: bool of all lines."""
    kept = text.__dict__.get("_duplicate_lines")
    if kept is None:
        found = np.zeros(len(text.lines.texts), bool)
        bounds = text.offsets.tolist()
        for start, end in pairwise(bounds):
            if end - start > 1:
                seen: set[str] = set()
                for place in range(start, end):
                    line = text.lines.texts[place]
                    if line in seen:
                        found[place] = True
                    else:
                        seen.add(line)
        kept = text.__dict__["_duplicate_lines"] = found
    return np.asarray(kept)


def dup_line_ratio(text: TextBatch) -> np.ndarray:
    """Share of lines that stood earlier in the text. Gopher keeps documents with at most 0.3."""
    return ratio(text.total(_duplicate_lines(text)), text.line_count)


def dup_line_char_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters in lines that stood earlier in the text. Gopher keeps documents with at most 0.2."""
    return ratio(text.total(np.where(_duplicate_lines(text), text.lines.chars, 0)), text.chars)


def dup_line_char_ratio_bare(text: TextBatch) -> np.ndarray:
    """As `dup_line_char_ratio`, line feeds and lines of spaces not counted. FineWeb keeps at most 0.01."""
    return ratio(
        text.total(np.where(_duplicate_lines(text) & text.lines.visible, text.lines.chars, 0)), text.line_chars
    )


def _paragraph_duplicates(text: TextBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paragraphs (parted by blank lines), duplicates among them, and their characters, of every unit."""
    kept = text.__dict__.get("_paragraphs")
    if kept is None:
        count, same, chars = (np.zeros(len(text), np.int64) for _ in range(3))
        bounds = text.offsets.tolist()
        gaps = text.lines.gap
        for unit, (start, end) in enumerate(pairwise(bounds)):
            if start == end:
                continue
            cuts = (np.flatnonzero(gaps[start + 1 : end] > 1) + start + 1).tolist()
            count[unit] = len(cuts) + 1
            if cuts:
                seen: set[str] = set()
                for low, high in zip([start, *cuts], [*cuts, end], strict=True):
                    paragraph = "\n".join(text.lines.texts[low:high])
                    if paragraph in seen:
                        same[unit] += 1
                        chars[unit] += len(paragraph)
                    seen.add(paragraph)
        kept = text.__dict__["_paragraphs"] = (count, same, chars)
    return cast(tuple[np.ndarray, np.ndarray, np.ndarray], kept)


def dup_paragraph_ratio(text: TextBatch) -> np.ndarray:
    """Share of paragraphs (parted by blank lines) that stood earlier. Gopher keeps documents with at most 0.3."""
    count, same, _ = _paragraph_duplicates(text)
    return ratio(same, count)


def dup_paragraph_char_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters in such paragraphs. Gopher keeps documents with at most 0.2."""
    return ratio(_paragraph_duplicates(text)[2], text.chars)


def _top(n: int, limit: float) -> Score:
    def score(text: TextBatch) -> np.ndarray:
        return ratio(repetition(text).top_chars(n), text.chars)

    doc = f"Share of characters in the most frequent {n}-gram of words and marks. Gopher keeps at most {limit}."
    return Score(f"top_{n}gram_char_ratio", ("node", "document"), pa.float64(), doc, text=score)


def _duplicate(n: int, limit: float) -> Score:
    def score(text: TextBatch) -> np.ndarray:
        return ratio(repetition(text).duplicate_chars(n), text.chars)

    doc = (
        f"Share of characters in {n}-grams of words and marks seen before. Gopher keeps documents with at most {limit}."
    )
    return Score(f"dup_{n}gram_char_ratio", ("node", "document"), pa.float64(), doc, text=score)


def word_repetition(text: TextBatch) -> np.ndarray:
    """Share of 5-grams of words and marks that occur more than once; 0 where there are fewer than 5.

    OBELICS (arXiv 2306.16527, table 3) keeps at most 0.1 in a paragraph and 0.2 in a document.
    """
    made = repetition(text)
    place, _ = made.repeated_fives
    total = np.maximum(text.tokens - 4, 0)
    found = ratio(np.bincount(made.unit[place], minlength=len(text)), total)
    return np.asarray(np.nan_to_num(found, nan=0.0))


_FLOAT = pa.float64()
SCORES: tuple[Score, ...] = (
    of_text(dup_line_ratio, _FLOAT, ("node", "document")),
    of_text(dup_line_char_ratio, _FLOAT, ("node", "document")),
    of_text(dup_line_char_ratio_bare, _FLOAT, ("node", "document")),
    of_text(dup_paragraph_ratio, _FLOAT, ("document",)),
    of_text(dup_paragraph_char_ratio, _FLOAT, ("document",)),
    *(_top(n, limit) for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16))),
    *(_duplicate(n, limit) for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))),
    of_text(word_repetition, _FLOAT, ("node", "document")),
)
