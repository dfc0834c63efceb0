"""From a record of an archive to a page, an image, a revisit, a redirect, a site's rules, a loss, or a count."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass

from plait.pipeline.read.dates import archive_time, http_time
from plait.pipeline.read.encodings import Body, decode_body, gunzip_if_gzip, too_large
from plait.pipeline.read.framing import Frame
from plait.pipeline.read.http_message import Head, clean_url, location_of, media_type, parse_head
from plait.pipeline.read.records import POLICY_BYTES, Limits, Loss, Record
from plait.pipeline.read.sniff import SNIFF_BYTES, clearly_html, image_format, is_binary, looks_html, xhtml_root
from plait.schemas.errors import RecordError
from plait.schemas.urls import site_file

_PIECE = 1 << 20
# Bytes of a block read at first: an HTTP head and the start of the body. Most pages are smaller than the larger figure
# and then copied once less; a block above it is read in two steps, so that pictures are not copied to be skipped.
_FIRST, _SMALL = 1 << 14, 1 << 18
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_NOT_MODIFIED = 304
_HTML = frozenset(("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"))
_XML = frozenset(("text/xml", "application/xml"))
_TEXT = "text/plain"
_VAGUE = frozenset(
    ("", "application/octet-stream", "binary/octet-stream", "application/force-download", "application/download",
     "application/x-download", "unknown/unknown", "application/unknown", "no-type", "unk", "*/*", _TEXT)
) | _XML  # fmt: skip
_HEX_SHA1 = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
_USUAL_DIGEST = re.compile(r"sha1:[2-7A-Z]{32}")
_HTTP = re.compile(r"\s*application/http\b", re.IGNORECASE)
# A chunked or compressed body can be longer as stored than decoded, but not by more than this: chunks of one byte
# take six, and no server sends those.
_STORED_FACTOR, _STORED_SLACK = 2, 1 << 16


@dataclass(slots=True)
class _Block:
    """A record's headers that matter and the start of its block."""

    url: str
    captured: int
    head: Head | None
    mime: str
    charset: str | None
    first: bytes  # of the body
    encoded: bool


def read_message(frame: Frame, limits: Limits, *, image_payloads: bool) -> Record | Loss | str:
    """What a record is; a string names what it is counted as where it is none of our business.

    Raises:
        DamagedError: the archive breaks off or is damaged within the record.
    """
    if frame.kind not in ("response", "resource", "revisit"):
        return frame.kind or "unknown"
    url = _url(frame)
    try:
        return _message(frame, url, limits, image_payloads)
    except RecordError as error:
        return Loss(error.reason, url, frame.offset, error.detail, error.value, error.threshold)


def _message(frame: Frame, url: str, limits: Limits, image_payloads: bool) -> Record | Loss | str:
    if not url:
        raise RecordError("record_malformed", "the record names no URL")
    if site_file(url) is not None:
        return _policy(frame, url, limits)
    if frame.kind == "revisit":
        return _revisit(frame, url, limits)
    block = _block(frame, url, limits)
    if block is None:
        return "other"
    head = block.head
    if head is not None and head.status != 200:
        return _other_status(frame, block, head)
    if block.mime.startswith("image/"):
        return _image(frame, block, limits, image_payloads)
    if block.mime in _HTML:
        return _page(frame, block, limits, image_payloads)
    if block.mime not in _VAGUE:
        return "other"
    sample = _sample(block)
    if image_format(sample) is not None and block.mime not in _XML:
        return _image(frame, block, limits, image_payloads)
    if _vague_html(block.mime, sample):
        return _page(frame, block, limits, image_payloads)
    return "other"


def _vague_html(mime: str, sample: bytes) -> bool:
    if is_binary(sample):
        return False
    if mime in _XML:
        return xhtml_root(sample)
    return clearly_html(sample) or (mime != _TEXT and looks_html(sample))


def _block(frame: Frame, url: str, limits: Limits) -> _Block | None:
    if url.startswith(("dns:", "whois:", "metadata:")):
        return None
    stated = frame.header(b"content-type") or ""
    head: Head | None = None
    first = frame.take(frame.size if frame.size <= _SMALL else _FIRST)
    if frame.arc or (frame.kind != "resource" and _is_http(stated)) or (not stated and first.startswith(b"HTTP/")):
        head, first = _http(frame, first, limits)
    mime, charset = media_type(head.headers.get("content-type") if head else stated)
    if head is None and mime == "application/http":
        mime = "text/html"
    encoded = head is not None and ("transfer-encoding" in head.headers or "content-encoding" in head.headers)
    return _Block(url, _captured(frame, head), head, mime, charset, first, encoded)


