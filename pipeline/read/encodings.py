"""Transfer and content encodings undone, with the limit enforced while inflating.

Crawlers store bodies as the server sent them, half undone, or undone under the old headers; so every claim is checked
against the bytes, and a body that is not encoded as claimed is used as it is.
"""

from __future__ import annotations

import io
import re
import zlib
from typing import NamedTuple

import brotli

from plait.pipeline.read.sniff import image_format, looks_html
from plait.schemas.errors import RecordError

_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\n]{0,1000})?\r?\n")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 16
_NONE = frozenset(("", "identity", "none", "utf-8", "utf8", "binary", "8bit", "chunked"))


class Body(NamedTuple):
    """A decoded body.

    Attributes:
        data: the bytes.
        whole: False where the encoding broke off before its end, so that `data` is only the beginning.
    """

    data: bytes
    whole: bool = True


def decode_body(stored: bytes, transfer: str, content: str, limit: int, *, cut: bool = False) -> Body:
    """The body without its transfer and content encodings.

    Args:
        stored: as the archive has it.
        transfer: Transfer-Encoding header, "" for none.
        content: Content-Encoding header, "" for none; several are undone from the last to the first.
        limit: most bytes that may come out of any step.
        cut: give the first bytes of a body above the limit, instead of none.

    Raises:
        RecordError: ``record_too_large`` above the limit unless it is cut, ``decode_failed`` where damage hides the
            content.
    """
    body = Body(stored)
    if "chunked" in transfer.lower():
        body = dechunk(stored)
    for name in reversed(content.lower().split(",")):
        step = inflate(body.data, name.strip(), limit, cut=cut)
        body = Body(step.data, body.whole and step.whole)
    if len(body.data) > limit:
        return _over(body.data, limit, cut)
    return body


def too_large(size: int, limit: int) -> RecordError:
    """The verdict on a payload of at least `size` bytes."""
    return RecordError("record_too_large", "decoded payload", value=float(size), threshold=float(limit))


def _over(data: bytes, limit: int, cut: bool) -> Body:
    """What there is of a body above the limit."""
    if not cut:
        raise too_large(len(data), limit)
    return Body(data[:limit], whole=False)


def dechunk(data: bytes) -> Body:
    """A chunked body's chunks joined; the data itself where it does not start with a chunk of a plausible size.

    A body that ends without the last chunk, or in the middle of one, is complete as far as it goes (`Body.whole` is
    False for the latter). Where a later chunk's size cannot be read, what follows it is lost.
    """
    first = _CHUNK.match(data)
    if first is None or (int(first[1], 16) > len(data) and looks_html(data)):
        return Body(data)
    parts: list[memoryview] = []
    view, place = memoryview(data), 0
    while place < len(data):
        match = _CHUNK.match(data, place)
        if match is None:
            return Body(b"".join(parts), whole=not data[place:].strip(b"\r\n"))
        size = int(match[1], 16)
        if size == 0:
            break
        start = match.end()
        parts.append(view[start : start + size])
        if start + size > len(data):
            return Body(b"".join(parts), whole=False)
        place = start + size
        if data[place : place + 2] == b"\r\n":
            place += 2
        elif data[place : place + 1] == b"\n":
            place += 1
    return Body(b"".join(parts))


def inflate(data: bytes, encoding: str, limit: int, *, cut: bool = False) -> Body:
    """One content encoding undone: gzip, deflate, br, zstd; any other name leaves the data as it is."""
    if encoding in _NONE or not data:
        return Body(data)
    if encoding in ("gzip", "x-gzip"):
        return _gunzip(data, limit, cut) if data.startswith(_GZIP) else Body(data)
    if encoding == "deflate":
        return _undeflate(data, limit, cut)
    if encoding in ("br", "brotli"):
        return _unbrotli(data, limit, cut)
    if encoding == "zstd":
        return _unzstd(data, limit, cut) if data.startswith(_ZSTD) else Body(data)
    return Body(data)


def gunzip_if_gzip(data: bytes, limit: int, *, cut: bool = False) -> Body:
    """The data inflated where it is gzip all the same, which no header announced."""
    return _gunzip(data, limit, cut) if data.startswith(_GZIP) else Body(data)


def _failed(encoding: str, error: Exception) -> RecordError:
    return RecordError("decode_failed", f"{encoding}: {error}")


def _gunzip(data: bytes, limit: int, cut: bool) -> Body:
    parts: list[bytes] = []
    size = 0
    while data.startswith(_GZIP):  # members one after another are one body
        engine = zlib.decompressobj(31)
        try:
            part = engine.decompress(data, limit + 1 - size)
            part += b"" if engine.eof or engine.unconsumed_tail else engine.flush()
        except zlib.error as error:
            if parts:
                return Body(b"".join(parts), whole=False)
            raise _failed("gzip", error) from error
        parts.append(part)
        size += len(part)
        if size > limit:
            return _over(b"".join(parts), limit, cut)
        if not engine.eof:
            return Body(b"".join(parts), whole=False)
        data = engine.unused_data
    return Body(b"".join(parts))


def _undeflate(data: bytes, limit: int, cut: bool) -> Body:
    # The standard means zlib, many servers send raw deflate, and some send neither.
    for window in (15, -15):
        engine = zlib.decompressobj(window)
        try:
            part = engine.decompress(data, limit + 1)
        except zlib.error:
            continue
        if len(part) > limit:
            return _over(part, limit, cut)
        if part or engine.eof:
            return Body(part, whole=engine.eof)
    if _plain(data):
        return Body(data)
    raise RecordError("decode_failed", "deflate: neither zlib nor raw deflate")


def _unbrotli(data: bytes, limit: int, cut: bool) -> Body:
    engine = brotli.Decompressor()
    parts: list[bytes] = []
    size = 0
    try:
        part: bytes = engine.process(data, output_buffer_limit=_PIECE)
        while part:
            parts.append(part)
            size += len(part)
            if size > limit:
                return _over(b"".join(parts), limit, cut)
            part = b"" if engine.is_finished() else engine.process(b"", output_buffer_limit=_PIECE)
    except brotli.error as error:  # brotli has no magic number: it fails on what is not brotli
        if _plain(data):
            return Body(data)
        raise _failed("br", error) from error
    return Body(b"".join(parts), whole=engine.is_finished())


def _unzstd(data: bytes, limit: int, cut: bool) -> Body:
    from fastwarc.stream_io import ZstdReader

    reader = ZstdReader(io.BytesIO(data))
    parts: list[bytes] = []
    size = 0
    try:
        while part := reader.read(_PIECE):
            parts.append(part)
            size += len(part)
            if size > limit:
                return _over(b"".join(parts), limit, cut)
    except OSError as error:
        if parts:
            return Body(b"".join(parts), whole=False)
        raise _failed("zstd", error) from error
    return Body(b"".join(parts))


def _plain(data: bytes) -> bool:
    return looks_html(data) or image_format(data) is not None
