"""The rule-based choice of blocks and pictures: no model, a handful of numpy operations a page."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.segment import Layout

_BAD = voc.NAV | voc.FOOTER | voc.ASIDE | voc.UNLIKELY | voc.HIDDEN | voc.FORM | voc.BUTTON
_PROSE_CHARS = 60  # characters of a block that reads like a paragraph
_PROSE_LINKS = 0.4  # its share of characters in links at most
_TEMPLATE_SHARE = 0.5  # an element that holds more of the page's text is no menu, whatever its class says
_SHARE = 0.8  # of the prose that the main element holds
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # a character says as much as two or three letters


def choose(layout: Layout) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Flags of the blocks and of the pictures to keep."""
    count = len(layout.b_text)
    length = np.array(
        [len(t) if t.isascii() else len(t) + 2 * len(_WIDE.findall(t)) for t in layout.b_text], np.float64
    )
    link = np.array(layout.b_link, np.float64) / np.maximum(1.0, np.array([len(t) for t in layout.b_text], np.float64))
    first, end = np.array(layout.e_first), np.array(layout.e_end)
    chars = np.concatenate(([0.0], np.cumsum(length)))
    flags = np.array(layout.e_flags, np.int64)
    suspect = np.flatnonzero(((flags & _BAD) != 0) & (chars[end] - chars[first] < _TEMPLATE_SHARE * chars[-1]))
    depth = np.zeros(count + 1, np.int64)
    np.add.at(depth, first[suspect], 1)
    np.add.at(depth, end[suspect], -1)
    bad = np.cumsum(depth)[:count] > 0
    bad_element = np.zeros(len(layout.e_tag), np.bool_)
    bad_element[suspect] = True
    for e, parent in enumerate(layout.e_parent):
        if parent > 0 and bad_element[parent]:
            bad_element[e] = True
    prose = np.where((length >= _PROSE_CHARS) & (link < _PROSE_LINKS) & ~bad, length, 0.0)
    if not prose.any():
        prose = np.where(~bad & (link < 0.6), length, 0.0)
    if not prose.any():
        prose = length
    total = np.concatenate(([0.0], np.cumsum(prose)))
    inside = total[end] - total[first]
    share = inside >= _SHARE * total[-1]
    main = int(np.flatnonzero(share)[-1]) if share.any() else 0
    keep = np.zeros(count, np.bool_)
    keep[first[main] : end[main]] = True
    keep &= ~bad
    keep &= ~((link > 0.6) & (length < 400))
    for block in range(int(first[main]) - 1, -1, -1):
        if layout.e_tag[layout.b_element[block]] == "h1" and not bad[block]:
            keep[block] = True
            break
    images = np.zeros(len(layout.images), np.bool_)
    for i, image in enumerate(layout.images):
        if bad_element[image.element]:
            continue
        images[i] = first[main] <= image.position <= end[main]
    return keep, images
