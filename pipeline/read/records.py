"""What reading an archive gives: pages, images, revisits, redirects, sites' rules, and what was lost on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

MIB = 1 << 20

Kind = Literal["page", "image", "revisit", "redirect", "policy"]

POLICY_BYTES = (1 << 20) + 1
"""Of a site's rules, read: what counts of them (512 KiB of a robots.txt, 1 MiB of a tdmrep.json), and a byte."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that decide; all deterministic, all in bytes.

    Attributes:
        page_bytes: a decoded page above this is dropped. Common Crawl cuts its records at 5 MiB (1 MiB until March
            2025), so 8 MiB takes every page it holds; the largest of the 1,480 real pages of our speed tests has
            3.2 MB.
        image_bytes: encoded bytes of a picture above this are dropped: four times the largest upload most sites take.
        head_bytes: HTTP status line and headers; servers refuse heads of 8 to 64 KiB.
        spool_bytes: what a gzip member that holds many records may inflate to on disk.
    """

    page_bytes: int = 8 * MIB
    image_bytes: int = 32 * MIB
    head_bytes: int = 64 << 10
    spool_bytes: int = 64 << 30

    @property
    def stored_bytes(self) -> int:
        """Bytes of an archive that a record can take: one that does not end within them is too large anyway."""
        return 3 * max(self.page_bytes, self.image_bytes) + MIB


@dataclass(slots=True)
class Record:
    """One record of an archive that is a page, an image, a revisit, a redirect or what a site asks of robots.

    Attributes:
        kind: what it is; an image is called so by its declared type or by its first bytes, a policy (a robots.txt or a
            tdmrep.json) by its URL, whatever its status.
        url: as the archive has it, without angle brackets and control characters, blanks as ``%20``.
        captured: microseconds since 1970 UTC.
        offset: where the record starts. Up to the archive's size it is a position in the archive; beyond, size plus a
            position in its decompressed spool (see `plait.pipeline.read.framing`).
        length: bytes from `offset` to the next record: a compressed member, or the plain record.
        status: HTTP status, 200 for records without an HTTP head.
        mime: media type in lower case without parameters, "" where none is stated.
        charset: of the Content-Type header; None where it says nothing.
        payload: decoded from transfer and content encodings; None for revisits, redirects, and images not asked for; of
            a policy the first `POLICY_BYTES`.
        sha256: of a page's payload, 32 bytes.
        digest: payload digest as the archive states it, ``sha1:`` in base 32; computed from the payload as stored
            where the archive has none; None where there is no payload.
        target: redirect, also of a policy: URL that it leads to; revisit: URL that it refers to.
        target_captured: revisit: time that it refers to.
        truncated: the payload is not all that the server sent.
        robots: X-Robots-Tag headers, joined by commas.
        tdm_reservation: TDM-Reservation header ("1" reserves).
        tdm_policy: TDM-Policy header.
        language: Content-Language header.
        warc_type: record type in the archive: response, resource or revisit.
    """

    kind: Kind
    url: str
    captured: int
    offset: int
    length: int = 0
    status: int = 200
    mime: str = ""
    charset: str | None = None
    payload: bytes | None = None
    sha256: bytes | None = None
    digest: str | None = None
    target: str | None = None
    target_captured: int | None = None
    truncated: bool = False
    robots: str | None = None
    tdm_reservation: str | None = None
    tdm_policy: str | None = None
    language: str | None = None
    warc_type: str = "response"


@dataclass(frozen=True, slots=True)
class Loss:
    """A record, or a stretch of an archive, that should have been read and was not.

    Attributes:
        reason: code from `plait.schemas.reasons`.
        url: of the record, None where damage hid it.
        offset: as in `Record`.
        detail: what else helps to understand it.
        value: what was measured, where a number decided.
        threshold: the limit that it met.
    """

    reason: str
    url: str | None
    offset: int
    detail: str = ""
    value: float | None = None
    threshold: float | None = None


@dataclass(slots=True)
class Tally:
    """Counts of everything in an archive: every record is in exactly one of the two.

    Attributes:
        read: records yielded, by kind, and losses, by reason.
        skipped: records that are none of our business, by what they are: record types (``request``, ``warcinfo``…),
            ``other`` (a payload that is neither page nor image, such as a style sheet) and ``status`` (an answer
            other than 200 for such a payload).
    """

    read: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
