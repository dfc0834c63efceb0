"""The HTTP message inside a record: status line, headers, and what they say about the body."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from urllib.parse import urljoin

# Only the headers that are used: a response has some twenty, and splitting them all in Python takes five times as long.
# A look at the first letter spares most of them the alternatives.
_HEADER = re.compile(
    rb"\n(?=[cdltx])"
    rb"(content-(?:encoding|language|type)|transfer-encoding|location|date|x-robots-tag|tdm-(?:policy|reservation))"
    rb"[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)",
    re.IGNORECASE,
)
# In "\n\n\r\n" the blank line is the one that CR LF ends.
_BLANK_LINE = re.compile(rb"\n\r\n|\n\n(?!\r\n)")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_STATUS = re.compile(rb"\s*HTTP/\d(?:\.\d)?\s+(\d{3})\b", re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_MIME = re.compile(r"[\w.+*-]+/[\w.+*-]+")
_USUAL = {  # names as most servers write them
    name.title().encode(): name
    for name in ("content-type", "date", "content-encoding", "transfer-encoding", "location")
}
_SINGLE = frozenset(("content-type", "date", "location"))  # repeated by mistake: the first counts
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(slots=True)
class Head:
    """An HTTP status and its headers.

    Attributes:
        status: three digits.
        headers: those that are used, names in lower case; values of repeated headers are joined by commas.
        size: bytes of the head in the record's block, blank line included.
    """

    status: int
    headers: dict[str, str]
    size: int


def text_of(data: bytes) -> str:
    """Header bytes as text: UTF-8, or Latin-1 where they are not, as servers send both."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_head(block: bytes, *, whole: bool) -> Head | None:
    """The head of an HTTP response.

    Args:
        block: the first bytes of the record's block.
        whole: no bytes follow: a head that nothing ends is then all there is.

    Returns:
        None where the block does not start with an HTTP status line, or its head does not end within the bytes given.
    """
    end, size = _head_end(block)
    if end < 0:
        if not whole:
            return None
        end = size = len(block)
    match = _STATUS.match(block, 0, end)
    if match is None:
        return None
    headers: dict[str, str] = {}
    for name, value in _HEADER.findall(block, match.end(), end):
        key = _USUAL.get(name) or name.decode("ascii").lower()
        text = text_of(_FOLD.sub(b" ", value) if b"\n" in value else value).strip()
        if key not in headers:
            headers[key] = text
        elif key not in _SINGLE:
            headers[key] += ", " + text
    return Head(int(match[1]), headers, size)


def _head_end(block: bytes) -> tuple[int, int]:
    """Where the last header ends and where the body starts; -1 where no blank line is."""
    match = _BLANK_LINE.search(block)
    return match.span() if match else (-1, -1)


@functools.lru_cache(maxsize=1024)
def media_type(content_type: str | None) -> tuple[str, str | None]:
    """Media type in lower case ("" where none is stated) and charset of a Content-Type header."""
    if not content_type:
        return "", None
    mime = _MIME.search(content_type.split(";", 1)[0])
    charset = _CHARSET.search(content_type)
    return (mime[0].lower() if mime else ""), (charset[1] if charset else None)


def clean_url(url: str) -> str:
    """A URL as an archive has it, made whole: no angle brackets (wget 1.19), no control characters, blanks escaped."""
    url = url.strip()
    if url[:1] == "<" and url[-1:] == ">":
        url = url[1:-1].strip()
    while url[:1] in (":", " ") or url.startswith("%20"):  # some writers repeat the header's colon, some fold the line
        url = url[3:] if url[0] == "%" else url[1:]
    if not url.isprintable():
        url = _CONTROLS.sub("", url)
    return url.replace(" ", "%20")


def location_of(headers: dict[str, str], url: str) -> str | None:
    """Where a redirect leads, resolved against its own URL; None where it says nothing that can be followed."""
    location = headers.get("location")
    if not location:
        return None
    try:
        target = urljoin(url, clean_url(location))
    except ValueError:
        return None
    return target if target.startswith(("http://", "https://")) else None
