"""From texts to the words of whole batches: each whitespace chunk is split once and remembered.

Nine chunks in ten of a page have been seen before, so a bounded memo from chunk to words does most of the work.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Sequence
from itertools import chain, repeat

import numpy as np

from plait.filters.chunks import ramps, split_chunks
from plait.filters.signs import chunk_hints, text_hints
from plait.filters.word_rules import UNSPACED, english_words, words
from plait.filters.word_sets import word_hashes
from plait.filters.word_table import STOP_BIT, Words, WordTable, flags_of

LONG_CHUNK = 64  # characters; longer chunks (addresses, base64) are split anew each time


class _Memo(dict[bytes, int]):
    """Chunk -> its number, for the chunks that are remembered; what is known of them and their words, in arrays.

    Chunk n is `size[n]` characters long, hints at `hint[n]`, and has the words words[first[n] : first[n] + count[n]];
    word m has the facts hash[m], lower[m] and packed[m] (length, stop word and flags in one number).
    """

    def __init__(self, split: Callable[[str], list[str]], capacity: int, older: _Memo | None = None) -> None:
        super().__init__()
        self.split = split
        self.capacity = capacity
        self.older = older
        self.known: dict[str, int] = {}
        self.first, self.count, self.size, self.hint = array("q"), array("q"), array("i"), array("H")
        self.words = array("q")
        self.hash, self.lower, self.packed = array("Q"), array("Q"), array("Q")

    def numbers(self, chunks: list[bytes]) -> np.ndarray:
        """The number of every chunk, each given once: int64. Those not seen yet are split, and remembered if short."""
        found = np.fromiter(map(self.get, chunks, repeat(-1)), np.int64, len(chunks))
        new = np.flatnonzero(found < 0)
        if self.older is not None and len(new):
            asked = (chunks[place] for place in new.tolist())
            there = np.fromiter(map(self.older.get, asked, repeat(-1)), np.int64, len(new))
            handed = new[there >= 0]
            found[handed] = self._inherit(self.older, [chunks[p] for p in handed.tolist()], there[there >= 0])
            new = new[there < 0]
        if len(new):
            found[new] = self._learn([chunks[place] for place in new.tolist()])
        return found

    def _add(self, chunks: list[bytes], count: np.ndarray, size: np.ndarray, hint: np.ndarray) -> np.ndarray:
        """Numbers for chunks whose words come last in `words`."""
        numbers = np.arange(len(self.first), len(self.first) + len(chunks))
        self.first.frombytes((len(self.words) - int(count.sum()) + np.cumsum(count) - count).tobytes())
        self.count.frombytes(count.astype(np.int64).tobytes())
        self.size.frombytes(size.astype(np.int32).tobytes())
        self.hint.frombytes(hint.tobytes())
        short = np.flatnonzero(size <= LONG_CHUNK)[: max(self.capacity - len(self), 0)]
        self.update(zip([chunks[place] for place in short.tolist()], numbers[short].tolist(), strict=True))
        return numbers

    def _inherit(self, older: _Memo, chunks: list[bytes], there: np.ndarray) -> np.ndarray:
        """Takes over chunks that the older generation has under the numbers ``there``."""
        count = np.frombuffer(older.count, np.int64)[there]
        rows = np.frombuffer(older.words, np.int64)[ramps(np.frombuffer(older.first, np.int64)[there], count)]
        self.words.frombytes(np.arange(len(self.hash), len(self.hash) + len(rows)).tobytes())
        for mine, theirs in ((self.hash, older.hash), (self.lower, older.lower), (self.packed, older.packed)):
            mine.frombytes(np.frombuffer(theirs, np.uint64)[rows].tobytes())
        size, hint = np.frombuffer(older.size, np.int32)[there], np.frombuffer(older.hint, np.uint16)[there]
        return self._add(chunks, count, size, hint)

    def _learn(self, chunks: list[bytes]) -> np.ndarray:
        """Splits chunks that are new."""
        texts = [chunk.decode() for chunk in chunks]
        found = list(map(self.split, texts))
        count = np.fromiter(map(len, found), np.int64, len(found))
        known = self.known
        fresh = [word for word in dict.fromkeys(chain.from_iterable(found)) if word not in known]
        known.update(zip(fresh, range(len(self.hash), len(self.hash) + len(fresh)), strict=True))
        total = int(count.sum())
        rows = np.fromiter(map(known.__getitem__, chain.from_iterable(found)), np.int64, total)
        self.words.frombytes(rows.tobytes())
        small = [word.lower() for word in fresh]
        facts = [len(word) << 16 | STOP_BIT.get(word, 0) << 8 | flags_of(word) for word in fresh]
        self.hash.frombytes(word_hashes(fresh).tobytes())
        self.lower.frombytes(word_hashes(small).tobytes())
        self.packed.frombytes(np.array(facts, np.uint64).tobytes())
        for word in fresh:
            if len(word) > LONG_CHUNK:
                del known[word]
        if len(known) > self.capacity:
            known.clear()
        size = np.fromiter(map(len, texts), np.int32, len(texts))
        return self._add(chunks, count, size, chunk_hints(texts))


class Vocabulary:
    """A memo from chunks to words, bounded to two generations of ``capacity`` chunks.

    A full generation becomes the older one, which only hands over what is asked for again: chunks that stay in use
    survive, others go.
    """

    def __init__(self, english_only: bool = False, capacity: int = 250_000) -> None:
        """An empty memo.

        Args:
            english_only: English conventions for every script; else characters of scripts without spaces are words.
            capacity: chunks of a generation, about 0.27 KB each.
        """
        self._capacity = capacity
        self._memo = _Memo(english_words if english_only else words, capacity)

    def encode(self, texts: Sequence[str]) -> Words:
        """The words of the texts. What it gives for a text does not depend on what came before.

        Every distinct chunk of the texts is asked for once.
        """
        if len(self._memo.first) >= self._capacity:
            self._memo.older = None
            self._memo = _Memo(self._memo.split, self._capacity, self._memo)
        memo = self._memo
        chunks, chunk_offsets = split_chunks(texts)
        number = memo.numbers(chunks.dictionary.to_pylist())
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
        words_of = count[row]
        word_ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(words_of)])
        sizes = np.frombuffer(memo.size, np.int32)[number][row]
        longest = np.zeros(len(texts), np.int32)
        full = np.flatnonzero(np.diff(chunk_offsets))
        if len(full):
            longest[full] = np.maximum.reduceat(sizes, chunk_offsets[:-1][full])
        return Words(
            word_ends[chunk_offsets],
            ramps(first[row], words_of).astype(np.int32),
            table,
            np.diff(chunk_offsets),
            longest,
            text_hints(np.frombuffer(memo.hint, np.uint16)[number][row], chunk_offsets),
        )


@functools.cache
def vocabulary() -> Vocabulary:
    """The process' memo."""
    return Vocabulary()


def unspaced(text: str) -> bool:
    """Whether a text has characters of a script that writes no spaces between words."""
    return not text.isascii() and UNSPACED.search(text) is not None
