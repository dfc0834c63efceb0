from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import brotli
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.pipeline.read import Limits, Loss, Record, Tally, expand, read_archive, read_payload
from plait.schemas.errors import RecordError, UnitError
from tests.archives import DATE, WarcBuilder, html, payload_digest, picture

NOON = 1_714_564_800_000_000  # DATE
PAGE = html("<p>Words</p>")


def read(builder: WarcBuilder, folder: Path, limits: Limits = Limits(), *, images: bool = False):  # noqa: B008
    return read_file(builder.save(folder / "a.warc.gz"), limits, images=images)


def read_file(path: Path, limits: Limits = Limits(), *, images: bool = False):  # noqa: B008
    (archive,) = expand([str(path)])
    return list(read_archive(archive, limits, spool_dir=str(path.parent / "spool"), image_payloads=images))


def one(builder: WarcBuilder, folder: Path, limits: Limits = Limits()):  # noqa: B008
    (item,) = read(builder, folder, limits)
    return item


def test_a_page_comes_with_everything_that_is_known_of_it(tmp_path: Path):
    archive = WarcBuilder(info=True)
    headers = [
        ("X-Robots-Tag", "noai"),
        ("TDM-Reservation", "1"),
        ("TDM-Policy", "http://p.test"),
        ("Content-Language", "de"),
    ]
    archive.response("http://site.test/a b", PAGE, "text/html; charset=ISO-8859-1", headers=headers)
    page = one(archive, tmp_path)
    assert isinstance(page, Record)
    assert (page.kind, page.url, page.captured, page.status) == ("page", "http://site.test/a%20b", NOON, 200)
    assert (page.mime, page.charset, page.language) == ("text/html", "ISO-8859-1", "de")
    assert (page.robots, page.tdm_reservation, page.tdm_policy) == ("noai", "1", "http://p.test")
    assert (page.payload, page.sha256) == (PAGE, hashlib.sha256(PAGE).digest())
    assert page.digest == payload_digest(PAGE)
    assert not page.truncated
    assert (page.offset, page.offset + page.length) == (archive.offsets[1], len(archive.data))


def test_an_image_comes_without_its_bytes_unless_they_are_asked_for(tmp_path: Path):
    archive = WarcBuilder()
    data = picture(320, 240)
    archive.response("http://site.test/a.jpg", data, "image/jpeg")
    (image,) = read(archive, tmp_path)
    assert (image.kind, image.payload, image.digest) == ("image", None, payload_digest(data))
    (image,) = read(archive, tmp_path, images=True)
    assert image.payload == data


