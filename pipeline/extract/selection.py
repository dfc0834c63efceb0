"""From probabilities to a choice: the set of blocks with the largest expected F1, and the pictures between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract.segment import Layout

Floats = npt.NDArray[np.float64]


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
    return p >= p[order[best]]


def image_probabilities(layout: Layout, p: Floats, words: Floats, reach: int = 12) -> Floats:
    """For each picture the mean probability of the ``reach`` words on each side of it (words of a page's end count 0)."""
    total = np.concatenate(([0.0], np.cumsum(words)))
    mass = np.concatenate(([0.0], np.cumsum(p * words)))
    position = np.array([image.position for image in layout.images], np.int64)
    at = total[position]

    def mass_at(x: Floats) -> Floats:
        return np.interp(x, total, mass)

    low, high = np.maximum(0.0, at - reach), np.minimum(total[-1], at + reach)
    return (mass_at(high) - mass_at(low)) / (2 * reach)
