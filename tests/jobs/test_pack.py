from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plait.jobs.pack import pack
from plait.pipeline.read import Limits, Record, expand, read_archive
from plait.schemas.errors import ConfigError
from tests.archives import html, picture

DATE = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    files = {
        "index.html": html("<p>Start</p><img src='pics/a b.jpg'>"),
        "dir/index.html": html("<p>Inside</p>"),
        "dir/日本.html": html("<p>日本語</p>", lang="ja"),
        "pics/a b.jpg": picture(320, 240),
        "pics/logo.png": picture(20, 20, kind="PNG"),
        "style.css": b"p { color: red }",
        "app.js": b"1",
    }
    for place, data in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_700_000_000.75, 1_700_000_000.75))
    return folder


def records_of(path: Path) -> list[Record]:
    read = list(read_archive(expand([str(path)])[0], Limits(), spool_dir=None, image_payloads=True))
    records = [record for record in read if isinstance(record, Record)]
    assert len(records) == len(read)
    return records


def test_every_page_and_picture_becomes_a_record_under_its_url(site: Path, tmp_path: Path):
    summary = pack(site, "https://example.org/docs", tmp_path / "site.warc.gz")
    assert (summary.pages, summary.images, summary.others) == (3, 2, 0)
    assert summary.skipped == {".css": 1, ".js": 1}
    records = {record.url: record for record in records_of(summary.out)}
    assert sorted(records) == [
        "https://example.org/docs/dir/%E6%97%A5%E6%9C%AC.html",
        "https://example.org/docs/dir/index.html",
        "https://example.org/docs/index.html",
        "https://example.org/docs/pics/a%20b.jpg",
        "https://example.org/docs/pics/logo.png",
    ]
    assert records["https://example.org/docs/pics/a%20b.jpg"].payload == (site / "pics/a b.jpg").read_bytes()
    assert records["https://example.org/docs/index.html"].payload == (site / "index.html").read_bytes()
    assert {record.kind for record in records.values()} == {"page", "image"}


def test_capture_time_is_the_files_time_of_change_to_the_second(site: Path, tmp_path: Path):
    times = {record.captured for record in records_of(pack(site, "http://e.test/", tmp_path / "a.warc.gz").out)}
    assert times == {1_700_000_000_000_000}


def test_a_given_date_holds_for_all_records(site: Path, tmp_path: Path):
    out = pack(site, "http://e.test/", tmp_path / "a.warc.gz", captured=DATE).out
    assert {record.captured for record in records_of(out)} == {int(DATE.timestamp()) * 1_000_000}


def test_the_same_folder_gives_the_same_bytes(site: Path, tmp_path: Path):
    one = pack(site, "http://e.test/", tmp_path / "a.warc.gz").out.read_bytes()
    assert pack(site, "http://e.test/", tmp_path / "b.warc.gz").out.read_bytes() == one


def test_everything_packs_style_sheets_too(site: Path, tmp_path: Path):
    summary = pack(site, "http://e.test/", tmp_path / "a.warc.gz", everything=True)
    assert (summary.pages, summary.images, summary.others) == (3, 2, 2)
    assert summary.skipped == {}


def test_an_archive_inside_the_folder_is_not_packed_into_itself(site: Path):
    first = pack(site, "http://e.test/", site / "a.warc.gz", everything=True)
    again = pack(site, "http://e.test/", site / "a.warc.gz", everything=True)
    assert (first.pages, first.others) == (again.pages, again.others)


def test_compressed_pages_keep_their_encoding(site: Path, tmp_path: Path):
    page = html("<p>Packed</p>")
    (site / "manual.html.gz").write_bytes(gzip.compress(page))
    records = {r.url: r for r in records_of(pack(site, "http://e.test/", tmp_path / "a.warc.gz").out)}
    assert records["http://e.test/manual.html.gz"].payload == page


def test_links_that_lead_out_of_the_folder_or_into_a_loop_are_left_out(site: Path, tmp_path: Path):
    (tmp_path / "secret.html").write_bytes(html("<p>secret</p>"))
    (site / "out.html").symlink_to(tmp_path / "secret.html")
    (site / "dir" / "loop").symlink_to(site)
    (site / "inner").symlink_to(site / "pics")
    urls = [record.url for record in records_of(pack(site, "http://e.test/", tmp_path / "a.warc.gz").out)]
    assert len(urls) == 7
    assert "http://e.test/inner/logo.png" in urls
    assert "http://e.test/out.html" not in urls


def test_plain_records_where_the_name_has_no_gz(site: Path, tmp_path: Path):
    out = pack(site, "http://e.test/", tmp_path / "a.warc").out
    assert out.read_bytes().startswith(b"WARC/1.0")
    assert len(records_of(out)) == 5


@pytest.mark.parametrize("base", ["example.org", "ftp://example.org/", "http://", "https://e.test/?q=1", "http://[x"])
def test_a_base_url_that_is_none_is_refused(site: Path, tmp_path: Path, base: str):
    with pytest.raises(ConfigError, match="base URL"):
        pack(site, base, tmp_path / "a.warc.gz")
    assert not (tmp_path / "a.warc.gz").exists()


def test_a_missing_folder_an_empty_one_and_a_wrong_name_are_refused(site: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="no folder"):
        pack(tmp_path / "nothing", "http://e.test/", tmp_path / "a.warc.gz")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match="holds no"):
        pack(empty, "http://e.test/", tmp_path / "a.warc.gz")
    with pytest.raises(ConfigError, match="end it in"):
        pack(site, "http://e.test/", tmp_path / "a.zip")
    with pytest.raises(ConfigError, match="time zone"):
        pack(site, "http://e.test/", tmp_path / "a.warc.gz", captured=datetime(2024, 5, 1))
