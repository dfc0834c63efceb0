from __future__ import annotations

import gzip
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest

from plait.pipeline.read import Limits, Record, expand, read_archive, read_payload
from plait.schemas.errors import ConfigError
from tests.archives import WarcBuilder, html, picture


def archive_bytes(text: str, *, compressed: bool = True) -> bytes:
    builder = WarcBuilder(compressed=compressed)
    builder.response(f"http://site.test/{text}", html(f"<p>{text}</p>"))
    builder.response(f"http://site.test/{text}.jpg", picture(64, 48), "image/jpeg")
    return builder.data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "crawl"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "b.warc.gz").write_bytes(archive_bytes("b"))
    (root / "deep" / "a.warc").write_bytes(archive_bytes("a", compressed=False))
    (root / "deep" / "er" / "c.gz").write_bytes(archive_bytes("c"))
    (root / "deep" / "er" / "whole.warc.gz").write_bytes(gzip.compress(archive_bytes("d", compressed=False)))
    (root / "notes.txt").write_text("no archive")
    (root / "log.gz").write_bytes(gzip.compress(b"no archive either"))
    with zipfile.ZipFile(root / "e.wacz", "w") as package:
        package.writestr("datapackage.json", "{}")
        package.writestr("archive/data.warc.gz", archive_bytes("e"))
        package.writestr("pages/pages.jsonl", "")
    return root


def test_a_folder_gives_every_archive_in_it_at_any_depth(folder: Path):
    names = [archive.name for archive in expand([str(folder)])]
    assert names == ["a.warc", "b.warc.gz", "c.gz", "e.wacz!archive/data.warc.gz", "whole.warc.gz"]


def test_identity_is_the_content_and_not_the_folder(folder: Path, tmp_path: Path):
    before = expand([str(folder)])
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    after = expand([str(moved)])
    assert [(a.id, a.name, a.bytes) for a in before] == [(a.id, a.name, a.bytes) for a in after]
    assert all(len(archive.id) == 32 for archive in after)
    assert len({archive.id for archive in after}) == len(after)


def test_order_and_repetition_of_inputs_do_not_matter(folder: Path):
    one = expand([str(folder / "b.warc.gz"), str(folder / "deep")])
    assert expand([str(folder / "deep"), str(folder / "b.warc.gz"), str(folder / "b.warc.gz")]) == one


def test_equal_content_under_two_names_is_taken_once_under_the_first_name(folder: Path):
    (folder / "z.warc.gz").write_bytes((folder / "b.warc.gz").read_bytes())
    assert [a.name for a in expand([str(folder / "z.warc.gz"), str(folder / "b.warc.gz")])] == ["b.warc.gz"]
    assert [a.name for a in expand([str(folder / "b.warc.gz"), str(folder / "z.warc.gz")])] == ["b.warc.gz"]


def test_a_named_file_is_taken_whatever_it_is_called(folder: Path):
    (archive,) = expand([str(folder / "notes.txt")])
    (loss,) = read_archive(archive, Limits(), spool_dir=None)
    assert not isinstance(loss, Record)
    assert loss.reason == "archive_unreadable"


def test_a_glob_matches_in_python_as_in_a_shell(folder: Path):
    assert [a.name for a in expand([str(folder / "*.warc.gz")])] == ["b.warc.gz"]
    assert [a.name for a in expand([str(folder / "**" / "*.warc*")])] == ["a.warc", "b.warc.gz", "whole.warc.gz"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path):
    path = tmp_path / "a[1].warc.gz"
    path.write_bytes(archive_bytes("x"))
    assert [a.name for a in expand([str(path)])] == ["a[1].warc.gz"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("nowhere.warc.gz", "no file or folder"), ("*.nothing", "Nothing matches"), ("empty", "holds no archive")],
)
def test_what_is_not_there_is_one_sentence(tmp_path: Path, text: str, says: str):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=says) as caught:
        expand([str(tmp_path / text)])
    assert "\n" not in str(caught.value)


def test_no_input_at_all_is_refused():
    with pytest.raises(ConfigError, match="No input"):
        expand([])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_sentence(folder: Path):
    (folder / "b.warc.gz").chmod(0)
    with pytest.raises(ConfigError, match="permissions"):
        expand([str(folder)])


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_of_a_wacz_read_alike_stored_or_deflated(tmp_path: Path, compression: int):
    path = tmp_path / "a.wacz"
    with zipfile.ZipFile(path, "w", compression) as package:
        package.writestr("archive/one.warc.gz", archive_bytes("one"))
        package.writestr("archive/two.warc", archive_bytes("two", compressed=False))
    spool = str(tmp_path / "spool")
    urls = []
    for archive in expand([str(path)]):
        for record in read_archive(archive, Limits(), spool_dir=spool):
            assert isinstance(record, Record)
            again = read_payload(archive, record.offset, record.length, Limits(), spool_dir=spool)
            assert (again.url, again.digest) == (record.url, record.digest)
            urls.append(record.url)
    assert urls == [f"http://site.test/{name}{end}" for name in ("one", "two") for end in ("", ".jpg")]


