"""What is known of chunks that were seen before: the words of each, and facts about them, in arrays by number."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat

import numpy as np
import pyarrow as pa

from plait.filters.chunks import ramps, spans
from plait.filters.hints import chunk_hints
from plait.filters.plain_chunks import PlainChunks, plain_chunks
from plait.filters.word_sets import word_hashes
from plait.filters.word_table import facts_of

LONG_CHUNK = 64  # characters; longer chunks (addresses, base64) are split anew each time


class Memo(dict[bytes, int]):
    """Chunk -> its number, for the chunks that are remembered; what is known of them and their words, in arrays.

    Chunk n is `size[n]` characters long, hints at `hint[n]`, and has the words words[first[n] : first[n] + count[n]];
    word m has the facts hash[m], lower[m] and packed[m] (`facts_of`). A word may have several numbers; the characters
    of ASCII have their codes.
    """

    def __init__(self, split: Callable[[str], list[str]], capacity: int, older: Memo | None = None) -> None:
        super().__init__()
        self.split = split
        self.capacity = capacity
        self.older = older
        self.known: dict[str, int] = {}
        self.first, self.count, self.size, self.hint = array("q"), array("q"), array("i"), array("I")
        self.words = array("q")
        self.hash, self.lower, self.packed = array("Q"), array("Q"), array("Q")
        self._name([chr(code) for code in range(128)])

    def numbers(self, chunks: pa.BinaryArray) -> np.ndarray:
        """The number of every chunk, each given once: int64. Those not seen yet are split, and remembered if short."""
        keys: list[bytes] = chunks.to_pylist()
        found = np.fromiter(map(self.get, keys, repeat(-1)), np.int64, len(keys))
        new = np.flatnonzero(found < 0)
        if self.older is not None and len(new):
            asked = (keys[place] for place in new.tolist())
            there = np.fromiter(map(self.older.get, asked, repeat(-1)), np.int64, len(new))
            handed = new[there >= 0]
            found[handed] = self._inherit(self.older, [keys[p] for p in handed.tolist()], there[there >= 0])
            new = new[there < 0]
        if len(new):
            found[new] = self._learn(chunks.take(pa.array(new)), [keys[place] for place in new.tolist()])
        return found

    def _add(self, keys: list[bytes], rows: np.ndarray, count: np.ndarray, size: np.ndarray, hint: np.ndarray) -> range:
        """Numbers for chunks that have the words ``rows``, one after the other."""
        before = len(self.first)
        self.first.frombytes((len(self.words) + np.cumsum(count) - count).tobytes())
        self.words.frombytes(rows.tobytes())
        self.count.frombytes(count.astype(np.int64).tobytes())
        self.size.frombytes(size.astype(np.int32).tobytes())
        self.hint.frombytes(hint.tobytes())
        short = np.flatnonzero(size <= LONG_CHUNK)[: max(self.capacity - len(self), 0)]
        self.update(zip([keys[place] for place in short.tolist()], (short + before).tolist(), strict=True))
        return range(before, before + len(keys))

    def _inherit(self, older: Memo, keys: list[bytes], there: np.ndarray) -> range:
        """Takes over chunks that the older generation has under the numbers ``there``."""
        count = np.frombuffer(older.count, np.int64)[there]
        rows = np.frombuffer(older.words, np.int64)[ramps(np.frombuffer(older.first, np.int64)[there], count)]
        new = np.arange(len(self.hash), len(self.hash) + len(rows))
        for mine, theirs in ((self.hash, older.hash), (self.lower, older.lower), (self.packed, older.packed)):
            mine.frombytes(np.frombuffer(theirs, np.uint64)[rows].tobytes())
        size, hint = np.frombuffer(older.size, np.int32)[there], np.frombuffer(older.hint, np.uint32)[there]
        return self._add(keys, new, count, size, hint)

    def _learn(self, chunks: pa.BinaryArray, keys: list[bytes]) -> np.ndarray:
        """Splits chunks that are new."""
        hints = chunk_hints(chunks.view(pa.string()))
        data, bounds = spans(chunks)
        plain = plain_chunks(data, bounds)
        numbers = np.full(len(keys), -1, np.int64)
        numbers[plain.place] = self._add_plain(plain, keys, np.diff(bounds)[plain.place], hints[plain.place])
        rest = np.flatnonzero(numbers < 0)
        if len(rest):
            asked = [keys[place] for place in rest.tolist()]
            texts = list(map(bytes.decode, asked))
            found = list(map(self.split, texts))
            count = np.fromiter(map(len, found), np.int64, len(found))
            self._name(list(dict.fromkeys(chain.from_iterable(found))))
            total = int(count.sum())
            rows = np.fromiter(map(self.known.__getitem__, chain.from_iterable(found)), np.int64, total)
            size = np.fromiter(map(len, texts), np.int32, len(texts))
            numbers[rest] = self._add(asked, rows, count, size, hints[rest])
            self._forget(word for place in np.flatnonzero(size > LONG_CHUNK).tolist() for word in found[place])
        return numbers

    def _add_plain(self, plain: PlainChunks, keys: list[bytes], size: np.ndarray, hints: np.ndarray) -> range:
        words = plain.mark == 0
        rows = np.where(words, len(self.hash) - 1 + np.cumsum(words), plain.mark)
        self.hash.frombytes(plain.hash.tobytes())
        self.lower.frombytes(plain.lower.tobytes())
        self.packed.frombytes(plain.facts.tobytes())
        return self._add([keys[place] for place in plain.place.tolist()], rows, plain.words, size, hints)

    def _name(self, words: Sequence[str]) -> None:
        """Gives numbers to words that have none, each given once."""
        fresh = [word for word in words if word not in self.known]
        self.known.update(zip(fresh, range(len(self.hash), len(self.hash) + len(fresh)), strict=True))
        self.hash.frombytes(word_hashes(fresh).tobytes())
        self.lower.frombytes(word_hashes(list(map(str.lower, fresh))).tobytes())
        self.packed.frombytes(np.fromiter(map(facts_of, fresh), np.uint64, len(fresh)).tobytes())

    def _forget(self, words: Iterable[str]) -> None:
        """Lets go of the names of some words if they are long, and of all names when there are too many."""
        for word in words:
            if len(word) > LONG_CHUNK:
                self.known.pop(word, None)
        if len(self.known) > self.capacity:
            self.known.clear()
