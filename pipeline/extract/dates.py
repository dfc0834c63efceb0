"""Days as pages write them, in attributes and in URLs."""

from __future__ import annotations

import re

_ISO = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_SLASHED = re.compile(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?!\d)")
_DOTTED = re.compile(r"(?<!\d)(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\d)")  # day first wherever dots are written
_COMPACT = re.compile(r"^(\d{4})(\d{2})(\d{2})(?:\D|$)")
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_NAMED = re.compile(
    rf"\b(?:{_MONTH}\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})|(\d{{1,2}})(?:st|nd|rd|th)? {_MONTH}\.?,? (\d{{4}})"
    rf"|(\d{{4}}) {_MONTH}\.? (\d{{1,2}}))\b",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_IN_URL = re.compile(r"/((?:19|20)\d\d)[/-](0?[1-9]|1[0-2])[/-](0?[1-9]|[12]\d|3[01])(?=[/_.-]|$)")


def _day(year: str, month: int, day: int) -> str | None:
    """A day in ISO 8601; None where there is no such day, or where it is a machine's zero."""
    possible = 1 <= month <= 12 and 1 <= day <= 31 and year >= "1000" and (year, month, day) != ("1970", 1, 1)
    return f"{year}-{month:02}-{day:02}" if possible else None


def iso_date(value: str | None) -> str | None:
    """A date in ISO 8601 as far as the value gives one, or None; English names of months are read too."""
    value = (value or "").strip()
    if match := _ISO.search(value):
        return match[0].replace(" ", "T") if _day(match[1], int(match[2]), int(match[3] or 2)) else None
    for pattern in (_SLASHED, _COMPACT):
        if match := pattern.match(value):
            return _day(match[1], int(match[2]), int(match[3]))
    if match := _DOTTED.search(value):
        return _day(match[3], int(match[2]), int(match[1]))
    if match := _NAMED.search(value):
        year, month, day = match[3] or match[6] or match[7], match[1] or match[5] or match[8], match[2] or match[4]
        return _day(year, _MONTHS.index(month.lower()) + 1, int(day or match[9]))
    return None


def date_of_url(url: str) -> str | None:
    """The day that a URL's path names, as the addresses of posts do: ``/2019/06/30/`` or ``/2019-06-30-``."""
    match = _IN_URL.search(url)
    return _day(match[1], int(match[2]), int(match[3])) if match else None
