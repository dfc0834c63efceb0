"""The cheap gate: does a page have a picture that could survive the recipe?"""

from __future__ import annotations

from plait.pipeline.extract.image_source import SourceResolver
from plait.pipeline.extract.nodes import source_of
from plait.pipeline.extract.segment import Layout
from plait.schemas.urls import unquoted

_TINY = 2  # pixels: a picture that declares no more on a side measures visits


def has_usable_image(
    layout: Layout, resolver: SourceResolver, *, min_side: int = 0, banned_words: tuple[str, ...] = ()
) -> bool:
    """Is there a picture with a URL, not declared smaller than ``min_side``, without a banned word in its URL?

    Runs on the segmented page before any score is computed; stops at the first picture that passes. What a page does
    not declare does not count against a picture.

    Args:
        layout: the page.
        resolver: finds the pictures' URLs.
        min_side: pixels that the shorter declared side must have.
        banned_words: lower-case words that the URL, percent-escapes decoded, must not hold.
    """
    for image in layout.images:
        source = source_of(image, resolver)
        if source is None:
            continue
        declared = [side for side in (source.width, source.height) if side is not None]
        if declared and min(declared) < max(min_side, _TINY + 1):
            continue
        if banned_words:
            url = unquoted(source.url).lower()
            if any(word in url for word in banned_words):
                continue
        return True
    return False
