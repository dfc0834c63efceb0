"""The rule-based choice of blocks: a table of points, no model.

Each rule adds or takes points where it applies; a block's sum becomes a probability, and the set of blocks with
the largest expected F1 is kept, as with the classifier. The points are a logistic fit to WCXB, rounded by hand: 0.85
word F1 of blocks when fitted and scored on different domains.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.completion import add_title, complete, drop_last_headings, template_elements
from plait.pipeline.extract.features import (
    KINDS,
    kind_columns,
    link_shares,
    prose_words,
    tag_groups,
    title_column,
)
from plait.pipeline.extract.frame import Floats, Frame, Ints, frame, prefix, window
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
# No picture in an element that says it is hidden, beside the content or around it, and holds less than half of the
# page's words. Of the words there the points above decide; a picture has no words of its own. Image F1 with and without
# this rule: .770 and .765 on every 3rd page of WCXB, .927 and .900 on the Readability pages. Forms, buttons and what
# classes alone call comments or unlikely hold pictures of the content: to bar these too takes .010 on every 9th page.
_APART = voc.HIDDEN | voc.NAV | voc.FOOTER | voc.ASIDE


def _inside_main(f: Frame, prose: Floats, least: float) -> npt.NDArray[np.bool_]:
    """Is the block in the deepest element that holds at least this share of the page's prose? All are, without any."""
    total = prefix(prose)
    index = np.arange(len(prose))
    if total[-1] <= 0:
        return np.ones(len(prose), np.bool_)
    main = np.flatnonzero((total[f.end] - total[f.first]) / total[-1] >= least)[-1]
    return np.asarray((index >= f.first[main]) & (index < f.end[main]))


def probabilities(layout: Layout, f: Frame, title: str | None) -> Floats:
    """Probability of each block to be main content, by the points of the rules that apply to it."""
    count = len(layout.b_text)
    index = np.arange(count)
    link = link_shares(layout, f)
    prose = prose_words(layout, f, link)
    words, linked, prosaic = prefix(f.words), prefix(f.words * link), prefix(prose)
    tag = tag_groups(layout)

    def shares(low: Ints, high: Ints) -> tuple[Floats, Floats, Floats]:
        """Words, share of them in links, share of them in prose, over ranges of blocks."""
        held = window(words, low, high)
        size = np.maximum(1.0, held)
        return held, window(linked, low, high) / size, window(prosaic, low, high) / size

    def near(reach: int) -> tuple[Floats, Floats, Floats]:
        return shares(np.maximum(0, index - reach), np.minimum(count, index + reach + 1))

    (_, _, prose3), (_, link8, prose8), (_, _, prose20) = near(3), near(8), near(20)
    low, high = f.first[f.containers[0]], f.end[f.containers[0]]
    held0, link0, prose0 = shares(low, high)
    mean0 = held0 / np.maximum(1.0, (high - low).astype(np.float64))  # words a block
    _, link1, prose1 = shares(f.first[f.containers[1]], f.end[f.containers[1]])
    _, link2, prose2 = shares(f.first[f.containers[2]], f.end[f.containers[2]])
    context = f.context
    h1 = np.flatnonzero(tag == 6)
    signature_words = np.maximum(1.0, np.bincount(f.signature, f.words, minlength=f.signatures))
    signature_prose = np.bincount(f.signature, prose, minlength=f.signatures) / signature_words
    signature_link = np.bincount(f.signature, f.words * link, minlength=f.signatures) / signature_words
    points = np.full(count, _BIAS)
    kinds = dict(zip(KINDS, kind_columns(layout, f), strict=True))
    for kind, value in _TEMPLATE_POINTS.items():
        points += value * (kinds[kind] > 0.5)
    points += 0.5 * (kinds[voc.ARTICLE] > 0)
    points += 0.4 * np.minimum(f.words, _LONG) / _LONG - 1.2 * link
    points += 0.8 * ((tag >= 6) & (tag <= 9)) - 1.0 * (tag == 6)
    points += 0.6 * ((context & voc.TABLE) != 0) + 0.2 * ((context & voc.ITEM) != 0) - 0.4 * ((context & voc.PRE) != 0)
    points -= 2.5 * ((context & voc.CAPTION) != 0)
    points += 0.3 * prose3 - 0.1 * prose8 - 0.95 * prose20 - 1.0 * link8
    points += 1.0 * np.minimum(mean0, _WORDS_A_BLOCK) / _WORDS_A_BLOCK - 0.4 * link0 - 0.5 * prose0
    points += 0.2 * prose1 - 0.3 * link1 + 0.3 * prose2 + 1.7 * link2
    points += 1.4 * _inside_main(f, prose, 0.5) + 0.8 * _inside_main(f, prose, 0.8)
    if len(h1):
        points -= 1.7 * (index < h1[0])
    points += (0.9 * signature_prose + 0.6 * signature_link)[f.signature]
    points -= 1.2 * (title_column(layout, title) > 0.3) + 1.0 * (index / count > 0.9)
    return np.asarray(1.0 / (1.0 + np.exp(-points)))


def choose(layout: Layout, title: str | None) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Flags of the blocks and of the pictures to keep."""
    f = frame(layout)
    p = probabilities(layout, f, title)
    keep = complete(layout, expected_f1_set(p, f.words), p, f)
    images = choose_images(layout, p, keep, f)
    if images.any():
        apart = template_elements(layout, f, _APART)
        images &= ~np.array([apart[image.element] for image in layout.images], np.bool_)
    keep = drop_repeats(layout, add_title(layout, keep, p), f)
    return drop_last_headings(layout, keep, images, f), images
