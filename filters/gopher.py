"""Gopher's quality rules (arXiv 2112.11446, appendix A, table A1), as far as they are not plain lengths.

The rules' thresholds stand in recipes; equality with datatrove's implementation is tested.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from plait.filters.batch import TextBatch, ratio
from plait.filters.score import Score, of_text


def _all_lines(text: TextBatch) -> np.ndarray:
    """Lines of every unit, blank ones between others included."""
    return np.where(text.line_count > 0, text.newlines + 1, 0)


def hash_ratio(text: TextBatch) -> np.ndarray:
    """Number signs per word or mark. Gopher keeps documents with at most 0.1."""
    per_line = np.fromiter((line.count("#") for line in text.lines.texts), np.int64, len(text.lines.texts))
    return ratio(text.total(per_line), text.tokens)


def ellipsis_ratio(text: TextBatch) -> np.ndarray:
    """Ellipses ("..." or "…") per word or mark. Gopher keeps documents with at most 0.1."""
    counts = (line.count("...") + line.count("…") for line in text.lines.texts)
    return ratio(text.total(np.fromiter(counts, np.int64, len(text.lines.texts))), text.tokens)


def bullet_line_ratio(text: TextBatch) -> np.ndarray:
    """Share of lines that begin with a bullet ("•" or "-"). Gopher keeps documents with at most 0.9."""
    return ratio(
        text.count_lines([line.lstrip().startswith(("•", "-")) for line in text.lines.texts]), _all_lines(text)
    )


def ellipsis_line_ratio(text: TextBatch) -> np.ndarray:
    """Share of lines that end with an ellipsis. Gopher keeps documents with at most 0.3."""
    return ratio(
        text.count_lines([line.rstrip().endswith(("...", "…")) for line in text.lines.texts]), _all_lines(text)
    )


def english_stop_words(text: TextBatch) -> np.ndarray:
    """How many of the eight words the, be, to, of, and, that, have, with occur. Gopher asks for 2."""
    stop = text.lines.words.table.stop[text.lines.words.codes]
    found = np.zeros(len(text), np.int64)
    full = np.flatnonzero(text.tokens)
    if len(full):
        sets = np.bitwise_or.reduceat(stop, text.word_offsets[:-1][full])
        found[full] = np.bitwise_count(sets)
    return found


_FLOAT = pa.float64()
SCORES: tuple[Score, ...] = (
    of_text(hash_ratio, _FLOAT),
    of_text(ellipsis_ratio, _FLOAT),
    of_text(bullet_line_ratio, _FLOAT),
    of_text(ellipsis_line_ratio, _FLOAT),
    of_text(english_stop_words, pa.int64()),
)
