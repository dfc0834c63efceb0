"""Words of whole batches as arrays: each whitespace chunk is split once and remembered.

Nine chunks in ten of a page have been seen before, so a bounded memo from chunk to words does most of the work. Words
become 64-bit hashes of their text: the same word has the same number in every batch, process and year, and two
different words share one with probability 2^-64.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from plait.filters.word_rules import UNSPACED, english_words, words

SYMBOLIC = 1 << 0  # only punctuation marks, in Gopher's sense (`SYMBOLS`)
ALPHABETIC = 1 << 1  # has a letter
PUNCTUATION = 1 << 2  # every character has category P*
TERMINAL = 1 << 3  # is one mark that ends sentences
UPPER = 1 << 4  # has letters, all of them capitals, and is longer than one
LONG_CHUNK = 64  # characters; longer chunks (addresses, base64) are split anew each time

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
_STOP_BIT = {word: 1 << place for place, word in enumerate(GOPHER_STOP_WORDS)}


def word_hash(word: str) -> int:
    """Unsigned 64-bit hash of a word's text, the same everywhere."""
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class HashSet:
    """A set of 64-bit hashes, asked for whole arrays at once.

    A table of 65,536 answers for the lowest bits of a hash rules out nearly every word; the rest are looked up.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        """A set of uint64 hashes, in any order."""
        self.hashes = np.sort(hashes)
        self._maybe = np.zeros(1 << 16, bool)
        self._maybe[(self.hashes & np.uint64(0xFFFF)).astype(np.int64)] = True

    def __len__(self) -> int:
        return len(self.hashes)

    def holds(self, codes: np.ndarray) -> np.ndarray:
        """Whether each hash is in the set: bool."""
        found = self._maybe[codes.astype(np.uint16)]
        asked = np.flatnonzero(found)
        if len(asked):
            place = np.minimum(np.searchsorted(self.hashes, codes[asked]), len(self.hashes) - 1)
            found[asked] = self.hashes[place] == codes[asked]
        return np.asarray(found)


def word_set(listed: Sequence[str]) -> HashSet:
    """The set of some words, for `Words.hash` or, if they are in lower case, `Words.lower`."""
    return HashSet(np.array([word_hash(word) for word in dict.fromkeys(listed)], np.uint64))


def _flags(word: str) -> int:
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


@dataclass(frozen=True)
class Words:
    """The words of a list of texts, one after the other.

    Attributes:
        offsets: int64 of length texts + 1; words offsets[i] : offsets[i + 1] are text i's.
        hash: uint64, of the word as written.
        lower: uint64, of the word in lower case.
        length: int32, in characters.
        flags: uint8, the sets defined above.
        stop: uint8, one bit for each of Gopher's eight stop words.
        chunks: int64 of length texts: whitespace-separated chunks of every text.
        longest: int32 of length texts: characters of the longest chunk, 0 where there is none.
    """

    offsets: np.ndarray
    hash: np.ndarray
    lower: np.ndarray
    length: np.ndarray
    flags: np.ndarray
    stop: np.ndarray
    chunks: np.ndarray
    longest: np.ndarray

    def take(self, kept: np.ndarray) -> Words:
        """The words of the texts that the mask keeps."""
        counts = np.diff(self.offsets)
        words_kept = np.repeat(kept, counts)
        offsets = np.concatenate([[0], np.cumsum(counts[kept])])
        return Words(
            offsets, self.hash[words_kept], self.lower[words_kept], self.length[words_kept], self.flags[words_kept],
            self.stop[words_kept], self.chunks[kept], self.longest[kept],
        )  # fmt: skip

    def joined(self, other: Words) -> Words:
        """These texts followed by others."""
        pairs = [
            (self.hash, other.hash), (self.lower, other.lower), (self.length, other.length), (self.flags, other.flags),
            (self.stop, other.stop), (self.chunks, other.chunks), (self.longest, other.longest),
        ]  # fmt: skip
        return Words(np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]), *map(np.concatenate, pairs))

    def select(self, order: np.ndarray) -> Words:
        """The words of the texts at the indices given, in that order."""
        counts = np.diff(self.offsets)[order]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        place = np.arange(int(offsets[-1])) + np.repeat(self.offsets[order] - offsets[:-1], counts)
        return Words(
            offsets, self.hash[place], self.lower[place], self.length[place], self.flags[place], self.stop[place],
            self.chunks[order], self.longest[order],
        )  # fmt: skip


class _Memo(dict[str, int]):
    """Chunk -> its index; a chunk not seen yet is split, and remembered while there is room.

    The words of a chunk stand in three parallel arrays: hash, hash in lower case, and length, stop word and flags
    packed into one number.
    """

    def __init__(self, split: Callable[[str], list[str]], capacity: int, older: _Memo | None = None) -> None:
        super().__init__()
        self.split = split
        self.capacity = capacity
        self.older = older
        self.known: dict[str, tuple[int, int, int]] = {}
        self.first, self.count, self.size = array("q"), array("i"), array("i")
        self.hash, self.lower, self.packed = array("Q"), array("Q"), array("Q")

    def facts(self, word: str) -> tuple[int, int, int]:
        """Hash, hash in lower case, and the packed rest of a word."""
        code = word_hash(word)
        small = word.lower()
        lower = code
        if small != word:
            seen = self.known.get(small)
            lower = seen[0] if seen else word_hash(small)
        found = (code, lower, len(word) << 16 | _STOP_BIT.get(word, 0) << 8 | _flags(word))
        if len(word) <= LONG_CHUNK and len(self.known) < self.capacity:
            self.known[word] = found
        return found

    def __missing__(self, chunk: str) -> int:
        index = len(self.first)
        self.first.append(len(self.hash))
        self.size.append(len(chunk))
        place = self.older.get(chunk) if self.older is not None else None
        if self.older is not None and place is not None:
            low = self.older.first[place]
            high = low + self.older.count[place]
            self.count.append(high - low)
            self.hash.extend(self.older.hash[low:high])
            self.lower.extend(self.older.lower[low:high])
            self.packed.extend(self.older.packed[low:high])
        else:
            found = self.split(chunk)
            self.count.append(len(found))
            for word in found:
                code, lower, packed = self.known.get(word) or self.facts(word)
                self.hash.append(code)
                self.lower.append(lower)
                self.packed.append(packed)
        if len(chunk) <= LONG_CHUNK and len(self) < self.capacity:
            self[chunk] = index
        return index


class Vocabulary:
    """A memo from chunks to words, bounded to two generations of ``capacity`` chunks.

    A full generation becomes the older one, which only hands over what is asked for again: chunks that stay in use
    survive, others go.
    """

    def __init__(self, english_only: bool = False, capacity: int = 100_000) -> None:
        """An empty memo.

        Args:
            english_only: English conventions for every script; else characters of scripts without spaces are words.
            capacity: chunks of a generation, about 0.7 KB each.
        """
        self._capacity = capacity
        self._memo = _Memo(english_words if english_only else words, capacity)

    def encode(self, texts: Sequence[str]) -> Words:
        """The words of the texts. What it gives for a text does not depend on what came before."""
        if len(self._memo.first) >= self._capacity:
            self._memo.older = None
            self._memo = _Memo(self._memo.split, self._capacity, self._memo)
        memo = self._memo
        parts = [text.split() for text in texts]
        chunks = np.fromiter(map(len, parts), np.int64, len(parts))
        total = int(chunks.sum())
        index = np.fromiter(map(memo.__getitem__, chain.from_iterable(parts)), np.int64, total)
        if not total:
            return _wordless(chunks)
        count = np.frombuffer(memo.count, np.int32)[index].astype(np.int64)
        first = np.frombuffer(memo.first, np.int64)[index]
        size = np.frombuffer(memo.size, np.int32)[index]
        chunk_ends = np.cumsum(chunks)
        word_ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
        offsets = np.concatenate([np.zeros(1, np.int64), word_ends[chunk_ends]])
        # Word j of chunk c stands at first[c] + j: a ramp that starts anew at every chunk.
        place = np.arange(int(word_ends[-1]), dtype=np.int64) + np.repeat(first - word_ends[:-1], count)
        longest = np.zeros(len(parts), np.int32)
        full = np.flatnonzero(chunks)
        longest[full] = np.maximum.reduceat(size, (chunk_ends - chunks)[full])
        packed = np.frombuffer(memo.packed, np.uint64)[place]
        return Words(
            offsets,
            np.frombuffer(memo.hash, np.uint64)[place],
            np.frombuffer(memo.lower, np.uint64)[place],
            (packed >> np.uint64(16)).astype(np.int32),
            packed.astype(np.uint8),
            (packed >> np.uint64(8)).astype(np.uint8),
            chunks,
            longest,
        )


def _wordless(chunks: np.ndarray) -> Words:
    """Words of texts that have none."""
    none, small = np.zeros(0, np.uint64), np.zeros(0, np.uint8)
    offsets = np.zeros(len(chunks) + 1, np.int64)
    return Words(offsets, none, none, np.zeros(0, np.int32), small, small, chunks, np.zeros(len(chunks), np.int32))


@functools.cache
def vocabulary() -> Vocabulary:
    """The process' memo."""
    return Vocabulary()


def unspaced(text: str) -> bool:
    """Whether a text has characters of a script that writes no spaces between words."""
    return not text.isascii() and UNSPACED.search(text) is not None
