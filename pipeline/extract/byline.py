"""The day and the author that a page's body marks: microdata, microformats, ``<time>``, ``rel="author"``.

Each mark is found by a search for its text, and its tag around it: a pattern over all tags takes ten times as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

from plait.pipeline.extract.dates import iso_date
from plait.pipeline.extract.vocabulary import attributes

_DAY_PROPERTIES = frozenset(("datePublished", "dateCreated"))
# hAtom, h-entry and what blog engines call the date of an entry.
_DAY_CLASSES = frozenset(("published", "dt-published", "date-published", "entry-date", "post-date"))
_DAY_CLASS_PARTS = ("published", "-date")  # one of which each of them holds
_DAY_ATTRIBUTES = ("content", "datetime", "title")
_NAME = re.compile(r'itemprop="name"([^>]*)>([^<]*)')
_TAG = re.compile("<[^>]*>")
_TIME = re.compile(r"<time\b([^>]*)>")
_NEAR = 1_500  # characters after an author's opening tag that are searched for the name
_LONGEST = 60  # characters of a name
_MARKS = 200  # of a kind that are looked at
# Characters before and after the first heading in which the first ``<time>`` is the page's own. On WCXB's pages without
# another date it is right 63 times and wrong 11 times (most of them the day of a change), and stands on 3 pages that
# have none; the first one anywhere is right 79 times, wrong 18 times, and stands on 33 pages that have none.
_BEFORE_HEADING = 1_500
_AFTER_HEADING = 3_000


class _Marked(NamedTuple):
    name: str
    raw: str
    end: int


def _tags_with(body: str, mark: str) -> Iterator[_Marked]:
    """The tags that hold a text among their attributes: their name, attributes, and the place after them."""
    position = body.find(mark)
    for _ in range(_MARKS):
        if position < 0:
            return
        start, end = body.rfind("<", 0, position), body.find(">", position)
        if start >= 0 and end >= 0 and ">" not in body[start:position]:
            name, _, raw = body[start + 1 : end].partition(" ")
            yield _Marked(name, raw, end + 1)
        position = body.find(mark, position + len(mark))


def _day_of(body: str, tag: _Marked) -> str | None:
    """The day that a tag's attributes say, or the text right after it."""
    found = attributes(tag.raw)
    said = (found.get(name) for name in _DAY_ATTRIBUTES)
    return next((day for value in said if (day := iso_date(value))), None) or iso_date(
        body[tag.end : body.find("<", tag.end)]
    )


def marked_date(body: str) -> str | None:
    """The day that a page's body marks as its publication, or the ``<time>`` beside its first heading.

    Args:
        body: as `plait.pipeline.extract.markup.Markup` has it.
    """
    for tag in _tags_with(body, 'itemprop="date'):
        if attributes(tag.raw).get("itemprop") in _DAY_PROPERTIES and (day := _day_of(body, tag)):
            return day
    for part in _DAY_CLASS_PARTS:
        for tag in _tags_with(body, part):
            classes = attributes(tag.raw).get("class", "")
            if part in classes and not _DAY_CLASSES.isdisjoint(classes.split()) and (day := _day_of(body, tag)):
                return day
    heading = body.find("<h1")
    if heading < 0:
        return None
    for match in _TIME.finditer(body, max(0, heading - _BEFORE_HEADING), heading + _AFTER_HEADING):
        if day := iso_date(attributes(match[1]).get("datetime")):
            return day
    return None


def is_name(value: str) -> bool:
    """Can it be a name, and is no address, handle or number?"""
    return "@" not in value and not value.startswith("http") and not value.isdigit()


def _inside(body: str, tag: _Marked) -> str:
    """The text that an element holds; empty where it is long."""
    end = body.find(f"</{tag.name}>", tag.end, tag.end + _NEAR)
    return _TAG.sub(" ", body[tag.end : end]) if end >= 0 else ""


def marked_author(body: str) -> str | None:
    """The author that a page's body marks, if it marks one alone: several are those of reviews, answers or a list.

    Args:
        body: as `plait.pipeline.extract.markup.Markup` has it.
    """
    names: set[str] = set()
    linked: set[str] = set()
    for tag in _tags_with(body, 'author"'):
        found = attributes(tag.raw)
        if found.get("itemprop") == "author":
            if "content" in found:
                names.add(found["content"])
            elif "itemscope" in found:
                if inner := _NAME.search(body, tag.end, tag.end + _NEAR):
                    names.add(attributes(inner[1]).get("content") or inner[2])
            else:
                names.add(_inside(body, tag))
        elif "author" in found.get("rel", "").split():
            linked.add(_inside(body, tag))
    clean = {" ".join(unescape(raw).split()) for raw in names or linked}
    clean = {name for name in clean if 0 < len(name) <= _LONGEST and is_name(name)}
    return clean.pop() if len(clean) == 1 else None
