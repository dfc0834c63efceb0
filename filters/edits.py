"""Edits of text, by name: what a recipe's ``edit`` rules apply.

An edit of `EDITS` sees one text node; an edit of `DOCUMENT_EDITS` sees all paragraphs of a document in order. A node
whose text becomes blank is removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_URL = re.compile(r"(?:https?|ftp|file)://[^\s<>\"，。；！？]+|www\.[^\s<>\"，。；！？]+", re.IGNORECASE)
_UNDERLINES = re.compile("_{15,}")
_SENTENCE_END = re.compile(r"(?<=[.?!])[\"']?\s+")
_FINISHED = (".", "!", "?", "”", '"', "。", "！", "？", "…")
_LINE_ENDS = ".!?:;)'\"。！？：；）”’"


def remove_citations(text: str) -> str:
    """Wikipedia's citation marks ([1], [edit], [citation needed]) are taken out. C4's code."""
    return _CITATION.sub("", text).strip()


def remove_urls(text: str) -> str:
    """Addresses in running text are taken out. OmniCorpus, released English rules."""
    return _URL.sub("", text).strip()


def trim_lines(text: str) -> str:
    """Spaces at both ends of every line are taken off. C4's code."""
    if "\n" not in text:
        return text.strip()
    return "\n".join(map(str.strip, text.split("\n")))


def remove_video_label(text: str) -> str:
    """The label "[Video]" is taken out. OmniCorpus, released English rules."""
    return text.replace("[Video]", "").strip()


def join_broken_lines(text: str) -> str:
    """A line break that does not follow the end of a clause becomes a space. OmniCorpus, released English rules."""
    parts: list[str] = []
    for line in text.split("\n"):
        if parts and parts[-1].rstrip()[-1:] not in ("", *_LINE_ENDS) and line.strip():
            parts[-1] = f"{parts[-1].rstrip()} {line.lstrip()}"
        else:
            parts.append(line)
    return "\n".join(parts)


def split_underlines(text: str) -> str:
    """15 or more underscores become a line break. OmniCorpus, released English rules."""
    return "\n".join(part for part in map(str.strip, _UNDERLINES.split(text)) if part)


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(text) if part]


def trim_unfinished(texts: Sequence[str]) -> list[str]:
    """Unfinished sentences go from the beginning and from the end of a document's paragraphs.

    From the first paragraph on, sentences without a closing mark are removed until one has it; the same from the last
    paragraph backwards. OmniCorpus, released English rules.
    """
    result = list(texts)
    for place, text in enumerate(result):
        if text.rstrip().endswith(_FINISHED) or any(p.rstrip().endswith(_FINISHED) for p in _sentences(text)):
            break
        result[place] = ""
    for place in range(len(result) - 1, -1, -1):
        text = result[place].rstrip()
        if not text:
            continue
        if text.endswith(_FINISHED):
            break
        end = max((match.start() for match in _SENTENCE_END.finditer(text)), default=0)
        result[place] = text[:end]
        if end:
            break
    return result


class NodeEdit(NamedTuple):
    """An edit of one text node.

    Attributes:
        apply: the text, edited.
        marks: it applies to texts with one of these in them, which are without whitespace, or else a line feed; to
            every text where there are none.
    """

    apply: Callable[[str], str]
    marks: tuple[str, ...] = ()

    def concerns(self, text: str) -> bool:
        """Whether it applies to a text."""
        return not self.marks or any(mark in text for mark in self.marks)


class DocumentEdit(NamedTuple):
    """An edit of the paragraphs of a document.

    Attributes:
        apply: the texts, edited.
        settled: whether documents that begin and end with these two texts stay as they are.
    """

    apply: Callable[[Sequence[str]], list[str]]
    settled: Callable[[str, str], bool]


EDITS: dict[str, NodeEdit] = {
    edit.apply.__name__: edit
    for edit in (
        NodeEdit(remove_citations, ("[",)),
        NodeEdit(remove_urls, ("://", "www.", "WWW.")),
        NodeEdit(trim_lines),
        NodeEdit(remove_video_label, ("[Video]",)),
        NodeEdit(join_broken_lines, ("\n",)),
        NodeEdit(split_underlines, ("_" * 15,)),
    )
}
DOCUMENT_EDITS = {
    "trim_unfinished": DocumentEdit(
        trim_unfinished, lambda first, last: first.rstrip().endswith(_FINISHED) and last.rstrip().endswith(_FINISHED)
    ),
}
