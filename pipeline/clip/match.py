"""Pictures and spans of one document: similarities, the nearest spans, the assignment that MMC4 makes.

Plain arithmetic on features of length 1; models are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

F32: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matched:
    """What a document's pictures are assigned to, a row a picture.

    Attributes:
        span: number of the span that the picture is assigned to, -1 without spans.
        sim: its cosine.
        top: numbers of the most similar spans, best first, (pictures, k); ties go to the earlier span.
        top_sim: their cosines.
    """

    span: Ints
    sim: F32
    top: Ints
    top_sim: F32


def assign(similarity: F32) -> Ints:
    """The span of each picture: one picture a span so that the sum of cosines is largest, as MMC4 does it.

    Where there are more pictures than spans, those left over go to their best span each.

    Args:
        similarity: (pictures, spans), spans ≥ 1.

    Cost: cubic in the smaller side; 500 pictures and 5,000 spans take under a second.
    """
    from scipy.optimize import linear_sum_assignment

    # Equal sums may be reached in several ways, and the solver's choice depends on the order of rows alone.
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    found: Ints = similarity.argmax(1).astype(np.int64)
    found[rows] = columns
    return found


def nearest(place: int, span_places: Ints, k: int) -> Ints:
    """Numbers of the k spans nearest to a picture in reading order, in reading order.

    Half stand before the picture and half after it, the odd one after; where one side has too few, the other gives
    more.

    Args:
        place: of the picture among the document's nodes.
        span_places: places of the spans' nodes, ascending.
        k: spans wanted.
    """
    first_after = int(np.searchsorted(span_places, place))
    total = len(span_places)
    after = min(total - first_after, max(k - k // 2, k - first_after))
    before = min(first_after, k - after)
    return np.arange(first_after - before, first_after + after)


def best_and_near(similarity: F32, places: Ints, span_places: Ints, near: int) -> tuple[F32, F32]:
    """Cosine of each picture's best span (MMC4's threshold), and of the best of the nearest; NaN without spans.

    Args:
        similarity: cosines (pictures, spans).
        places: of the pictures among the document's nodes.
        span_places: of the spans' nodes, ascending.
        near: spans that count as a picture's neighbourhood.
    """
    pictures, spans = similarity.shape
    if not spans or not pictures:
        nothing = np.full(pictures, np.nan, np.float32)
        return nothing, nothing
    around = [similarity[row, nearest(int(place), span_places, near)].max() for row, place in enumerate(places)]
    return similarity.max(1), np.array(around, np.float32)


def match(similarity: F32, top: int) -> Matched:
    """Assigns pictures to spans.

    Args:
        similarity: cosines (pictures, spans).
        top: spans kept of each picture.
    """
    pictures, spans = similarity.shape
    if not spans or not pictures:
        nothing = np.full(pictures, np.nan, np.float32)
        empty = np.zeros((pictures, 0), np.int64)
        return Matched(np.full(pictures, -1, np.int64), nothing, empty, empty.astype(np.float32))
    kept = min(top, spans)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :kept] if kept else np.zeros((pictures, 0), np.int64)
    chosen = assign(similarity)
    return Matched(
        span=chosen,
        sim=similarity[np.arange(pictures), chosen],
        top=order,
        top_sim=np.take_along_axis(similarity, order, 1),
    )


def rank(best: F32, negatives: F32) -> Ints:
    """Place of each picture's own best cosine among those with texts of other documents: 1 is the best.

    mOSCAR keeps what is among the first 8 of 64 (arXiv 2406.08707, section 3). Equal cosines count against the picture.

    Args:
        best: (pictures,).
        negatives: (pictures, texts of other documents).
    """
    found: Ints = 1 + (negatives >= best[:, None]).sum(1).astype(np.int64)
    return found


def zero_shot(images: F32, prompts: list[tuple[F32, bool]], scale: float) -> F32:
    """Probability that a picture is what prompts say: softmax over all prompts, summed over those that mean yes.

    Args:
        images: features, (n, width).
        prompts: feature and whether it means yes.
        scale: of the model, what cosines are multiplied with.

    Returns:
        (n,), 0 to 1.
    """
    if not len(images):
        return np.zeros(0, np.float32)
    texts = np.stack([feature for feature, _ in prompts])
    yes = np.array([means for _, means in prompts])
    # One row at a time: a product of another shape may round otherwise, and what else is in a batch varies.
    logits = scale * np.stack([texts @ row for row in images]).astype(np.float64)
    share = np.exp(logits - logits.max(1, keepdims=True))
    found: F32 = (share[:, yes].sum(1) / share.sum(1)).astype(np.float32)
    return found