@pytest.mark.parametrize(
    ("mime", "payload", "kind"),
    [
        ("text/html", picture(8, 8), "image"),
        ("application/octet-stream", picture(8, 8, kind="PNG"), "image"),
        ("", picture(8, 8, kind="GIF"), "image"),
        ("text/plain", picture(8, 8), "image"),
        ("image/jpeg", html("not found"), "image"),
        ("image/svg+xml", b"<svg/>", "image"),
        ("application/xhtml+xml", PAGE, "page"),
        ("text/xml", b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'/>", "page"),
        ("application/octet-stream", b"<p>page", "page"),
        ("text/plain", PAGE, "page"),
        ("", PAGE, "page"),
        ("TEXT/HTML ; Charset=utf-8", PAGE, "page"),
        ("text/html", b"words without a tag", "page"),
    ],
)
def test_what_a_payload_is_follows_from_its_type_and_its_bytes(tmp_path: Path, mime: str, payload: bytes, kind: str):
    archive = WarcBuilder()
    archive.response("http://site.test/x", payload, mime)
    assert one(archive, tmp_path).kind == kind


@pytest.mark.parametrize(
    ("mime", "payload"),
    [
        ("text/plain", b"<p>how to write HTML"), ("text/css", b"p {}"), ("application/json", b"{}"), ("", b"words"),
        ("text/xml", b"<rss/>"), ("video/mp4", b"\0\0\0\x20ftypmp42"), ("application/pdf", b"%PDF-1.4"),
    ],
)  # fmt: skip
def test_what_is_neither_page_nor_image_is_counted(tmp_path: Path, mime: str, payload: bytes):
    archive = WarcBuilder()
    archive.response("http://site.test/x", payload, mime)
    archive.response("http://site.test/y", payload, mime, status="404 Not Found")
    (file,) = expand([str(archive.save(tmp_path / "a.warc.gz"))])
    tally = Tally()
    assert list(read_archive(file, Limits(), spool_dir=None, tally=tally)) == []
    assert tally.skipped == {"other": 1, "status": 1}


@pytest.mark.parametrize(
    ("payload", "mime", "reason"),
    [
        (b"", "text/html", "empty_payload"),
        (b" \n\t", "text/html", "empty_payload"),
        (b"", "image/png", "empty_payload"),
        (b"%PDF-1.4 pages", "text/html", "not_html"),
        (b"PK\x03\x04zip", "text/html", "not_html"),
        (html("x" * 3000), "text/html", "record_too_large"),
        (html("x"), "text/html-status-404", "http_status"),
    ],
)
def test_what_should_have_been_a_page_is_lost_with_a_reason(tmp_path: Path, payload: bytes, mime: str, reason: str):
    archive = WarcBuilder()
    mime, _, status = mime.partition("-status-")
    archive.response("http://site.test/x", payload, mime, status=f"{status or 200} x")
    loss = one(archive, tmp_path, Limits(page_bytes=2000))
    assert isinstance(loss, Loss)
    assert (loss.reason, loss.url, loss.offset) == (reason, "http://site.test/x", 0)
    if reason in ("record_too_large", "http_status"):
        assert loss.value == (len(payload) if reason == "record_too_large" else 404)
        assert loss.threshold == (2000 if reason == "record_too_large" else 200)


def test_an_encoded_page_is_decoded_and_its_digest_is_of_what_was_stored(tmp_path: Path):
    archive = WarcBuilder()
    stored = brotli.compress(PAGE)
    archive.response(
        "http://site.test/", b"%x\r\n%s\r\n0\r\n\r\n" % (len(stored), stored), warc=[("WARC-Payload-Digest", "")],
        headers=[("Content-Encoding", "br"), ("Transfer-Encoding", "chunked")],
    )  # fmt: skip
    page = one(archive, tmp_path)
    assert page.payload == PAGE
    assert page.digest == payload_digest(b"%x\r\n%s\r\n0\r\n\r\n" % (len(stored), stored))


def test_a_page_that_is_gzip_without_saying_so_is_inflated(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/", gzip.compress(PAGE))
    assert one(archive, tmp_path).payload == PAGE


def test_a_page_that_the_crawler_cut_says_so(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/", PAGE, warc=[("WARC-Truncated", "length")])
    assert one(archive, tmp_path).truncated


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P"])
def test_a_redirect_says_where_it_leads(tmp_path: Path, status: str):
    archive = WarcBuilder()
    archive.redirect("http://site.test/a/b.jpg", "../c d.jpg", status=status)
    item = one(archive, tmp_path)
    assert (item.kind, item.url, item.target) == ("redirect", "http://site.test/a/b.jpg", "http://site.test/c%20d.jpg")


def test_a_redirect_to_nowhere_is_lost(tmp_path: Path):
    archive = WarcBuilder()
    archive.redirect("http://site.test/a", "mailto:a@b.test")
    assert one(archive, tmp_path).reason == "http_status"


def test_a_revisit_names_its_payload_by_digest_url_and_time(tmp_path: Path):
    archive = WarcBuilder()
    archive.revisit("http://site.test/new", PAGE, target="http://site.test/old", target_date="2023-01-01T00:00:00Z")
    archive.revisit("http://site.test/same", PAGE)
    archive.revisit("http://site.test/bare", target="http://site.test/old", target_date="2023-01-01T00:00:00Z")
    first, second, third = read(archive, tmp_path)
    assert {item.kind for item in (first, second, third)} == {"revisit"}
    assert (first.target, first.target_captured) == ("http://site.test/old", 1_672_531_200_000_000)
    assert first.digest == second.digest == payload_digest(PAGE)
    assert (second.target, second.target_captured) == ("http://site.test/same", None)
    assert third.digest is None


def test_a_304_answer_is_a_revisit_of_its_own_url(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/", b"", status="304 Not Modified")
    item = one(archive, tmp_path)
    assert (item.kind, item.target, item.digest) == ("revisit", "http://site.test/", None)


def test_resources_are_pages_and_images_without_http(tmp_path: Path):
    archive = WarcBuilder()
    archive.resource("ftp://site.test/a.html", PAGE)
    archive.resource("file:///a.png", picture(8, 8, kind="PNG"), "image/png")
    archive.resource("metadata://gnu.org/wget/log", b"log", "text/plain")
    page, image = read(archive, tmp_path)
    assert (page.kind, page.payload, page.status, page.warc_type) == ("page", PAGE, 200, "resource")
    assert (image.kind, image.url) == ("image", "file:///a.png")


def test_hexadecimal_digests_and_their_case_do_not_matter(tmp_path: Path):
    archive = WarcBuilder()
    sha1 = hashlib.sha1(PAGE, usedforsecurity=False).hexdigest()
    for digest in (f"sha1:{sha1}", f"SHA-1:{sha1.upper()}", payload_digest(PAGE).lower()):
        archive.response("http://site.test/", PAGE, warc=[("WARC-Payload-Digest", digest)])
    assert {item.digest for item in read(archive, tmp_path)} == {payload_digest(PAGE)}


def test_a_record_without_a_date_takes_that_of_the_answer(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/", PAGE, date="soon", headers=[("Date", "Wed, 01 May 2024 12:00:00 GMT")])
    archive.response("http://site.test/", PAGE, date="soon")
    page, loss = read(archive, tmp_path)
    assert page.captured == NOON
    assert (loss.reason, loss.detail) == ("record_malformed", "no capture time: 'soon'")


def test_a_record_without_a_url_is_malformed(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/", PAGE, warc=[("WARC-Target-URI", "")])
    loss = one(archive, tmp_path)
    assert (loss.reason, loss.detail) == ("record_malformed", "the record names no URL")


def test_a_large_page_is_refused_by_its_stated_length_without_being_read(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/big", html("x" * 3_000_000))
    archive.response("http://site.test/", PAGE)
    loss, page = read(archive, tmp_path, Limits(page_bytes=1_000_000))
    assert loss.reason == "record_too_large"
    assert page.payload == PAGE


def test_everything_is_in_the_tally_once(tmp_path: Path):
    archive = WarcBuilder(info=True)
    archive.response("http://site.test/", PAGE)
    archive.response("http://site.test/a.css", b"p {}", "text/css")
    archive.response("http://site.test/gone", PAGE, status="404 Not Found")
    archive.revisit("http://site.test/r", PAGE)
    (file,) = expand([str(archive.save(tmp_path / "a.warc.gz"))])
    tally = Tally()
    items = list(read_archive(file, Limits(), spool_dir=None, tally=tally))
    assert tally.read == {"page": 1, "http_status": 1, "revisit": 1}
    assert tally.skipped == {"warcinfo": 1, "other": 1}
    assert len(items) + sum(tally.skipped.values()) == len(archive.offsets)


@pytest.mark.parametrize(
    "layout", ["members", "plain", "whole gzip", "first member alone", "two members", "zst", "lz4"]
)
def test_every_record_is_found_again_by_its_address(tmp_path: Path, layout: str):
    archive = WarcBuilder(compressed=layout == "members", info=True)
    for number in range(20):
        archive.response(f"http://site.test/{number}", html(f"<p>{number}</p>" * (number * 300)))
        archive.response(f"http://site.test/{number}.jpg", picture(64, 48, number), "image/jpeg")
    path = tmp_path / {"members": "a.warc.gz", "plain": "a.warc"}.get(layout, "a.warc.gz")
    if layout == "whole gzip":
        archive.save_whole_gzip(path)
    elif layout == "first member alone":
        cut = archive.offsets[1]
        path.write_bytes(gzip.compress(archive.data[:cut]) + gzip.compress(archive.data[cut:]))
    elif layout == "two members":
        cut = archive.offsets[2]
        path.write_bytes(gzip.compress(archive.data[:cut]) + gzip.compress(archive.data[cut:]))
    elif layout in ("zst", "lz4"):
        path = tmp_path / f"a.warc.{layout}"
        _compress_records(archive, path, layout)
    else:
        archive.save(path)
    (file,) = expand([str(path)])
    spool = str(tmp_path / "spool")
    items = list(read_archive(file, Limits(), spool_dir=spool, image_payloads=True))
    assert [item.url for item in items] == [f"http://site.test/{n}{end}" for n in range(20) for end in ("", ".jpg")]
    for item in items:
        again = read_payload(file, item.offset, item.length, Limits(), spool_dir=spool)
        assert again == item
    for path in Path(spool).glob("*"):  # a spool that is lost is made again
        path.unlink()
    again = read_payload(file, items[-1].offset, items[-1].length, Limits(), spool_dir=spool)
    assert again == items[-1]


MANY = WarcBuilder(compressed=False, info=True)
for _number in range(24):  # every third is larger than FastWARC's buffer, compressed too
    _noise = np.random.default_rng(_number).bytes(90_000 if _number % 3 == 0 else 30).hex()
    MANY.response(f"http://site.test/{_number}", html(f"<p>{_noise}</p>"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=25), st.integers(0, 9))
def test_records_are_found_however_they_share_gzip_members(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], level: int
):
    folder = tmp_path_factory.mktemp("shared")
    ends = [*MANY.offsets[1:], len(MANY.data)]
    data, first = b"", 0
    for size in [*sizes, len(ends)]:  # a size of 0 is an empty member; the last takes what is left
        last = min(first + size, len(ends))
        start, end = (MANY.offsets[first] if first < len(ends) else len(MANY.data)), ends[last - 1] if last else 0
        data += gzip.compress(MANY.data[start : max(end, start)] if last > first else b"", level)
        first = last
    path = folder / "a.warc.gz"
    path.write_bytes(data)
    (file,) = expand([str(path)])
    items = list(read_archive(file, Limits(), spool_dir=str(folder / "spool")))
    assert [item.url for item in items] == [f"http://site.test/{number}" for number in range(24)]
    for item in items[::5]:
        assert read_payload(file, item.offset, item.length, Limits(), spool_dir=str(folder / "spool")) == item


def _compress_records(archive: WarcBuilder, path: Path, layout: str) -> None:
    from fastwarc.stream_io import Lz4Writer, ZstdWriter

    ends = [*archive.offsets[1:], len(archive.data)]
    with path.open("wb") as out:
        for start, end in zip(archive.offsets, ends, strict=True):
            part = path.with_suffix(".part")
            writer = (Lz4Writer if layout == "lz4" else ZstdWriter)(str(part))
            writer.write(archive.data[start:end])
            writer.close()
            out.write(part.read_bytes())


def test_a_spool_is_made_once(tmp_path: Path):
    archive = WarcBuilder(compressed=False)
    archive.response("http://site.test/", PAGE)
    archive.response("http://site.test/2", PAGE)
    path = archive.save_whole_gzip(tmp_path / "a.warc.gz")
    first = read_file(path)
    (spooled,) = (tmp_path / "spool").glob("*.warc")
    before = spooled.stat().st_mtime_ns
    assert read_file(path) == first
    assert spooled.stat().st_mtime_ns == before


def test_a_whole_gzip_that_inflates_beyond_the_limit_keeps_what_came_before(tmp_path: Path):
    archive = WarcBuilder(compressed=False)
    archive.response("http://site.test/", PAGE)
    archive.response("http://site.test/big", html("x" * 3_000_000))
    path = archive.save_whole_gzip(tmp_path / "a.warc.gz")
    page, *losses = read_file(path, Limits(spool_bytes=1_000_000))
    assert page.payload == PAGE
    assert {loss.reason for loss in losses} == {"archive_truncated"}
    assert any("inflates to more than 1000000 bytes" in loss.detail for loss in losses)


def test_an_address_where_nothing_is_is_a_verdict(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/", PAGE)
    (file,) = expand([str(archive.save(tmp_path / "a.warc.gz"))])
    for offset in (1, 7, len(archive.data), 10 * len(archive.data)):
        with pytest.raises(RecordError):
            read_payload(file, offset, 50, Limits(), spool_dir=None)


def test_a_lost_record_asked_for_again_gives_the_same_reason(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/a.jpg", b"", "image/jpeg")
    archive.response("http://site.test/b.jpg", picture(640, 480), "image/jpeg")
    (file,) = expand([str(archive.save(tmp_path / "a.warc.gz"))])
    with pytest.raises(RecordError, match="empty_payload"):
        read_payload(file, 0, archive.offsets[1], Limits(), spool_dir=None)
    with pytest.raises(RecordError, match="image_too_large"):
        read_payload(file, archive.offsets[1], 10**6, Limits(image_bytes=100), spool_dir=None)


def test_a_file_that_is_gone_is_the_stores_fault_and_not_the_records(tmp_path: Path):
    archive = WarcBuilder()
    archive.response("http://site.test/", PAGE)
    path = archive.save(tmp_path / "a.warc.gz")
    (file,) = expand([str(path)])
    path.unlink()
    with pytest.raises(UnitError):
        list(read_archive(file, Limits(), spool_dir=None))
    with pytest.raises(UnitError):
        read_payload(file, 0, 10, Limits(), spool_dir=None)


def test_the_date_of_the_builder_is_the_one_tested_here():
    assert DATE == "2024-05-01T12:00:00Z"
