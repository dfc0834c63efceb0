"""From bytes to the pieces that the other modules read: lexbor's tree, made safe, serialised once.

Reading lexbor's nodes one at a time from Python costs five times as much as one pass over its serialisation, in which
every tag is balanced, every attribute stands in double quotes, and no `<` or `>` stands inside one.
"""

from __future__ import annotations

import re
from html import escape

from selectolax.lexbor import LexborHTMLParser

from plait.pipeline.extract.vocabulary import DROPPED
from plait.schemas.errors import RecordError

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_RAW = ("xmp", "plaintext", "noembed", "noframes")  # serialised without escapes
_MATH_SCRIPT = 'script[type^="math/"]'


def _rewrite(tree: LexborHTMLParser, html: str) -> None:
    """Turn what would be lost or read wrongly into plain elements."""
    if "math/" in html:
        for node in tree.css(_MATH_SCRIPT):
            source = node.text(deep=True) or ""
            display = "display" in (node.attributes.get("type") or "")
            mark = "$$" if display else "$"
            node.replace_with(f"{mark}{source.strip()}{mark}")
    for name in _RAW:
        if f"<{name}" in html:
            for node in tree.css(name):
                text = node.text(deep=True) or ""
                new = LexborHTMLParser(f"<pre>{escape(text)}</pre>").css_first("pre")
                if new is not None:
                    node.replace_with(new)


class Markup:
    """A parsed page.

    Attributes:
        head: serialised ``<head>`` and the attributes of ``<html>``.
        pieces: the serialised body split at `<`: the first is what stands before any tag, each other one is
            ``tag attributes>text`` or ``/tag>text``.
    """

    __slots__ = ("head", "html_attributes", "pieces", "data_blocks")

    def __init__(self, head: str, html_attributes: str, pieces: list[str], data_blocks: list[str]) -> None:
        self.head = head
        self.html_attributes = html_attributes
        self.pieces = pieces
        self.data_blocks = data_blocks


def parse(html: str, *, max_nodes: int) -> Markup:
    """Parse a page, remove scripts, styles and other elements without content, and split it into pieces.

    Raises:
        RecordError: ``too_many_nodes``, if the page has more tags than ``max_nodes``.
    """
    # A bound before the parser runs: every element needs a "<".
    if html.count("<") > 4 * max_nodes:
        raise RecordError("too_many_nodes", value=float(html.count("<")), threshold=float(4 * max_nodes))
    tree = LexborHTMLParser(html)
    lower = html if "<XMP" not in html and "<NOFRAMES" not in html else html.lower()
    _rewrite(tree, lower)
    data_blocks = (
        [node.text(deep=True) or "" for node in tree.css('script[type="application/ld+json"]')]
        if "ld+json" in html
        else []
    )
    tree.strip_tags(list(DROPPED), recursive=True)
    root = tree.root
    serialised = tree.html or ""
    if "<!--" in serialised:
        serialised = _COMMENT.sub("", serialised)
    del root
    start = serialised.find("<body")
    if start < 0:
        start = serialised.find("</head>")
    head = serialised[: max(start, 0)]
    pieces = serialised[max(start, 0) :].split("<")
    if len(pieces) > 2 * max_nodes:
        raise RecordError("too_many_nodes", value=float(len(pieces) // 2), threshold=float(max_nodes))
    opening = serialised.find("<html")
    html_attributes = serialised[opening + 5 : serialised.find(">", opening)] if opening >= 0 else ""
    return Markup(head, html_attributes.strip(), pieces, data_blocks)