@functools.lru_cache(maxsize=256)
def _is_http(content_type: str) -> bool:
    return _HTTP.match(content_type) is not None


def _http(frame: Frame, first: bytes, limits: Limits) -> tuple[Head | None, bytes]:
    head = parse_head(first, whole=frame.taken >= frame.size)
    if head is None and frame.taken < frame.size:
        first += frame.take(max(limits.head_bytes - len(first), 0))
        head = parse_head(first, whole=frame.taken >= frame.size)
    if head is not None:
        return head, first[head.size :]
    if frame.size == 0:
        raise RecordError("empty_payload", "the record has no HTTP message")
    if frame.arc and not first.lstrip().startswith(b"HTTP/"):
        return None, first  # ARC files hold answers of servers before HTTP/1.0, which had no head
    if looks_html(first):
        return None, first  # written by a tool that kept the body alone
    raise RecordError("record_malformed", "no HTTP status line and headers")


def _url(frame: Frame) -> str:
    return clean_url(frame.header(b"uri" if frame.arc else b"warc-target-uri") or "")


def _captured(frame: Frame, head: Head | None) -> int:
    stated = frame.header(b"archive-date" if frame.arc else b"warc-date") or ""
    captured = archive_time(stated)
    if captured is None and head is not None:
        captured = http_time(head.headers.get("date"))
    if captured is None:
        raise RecordError("record_malformed", f"no capture time: {stated[:40]!r}")
    return captured


def _record(frame: Frame, block: _Block) -> Record:
    record = Record(
        "page", block.url, block.captured, frame.offset, mime=block.mime, charset=block.charset, warc_type=frame.kind
    )
    record.truncated = bool(frame.header(b"warc-truncated") or frame.header(b"warc-segment-number"))
    record.digest = _stated_digest(frame)
    if block.head is not None:
        headers = block.head.headers
        record.status = block.head.status
        record.robots = headers.get("x-robots-tag")
        record.tdm_reservation = headers.get("tdm-reservation")
        record.tdm_policy = headers.get("tdm-policy")
        record.language = headers.get("content-language")
    return record


def _stated_digest(frame: Frame) -> str | None:
    """The payload digest of a record's headers: algorithm in lower case, SHA-1 in base 32."""
    text = frame.header(b"warc-payload-digest")
    if text is None and frame.kind == "resource":
        text = frame.header(b"warc-block-digest")  # a resource's block is its payload
    if not text:
        return None
    if _USUAL_DIGEST.fullmatch(text):
        return text
    algorithm, colon, value = text.strip().partition(":")
    algorithm, value = algorithm.strip().lower().replace("-", ""), value.strip()
    if not colon or not value:
        return None
    if algorithm == "sha1":
        value = _base32(bytes.fromhex(value)) if len(value) == 40 and _HEX_SHA1.fullmatch(value) else value.upper()
    return f"{algorithm}:{value}"


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode("ascii")


def _policy(frame: Frame, url: str, limits: Limits) -> Record:
    """A robots.txt or a tdmrep.json, whatever its type and status; of a body the beginning."""
    block = _revisit_block(frame, url, limits) if frame.kind == "revisit" else _block(frame, url, limits)
    if block is None:
        raise RecordError("record_malformed", "no site has such a URL")
    record = _record(frame, block)
    record.kind = "policy"
    if block.head is not None and record.status in _REDIRECTS:
        record.target = location_of(block.head.headers, url)
    elif frame.kind != "revisit" and 200 <= record.status < 300:
        record.payload = _beginning(frame, block, record)
    return record


def _beginning(frame: Frame, block: _Block, record: Record) -> bytes:
    """The first `POLICY_BYTES` of a decoded body; the record gets the digest of the whole where it states none."""
    most = POLICY_BYTES * _STORED_FACTOR + _STORED_SLACK if block.encoded else POLICY_BYTES
    stored = block.first + frame.take(max(most - len(block.first), 0))
    if record.digest is None and frame.taken >= frame.size:
        record.digest = "sha1:" + _base32(hashlib.sha1(stored, usedforsecurity=False).digest())
    headers = block.head.headers if block.encoded and block.head is not None else {}
    transfer, content = headers.get("transfer-encoding", ""), headers.get("content-encoding", "")
    body = decode_body(stored, transfer, content, POLICY_BYTES, cut=True)
    return gunzip_if_gzip(body.data, POLICY_BYTES, cut=True).data


def _revisit_block(frame: Frame, url: str, limits: Limits) -> _Block:
    first = frame.take(min(_FIRST, limits.head_bytes))
    head = parse_head(first, whole=frame.taken >= frame.size) if first else None
    mime, charset = media_type(head.headers.get("content-type") if head else None)
    return _Block(url, _captured(frame, head), head, mime, charset, b"", False)


