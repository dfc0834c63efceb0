"""What rules kept and nearly dropped: the documents and pictures whose scores lie nearest to a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.explorer.masking import clipped
from plait.explorer.pictures import SMALL, thumbnail
from plait.explorer.safety import unshown
from plait.explorer.series import picture_numbers, picture_rows, thresholds
from plait.filters.rules import Rule
from plait.loader import Corpus, Document, Picture

NEAR: Final = 3  # of each rule
SCALE: Final = 0.5
"""How near is near: half of the distance between the score's 5% and 95% quantiles; a rule far from what it sees has
no near examples."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Near:
    """Something kept that lies near a threshold.

    Attributes:
        score: name of the score.
        limit: the threshold.
        picture: data URI, "" where there is none.
    """

    score: str
    value: float
    limit: float
    title: str
    url: str
    text: str
    picture: str


def nearest(values: Floats, limit: float, count: int) -> Ints:
    """Places of the values nearest to a limit, nearest first; none where all are far (see `SCALE`)."""
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return finite
    low, high = np.quantile(values[finite], [0.05, 0.95])
    distance = np.abs(values[finite] - limit)
    order = np.argsort(distance, kind="stable")[:count]
    near = distance[order] <= SCALE * max(high - low, 0.0)
    return np.asarray(finite[order[near]], np.int64)


def nearly_dropped(corpus: Corpus, rows: pa.Table, rules: Sequence[Rule]) -> dict[str, list[Near]]:
    """Examples by the rule's name, from a sample of the corpus' head.

    Args:
        corpus: to read them from.
        rows: columns without pictures of its first documents.
        rules: of its recipe. Rules of safety have no examples.
    """
    pictures, document_of, slot_of = picture_rows(rows)
    facts = picture_numbers(pictures)
    found: dict[str, list[Near]] = {}
    for rule in rules:
        if unshown(rule.name) or rule.scope not in ("document", "image"):
            continue
        table = rows if rule.scope == "document" else facts
        for score, limit in thresholds(rule.keep):
            if score not in table.column_names:
                continue
            values = table.column(score).to_numpy().astype(np.float64)
            for place in nearest(values, limit, NEAR):
                at = int(place) if rule.scope == "document" else int(document_of[place])
                slot = None if rule.scope == "document" else int(slot_of[place])
                found.setdefault(rule.name, []).append(_near(corpus[at], slot, score, float(values[place]), limit))
    return found


def _near(document: Document, slot: int | None, score: str, value: float, limit: float) -> Near:
    """An example of a document, or of its picture at a slot."""
    title = clipped(str(document.fields.get("title") or ""), 120)
    if slot is not None:
        node = document.nodes[slot]
        shown = thumbnail(node, SMALL) if isinstance(node, Picture) else ""
        said = clipped(getattr(node, "alt", None) or "", 120)
        return Near(score, value, limit, title, clipped(getattr(node, "url", None) or ""), said, shown)
    text = clipped(" ".join(document.texts[:4]), 240)
    first = next((picture for picture in document.images if picture.data is not None), None)
    return Near(
        score, value, limit, title, clipped(document.url), text, thumbnail(first, SMALL) if first is not None else ""
    )
