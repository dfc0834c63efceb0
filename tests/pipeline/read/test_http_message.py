from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.pipeline.read.http_message import clean_url, location_of, media_type, parse_head

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\nX-Robots-Tag: noai\r\nServer: x\r\n\r\n"


def test_status_headers_and_the_place_of_the_body():
    head = parse_head(HEAD + b"body", whole=True)
    assert head is not None
    assert (head.status, head.size) == (200, len(HEAD))
    assert head.headers == {"content-type": "text/html; charset=UTF-8", "x-robots-tag": "noai"}


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\n", b"\n\r\n"])
def test_line_feeds_alone_end_a_head_too(end: bytes):
    head = parse_head(b"HTTP/1.0 404 Not Found\nContent-Type: text/html" + end + b"body\r\n\r\nmore", whole=True)
    assert head is not None
    assert head.status == 404
    assert head.headers["content-type"] == "text/html"
    assert (b"HTTP/1.0 404 Not Found\nContent-Type: text/html" + end)[head.size :] == b""


def test_repeated_and_folded_headers():
    head = parse_head(
        b"HTTP/1.1 200 OK\r\nX-Robots-Tag: noindex\r\nx-robots-tag:noai\r\nContent-Type: text/html;\r\n"
        b"\tcharset=gbk\r\nContent-Type: image/png\r\n\r\n",
        whole=True,
    )
    assert head is not None
    assert head.headers == {"x-robots-tag": "noindex, noai", "content-type": "text/html; charset=gbk"}


def test_a_head_without_end_is_all_there_is_or_unknown():
    block = b"HTTP/1.0 200 OK\nSet-Cookie: a=b"
    head = parse_head(block, whole=True)
    assert head is not None
    assert head.size == len(block)
    assert parse_head(block, whole=False) is None


@pytest.mark.parametrize("block", [b"", b"<html>", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n"])
def test_what_is_no_response_has_no_head(block: bytes):
    assert parse_head(block, whole=True) is None


def test_header_bytes_are_utf8_or_latin1():
    for name in ("utf-8", "latin-1"):
        head = parse_head("HTTP/1.1 301 x\r\nLocation: /caf\u00e9\r\n\r\n".encode(name), whole=True)
        assert head is not None
        assert location_of(head.headers, "http://a.test/b") == "http://a.test/caf\u00e9"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("text/html; charset=UTF-8", ("text/html", "UTF-8")),
        ("Text/HTML", ("text/html", None)),
        (" text/html ;Charset = 'gb2312' ", ("text/html", "gb2312")),
        ('text/html; charset="windows-1251"; x=y', ("text/html", "windows-1251")),
        ("text/html, text/html", ("text/html", None)),
        ("html", ("", None)),
        ("", ("", None)),
        (None, ("", None)),
    ],
)
def test_media_types(text: str | None, parts: tuple[str, str | None]):
    assert media_type(text) == parts


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("<http://a.test/x>", "http://a.test/x"),
        (" http://a.test/a b ", "http://a.test/a%20b"),
        ("http://a.test/a\r\nb\x0cc", "http://a.test/abc"),
        (": http://a.test/", "http://a.test/"),
        (":%20http://a.test/", "http://a.test/"),
        ("%20http://a.test/", "http://a.test/"),
        ("", ""),
        (":", ""),
        ("http://a.test/日本", "http://a.test/日本"),
    ],
)
def test_urls_are_made_whole(text: str, url: str):
    assert clean_url(text) == url


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b", "http://a.test/b"),
        ("c?d", "http://a.test/x/c?d"),
        ("//cdn.test/e.jpg", "http://cdn.test/e.jpg"),
        ("https://b.test/", "https://b.test/"),
        ("", None),
        ("javascript:void(0)", None),
        ("http://[bad", None),
    ],
)
def test_where_a_redirect_leads(location: str, target: str | None):
    assert location_of({"location": location}, "http://a.test/x/y") == target


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_raise(block: bytes, whole: bool):
    head = parse_head(b"HTTP/1.1 200 OK\r\n" + block, whole=whole)
    assert head is None or 0 <= head.size <= len(block) + 17
