"""From probabilities to a choice: the set of blocks with the largest expected F1, and the pictures between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.captions import caption_blocks
from plait.pipeline.extract.completion import template_elements
from plait.pipeline.extract.frame import Floats, Frame, prefix
from plait.pipeline.extract.image_source import declared_size
from plait.pipeline.extract.segment import Image, Layout

# Least scores of a picture, as shares of the mean probability of the kept words: what is certain on an article is more
# than what is likely on a page of cards. Chosen between WCXB (cross-validated) and the Readability pages; on WCXB
# single pages with 180 pictures move the image F1 by 0.01, so that no third digit is to be read into them.
_LEAST_INSIDE = 0.5
_LEAST_OUTSIDE = 0.75
_LEAST_LARGE = 0.2  # not a share
_LEAST_SINGLE = 0.2  # of the words around a large picture that has the kind of place nearly for itself; not a share
_SIDE_BY_SIDE = 0.3  # of the pictures that one element holds: if as many are chosen, all are
# Of the pictures in one kind of place: if fewer are chosen, none is. On every second page of WCXB (cross-validated)
# image F1 is 0.829 without and 0.831 with this, on the others 0.759 and 0.766; 0.2 and 0.4 are within 0.002 of 0.3.
_FEW_ALIKE = 0.3
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
# Names of files that pages give to furniture: no content before the first kept block or after the last.
_FURNITURE = ("logo", "icon", "avatar", "sprite", "badge", "spinner", "captcha")
_LIKELY = 0.3  # probability of a block that counts towards the main element
_MAIN_SHARE = 0.8  # of the likely content that the main element holds
# A page of fewer words, a smaller share of them chosen, with a lower mean probability, is no document. On WCXB
# (cross-validated) the four such pages have an empty gold text; of longer ones as many have content as have none.
_SHELL_WORDS = 200
_SHELL_SHARE = 2 / 3
_SHELL_SURE = 0.25
# Words that count of a block which is less likely content than not: one page hides 68,950 words for search engines in
# a block of probability 0.16, which outweighed its article. Cross-validated on WCXB word F1 stays at 0.8866,
# boilerplate snippets absent rise from 0.9495 to 0.9501.
_UNLIKELY_WORDS = 100.0
_PLACE_LEVELS = 4
_REPEAT_WORDS = 3  # words; shorter texts may stand twice ("Yes", a price)


def expected_f1_set(p: Floats, words: Floats) -> npt.NDArray[np.bool_]:
    """The set of blocks whose expected word F1 is largest.

    F1 of a set S against unknown truth T is 2·|S∩T| / (|S| + |T|); with expectations in numerator and denominator the
    best set is the blocks above some probability, so one sort finds it.

    Args:
        p: probability that a block is content.
        words: its words; of a block that is rather none, a hundred at most count.
    """
    words = np.where(p < 0.5, np.minimum(words, _UNLIKELY_WORDS), words)
    order = np.argsort(-p, kind="stable")
    hit = np.cumsum((p * words)[order])
    size = np.cumsum(words[order])
    expected = 2.0 * hit / (size + hit[-1] + 1e-9)
    # among equals the larger set, so that blocks of equal probability stay together
    best = len(p) - 1 - int(np.argmax(expected[::-1]))
    return np.asarray(p >= p[order[best]])


def is_shell(layout: Layout, p: Floats, keep: npt.NDArray[np.bool_], images: npt.NDArray[np.bool_], f: Frame) -> bool:
    """Is a page of few words so unlikely to have content, even in its best choice, that it holds its furniture alone?

    Shops and applications that fill their pages by script serve such shells, and their "Sign in" is no document. A page
    with a picture of some size, or with a caption, is none.

    Args:
        layout: the page.
        p: probability of each block.
        keep: the chosen blocks, at least one.
        images: the chosen pictures.
        f: the page's shared arrays.
    """
    total, chosen = float(f.words.sum()), float(f.words[keep].sum())
    if total >= _SHELL_WORDS or chosen >= _SHELL_SHARE * total:
        return False
    if float((p * f.words)[keep].sum()) >= _SHELL_SURE * chosen:
        return False
    pictures = [layout.images[i] for i in np.flatnonzero(images)]
    return not any(_declares_large(image.raw) or caption_blocks(layout, image) for image in pictures)


def agree_among_siblings(layout: Layout, p: Floats, f: Frame) -> Floats:
    """Give blocks that the same template put into the same element their mean probability.

    The paragraphs of an article are one decision, as are the items of a list: place on the page alone should not tell
    the hundredth from the first. Cross-validated word F1 on WCXB is the same, within 0.0002, for any share of the mean.
    """
    parent = f.parent[np.array(layout.b_element, np.int64)]
    group = np.unique(parent * (f.signatures + 1) + f.signature, return_inverse=True)[1]
    weight = f.words + 0.1  # blocks without a word count a little
    mean = np.bincount(group, p * weight) / np.bincount(group, weight)
    return np.asarray(mean[group])


def drop_repeats(layout: Layout, keep: npt.NDArray[np.bool_], f: Frame) -> npt.NDArray[np.bool_]:
    """Keep one of several kept blocks with the same text; code, table cells, siblings and cards may repeat.

    Pages repeat blocks for phones, print and quotes; a reader sees one of them. It is the first, or a heading that
    stands after it: a section needs its heading more than the table of contents needs its line. What repeats within one
    element (a refrain), or at the same place of a template (the shipping of every card), is shown as often as it stands
    there.

    Args:
        layout: the page.
        keep: the chosen blocks.
        f: the page's shared arrays.
    """
    out = keep.copy()
    seen: dict[str, int] = {}
    headings = f.context & voc.HEADING != 0
    for block in np.flatnonzero(keep & (f.words >= _REPEAT_WORDS)).tolist():
        if layout.b_context[block] & (voc.PRE | voc.TABLE):
            continue
        text = layout.b_text[block]
        first = seen.setdefault(text, block)
        if first == block:
            continue
        if _hidden(layout, layout.b_element[block]):
            out[block] = False
        elif f.signature[first] != f.signature[block] and _parent(layout, first) != _parent(layout, block):
            if headings[block] and not headings[first]:
                out[first] = False
                seen[text] = block
            else:
                out[block] = False
    return out


def _parent(layout: Layout, block: int) -> int:
    """The element around the one that holds a block."""
    return layout.e_parent[layout.b_element[block]]


def _hidden(layout: Layout, element: int) -> bool:
    """Does the element, or one around it, say that it is not shown?"""
    while element > 0:
        if layout.e_flags[element] & voc.HIDDEN:
            return True
        element = layout.e_parent[element]
    return False


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

    A picture's score is the mean of four: the probability of the 12 words on each side and the share of them that is
    kept, each around itself and around all pictures that stand in the same kind of place. It is held against the mean
    probability of the kept words, since a page of cards is never as certain as an article. Inside the main element,
    and outside menus, less is asked of it, and least of one that declares a size worth looking at (an infobox's, a
    plate's). One with a caption is content wherever it stands in the main element; of the others none is kept where few
    of its kind of place are.

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
    alike = (np.bincount(place, around + kept) / np.bincount(place))[place]
    score = (around + kept + alike) / 4.0
    sure = float((p * f.words)[keep].sum() / max(1.0, f.words[keep].sum()))
    inside, template = _standing(layout, p, f)
    alone = (np.bincount(place)[place] <= _SINGLE) & ~template & (around >= _LEAST_SINGLE)
    large = _where(inside | alone, layout, lambda image: _declares_large(image.raw))
    least = np.where(inside, np.where(large, _LEAST_LARGE, _LEAST_INSIDE * sure), _LEAST_OUTSIDE * sure)
    captions = (f.context & voc.CAPTION).any()
    captioned = _where(inside & captions, layout, lambda image: bool(caption_blocks(layout, image)))
    chosen = (score >= least) | captioned | (large & alone)
    chosen &= captioned | (np.bincount(place, chosen) / np.bincount(place) >= _FEW_ALIKE)[place]
    blocks = np.flatnonzero(keep)
    position = np.array([image.position for image in layout.images], np.int64)
    between = (position > blocks[0]) & (position <= blocks[-1]) if len(blocks) else np.zeros(len(position), np.bool_)
    furniture = _where(chosen & ~between, layout, lambda image: _is_furniture(image.raw))
    return _with_neighbours(layout, np.asarray(chosen & ~furniture), template)


def _where(asked: npt.NDArray[np.bool_], layout: Layout, says: Callable[[Image], bool]) -> npt.NDArray[np.bool_]:
    """What is said of the pictures that are asked for, and no for all others."""
    out = np.zeros(len(asked), np.bool_)
    for i in np.flatnonzero(asked).tolist():
        out[i] = says(layout.images[i])
    return out


def _with_neighbours(
    layout: Layout, chosen: npt.NDArray[np.bool_], template: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """The chosen pictures and those beside them: what one element outside menus holds (a gallery) stays together."""
    group = np.unique([image.element for image in layout.images], return_inverse=True)[1]
    share = (np.bincount(group, chosen) / np.bincount(group))[group]
    return np.asarray(chosen | (~template & (share >= _SIDE_BY_SIDE)))


def _places(layout: Layout) -> npt.NDArray[np.int64]:
    """Numbers of the kinds of place that pictures stand in: tags and classes of the four innermost elements."""
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    out: list[int] = []
    for image in layout.images:
        place: list[tuple[str, str]] = []
        element = image.element
        while element > 0 and len(place) < _PLACE_LEVELS:
            place.append((layout.e_tag[element], voc.style_of(layout.e_raw[element])))
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
    element = np.array([image.element for image in layout.images], np.int64)
    template = np.array(template_elements(layout, f), np.bool_)[element]
    # what an element holds follows it, up to the next element whose parent stands before it
    after = np.flatnonzero(f.parent[main + 1 :] < main)
    end = main + 1 + int(after[0]) if len(after) else len(layout.e_parent)
    return (element >= main) & (element < end) & ~template, template


def _is_furniture(raw: str) -> bool:
    """Does the name of the file in a picture's ``src`` say that it is a logo, an icon or the like?"""
    name = voc.attributes(raw).get("src", "").partition("?")[0].rpartition("/")[2].lower()
    return any(word in name for word in _FURNITURE)


def _declares_large(raw: str) -> bool:
    """Does a picture's tag declare a size worth looking at, and not that of an advertisement?"""
    width, height = declared_size(voc.attributes(raw))
    if width is None or height is None or (width, height) in _AD_SIZES:
        return False
    return min(width, height) >= _LARGE_SIDE
