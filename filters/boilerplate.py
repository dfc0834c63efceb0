"""Boilerplate in text nodes: a yes-or-no score for every sign of `plait.filters.signs`, and what mOSCAR counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from plait.filters.batch import TextBatch
from plait.filters.hints import signs
from plait.filters.score import Score
from plait.filters.signs import MONTH, SIGNS

_DATE = re.compile(
    rf"\b\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}\b|\b\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}\b"
    rf"|\b{MONTH}\.?\s\d{{1,2}}(?:st|nd|rd|th)?,?\s\d{{4}}\b|\b\d{{1,2}}\.?\s{MONTH}\.?,?\s\d{{4}}\b"
)


def _signs(text: TextBatch) -> np.ndarray:
    """The signs of every unit as a set of bits: int64."""
    kept = text.__dict__.get("_signs")
    if kept is None:
        single = text.line_count == 1
        kept = np.zeros(len(text), np.int64)
        kept[single] = text.lines.signs[text.offsets[:-1][single]]
        others = np.flatnonzero(text.line_count > 1)
        if len(others):
            kept[others] = signs([text.texts[place] for place in others.tolist()], text.hints[others])
        text.__dict__["_signs"] = kept
    return np.asarray(kept)


def _sign(bit: int) -> Callable[[TextBatch], np.ndarray]:
    return lambda text: (_signs(text) >> bit) & 1 == 1


def dates(text: TextBatch) -> np.ndarray:
    """Dates in the text. mOSCAR removes nodes with more than one."""
    found = (sum(1 for _ in _DATE.finditer(unit.lower())) if any(map(str.isdigit, unit)) else 0 for unit in text.texts)
    return np.fromiter(found, np.int64, len(text))


def angle_brackets(text: TextBatch) -> np.ndarray:
    """Signs < and > in the text. mOSCAR removes nodes with more than two."""
    return np.fromiter((unit.count("<") + unit.count(">") for unit in text.texts), np.int64, len(text))


def any_curly_bracket(text: TextBatch) -> np.ndarray:
    """Whether the text has a curly bracket of either kind. mOSCAR removes the node."""
    return np.fromiter(("{" in unit or "}" in unit for unit in text.texts), bool, len(text))


def top_char_ratio(text: TextBatch) -> np.ndarray:
    """Share of the most frequent character, spaces left out. mOSCAR removes nodes above 0.33."""
    found = np.full(len(text), np.nan)
    for place, unit in enumerate(text.texts):
        bare = unit.replace(" ", "")
        if bare:
            found[place] = max(Counter(bare).values()) / len(bare)
    return found


SCORES: tuple[Score, ...] = (
    *(Score(sign.name, ("node",), pa.bool_(), sign.doc, text=_sign(bit)) for bit, sign in enumerate(SIGNS)),
    Score("dates", ("node",), pa.int64(), dates.__doc__ or "", text=dates),
    Score("angle_brackets", ("node",), pa.int64(), angle_brackets.__doc__ or "", text=angle_brackets),
    Score("any_curly_bracket", ("node",), pa.bool_(), any_curly_bracket.__doc__ or "", text=any_curly_bracket),
    Score("top_char_ratio", ("node",), pa.float64(), top_char_ratio.__doc__ or "", text=top_char_ratio),
)