def _revisit(frame: Frame, url: str, limits: Limits) -> Record | Loss | str:
    block = _revisit_block(frame, url, limits)
    head = block.head
    if head is not None and head.status in _REDIRECTS:
        return _redirect(frame, block, head)
    if head is not None and head.status not in (200, _NOT_MODIFIED):
        return _other_status(frame, block, head)
    record = _record(frame, block)
    record.kind, record.truncated = "revisit", False  # writers call a revisit truncated, as it has no payload
    record.target = clean_url(frame.header(b"warc-refers-to-target-uri") or "") or url
    record.target_captured = archive_time(frame.header(b"warc-refers-to-date") or "")
    return record


def _other_status(frame: Frame, block: _Block, head: Head) -> Record | Loss | str:
    if head.status in _REDIRECTS:
        return _redirect(frame, block, head)
    if head.status == _NOT_MODIFIED:  # the server said that an earlier capture still holds
        record = _record(frame, block)
        record.kind, record.target = "revisit", block.url
        record.digest = None if frame.kind == "response" else record.digest  # the response's own digest is of nothing
        return record
    if block.mime in _HTML or block.mime.startswith("image/"):
        return Loss("http_status", block.url, frame.offset, block.mime, float(head.status), 200.0)
    return "status"


def _redirect(frame: Frame, block: _Block, head: Head) -> Record | Loss | str:
    target = location_of(head.headers, block.url)
    if target is None:
        return Loss("http_status", block.url, frame.offset, "redirect without a target", float(head.status), 200.0)
    record = _record(frame, block)
    record.kind, record.target = "redirect", target
    return record


def _sample(block: _Block) -> bytes:
    """The decoded start of a body of a vague type; as stored where it cannot be decoded."""
    if not block.encoded or block.head is None:
        return block.first[:SNIFF_BYTES]
    headers = block.head.headers
    try:
        body = decode_body(
            block.first, headers.get("transfer-encoding", ""), headers.get("content-encoding", ""), _PIECE
        )
    except RecordError:
        return block.first[:SNIFF_BYTES]
    return body.data[:SNIFF_BYTES]


def _page(frame: Frame, block: _Block, limits: Limits, image_payloads: bool) -> Record | Loss | str:
    body, stored = _body(frame, block, limits.page_bytes)
    if not body.data or body.data.isspace():
        raise RecordError("empty_payload", block.mime)
    if body.data.startswith(b"\x1f\x8b\x08"):
        body = gunzip_if_gzip(body.data, limits.page_bytes)
    record = _record(frame, block)
    record.truncated = record.truncated or not body.whole
    if record.digest is None:
        record.digest = "sha1:" + _base32(hashlib.sha1(stored, usedforsecurity=False).digest())
    if image_format(body.data) is not None:
        record.kind = "image"
        record.payload = body.data if image_payloads else None
        return record
    if is_binary(body.data):
        raise RecordError("not_html", f"{block.mime} that starts with {body.data[:4]!r}")
    record.payload = body.data
    record.sha256 = hashlib.sha256(body.data).digest()
    return record


def _image(frame: Frame, block: _Block, limits: Limits, image_payloads: bool) -> Record | Loss | str:
    if not block.first:
        raise RecordError("empty_payload", block.mime)
    record = _record(frame, block)
    record.kind = "image"
    if image_payloads:
        try:
            body, stored = _body(frame, block, limits.image_bytes)
        except RecordError as error:
            if error.reason == "record_too_large":
                raise RecordError("image_too_large", value=error.value, threshold=error.threshold) from error
            raise
        if not body.data:
            raise RecordError("empty_payload", block.mime)
        record.payload, record.truncated = body.data, record.truncated or not body.whole
        if record.digest is None:
            record.digest = "sha1:" + _base32(hashlib.sha1(stored, usedforsecurity=False).digest())
    elif record.digest is None:
        sha1 = hashlib.sha1(block.first, usedforsecurity=False)
        while piece := frame.take(_PIECE):
            sha1.update(piece)
        record.digest = "sha1:" + _base32(sha1.digest())
    return record


def _body(frame: Frame, block: _Block, limit: int) -> tuple[Body, bytes]:
    """The decoded body and the body as stored."""
    size = len(block.first) + frame.size - frame.taken
    if size > (limit * _STORED_FACTOR + _STORED_SLACK if block.encoded else limit):
        raise too_large(size, limit)
    rest = frame.take(frame.size)
    stored = block.first + rest if rest else block.first
    if not block.encoded or block.head is None:
        return Body(stored), stored
    headers = block.head.headers
    return decode_body(stored, headers.get("transfer-encoding", ""), headers.get("content-encoding", ""), limit), stored
