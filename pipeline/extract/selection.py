"""From probabilities to a choice: the set of blocks with the largest expected F1, and the pictures between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.frame import Floats
from plait.pipeline.extract.segment import Layout

_IMAGE_LEAST = 0.45  # largest image F1 on WCXB, cross-validated
_REPEAT_WORDS = 3  # words; shorter texts may stand twice ("Yes", a price)


def expected_f1_set(p: Floats, words: Floats) -> npt.NDArray[np.bool_]:
    """The set of blocks whose expected word F1 is largest.

    F1 of a set S against unknown truth T is 2·|S∩T| / (|S| + |T|); with expectations in numerator and denominator the
    best set is the blocks above some probability, so one sort finds it.

    Args:
        p: probability that a block is content.
        words: its words.
    """
    order = np.argsort(-p, kind="stable")
    hit = np.cumsum((p * words)[order])
    size = np.cumsum(words[order])
    expected = 2.0 * hit / (size + hit[-1] + 1e-9)
    # among equals the larger set, so that blocks of equal probability stay together
    best = len(p) - 1 - int(np.argmax(expected[::-1]))
    return np.asarray(p >= p[order[best]])


def drop_repeats(layout: Layout, keep: npt.NDArray[np.bool_], words: Floats) -> npt.NDArray[np.bool_]:
    """Keep the first of several kept blocks with the same text; code and table cells may repeat.

    Pages repeat blocks for phones, print and quotes; a reader sees one of them.
    """
    out = keep.copy()
    seen: set[str] = set()
    for block in np.flatnonzero(keep & (words >= _REPEAT_WORDS)):
        if layout.b_context[block] & (voc.PRE | voc.TABLE):
            continue
        text = layout.b_text[block]
        if text in seen:
            out[block] = False
        seen.add(text)
    return out


def image_probabilities(layout: Layout, p: Floats, words: Floats, reach: int = 12) -> Floats:
    """For each picture the mean probability of the ``reach`` words on each side of it; beyond the page it is 0."""
    total = np.concatenate(([0.0], np.cumsum(words)))
    mass = np.concatenate(([0.0], np.cumsum(p * words)))
    position = np.array([image.position for image in layout.images], np.int64)
    at = total[position]
    low, high = np.maximum(0.0, at - reach), np.minimum(total[-1], at + reach)
    return np.asarray((np.interp(high, total, mass) - np.interp(low, total, mass)) / (2 * reach))


def choose_images(layout: Layout, p: Floats, keep: npt.NDArray[np.bool_], words: Floats) -> npt.NDArray[np.bool_]:
    """The pictures whose surroundings are content: mean probability of the words around at least ``_IMAGE_LEAST``.

    Args:
        layout: the page.
        p: probability of each block.
        keep: the chosen blocks.
        words: words of each block.
    """
    if not layout.images:
        return np.zeros(0, np.bool_)
    return image_probabilities(layout, p, words) >= _IMAGE_LEAST
