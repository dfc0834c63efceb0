"""What extraction takes and what it gives: options, nodes, what was removed, the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

EXTRACTORS = ("blocks", "fast", "trafilatura")


class Node(NamedTuple):
    """One node of a page in reading order; a named tuple, since a page has hundreds (a third of a dataclass's cost).

    Attributes:
        kind: "text" or "image".
        tag: one of `plait.schemas.documents.TEXT_TAGS`; None for images.
        text: whitespace as a reader sees it (kept in code); None for images.
        url: images: absolute http or https URL, or the ``data:`` URI itself.
        alt: images: alternative text, None where there is none.
        caption: images: text of the caption; it also stands in the flow once, as a text node of tag "caption".
        width: images: CSS pixels that the page declares, None where it says nothing.
        height: as width.
        alternatives: images: other URLs of the same picture, such as the full-size one that a thumbnail links to.
    """

    kind: str
    tag: str | None = None
    text: str | None = None
    url: str | None = None
    alt: str | None = None
    caption: str | None = None
    width: int | None = None
    height: int | None = None
    alternatives: tuple[str, ...] = ()


class Removed(NamedTuple):
    """One node that extraction left out, with the reason code (`plait.schemas.reasons`).

    Attributes:
        after: number of the page's kept nodes that stand before it.
    """

    reason: str
    tag: str | None = None
    text: str | None = None
    url: str | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A page after extraction.

    Attributes:
        robots: lower-case tokens of robots metas ("noai", "noimageai", "noindex"…) and "tdm-reservation".
        nodes: what is kept, in document order.
        removed: what was left out, in document order.
    """

    url: str
    title: str | None = None
    canonical: str | None = None
    published: str | None = None
    site_name: str | None = None
    author: str | None = None
    html_lang: str | None = None
    licence: str | None = None
    robots: tuple[str, ...] = ()
    nodes: list[Node] = field(default_factory=list)
    removed: list[Removed] = field(default_factory=list)


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract; every limit decides by count, never by time, so that it decides the same on any machine.

    Attributes:
        extractor: "blocks" (classifier over blocks), "fast" (rules alone) or "trafilatura".
        target_width: pixels wanted of an image: the smallest candidate of a ``srcset`` that is at least as wide wins.
        css_backgrounds: take ``background-image`` of inline styles as images.
        video_posters: take the ``poster`` of ``<video>`` as images.
        max_bytes: of the HTML, after decompression; above: ``record_too_large``.
        max_nodes: of the parsed page, counted as tags; above: ``too_many_nodes``.
        max_depth: nesting of elements; above: ``too_deep``.
        data_image_bytes: largest decoded size of a ``data:`` image that is kept.
        data_image_min_bytes: smallest one; what is below is a placeholder or an icon.
        require_image: drop pages without an image that could survive (`plait.pipeline.extract.gate`): ``no_image``.
        min_side: pixels; with ``require_image``: an image that declares less on a side does not count.
        banned_words: with ``require_image``: an image with one of these in its URL does not count.
    """

    extractor: str = "blocks"
    target_width: int = 1024
    css_backgrounds: bool = False
    video_posters: bool = False
    max_bytes: int = 16 << 20
    max_nodes: int = 200_000
    max_depth: int = 512
    data_image_bytes: int = 1 << 20
    data_image_min_bytes: int = 1024
    require_image: bool = False
    min_side: int = 0
    banned_words: tuple[str, ...] = ()
