"""``--extractor trafilatura``: its main content as the same nodes, for comparison."""

from __future__ import annotations

from plait.pipeline.extract.page import Node
from plait.pipeline.extract.urls import resolve

_TEXT_TAGS = {"p": "p", "item": "li", "quote": "quote", "code": "code", "cell": "table", "ab": "p"}


def trafilatura_nodes(html: str, url: str, base: str) -> list[Node]:
    """Nodes of what trafilatura 2 keeps of a page; empty where it keeps nothing.

    Args:
        html: the decoded page.
        url: its URL.
        base: the URL that relative references start from.
    """
    from trafilatura import bare_extraction

    document = bare_extraction(html, url=url, include_images=True, include_comments=True, with_metadata=False)
    body = getattr(document, "body", None)
    if body is None:
        return []
    nodes: list[Node] = []

    def text(parts: list[str], tag: str) -> None:
        joined = "".join(parts)
        clean = joined.strip("\n") if tag == "code" else " ".join(joined.split())
        if clean.strip():
            nodes.append(Node("text", tag, clean))
        parts.clear()

    def walk(element: object, tag: str, parts: list[str]) -> None:
        name = getattr(element, "tag", None)
        if not isinstance(name, str):
            return
        if name == "graphic":
            text(parts, tag)
            source = resolve(base, element.get("src") or "")  # type: ignore[attr-defined]
            if source:
                alt = element.get("alt") or element.get("title")  # type: ignore[attr-defined]
                nodes.append(Node("image", url=source, alt=alt))
            return
        block = name in _TEXT_TAGS or name in ("head", "row", "table", "list", "body")
        if block:
            text(parts, tag)
        inner = _TEXT_TAGS.get(name, tag)
        if name == "head":
            rank = element.get("rend") or "h2"  # type: ignore[attr-defined]
            inner = rank if rank in ("h1", "h2", "h3", "h4", "h5", "h6") else "h2"
        if name == "lb":
            parts.append(" ")
        parts.append(element.text or "")  # type: ignore[attr-defined]
        for child in element:  # type: ignore[attr-defined]
            walk(child, inner, parts)
            parts.append(child.tail or "")
        if block:
            text(parts, inner)

    for part in (body, getattr(document, "commentsbody", None)):
        if part is not None:
            leftover: list[str] = []
            walk(part, "p", leftover)
            text(leftover, "p")
    return nodes
