"""Edits of a text node's text, by name: what a recipe's ``edit`` rules apply. An empty result removes the node."""

from __future__ import annotations

import re
from collections.abc import Callable

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"'，。；！？]+", re.IGNORECASE)


def remove_citations(text: str) -> str:
    """Wikipedia's citation marks ([1], [edit], [citation needed]) are taken out. C4's code."""
    return _CITATION.sub("", text).strip() if "[" in text else text


def remove_urls(text: str) -> str:
    """Addresses in running text are taken out. OmniCorpus, released English rules."""
    return _URL.sub("", text).strip() if "://" in text or "www." in text.lower() else text


def trim_lines(text: str) -> str:
    """Spaces at both ends of every line are taken off. C4's code."""
    if "\n" not in text:
        return text.strip()
    return "\n".join(map(str.strip, text.split("\n")))


EDITS: dict[str, Callable[[str], str]] = {
    "remove_citations": remove_citations,
    "remove_urls": remove_urls,
    "trim_lines": trim_lines,
}
