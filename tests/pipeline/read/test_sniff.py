from __future__ import annotations

import io

import pytest
from PIL import Image

from plait.pipeline.read.sniff import clearly_html, image_format, is_binary, looks_html, xhtml_root
from tests.archives import html


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("JPEG", "jpeg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"), ("BMP", "bmp"), ("TIFF", "tiff"),
        ("ICO", "ico"), ("AVIF", "avif"),
    ],
)  # fmt: skip
def test_pictures_are_known_by_their_first_bytes(kind: str, name: str):
    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, kind)
    assert image_format(out.getvalue()[:64]) == name


@pytest.mark.parametrize(
    "data", [b"", b"BM", b"BMW builds cars in many places.", b"GIF", b"RIFFxxxxWAVE", b"\0\0\0\x20ftypmp42"]
)
def test_what_only_begins_like_a_picture_is_none(data: bytes):
    assert image_format(data) is None


@pytest.mark.parametrize(
    "data",
    [
        html("x"), b"\n\n <html><body>", b"<!-- note --><html>", b"\xef\xbb\xbf<!doctype html>", b"<p>hello",
        b"<a href=x>", "<html>".encode("utf-16"), b"<TITLE>x", b"<div class=x>",
    ],
)  # fmt: skip
def test_html_is_known_by_its_first_tag(data: bytes):
    assert looks_html(data)


@pytest.mark.parametrize("data", [b"", b"plain text", b"{}", b"<article>", b"<bold>", b"<?xml version='1.0'?><rss>"])
def test_other_text_is_not_html(data: bytes):
    assert not looks_html(data)


def test_only_a_doctype_or_an_html_element_is_clear():
    assert clearly_html(b"<!-- a --> <!DOCTYPE html><p>")
    assert clearly_html(b"<?xml version='1.0'?>\n<html xmlns='http://www.w3.org/1999/xhtml'>")
    assert not clearly_html(b"<p>an example of HTML in plain text")
    assert not clearly_html(b"How to write <html>")


def test_xml_is_html_where_its_root_says_so():
    assert xhtml_root(b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>")
    assert not xhtml_root(b"<?xml version='1.0'?><rss version='2.0'><channel>")


@pytest.mark.parametrize("data", [b"%PDF-1.4 ...", b"PK\x03\x04....", bytes(500), b"\x1f\x8b\x08" + bytes(20)])
def test_binary_data_is_not_text(data: bytes):
    assert is_binary(data)


@pytest.mark.parametrize(
    "data",
    [
        html("x"),
        "<p>x</p>".encode("utf-16-le"),
        "<p>x</p>".encode("utf-16-be"),
        b"a" * 500 + b"\0",
        "日本".encode("gbk"),
    ],
)
def test_text_in_any_encoding_is_not_binary(data: bytes):
    assert not is_binary(data)
