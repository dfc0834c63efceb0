"""Marks and phrases that give boilerplate away: C4's and FineWeb's line rules.

C4: arXiv 1910.10683, section 2.2, with the additions of its released code (policy phrases, citations, long words);
FineWeb: arXiv 2406.17557, section 3.6.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from plait.filters.batch import TextBatch, ratio
from plait.filters.hints import LOREM
from plait.filters.score import Score, of_text
from plait.filters.word_table import TERMINAL_MARKS

C4_ENDS = (".", "?", "!", '"', "'")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_POLICY = re.compile("terms of use|(?:privacy|cookie) policy|uses? (?:of )?cookies")
_TERMINAL = tuple(sorted(TERMINAL_MARKS))
SHORT_LINE = 30  # characters; FineWeb


def lorem_ipsum(text: TextBatch) -> np.ndarray:
    """Whether the placeholder "lorem ipsum" stands in the text (any case). C4 and OmniCorpus drop the page."""
    found = (text.lines.words.hints & LOREM) != 0
    for place in np.flatnonzero(found).tolist():
        found[place] = "lorem ipsum" in text.lines.texts[place].lower()
    return text.total(found) > 0


def curly_bracket(text: TextBatch) -> np.ndarray:
    """Whether the text has an opening curly bracket. C4 drops the page."""
    return text.count_lines(["{" in line for line in text.lines.texts]) > 0


def javascript(text: TextBatch) -> np.ndarray:
    """Whether the word "javascript" stands in the text (any case). C4 drops the line."""
    return text.count_lines(["javascript" in line for line in text.lines.saying("javascript")]) > 0


def policy_phrase(text: TextBatch) -> np.ndarray:
    """Whether a line speaks of cookies, terms of use or a privacy policy. C4's code drops the line."""
    hits = [
        ("cookie" in line or "polic" in line or "terms of" in line) and _POLICY.search(line) is not None
        for line in text.lines.saying("cookie", "polic", "terms of")
    ]
    return text.count_lines(hits) > 0


def ends_sentence(text: TextBatch) -> np.ndarray:
    """Whether the text ends as C4 asks of a line: with . ? ! or a quotation mark, but not with three dots."""
    return np.fromiter(
        (unit.endswith(C4_ENDS) and not unit.endswith("...") for unit in map(str.strip, text.texts)), bool, len(text)
    )


def terminal_line_ratio(text: TextBatch) -> np.ndarray:
    """Share of lines that end with a terminal mark of any script. FineWeb keeps documents with at least 0.12."""
    return ratio(text.count_lines([line.endswith(_TERMINAL) for line in text.lines.texts]), text.visible_lines)


def short_line_ratio(text: TextBatch) -> np.ndarray:
    """Share of lines of at most 30 characters. FineWeb keeps documents with at most 0.67."""
    return ratio(text.total((text.lines.chars <= SHORT_LINE) & text.lines.visible), text.visible_lines)


def newline_ratio(text: TextBatch) -> np.ndarray:
    """Line feeds per word or mark. FineWeb keeps documents with at most 0.3."""
    return ratio(text.newlines, text.tokens)


_BOOL, _FLOAT = pa.bool_(), pa.float64()
SCORES: tuple[Score, ...] = (
    *(of_text(function, _BOOL) for function in (lorem_ipsum, curly_bracket, javascript, policy_phrase)),
    of_text(ends_sentence, _BOOL, ("line", "node")),
    *(of_text(function, _FLOAT, ("document",)) for function in (terminal_line_ratio, short_line_ratio, newline_ratio)),
)
