"""What became of one URL, and the reasons for which there may be no picture."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp

RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """The one end of one URL.

    Attributes:
        url: as asked for.
        reason: None where `body` holds a picture's bytes, else a code of `plait.schemas.reasons`.
        body: bytes of the picture, b"" where there is a reason.
        sha256: of `body`; None where there is a reason.
        status: of the last HTTP response, None where there was none.
        bytes: received of the last body, as sent.
        content_type: as the server states it.
        final_url: that the last request was for.
        redirects: hops followed.
        attempts: requests for the picture, hops and retries included; robots.txt is not counted.
        asked_us: when the first request began, microseconds since 1970; when it was refused where none was made.
        first_byte_s: from the start of the last request to the response's headers, in seconds; None without them.
        total_s: length of the last request, in seconds; 0 without one.
        detail: what else helps to understand the reason.
    """

    url: str
    reason: str | None
    body: bytes
    sha256: bytes | None
    status: int | None
    bytes: int
    content_type: str | None
    final_url: str
    redirects: int
    attempts: int
    asked_us: int
    first_byte_s: float | None
    total_s: float
    detail: str | None


class Refusal(Exception):  # noqa: N818 - it is the end of one attempt, not an error of ours
    """An attempt ended without a picture.

    Attributes:
        reason: code from `plait.schemas.reasons`.
        detail: for people.
        retry: whether another attempt may do better.
        host: whether it says something of the host's health.
        after_s: seconds that the server asks to wait; None where it does not say.
    """

    def __init__(
        self, reason: str, detail: str = "", *, retry: bool = False, host: bool = False, after_s: float | None = None
    ):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.retry = retry
        self.host = host
        self.after_s = after_s


class RefusedAddressError(OSError):
    """A name or a literal that leads to an address which must not be asked."""


def refusal_of(error: Exception) -> Refusal:
    """The refusal that an exception of a request stands for.

    Raises:
        Exception: the error itself, where it is none of a network's.
    """
    detail = f"{type(error).__name__}: {error}"[:200]
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, RefusedAddressError):
        return Refusal("fetch_refused_address", str(cause))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        again = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN
        again = again or isinstance(cause, TimeoutError)
        return Refusal("fetch_dns", detail, retry=again, host=again)
    if isinstance(error, aiohttp.ClientSSLError):  # certificates too
        return Refusal("fetch_tls", detail, host=True)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):  # aiohttp's timeouts are subclasses
        return Refusal("fetch_timeout", detail, retry=True, host=True)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Refusal("fetch_connect", detail, retry=True, host=True)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return Refusal("fetch_incomplete", detail, retry=True, host=True)
    if isinstance(error, aiohttp.InvalidURL):
        return Refusal("fetch_url_invalid", detail)
    if isinstance(error, aiohttp.ClientError | ValueError):
        return Refusal("fetch_protocol", detail, host=True)
    raise error


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or an HTTP date; None where it says nothing.

    Args:
        value: the header.
        now: seconds since 1970.
    """
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:10]), 10**9))
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
