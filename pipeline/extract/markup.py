"""From bytes to the pieces that the other modules read: lexbor's tree, made safe, serialised once.

Reading lexbor's nodes one at a time from Python costs five times as much as one pass over its serialisation, in which
every tag is balanced, every attribute stands in double quotes, and no `<` or `>` stands inside one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

import numpy as np
from selectolax.lexbor import LexborHTMLParser, LexborNode

from plait.pipeline.extract.vocabulary import DROPPED
from plait.schemas.errors import RecordError

_NESTING = re.compile(
    rb"<(/?)(?:div|ul|ol|dl|section|article|center|blockquote|main|aside|details|figure|li|dd)\b", re.IGNORECASE
)
_DEEP_CHECK = 10_000  # tags: below, the worst page parses in about 0.2 s
_DEEP_FACTOR = 8  # the count of open tags takes scripts and unclosed items for elements
# A closed-looking frame in <noscript>: browsers do not read what stands there, a parser without scripts reads on to the
# next "</iframe>" and loses the page.
_CLOSED_FRAME = re.compile(rb"(<iframe\b[^<>]*)/>(?=\s*</noscript)", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# One native search for all that is looked at; the raw-text elements would be serialised without escapes.
_SPECIAL = 'iframe,xmp,plaintext,noembed,noframes,script[type^="math/"],script[type="application/ld+json"]'


def _rewrite(nodes: list[LexborNode]) -> list[str]:
    """Turn what would be lost or read wrongly into plain elements; returns the contents of JSON-LD scripts."""
    data_blocks: list[str] = []
    for node in nodes:
        if node.tag == "iframe":
            continue
        text = node.text(deep=True) or ""
        if node.tag == "script":
            kind = node.attributes.get("type") or ""
            if kind.startswith("math/"):
                mark = "$$" if "display" in kind else "$"
                node.replace_with(f"{mark}{text.strip()}{mark}")
            else:
                data_blocks.append(text)
            continue
        plain = LexborHTMLParser(f"<pre>{escape(text)}</pre>").css_first("pre")
        if plain is not None:
            node.replace_with(plain)
    return data_blocks


def _swallows(frame: LexborNode) -> bool:
    """Did the parser take the end of ``<noscript>`` and what follows for a frame's text?"""
    return (frame.text() or "").lstrip()[:10].lower() == "</noscript"


def _open_frames(html: bytes) -> bytes:
    """Give closed-looking frames in ``<noscript>`` an end tag; to search for "<iframe" costs a tenth of the pattern."""
    position = html.find(b"<iframe")
    while position >= 0:
        if match := _CLOSED_FRAME.match(html, position):
            html = html[: match.end(1)] + b"></iframe>" + html[match.end() :]
        position = html.find(b"<iframe", position + 1)
    return html


def _refuse_depth(html: bytes, max_depth: int) -> None:
    """Refuse pages on which lexbor's time grows with the square of the depth (20,000 open ``<div>``: 1 s, measured)."""
    slashes = _NESTING.findall(html)
    if slashes.count(b"") <= _DEEP_FACTOR * max_depth:
        return
    depth = 0
    for close in slashes:
        depth = max(0, depth - 1) if close else depth + 1
        if depth > _DEEP_FACTOR * max_depth:
            raise RecordError("too_deep", value=float(depth), threshold=float(max_depth))


@dataclass(frozen=True, slots=True)
class Markup:
    """A parsed page.

    Attributes:
        head: serialised ``<head>``.
        html_attributes: attributes of ``<html>``, as serialised.
        body: the serialised body.
        pieces: the serialised body split at `<`: the first is what stands before any tag, each other one is
            ``tag attributes>text`` or ``/tag>text``.
        data_blocks: contents of ``<script type="application/ld+json">``.
    """

    head: str
    html_attributes: str
    body: str
    pieces: list[str]
    data_blocks: list[str]


def parse(html: bytes, *, max_nodes: int, max_depth: int) -> Markup:
    """Parse a page in UTF-8, remove scripts, styles and other elements without content, and split it into pieces.

    Raises:
        RecordError: ``too_many_nodes``, if the page has more tags than ``max_nodes``; ``too_deep``, if so many elements
            are opened and never closed that parsing would take quadratic time.
    """
    # A bound before the parser runs: every element needs a "<".
    tags = int(np.count_nonzero(np.frombuffer(html, np.uint8) == ord("<")))
    if tags > 4 * max_nodes:
        raise RecordError("too_many_nodes", value=float(tags), threshold=float(4 * max_nodes))
    if tags > _DEEP_CHECK:
        _refuse_depth(html, max_depth)
    tree = LexborHTMLParser(html)
    special = tree.css(_SPECIAL)
    if any(node.tag == "iframe" and _swallows(node) for node in special):
        tree = LexborHTMLParser(_open_frames(html))  # to look through all bytes takes ten times as long as the tree
        special = tree.css(_SPECIAL)
    data_blocks = _rewrite(special)
    tree.strip_tags(list(DROPPED), recursive=True)
    serialised = tree.html or ""
    if "<!--" in serialised:
        serialised = _COMMENT.sub("", serialised)
    start = serialised.find("<body")
    if start < 0:
        start = serialised.find("</head>")
    start = max(start, 0)
    head, body = serialised[:start], serialised[start:]
    pieces = body.split("<")
    if len(pieces) > 2 * max_nodes:
        raise RecordError("too_many_nodes", value=float(len(pieces) // 2), threshold=float(max_nodes))
    opening = serialised.find("<html")
    html_attributes = serialised[opening + 5 : serialised.find(">", opening)] if opening >= 0 else ""
    return Markup(head, html_attributes.strip(), body, pieces, data_blocks)
