"""Spans of a document's text that pictures are compared with: sentences, or whole text nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

Spans: TypeAlias = Literal["sentence", "paragraph"]

# A sentence ends at a run of terminal marks with what closes it, where space or the text's end follows; after the marks
# of Chinese and Japanese no space is needed. A line's end always ends one.
_END = re.compile(r"[.!?…؟۔।॥՜՞։]+[\"'”’»)\]]*(?=\s)|[。！？｡]+[」』”’）]*|\n+")
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|cf|No|Fig|al|approx|Inc|Ltd|Co)\.$"
)


class Span(NamedTuple):
    """Characters ``start`` to ``end`` of the document's text number ``text``, counted from 0 over its text nodes."""

    text: int
    start: int
    end: int


def split(texts: Sequence[str], spans: Spans) -> list[Span]:
    """The spans of a document in reading order, without the white space around them; blank ones are none."""
    found: list[Span] = []
    for number, text in enumerate(texts):
        start = 0
        if spans == "sentence":
            for match in _END.finditer(text):
                if text[match.start()] == "." and _ABBREVIATED.search(text, max(0, match.end() - 12), match.end()):
                    continue
                _add(found, number, text, start, match.end())
                start = match.end()
        _add(found, number, text, start, len(text))
    return found


def _add(found: list[Span], number: int, text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        found.append(Span(number, start, start + len(stripped)))