def test_the_same_member_has_the_same_identity_in_another_wacz(tmp_path: Path):
    data = archive_bytes("x")
    for name, level in (("a.wacz", zipfile.ZIP_STORED), ("b.wacz", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(tmp_path / name, "w", level) as package:
            package.writestr(f"{name}.json", name)
            package.writestr("archive/data.warc.gz", data)
    assert [a.name for a in expand([str(tmp_path)])] == ["a.wacz!archive/data.warc.gz"]


def test_a_damaged_wacz_is_unreadable_and_no_error(tmp_path: Path):
    path = tmp_path / "a.wacz"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("archive/data.warc.gz", archive_bytes("x"))
    path.write_bytes(path.read_bytes()[:-30])
    (archive,) = expand([str(tmp_path)])
    losses = list(read_archive(archive, Limits(), spool_dir=None))
    assert losses
    assert not any(isinstance(loss, Record) and loss.kind not in ("page", "image") for loss in losses)


@pytest.fixture
def store():
    system = fsspec.filesystem("memory")
    system.pipe("/plait-test/a.warc.gz", archive_bytes("a"))
    system.pipe("/plait-test/sub/b.warc", archive_bytes("b", compressed=False))
    system.pipe("/plait-test/readme.txt", b"text")
    yield system
    system.rm("/plait-test", recursive=True)


def test_urls_of_files_folders_and_globs(store):
    names = [archive.name for archive in expand(["memory://plait-test"])]
    assert names == ["a.warc.gz", "b.warc"]
    assert [a.name for a in expand(["memory://plait-test/*.warc.gz"])] == ["a.warc.gz"]
    assert [a.name for a in expand(["memory://plait-test/sub/b.warc"])] == ["b.warc"]


def test_remote_archives_are_read_and_addressed_like_local_ones(store):
    for archive in expand(["memory://plait-test"]):
        records = list(read_archive(archive, Limits(), spool_dir=None))
        assert [r.kind for r in records if isinstance(r, Record)] == ["page", "image"]
        for record in records:
            assert isinstance(record, Record)
            again = read_payload(archive, record.offset, record.length, Limits(), spool_dir=None)
            assert (again.url, again.digest, again.kind) == (record.url, record.digest, record.kind)
            assert again.payload


def test_remote_identity_changes_with_the_object(store):
    (before,) = expand(["memory://plait-test/a.warc.gz"])
    store.pipe("/plait-test/a.warc.gz", archive_bytes("another"))
    (after,) = expand(["memory://plait-test/a.warc.gz"])
    assert before.id != after.id


def test_a_remote_path_that_is_not_there_is_one_sentence(store):
    with pytest.raises(ConfigError, match="plait-test/none"):
        expand(["memory://plait-test/none.warc.gz"])
    with pytest.raises(ConfigError, match="Nothing matches"):
        expand(["memory://plait-test/*.arc"])
    with pytest.raises(ConfigError, match="check the URL"):
        expand(["nosuchscheme://host/a.warc.gz"])


class _Ranges(BaseHTTPRequestHandler):
    """Serves one object with byte ranges and notes how many bytes it gave."""

    content = b""
    given: ClassVar[list[int]] = []

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def _answer(self, *, head: bool) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(match[1]), int(match[2])) if match else (0, len(self.content) - 1)
        part = self.content[first : last + 1]
        self.send_response(206 if match else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(part)))
        if match:
            self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(self.content)}")
        self.end_headers()
        if not head:
            self.given.append(len(part))
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    builder = WarcBuilder()
    for number in range(60):
        builder.response(f"http://site.test/{number}.jpg", picture(640, 480, number), "image/jpeg")
    _Ranges.content, _Ranges.given = builder.data, []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Ranges) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/crawl/a.warc.gz?token=1"
        http.shutdown()
        thread.join()


def test_over_http_a_record_is_fetched_by_its_range_alone(server: str):
    (archive,) = expand([server])
    assert (archive.name, archive.bytes) == ("a.warc.gz", len(_Ranges.content))
    records = [item for item in read_archive(archive, Limits(), spool_dir=None) if isinstance(item, Record)]
    assert len(records) == 60
    for record in records[::20]:
        _Ranges.given.clear()
        again = read_payload(archive, record.offset, record.length, Limits(), spool_dir=None)
        assert (again.url, again.digest) == (record.url, record.digest)
        assert again.payload
        assert sum(_Ranges.given) == record.length


def test_over_http_what_is_not_there_is_one_sentence():
    with pytest.raises(ConfigError, match="check the URL"):
        expand(["http://127.0.0.1:1/none.warc.gz"])
