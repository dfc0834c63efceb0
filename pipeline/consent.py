"""Opt-out signals of pages and images: what an archive recorded is honoured like what a server says today."""

from __future__ import annotations

from collections.abc import Iterable

from plait.schemas.errors import RecordError

PAGE_SIGNALS = frozenset({"noai", "noml", "tdm-reservation"})
"""Tokens that keep a page and its images out: DeviantArt's ``noai``, Mojeek's ``noml``, W3C's TDM reservation."""

IMAGE_SIGNALS = frozenset({"noimageai", *PAGE_SIGNALS})
"""Tokens that keep a page's images, or an image itself, out."""


def tokens(header: str | None, tdm_reservation: str | None = None) -> frozenset[str]:
    """Lower-case tokens of X-Robots-Tag headers, and "tdm-reservation" where TDM-Reservation is 1.

    A token may name a robot before a colon (``otherbot: noai``): what is asked of any robot is heeded.
    """
    found = {part.rpartition(":")[2].strip().lower() for part in (header or "").split(",")}
    if (tdm_reservation or "").strip() == "1":
        found.add("tdm-reservation")
    return frozenset(found - {""})


def check_page(found: Iterable[str]) -> None:
    """Raises `RecordError` ("opted_out", with the token) for a page that asks not to be used."""
    refused = min(PAGE_SIGNALS.intersection(found), default=None)
    if refused is not None:
        raise RecordError("opted_out", refused)


def refuses_images(found: Iterable[str]) -> str | None:
    """The token that keeps images out, if any."""
    return min(IMAGE_SIGNALS.intersection(found), default=None)
