"""Token scores: what the tags, classes, ids and roles on the way to a block say, as a linear model over hashed tokens.

Only names in the markup are looked at, never words of the text, so the score means the same in every language.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract.segment import Layout
from plait.pipeline.extract.vocabulary import words_of

BITS = 15
SPACES = 3  # path, own element, first inline element: each has weights of its own
SIZE = SPACES << BITS
_LONGEST = 24  # characters; longer words are generated names
_MEMO_LIMIT = 100_000

_token_memo: dict[tuple[str, str], tuple[int, ...]] = {}


def tokens_of(tag: str, raw: str) -> tuple[int, ...]:
    """Hashed tokens of an element, below ``1 << BITS``: its tag and the words of its class, id and role; remembered."""
    key = (tag, raw)
    found = _token_memo.get(key)
    if found is None:
        words = {tag, *(w for w in words_of(raw) if len(w) <= _LONGEST and not w.isdigit())} if raw else {tag}
        found = tuple(zlib.crc32(w.encode()) & ((1 << BITS) - 1) for w in sorted(words))
        if len(_token_memo) >= _MEMO_LIMIT:
            _token_memo.clear()
        _token_memo[key] = found
    return found


class TokenModel:
    """Weights of the hashed tokens, and sums of them remembered by element."""

    def __init__(self, weights: npt.NDArray[np.floating]) -> None:
        self._path: list[float] = weights[: 1 << BITS].tolist()
        self._own: list[float] = weights[1 << BITS : 2 << BITS].tolist()
        self._inner: list[float] = weights[2 << BITS :].tolist()
        self._memo: dict[tuple[str, str], tuple[float, float]] = {}
        self._inner_memo: dict[str, float] = {}

    def _element(self, tag: str, raw: str) -> tuple[float, float]:
        key = (tag, raw)
        found = self._memo.get(key)
        if found is None:
            tokens = tokens_of(tag, raw)
            found = (sum(self._path[t] for t in tokens), sum(self._own[t] for t in tokens))
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[key] = found
        return found

    def _inline(self, raw: str) -> float:
        found = self._inner_memo.get(raw)
        if found is None:
            found = sum(self._inner[t] for t in tokens_of("", raw))
            if len(self._inner_memo) >= _MEMO_LIMIT:
                self._inner_memo.clear()
            self._inner_memo[raw] = found
        return found

    def score(self, layout: Layout) -> npt.NDArray[np.float64]:
        """Scores of the blocks, shape (blocks, 3): sum over the path, own element, first inline element."""
        path, own = [0.0] * len(layout.e_tag), [0.0] * len(layout.e_tag)
        parents = layout.e_parent
        for e, (tag, raw) in enumerate(zip(layout.e_tag, layout.e_raw, strict=True)):
            if e:
                along, here = self._element(tag, raw)
                path[e] = path[parents[e]] + along
                own[e] = here
        element = np.array(layout.b_element, np.int64)
        inner = [self._inline(raw) if raw else 0.0 for raw in layout.b_inner]
        return np.stack([np.array(path)[element], np.array(own)[element], np.array(inner, np.float64)], axis=1)
