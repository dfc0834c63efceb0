"""A response's body, read under limits: bytes as sent, bytes as decoded, bytes of all bodies together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from plait.pipeline.fetch.answers import Refusal
from plait.pipeline.read.encodings import decode_body
from plait.schemas.errors import RecordError

LARGE = 1 << 20
"""Bytes from which on a body needs a place among the few large ones."""


class BodyReader:
    """Reads bodies; at most ``memory // max_bytes`` (and at least one) are over 1 MiB at a time.

    Args:
        max_bytes: of a body, as sent and as decoded.
        memory: bytes for large bodies.
    """

    def __init__(self, max_bytes: int, memory: int):
        self._max = max_bytes
        self._large = asyncio.Semaphore(max(1, memory // max(max_bytes, 1)))

    async def read(self, response: aiohttp.ClientResponse, put_off: Callable[[float], None]) -> tuple[bytes, int]:
        """The decoded body, and its bytes as sent.

        Args:
            response: whose body is read.
            put_off: told the seconds that were spent waiting for a place, which are no fault of the server's.

        Raises:
            Refusal: over a limit, empty, or not encoded as it says.
            aiohttp.ClientError: the connection broke.
        """
        declared = response.content_length
        if declared is not None and declared > self._max:
            raise Refusal("fetch_too_large", f"{declared} bytes are announced")
        parts: list[bytes] = []
        size = 0
        held = False
        content = response.content
        try:
            while part := await content.readany():
                size += len(part)
                if size > self._max:
                    raise Refusal("fetch_too_large", f"more than {self._max} bytes were sent")
                parts.append(part)
                if size > LARGE and not held:
                    before = asyncio.get_running_loop().time()
                    await self._large.acquire()
                    held = True
                    put_off(asyncio.get_running_loop().time() - before)
            return self._decode(b"".join(parts), response.headers.get("Content-Encoding", "")), size
        finally:
            if held:
                self._large.release()

    def _decode(self, sent: bytes, encoding: str) -> bytes:
        if not sent:
            raise Refusal("fetch_empty")
        if not encoding:
            return sent
        try:
            body = decode_body(sent, "", encoding, self._max)
        except RecordError as error:
            if error.reason == "record_too_large":
                raise Refusal("fetch_bomb", f"{len(sent)} bytes decode to more than {self._max}") from error
            raise Refusal(error.reason, error.detail) from error
        if not body.whole:
            raise Refusal("fetch_incomplete", "the content encoding breaks off", retry=True)
        if not body.data:
            raise Refusal("fetch_empty", "nothing is left of the content encoding")
        return body.data
