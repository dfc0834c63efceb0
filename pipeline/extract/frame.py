"""Arrays over a page's blocks that features and selection share."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract.segment import Layout
from plait.pipeline.extract.vocabulary import style_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Scripts without spaces between words: two characters count as a word.
_DENSE = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"
)
_LEVELS = 4  # containers above a block that are described


@dataclass(slots=True)
class Frame:
    """Arrays that features and selection share; over blocks unless said otherwise.

    Attributes:
        words: words as counted for scores: whitespace-separated, two characters of a dense script a word.
        chars: characters.
        containers: shape (levels, blocks): elements around a block whose ranges strictly grow.
        signature: number of the block's path signature; blocks with the same one came from the same template.
        first: first block of each element.
        end: past the last block of each element.
        parent: parent of each element, the root its own.
        flags: bits of `vocabulary` of each element.
        context: bits of `vocabulary` of each block.
    """

    words: Floats
    chars: Floats
    containers: Ints
    signature: Ints
    signatures: int
    first: Ints
    end: Ints
    parent: Ints
    flags: Ints
    context: Ints


def prefix(values: Floats) -> Floats:
    """Running sums, with a 0 in front: shape (n + 1,)."""
    out = np.zeros(len(values) + 1)
    np.cumsum(values, out=out[1:])
    return out


def window(prefix: Floats, low: Ints, high: Ints) -> Floats:
    """Sums over ranges of blocks, from prefix sums."""
    return np.asarray(prefix[high] - prefix[low])


def _containers(parent: Ints, first: Ints, end: Ints, element: Ints) -> Ints:
    """For each block the elements around it that hold ever more blocks, innermost first."""
    size = end - first
    up = parent.copy()
    while True:
        same = (size[up] == size) & (up != 0)
        if not same.any():
            break
        # an element's range equals its parent's: look further up
        moved = parent[up[same]]
        up[same] = moved
    levels = [np.where(size[element] > 1, element, up[element])]
    for _ in range(_LEVELS - 1):
        levels.append(up[levels[-1]])
    return np.stack(levels)


def _signatures(layout: Layout) -> tuple[Ints, int]:
    """Numbers of path signatures: tag and class along the whole path, then the block's first inline class."""
    paths: dict[tuple[int, str, str], int] = {}
    of_element = [0] * len(layout.e_tag)
    styles: dict[str, str] = {}  # of a page's elements two thirds repeat the attributes of another
    rows = zip(layout.e_first, layout.e_end, layout.e_parent, layout.e_tag, layout.e_raw, strict=True)
    for e, (first, end, parent, tag, raw) in enumerate(rows):
        if end > first and e:  # something stands in it
            style = styles.get(raw)
            if style is None:
                style = styles[raw] = style_of(raw)
            of_element[e] = paths.setdefault((of_element[parent], tag, style), len(paths) + 1)
    numbers: dict[int, int] = {}
    out = [numbers.setdefault(of_element[e], len(numbers)) for e in layout.b_element]
    return np.array(out, np.int64), len(numbers)


def frame(layout: Layout) -> Frame:
    """The arrays that features and selection share."""
    words = np.array(
        [
            count
            if text.isascii() or not _DENSE.search(text)
            else max(count, len(_DENSE.findall(text)) / 2 + len(_DENSE.sub(" ", text).split()))
            for text, count in zip(layout.b_text, layout.b_words, strict=True)
        ],
        np.float64,
    )
    first, end = np.array(layout.e_first, np.int64), np.array(layout.e_end, np.int64)
    element = np.array(layout.b_element, np.int64)
    parent = np.array(layout.e_parent, np.int64)
    parent[0] = 0
    signature, signatures = _signatures(layout)
    chars = np.array([len(t) for t in layout.b_text], np.float64)
    return Frame(
        words, chars, _containers(parent, first, end, element), signature, signatures, first, end, parent,
        np.array(layout.e_flags, np.int64), np.array(layout.b_context, np.int64),
    )  # fmt: skip
