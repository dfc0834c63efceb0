"""The scores there are, by name. A new score: write its function, list it in its file's ``SCORES``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from plait.filters import (
    boilerplate,
    chinese,
    clip_scores,
    composition,
    context,
    external,
    gopher,
    image_scores,
    language,
    length,
    obelics,
    page_scores,
    phrases,
    repetition,
    wordlists,
)
from plait.filters.batch import DocumentBatch
from plait.filters.score import Score

_QUALITY = (
    Score(
        "quality",
        ("document",),
        pa.float64(),
        "Probability of good text by the classifier that the recipe's quality_model names (`plait quality train`).",
        stored=False,
    ),
)

SCORES: dict[str, Score] = {
    score.name: score
    for family in (
        language.SCORES, length.SCORES, composition.SCORES, gopher.SCORES, repetition.SCORES, phrases.SCORES,
        wordlists.SCORES, boilerplate.SCORES, context.SCORES, obelics.SCORES, chinese.SCORES, page_scores.SCORES,
        image_scores.SCORES, clip_scores.SCORES, external.SCORES, _QUALITY,
    )
    for score in family
}  # fmt: skip


def compute(names: Iterable[str], scope: str, documents: DocumentBatch) -> dict[str, pa.Array]:
    """The named scores of every line, text node, image node or document of a batch.

    Args:
        names: of `SCORES`, known at this scope; ``lang`` and ``lang_score`` of documents are the caller's.
        scope: "line", "node" (one row a text node), "image" (one row a node, images and others) or "document".
        documents: the batch.

    Returns:
        Columns by name, of the score's type; NaN becomes null.
    """
    units = {"line": "by_line", "node": "by_node", "document": "by_document"}
    found: dict[str, pa.Array] = {}
    for name in names:
        score = SCORES[name]
        if score.text is not None:
            values = score.text(getattr(documents, units[scope]))
            found[name] = _array(values, score.type)
        elif score.documents is not None:
            value = score.documents(documents)
            found[name] = value if value.type == score.type else value.cast(score.type)
    return found


def _array(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind, from_pandas=True)
