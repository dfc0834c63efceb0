"""Which caption belongs to which picture."""

from __future__ import annotations

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.segment import Image, Layout

_LEVELS = 8  # ancestors of a picture that are searched for its caption


def caption_blocks(layout: Layout, image: Image) -> range:
    """Blocks of the picture's caption: an empty range if it has none.

    The nearest ancestor that holds a caption decides. It must be a ``<figure>`` or hold nothing but captions and
    pictures, so that a caption is never taken from another picture across running text.
    """
    element = image.element
    for _ in range(_LEVELS):
        if element <= 0:
            break
        first, end = layout.e_first[element], layout.e_end[element]
        if end > first:
            contexts = layout.b_context[first:end]
            captions = {bool(context & voc.CAPTION) for context in set(contexts)}
            figure = layout.e_tag[element] == "figure"
            if True in captions and (figure or False not in captions):
                return _run(layout, [bool(c & voc.CAPTION) for c in contexts], first, image.position)
            if figure or False in captions:
                break
        element = layout.e_parent[element]
    return range(0)


def _caption_element(layout: Layout, block: int) -> int:
    """The outermost element that is a caption around a block."""
    element = found = layout.b_element[block]
    while element > 0 and layout.e_context[element] & voc.CAPTION:
        found = element
        element = layout.e_parent[element]
    return found


def _run(layout: Layout, is_caption: list[bool], first: int, position: int) -> range:
    """The caption after the picture, else the one before it, with all blocks of its element."""
    after = next((i for i in range(max(0, position - first), len(is_caption)) if is_caption[i]), None)
    if after is None:
        after = next((i for i in range(min(position - first, len(is_caption)) - 1, -1, -1) if is_caption[i]), None)
    if after is None:
        return range(0)
    element = _caption_element(layout, first + after)
    return range(layout.e_first[element], layout.e_end[element])
