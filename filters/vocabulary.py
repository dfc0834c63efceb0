"""From texts to the words of whole batches: each whitespace chunk is split once and remembered.

Nine chunks in ten of a page have been seen before, so a bounded memo from chunk to words does most of the work.
"""

from __future__ import annotations

import functools

import numpy as np

from plait.filters.chunks import Utf8, each, ramps, split_chunks
from plait.filters.hints import text_hints
from plait.filters.word_memo import Memo
from plait.filters.word_rules import UNSPACED, english_words, words
from plait.filters.word_table import Words, WordTable


class Vocabulary:
    """A memo from chunks to words, bounded to two generations of ``capacity`` chunks.

    A full generation becomes the older one, which only hands over what is asked for again: chunks that stay in use
    survive, others go.
    """

    def __init__(self, english_only: bool = False, capacity: int = 250_000) -> None:
        """An empty memo.

        Args:
            english_only: English conventions for every script; else characters of scripts without spaces are words.
            capacity: chunks of a generation, about 0.22 KB each.
        """
        self._capacity = capacity
        self._memo = Memo(english_words if english_only else words, capacity)

    def words(self, texts: Utf8) -> Words:
        """The words of texts without lone surrogates. What it gives for a text does not depend on what came before.

        Every distinct chunk of the texts is asked for once.
        """
        if len(self._memo.first) >= self._capacity:
            self._memo.older = None
            self._memo = Memo(self._memo.split, self._capacity, self._memo)
        memo = self._memo
        chunks, chunk_offsets = split_chunks(texts)
        number = memo.numbers(chunks.dictionary)
        row = chunks.indices.to_numpy()
        count = np.frombuffer(memo.count, np.int64)[number]
        rows = np.frombuffer(memo.words, np.int64)[ramps(np.frombuffer(memo.first, np.int64)[number], count)]
        packed = np.frombuffer(memo.packed, np.uint64)[rows]
        table = WordTable(
            np.frombuffer(memo.hash, np.uint64)[rows],
            np.frombuffer(memo.lower, np.uint64)[rows],
            (packed >> np.uint64(16)).astype(np.int32),
            packed.astype(np.uint8),
            (packed >> np.uint64(8)).astype(np.uint8),
        )
        first = (np.cumsum(count) - count).astype(np.int32)  # of every distinct chunk, in the table
        words_of = each(count, row)
        word_ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(words_of)])
        sizes = each(np.frombuffer(memo.size, np.int32)[number], row)
        longest = np.zeros(len(chunk_offsets) - 1, np.int32)
        full = np.flatnonzero(np.diff(chunk_offsets))
        if len(full):
            longest[full] = np.maximum.reduceat(sizes, chunk_offsets[:-1][full])
        offsets = word_ends[chunk_offsets]
        return Words(
            offsets,
            ramps(each(first, row), words_of).astype(np.int32),
            offsets[:-1],
            table,
            np.diff(chunk_offsets),
            longest,
            text_hints(each(np.frombuffer(memo.hint, np.uint32)[number], row), chunk_offsets),
        )


@functools.cache
def vocabulary() -> Vocabulary:
    """The process' memo."""
    return Vocabulary()


def unspaced(text: str) -> bool:
    """Whether a text has characters of a script that writes no spaces between words."""
    return not text.isascii() and UNSPACED.search(text) is not None
