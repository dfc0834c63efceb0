"""Pictures at the quantiles of scores that need an eye to judge: similarity to the text, aesthetics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from plait.explorer.masking import clipped
from plait.explorer.pictures import SMALL, thumbnail
from plait.explorer.safety import unshown
from plait.explorer.series import floats, picture_rows
from plait.loader import Corpus, Document, Picture, Text

WORDS: Final = ("clip", "similarity", "aesthetic")  # scores of pictures with one of these in their name
QUANTILES: Final = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


@dataclass(frozen=True)
class AtQuantiles:
    """A score of pictures, and the pictures at its quantiles: (quantile, value, data URI, text beside it)."""

    score: str
    values: np.ndarray
    examples: tuple[tuple[float, float, str, str], ...]


def at_quantiles(corpus: Corpus, rows: pa.Table) -> tuple[AtQuantiles, ...]:
    """Every such score that pictures of the corpus carry; none where it has none.

    Args:
        corpus: to read pictures from.
        rows: columns without pictures of its first documents.
    """
    infos, document_of, slot_of = picture_rows(rows)
    found = []
    for field in infos.type:
        if not pa.types.is_floating(field.type) or not any(word in field.name for word in WORDS):
            continue
        if unshown(field.name):
            continue
        values = floats(infos.field(field.name))
        finite = np.flatnonzero(np.isfinite(values))
        if not len(finite):
            continue
        order = finite[np.argsort(values[finite], kind="stable")]
        examples = []
        for quantile in QUANTILES:
            place = int(order[round(quantile * (len(order) - 1))])
            document, slot = corpus[int(document_of[place])], int(slot_of[place])
            node = document.nodes[slot]
            shown = thumbnail(node, SMALL) if isinstance(node, Picture) else ""
            examples.append((quantile, float(values[place]), shown, _beside(document, slot)))
        found.append(AtQuantiles(field.name, values[finite], tuple(examples)))
    return tuple(found)


def _beside(document: Document, slot: int) -> str:
    """The text that CLIP finds most like the picture, else its caption or alternative text, else the nearest text."""
    node = document.nodes[slot]
    matched = node.info.get("matched_text_index") if isinstance(node, Picture) else None
    if isinstance(matched, int) and matched < len(document.texts):
        return clipped(document.texts[matched], 160)
    said = (node.info.get("caption") or node.alt) if isinstance(node, Picture) else None
    texts = [(abs(at - slot), other.text) for at, other in enumerate(document.nodes) if isinstance(other, Text)]
    return clipped(str(said or (min(texts)[1] if texts else "")), 160)
