"""The lines of a batch, with what was computed for them once: their bytes, words, characters and signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import NamedTuple

import numpy as np

from plait.filters import characters
from plait.filters.chunks import Utf8, utf8
from plait.filters.hints import signs
from plait.filters.vocabulary import Vocabulary
from plait.filters.word_table import Words

Measure = Callable[[Words], np.ndarray]


class _Count(NamedTuple):
    """A sum over the words of every line, and what was summed."""

    measure: Measure
    values: np.ndarray


def sums(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Sum of values[offsets[i] : offsets[i + 1]] for every i; 0 for an empty range."""
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])
    return np.asarray(running[offsets[1:]] - running[offsets[:-1]])


def _summed(measure: Measure, words: Words) -> np.ndarray:
    return sums(measure(words), words.offsets)


@dataclass(frozen=True)
class Lines:
    """The lines of a batch that are not empty, in order; a line of spaces is a line.

    Attributes:
        texts: the lines, without line feeds.
        gap: int32, line feeds before the line within its document (0 for a document's first line; more than 1 where
            empty lines stand between).
    """

    texts: list[str]
    gap: np.ndarray
    words_with: Vocabulary
    _words: list[Words] = field(default_factory=list, repr=False)
    _counts: dict[str, _Count] = field(default_factory=dict, repr=False)
    _classes: dict[int, np.ndarray] = field(default_factory=dict, repr=False)
    _signs: list[np.ndarray] = field(default_factory=list, repr=False)
    _utf8: list[Utf8] = field(default_factory=list, repr=False)

    @property
    def utf8(self) -> Utf8:
        """The bytes of the lines."""
        if not self._utf8:
            self._utf8.append(utf8(self.texts))
        return self._utf8[0]

    @property
    def words(self) -> Words:
        """The words of every line."""
        if not self._words:
            self._words.append(self.words_with.words(self.utf8))
        return self._words[0]

    def count(self, name: str, measure: Measure) -> np.ndarray:
        """Sum over the words of every line: int64, kept with the lines under a name.

        Args:
            name: what is summed; one name has one measure.
            measure: a number or a truth value for each word.
        """
        if name not in self._counts:
            self._counts[name] = _Count(measure, _summed(measure, self.words))
        return self._counts[name].values

    def of_class(self, flag: int) -> np.ndarray:
        """Characters of every line of a class of `plait.filters.characters`: int64."""
        group, place = characters.group_of(flag)
        if group not in self._classes:
            self._classes[group] = characters.class_counts(self.utf8, group)
        return self._classes[group][:, place]

    @property
    def signs(self) -> np.ndarray:
        """Signs of boilerplate of every line by itself, as sets of bits (`plait.filters.hints`): int64."""
        if not self._signs:
            self._signs.append(signs(self.texts, self.words.hints))
        return self._signs[0]

    @cached_property
    def chars(self) -> np.ndarray:
        """Characters of every line: int64."""
        return np.fromiter(map(len, self.texts), np.int64, len(self.texts))

    @cached_property
    def visible(self) -> np.ndarray:
        """Whether a line has more than spaces: bool."""
        return np.fromiter((not text.isspace() for text in self.texts), bool, len(self.texts))

    @cached_property
    def _lowered(self) -> str:
        return "\n".join(map(str.lower, self.texts))

    def saying(self, *phrases: str) -> list[str]:
        """The lines in lower case; none where no line of the batch has one of some phrases in lower case."""
        return self._lowered.split("\n") if any(phrase in self._lowered for phrase in phrases) else []

    def take(self, kept: np.ndarray, gap: np.ndarray) -> Lines:
        """The lines that a mask keeps, with what was computed for them."""
        texts = list(compress(self.texts, kept.tolist()))
        return Lines(
            texts,
            gap,
            self.words_with,
            [words.take(kept) for words in self._words],
            {name: _Count(count.measure, count.values[kept]) for name, count in self._counts.items()},
            {group: classes[kept] for group, classes in self._classes.items()},
            [found[kept] for found in self._signs],
        )

    def rearranged(self, fresh: list[str], order: np.ndarray, gap: np.ndarray) -> Lines:
        """Lines picked from these (index below their number) and from fresh ones, with what was computed kept.

        Args:
            fresh: new lines.
            order: int64, the index of every line of the result, fresh ones counted on from the old ones.
            gap: int32, line feeds before every line of the result.
        """
        known, new = len(self.texts), utf8(fresh)
        texts = list(map([*self.texts, *fresh].__getitem__, order.tolist()))
        joined = [have.joined(self.words_with.words(new)) for have in self._words]
        words = [have.select(order) for have in joined]
        counts: dict[str, _Count] = {}
        if joined and self._counts:
            last = joined[0].select(np.arange(known, known + len(fresh)))
            for name, (measure, have) in self._counts.items():
                counts[name] = _Count(measure, np.concatenate([have, _summed(measure, last)])[order])
        classes = {
            group: np.concatenate([have, characters.class_counts(new, group)])[order]
            for group, have in self._classes.items()
        }
        found = [
            np.concatenate([have, signs(fresh, now.hints[known:])])[order]
            for have, now in zip(self._signs, joined, strict=False)  # signs are known only where words are
        ]
        return Lines(texts, gap, self.words_with, words, counts, classes, found)

    def merged(self, other: Lines, order: np.ndarray) -> Lines:
        """Lines picked from these and from others, counted on from these; what both have computed is kept."""
        texts = list(map([*self.texts, *other.texts].__getitem__, order.tolist()))
        words = [a.joined(b).select(order) for a, b in zip(self._words, other._words, strict=False)]
        counts = {
            name: _Count(count.measure, np.concatenate([count.values, other._counts[name].values])[order])
            for name, count in self._counts.items()
            if name in other._counts
        }
        both = self._classes.keys() & other._classes.keys()
        classes = {group: np.concatenate([self._classes[group], other._classes[group]])[order] for group in both}
        found = [np.concatenate([a, b])[order] for a, b in zip(self._signs, other._signs, strict=False)]
        gap = np.concatenate([self.gap, other.gap])[order]
        return Lines(texts, gap, self.words_with, words, counts, classes, found)
