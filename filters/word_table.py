"""The words of a batch of texts: where each stands, and what is known of it, kept once for all its occurrences."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from plait.filters.chunks import each, ramps
from plait.filters.word_sets import HashSet

SYMBOLIC = 1 << 0  # only punctuation marks, in Gopher's sense (`SYMBOLS`)
ALPHABETIC = 1 << 1  # has a letter
PUNCTUATION = 1 << 2  # every character has category P*
TERMINAL = 1 << 3  # is one mark that ends sentences
UPPER = 1 << 4  # has letters, all of them capitals, and is longer than one

# Unicode's Sentence_Terminal marks that spaCy's sentence splitter and FineWeb's rule use.
TERMINAL_MARKS = frozenset(".!?։؝؞؟۔܀܁܂߹।॥၊။።፧፨᙮។៕᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼。꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？｡")
# Gopher counts words that are more than punctuation; datatrove's set of marks: ASCII's, full-width forms, quotes and
# dashes, controls, and the terminal marks.
SYMBOLS = (
    frozenset("!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»")
    | frozenset(map(chr, [*range(9), *range(11, 32), *range(127, 160)]))
    | TERMINAL_MARKS
)
GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher, appendix A
STOP_BIT = {word: 1 << place for place, word in enumerate(GOPHER_STOP_WORDS)}


def flags_of(word: str) -> int:
    """The sets above that a word is in."""
    if word.isalpha():
        return ALPHABETIC | UPPER if len(word) > 1 and word.isupper() else ALPHABETIC
    if word.isdecimal() and word.isascii():
        return 0
    found = 0
    if SYMBOLS.issuperset(word):
        found |= SYMBOLIC
    if any(map(str.isalpha, word)):
        found |= ALPHABETIC
        if len(word) > 1 and word.isupper():
            found |= UPPER
    elif all(unicodedata.category(char)[0] == "P" for char in word):
        found |= PUNCTUATION
    if word in TERMINAL_MARKS:
        found |= TERMINAL
    return found


def facts_of(word: str) -> int:
    """What is known of a word, in one number: its length above bit 16, its stop bit above bit 8, its sets."""
    return len(word) << 16 | STOP_BIT.get(word, 0) << 8 | flags_of(word)


@dataclass(frozen=True)
class WordTable:
    """Facts about words, a row each; a word may have several rows.

    Attributes:
        hash: uint64, of the word as written.
        lower: uint64, of the word in lower case.
        length: int32, in characters.
        flags: uint8, the sets defined above.
        stop: uint8, one bit for each of Gopher's eight stop words.
        before: the table whose rows the first of these are, if there is one.
    """

    hash: np.ndarray
    lower: np.ndarray
    length: np.ndarray
    flags: np.ndarray
    stop: np.ndarray
    before: WordTable | None = None

    def followed_by(self, other: WordTable) -> WordTable:
        """The rows of both."""
        return WordTable(
            np.concatenate([self.hash, other.hash]),
            np.concatenate([self.lower, other.lower]),
            np.concatenate([self.length, other.length]),
            np.concatenate([self.flags, other.flags]),
            np.concatenate([self.stop, other.stop]),
            self,
        )

    def begins_with(self, other: WordTable) -> bool:
        """Whether the first rows are known to be another table's."""
        table: WordTable | None = self
        while table is not None and table is not other:
            table = table.before
        return table is other


@dataclass(frozen=True)
class Words:
    """The words of a list of texts, one after the other.

    What is asked of words is worked out for the rows of ``table``, of which there are far fewer than words, and handed
    to the words by their codes.

    Attributes:
        offsets: int64 of length texts + 1; words offsets[i] : offsets[i + 1] are text i's.
        source: int32, rows in ``table`` of the words of these texts, and of others that they were taken from.
        starts: int64 of length texts: where the words of a text begin in ``source``.
        table: facts about the words.
        chunks: int64 of length texts: whitespace-separated chunks of every text.
        longest: int32 of length texts: characters of the longest chunk, 0 where there is none.
        hints: uint32 of length texts: what the chunks hint at (`plait.filters.hints.text_hints`).
    """

    offsets: np.ndarray
    source: np.ndarray
    starts: np.ndarray
    table: WordTable
    chunks: np.ndarray
    longest: np.ndarray
    hints: np.ndarray

    @cached_property
    def codes(self) -> np.ndarray:
        """int32, row of every word in ``table``."""
        if len(self.source) == self.offsets[-1] and np.array_equal(self.starts, self.offsets[:-1]):
            return self.source
        return np.asarray(self.source[ramps(self.starts, np.diff(self.offsets))])

    @cached_property
    def hash(self) -> np.ndarray:
        """uint64, of every word as written."""
        return each(self.table.hash, self.codes)

    @cached_property
    def length(self) -> np.ndarray:
        """int32, characters of every word."""
        return each(self.table.length, self.codes)

    def flagged(self, sets: int) -> np.ndarray:
        """Whether every word is in one of the sets of flags: bool."""
        return each((self.table.flags & sets) != 0, self.codes)

    def among(self, listed: HashSet) -> np.ndarray:
        """Whether every word, as written, is listed: bool."""
        return each(listed.holds(self.table.hash), self.codes)

    def lower_among(self, listed: HashSet) -> np.ndarray:
        """Whether every word, in lower case, is listed: bool."""
        return each(listed.holds(self.table.lower), self.codes)

    def take(self, kept: np.ndarray) -> Words:
        """The words of the texts that the mask keeps."""
        return self.select(np.flatnonzero(kept))

    def joined(self, other: Words) -> Words:
        """These texts followed by others."""
        shared = other.table.begins_with(self.table)
        source = other.source if shared else other.source + np.int32(len(self.table.hash))
        return Words(
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
            np.concatenate([self.source, source]),
            np.concatenate([self.starts, other.starts + len(self.source)]),
            other.table if shared else self.table.followed_by(other.table),
            np.concatenate([self.chunks, other.chunks]),
            np.concatenate([self.longest, other.longest]),
            np.concatenate([self.hints, other.hints]),
        )

    def select(self, order: np.ndarray) -> Words:
        """The words of the texts at the indices given, in that order."""
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(self.offsets)[order])])
        per_text = (values[order] for values in (self.chunks, self.longest, self.hints))
        return Words(offsets, self.source, self.starts[order], self.table, *per_text)
