"""What text is made of: shares of letters, digits, capitals, marks, scripts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from plait.filters import characters
from plait.filters.batch import TextBatch, ratio
from plait.filters.score import Score, of_text
from plait.filters.word_table import UPPER


def alpha_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters that are letters or combining marks."""
    return ratio(text.of_class(characters.ALPHA) + text.of_class(characters.MARK), text.chars)


def letter_ratio(text: TextBatch) -> np.ndarray:
    """Share of letters and combining marks among the characters that are no spaces. mOSCAR keeps at least 0.67."""
    letters = text.of_class(characters.ALPHA) + text.of_class(characters.MARK)
    return ratio(letters, text.line_chars - text.of_class(characters.SPACE))


def digit_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters that are digits. OmniCorpus removes paragraphs above 0.8, mOSCAR nodes above 0.3."""
    return ratio(text.of_class(characters.DIGIT), text.chars)


def upper_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters that are capitals. OmniCorpus removes paragraphs above 0.8, mOSCAR nodes above 0.2."""
    return ratio(text.of_class(characters.UPPER), text.chars)


def punctuation_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters that are punctuation marks (Unicode categories P*)."""
    return ratio(text.of_class(characters.PUNCTUATION), text.chars)


def symbol_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters that are symbols (Unicode categories S*): currency, mathematics, pictographs."""
    return ratio(text.of_class(characters.SYMBOL), text.chars)


def special_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters that are digits, whitespace, punctuation or symbols.

    OBELICS (arXiv 2306.16527, table 3) keeps at most 0.3 in a paragraph and 0.275 in a document.
    """
    special = characters.DIGIT, characters.SPACE, characters.PUNCTUATION, characters.SYMBOL
    total = sum((text.of_class(flag) for flag in special), np.zeros(len(text), np.int64))
    return ratio(total + text.newlines, text.chars)


def han_ratio(text: TextBatch) -> np.ndarray:
    """Share of characters that are Chinese characters."""
    return ratio(text.of_class(characters.HAN), text.chars)


def latin_ratio(text: TextBatch) -> np.ndarray:
    """Share of letters that are Latin."""
    return ratio(text.of_class(characters.LATIN), text.of_class(characters.ALPHA))


def alpha_word_ratio(text: TextBatch) -> np.ndarray:
    """Share of words and marks with a letter. Gopher (appendix A) keeps documents with at least 0.8."""
    return ratio(text.alphabetic_words, text.tokens)


def upper_word_ratio(text: TextBatch) -> np.ndarray:
    """Share of words, more than punctuation, that are all in capitals and longer than one letter."""
    return ratio(text.total_words("upper", lambda words: words.flagged(UPPER)), text.words)


_FLOAT = pa.float64()
SCORES: tuple[Score, ...] = tuple(
    of_text(function, _FLOAT)
    for function in (
        alpha_ratio, letter_ratio, digit_ratio, upper_ratio, punctuation_ratio, symbol_ratio, special_ratio,
        han_ratio, latin_ratio,
        alpha_word_ratio, upper_word_ratio,
    )
)  # fmt: skip
