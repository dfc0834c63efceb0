"""What stands in ``<noscript>``: a picture's fallback, or, on pages that show nothing else, the page itself."""

from __future__ import annotations

from itertools import accumulate

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.segment import Image, Layout

_DOMINATES = 400  # characters in <noscript> that, being more than all text outside, are the page's text


def _near(layout: Layout, image: Image, container: int) -> bool:
    """Does the picture stand in the element, or at most two levels below or one above it?"""
    element = image.element
    for _ in range(3):
        if element in (container, layout.e_parent[container]) and element > 0:
            return True
        element = layout.e_parent[element]
        if element < 0:
            break
    return False


def _pair(layout: Layout) -> None:
    """Give each picture of a ``<noscript>`` to the picture beside it that it stands for."""
    images = layout.images
    left: list[Image] = []
    for i, image in enumerate(images):
        if not image.context & voc.NOSCRIPT:
            left.append(image)
            continue
        container = image.element
        while container > 0 and layout.e_tag[container] != "noscript":
            container = layout.e_parent[container]
        container = max(layout.e_parent[container], 0)
        partner = None
        for other in (*reversed(images[max(0, i - 2) : i]), *images[i + 1 : i + 2]):
            if other.context & voc.NOSCRIPT or other.position != image.position or other.fallbacks:
                continue
            if _near(layout, other, container):
                partner = other
                break
        if partner is None:
            left.append(image)
        else:
            partner.fallbacks.append(image.raw)
            partner.link = partner.link or image.link
    layout.images = left


def settle_noscript(layout: Layout) -> None:
    """Pair fallback pictures with their placeholders and drop what only browsers without scripts show.

    The text of ``<noscript>`` stays where it is more than all text outside: such pages (forum software among them) put
    their whole content there for crawlers.
    """
    if any(image.context & voc.NOSCRIPT for image in layout.images):
        _pair(layout)
    inside = [bool(c & voc.NOSCRIPT) for c in layout.b_context]
    if not any(inside):
        return
    chars = sum(len(t) for t, i in zip(layout.b_text, inside, strict=True) if i)
    outside = sum(len(t) for t, i in zip(layout.b_text, inside, strict=True) if not i)
    if chars > max(_DOMINATES, outside):
        return
    keep = [i for i, gone in enumerate(inside) if not gone]
    before = [0, *accumulate(0 if gone else 1 for gone in inside)]
    layout.e_first = [before[i] for i in layout.e_first]
    layout.e_end = [before[i] for i in layout.e_end]
    for image in layout.images:
        image.position = before[image.position]
    layout.b_text = [layout.b_text[i] for i in keep]
    layout.b_words = [layout.b_words[i] for i in keep]
    layout.b_element = [layout.b_element[i] for i in keep]
    layout.b_context = [layout.b_context[i] for i in keep]
    layout.b_link = [layout.b_link[i] for i in keep]
    layout.b_links = [layout.b_links[i] for i in keep]
    layout.b_inner = [layout.b_inner[i] for i in keep]
