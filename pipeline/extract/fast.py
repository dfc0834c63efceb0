"""The rule-based choice of blocks: a table of points, no model.

Each rule adds or takes points where it applies; a block's sum becomes a probability, and the set of blocks with
the largest expected F1 is kept, as with the classifier. The points are a logistic fit to WCXB, rounded by hand: 0.85
word F1 of blocks when fitted and scored on different domains.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.completion import complete
from plait.pipeline.extract.features import (
    KINDS,
    container_columns,
    flag_columns,
    heading_columns,
    main_columns,
    running_sums,
    tag_groups,
    text_columns,
    title_column,
    window_columns,
)
from plait.pipeline.extract.frame import Floats, Frame, frame
from plait.pipeline.extract.segment import Layout
from plait.pipeline.extract.selection import choose_images, drop_repeats, expected_f1_set

_BIAS = -1.4
_LONG = 40.0  # words: more make no block likelier
_WORDS_A_BLOCK = 30.0  # of a container: likewise
# Points for standing in an element of this kind that holds less than 5/9 of the page's words.
_TEMPLATE_POINTS = {
    voc.NAV: -1.6, voc.FOOTER: -3.8, voc.HEADER: -0.7, voc.ASIDE: -1.8, voc.FORM: -2.1, voc.UNLIKELY: -1.4,
    voc.COMMENT: -2.1, voc.HIDDEN: -0.8, voc.BUTTON: -1.2,
}  # fmt: skip


def probabilities(layout: Layout, f: Frame, title: str | None) -> Floats:
    """Probability of each block to be main content, by the points of the rules that apply to it."""
    count = len(layout.b_text)
    text = text_columns(layout, f)
    link = text[2]
    tag = tag_groups(layout)
    sums, prose = running_sums(layout, f, text, np.zeros(count))
    near3, near8, near20 = np.split(np.stack(window_columns(sums, count)), 3)
    levels = np.split(np.stack(container_columns(f, sums, count)), len(f.containers))
    inside_half, _, _, inside_most, _, _ = main_columns(f, prose)
    flags = flag_columns(layout, f)
    context = np.array(layout.b_context, np.int64)
    from_h1 = heading_columns(tag)[3]
    place = np.arange(count) / count
    signature_words = np.bincount(f.signature, f.words, minlength=f.signatures)
    signature_prose = np.bincount(f.signature, prose, minlength=f.signatures) / np.maximum(1.0, signature_words)
    signature_link = np.bincount(f.signature, f.words * link, minlength=f.signatures) / np.maximum(1.0, signature_words)
    points = np.full(count, _BIAS)
    kinds = dict(zip(KINDS, flags, strict=False))  # the block's context follows
    for kind, value in _TEMPLATE_POINTS.items():
        points += value * (kinds[kind] > 0.5)
    points += 0.5 * (kinds[voc.ARTICLE] > 0)
    points += 0.4 * np.minimum(f.words, _LONG) / _LONG - 1.2 * link
    points += 0.8 * ((tag >= 6) & (tag <= 9)) - 1.0 * (tag == 6)
    points += 0.6 * ((context & voc.TABLE) != 0) + 0.2 * ((context & voc.ITEM) != 0) - 0.4 * ((context & voc.PRE) != 0)
    points -= 2.5 * ((context & voc.CAPTION) != 0)
    points += 0.3 * near3[2] - 0.1 * near8[2] - 0.95 * near20[2] - 1.0 * near8[1]
    points += 1.0 * np.minimum(levels[0][1], _WORDS_A_BLOCK) / _WORDS_A_BLOCK - 0.4 * levels[0][4] - 0.5 * levels[0][5]
    points += 0.2 * levels[1][5] - 0.3 * levels[1][4] + 0.3 * levels[2][5] + 1.7 * levels[2][4]
    points += 1.4 * inside_half + 0.8 * inside_most
    points -= 1.7 * ((from_h1 < 0) & (from_h1 > -5))
    points += (0.9 * signature_prose + 0.6 * signature_link)[f.signature]
    points -= 1.2 * (title_column(layout, title) > 0.3) + 1.0 * (place > 0.9)
    return np.asarray(1.0 / (1.0 + np.exp(-points)))


def choose(layout: Layout, title: str | None) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Flags of the blocks and of the pictures to keep."""
    f = frame(layout)
    p = probabilities(layout, f, title)
    keep = complete(layout, expected_f1_set(p, f.words), p, f)
    return drop_repeats(layout, keep, f.words), choose_images(layout, p, keep, f)
