"""Stop words and flagged words by language, and the scores that count them."""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections.abc import Callable
from functools import partial
from importlib import resources

import numpy as np
import pyarrow as pa

from plait.filters.batch import TextBatch, ratio
from plait.filters.score import Score, of_text
from plait.filters.vocabulary import unspaced
from plait.filters.word_sets import HashSet, word_set
from plait.filters.word_table import Words

WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo"})


@functools.cache
def load(name: str) -> dict[str, list[str]]:
    """A list of `plait.filters.lists` by its file's name without endings: words by language or kind."""
    data = resources.files("plait.filters.lists").joinpath(f"{name}.json.gz").read_bytes()
    found: dict[str, list[str]] = json.loads(gzip.decompress(data))
    return found


@functools.cache
def _hashed(name: str, language: str) -> HashSet:
    """A language's words; phrases of several words are left out."""
    return word_set([word for word in load(name).get(language, []) if " " not in word])


@functools.cache
def _pattern(name: str, language: str) -> re.Pattern[str] | None:
    """One expression for all words of a language without spaces, the longest first."""
    listed = sorted((w for w in load(name).get(language, []) if unspaced(w)), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, listed))) if listed else None


def _by_language(text: TextBatch, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Words of every unit that are in its language's list, and whether there is such a list."""
    langs = np.asarray(text.langs, dtype=object)
    counts, known = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
    for language in dict.fromkeys(text.langs):
        chosen = np.asarray(langs == language, bool)
        if language in WITHOUT_SPACES:
            pattern = _pattern(name, language)
            if pattern is not None:
                known |= chosen
                for unit in np.flatnonzero(chosen).tolist():
                    counts[unit] = sum(1 for _ in pattern.finditer(text.texts[unit]))
            continue
        listed = _hashed(name, language)
        if not len(listed):
            continue
        known |= chosen
        found = text.total_words(f"{name}:{language}", partial(Words.lower_among, listed=listed))
        counts = np.where(chosen, found, counts)
    return counts, known


def _share(name: str) -> Callable[[TextBatch], np.ndarray]:
    def score(text: TextBatch) -> np.ndarray:
        counts, known = _by_language(text, name)
        return np.where(known, ratio(counts, text.words), np.nan)

    return score


def flagged_distinct(text: TextBatch) -> np.ndarray:
    """Different flagged words of the language in the text. mOSCAR drops documents with 2 or more."""
    found = np.zeros(len(text), np.int64)
    suspects, _ = _by_language(text, "flagged")
    for unit in np.flatnonzero(suspects > 1).tolist():
        language = text.langs[unit]
        pattern = _pattern("flagged", language) if language in WITHOUT_SPACES else None
        if pattern is not None:
            found[unit] = len({match[0] for match in pattern.finditer(text.texts[unit])})
        else:
            words = text.lines.words
            codes = words.table.lower[words.codes[text.word_offsets[unit] : text.word_offsets[unit + 1]]]
            found[unit] = len(np.unique(codes[_hashed("flagged", language).holds(codes)]))
    return np.where(suspects == 1, 1, found)


_SPAM = (
    "viagra cialis levitra xanax casino casinos slots poker roulette jackpot betting payday forex bitcoin escort "
    "escorts porn sex xxx cheap coupon coupons discount replica rolex giveaway unsubscribe earn loan loans"
)


@functools.cache
def _spam_words() -> HashSet:
    return word_set(_SPAM.split())


def spam_word_ratio(text: TextBatch) -> np.ndarray:
    """Share of words of advertising and spam (plait's own list of 31 English words). OBELICS keeps less than 0.12."""
    return ratio(text.total_words("spam", lambda words: words.lower_among(_spam_words())), text.words)


_FUNCTION_WORDS = ("the", "is", "are", "am", "to", "of", "and", "that", "have", "with")


@functools.cache
def _function_words() -> HashSet:
    return word_set(_FUNCTION_WORDS)


def english_function_words(text: TextBatch) -> np.ndarray:
    """Occurrences of the, is, are, am, to, of, and, that, have, with, as written. OmniCorpus asks for 2."""
    return text.total_words("function_words", lambda words: words.among(_function_words()))


_FLOAT = pa.float64()
SCORES: tuple[Score, ...] = (
    Score(
        "stopword_ratio",
        ("node", "document"),
        _FLOAT,
        "Stop words of the document's language per word; null for languages without a list and without spaces. "
        "OBELICS (arXiv 2306.16527, table 3) keeps at least 0.3 in a paragraph and 0.35 in a document.",
        text=lambda text: np.where(np.isin(text.langs, list(WITHOUT_SPACES)), np.nan, _share("stopwords")(text)),
    ),
    Score(
        "flagged_word_ratio",
        ("node", "document"),
        _FLOAT,
        "Flagged words of the document's language per word; null for languages without a list. OBELICS keeps at most "
        "0.01, OmniCorpus less than 0.02.",
        text=_share("flagged"),
    ),
    of_text(english_function_words, pa.int64(), ("document",)),
    of_text(flagged_distinct, pa.int64(), ("document",)),
    of_text(spam_word_ratio, _FLOAT, ("node", "document")),
)
