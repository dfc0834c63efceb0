"""From probabilities to a choice: the set of blocks with the largest expected F1, and the pictures between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.frame import Floats, Frame, prefix
from plait.pipeline.extract.image_source import declared_size
from plait.pipeline.extract.segment import Layout

# Chosen for the largest image F1 on WCXB, cross-validated; a picture's score is in [0, 1].
_LEAST_INSIDE = 0.45
_LEAST_OUTSIDE = 0.55
_LEAST_LARGE = 0.1
_LEAST_SINGLE = 0.2  # of the words around a large picture that has the kind of place nearly for itself
_SINGLE = 2  # pictures that a kind of place may have then
_LARGE_SIDE = 100  # pixels declared on both sides
# Interactive Advertising Bureau, standard ad units: a picture of just this size is no proof of content.
_AD_SIZES = frozenset(
    {
        (300, 250),
        (336, 280),
        (250, 250),
        (200, 200),
        (180, 150),
        (125, 125),
        (160, 600),
        (120, 600),
        (300, 600),
        (300, 1050),
        (970, 250),
        (240, 400),
        (120, 240),
    }
)
_LIKELY = 0.3  # probability of a block that counts towards the main element
_MAIN_SHARE = 0.6  # of the likely content that the main element holds
_TEMPLATE_SHARE = 0.5  # an element that holds more of the page's words is no menu, whatever its class says
_PLACE_LEVELS = 4
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
    """For each picture the mean probability of the ``reach`` words on each side of it."""
    total = np.concatenate(([0.0], np.cumsum(words)))
    mass = np.concatenate(([0.0], np.cumsum(p * words)))
    position = np.array([image.position for image in layout.images], np.int64)
    at = total[position]
    low, high = np.maximum(0.0, at - reach), np.minimum(total[-1], at + reach)
    return np.asarray((np.interp(high, total, mass) - np.interp(low, total, mass)) / np.maximum(1.0, high - low))


def choose_images(layout: Layout, p: Floats, keep: npt.NDArray[np.bool_], f: Frame) -> npt.NDArray[np.bool_]:
    """The pictures whose surroundings are content.

    A picture's score is the mean of three: probability of the words around it, share of kept words around it, and mean
    probability around all pictures that stand in the same kind of place. Inside the main element, and outside menus,
    less is asked of it, and least of one that declares a size worth looking at (an infobox's, a plate's).

    Args:
        layout: the page.
        p: probability of each block.
        keep: the chosen blocks.
        f: the page's shared arrays.
    """
    if not layout.images:
        return np.zeros(0, np.bool_)
    around = image_probabilities(layout, p, f.words)
    kept = image_probabilities(layout, keep.astype(np.float64), f.words)
    place = _places(layout)
    alike = (np.bincount(place, around) / np.bincount(place))[place]
    score = (around + kept + alike) / 3.0
    inside, template = _standing(layout, p, f)
    large = np.array([_declares_large(image.raw) for image in layout.images], np.bool_)
    single = np.bincount(place)[place] <= _SINGLE
    least = np.where(inside, np.where(large, _LEAST_LARGE, _LEAST_INSIDE), _LEAST_OUTSIDE)
    return np.asarray((score >= least) | (large & single & ~template & (around >= _LEAST_SINGLE)))


def _places(layout: Layout) -> npt.NDArray[np.int64]:
    """Numbers of the kinds of place that pictures stand in: tags and classes of the four innermost elements."""
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    out: list[int] = []
    for image in layout.images:
        place: list[tuple[str, str]] = []
        element = image.element
        while element > 0 and len(place) < _PLACE_LEVELS:
            raw = layout.e_raw[element]
            start = raw.find('class="')
            style = raw[start + 7 : raw.find('"', start + 7)] if start >= 0 else ""
            place.append((layout.e_tag[element], style))
            element = layout.e_parent[element]
        out.append(numbers.setdefault(tuple(place), len(numbers)))
    return np.array(out, np.int64)


def _standing(layout: Layout, p: Floats, f: Frame) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """For each picture: is it in the deepest element with most of the likely content; is it in a menu or the like?

    What is in a menu counts as outside the main element.
    """
    mass = prefix(p * f.words * (p > _LIKELY))
    main = 0
    if mass[-1] > 0:
        main = int(np.flatnonzero(mass[f.end] - mass[f.first] >= _MAIN_SHARE * mass[-1])[-1])
    words = prefix(f.words)
    inside = np.zeros(len(layout.images), np.bool_)
    template = np.zeros(len(layout.images), np.bool_)
    for i, image in enumerate(layout.images):
        element = image.element
        while element > 0:
            if layout.e_flags[element] & voc.TEMPLATE:
                share = (words[f.end[element]] - words[f.first[element]]) / max(1.0, words[-1])
                template[i] |= bool(share < _TEMPLATE_SHARE)
            inside[i] |= element == main
            element = layout.e_parent[element]
        inside[i] |= main == 0
    return inside & ~template, template


def _declares_large(raw: str) -> bool:
    width, height = declared_size(voc.attributes(raw))
    if width is None or height is None or (width, height) in _AD_SIZES:
        return False
    return min(width, height) >= _LARGE_SIDE
