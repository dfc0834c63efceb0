"""Takedown: what was asked for is gone from everything that a corpus is made of, and the books still balance."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from plait.jobs import Options, audit, build
from plait.jobs.store import Store
from plait.jobs.suppression import SUPPRESSED, load_suppression
from plait.jobs.takedown import collect, takedown
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Manifest
from tests.archives import WarcBuilder, picture
from tests.jobs.corpora import article

SHARED = picture(320, 240, 999)
BOTH = Options(shard_docs=4, formats=("parquet", "webdataset"), retain="all")


def _archive(path: Path) -> str:
    archive = WarcBuilder(info=True)
    for number in range(16):
        host = "leave.test" if number % 4 == 0 else "stay.test"
        images = [f"http://{host}/img/{number}.jpg", "http://cdn.test/shared.jpg", f"http://cdn.test/{number}.jpg"]
        archive.response(f"http://{host}/story/{number}", article(number, images))
        archive.response(f"http://{host}/img/{number}.jpg", picture(320, 240, number), "image/jpeg")
        archive.response(f"http://cdn.test/{number}.jpg", picture(320, 240, 100 + number), "image/jpeg")
        archive.response(f"http://{host}/copy/{number}", article(number, images))  # dropped: the same text
    archive.response("http://cdn.test/shared.jpg", SHARED, "image/jpeg")
    return str(archive.save(path))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("takedown")
    archive = _archive(folder / "pages.warc.gz")
    out = folder / "corpus"
    build([archive], str(out), recipe="annotate", extractor="fast", workers=2, options=BOTH)
    return out


def _copy(built: Path, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(built, to / "corpus"))


def _lines(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def _manifest(corpus: Path) -> Manifest:
    return Manifest.from_json((corpus / "manifest.json").read_text())


def _rows(corpus: Path) -> list[dict[str, object]]:
    listed = pq.read_table(corpus / _manifest(corpus).lists.shards).to_pylist()
    return [
        row
        for shard in listed
        if shard["format"] == "parquet"
        for row in pq.read_table(corpus / shard["path"]).to_pylist()
    ]


def _everything(corpus: Path) -> str:
    """All that a corpus' files say, compressed or not."""
    said = []
    for path in sorted(corpus.rglob("*")):
        if path.suffix == ".parquet":
            said.append(repr(pq.read_table(path).to_pylist()))
        elif path.is_file():
            said.append(path.read_bytes().decode("latin-1"))
    return "\n".join(said)


def test_urls_domains_and_hashes_are_gone_from_all_files(built: Path, tmp_path: Path) -> None:
    corpus = _copy(built, tmp_path)
    before = {row["url"]: row for row in _rows(corpus)}
    assert "http://leave.test/story/0" in before or "http://leave.test/copy/0" in before
    page = next(url for url in before if "stay.test" in str(url))
    done = takedown(
        str(corpus), urls=_lines(tmp_path / "urls", "# asked by mail", str(page), "http://cdn.test/5.jpg"),
        domains=_lines(tmp_path / "domains", "leave.test"),
        hashes=_lines(tmp_path / "hashes", hashlib.sha256(SHARED).hexdigest()), workers=2,
    )  # fmt: skip
    after = {row["url"]: row for row in _rows(corpus)}
    gone = before.keys() - after.keys()
    assert gone == {url for url in before if "leave.test" in str(url)} | {page}
    assert done.documents == len(gone) == len(before) - len(after)
    assert audit(str(corpus)).faults == ()
    manifest = _manifest(corpus)
    assert manifest.generation == 1
    assert manifest.totals.documents == len(after)
    assert (corpus / "data/shard-00000.parquet").exists()  # a reader of the generation before is not cut off
    killed = corpus / "data/.shard-00000.parquet.0123abcd.part"  # a writer of it was killed
    killed.write_bytes(b"half a shard")
    files, size = collect(str(corpus))
    assert files > 0
    assert size > 0
    assert not killed.exists()
    assert audit(str(corpus)).faults == ()
    said = _everything(corpus)
    for trace in ("leave.test", str(page), "cdn.test/shared.jpg", "cdn.test/5.jpg"):
        assert trace not in said
    assert repr(SHARED[2000:2040])[2:-1] not in said
    for url, row in after.items():
        kept = [info["url"] for info in row["image_info"] if info]
        had = [info["url"] for info in before[url]["image_info"] if info]
        assert kept == [name for name in had if name not in ("http://cdn.test/shared.jpg", "http://cdn.test/5.jpg")]
        assert len(row["texts"]) == len(row["images"]) == len(row["tags"]) == len(row["image_info"])
        assert [text for text in row["texts"] if text] == [text for text in before[url]["texts"] if text]


@pytest.mark.slow
def test_only_shards_concerned_are_written_anew_and_again_is_the_next_generation(built: Path, tmp_path: Path) -> None:
    corpus = _copy(built, tmp_path)
    shards = {row["path"] for row in pq.read_table(corpus / "ledger/shards.parquet").to_pylist()}
    rows = _rows(corpus)
    done = takedown(str(corpus), urls=_lines(tmp_path / "urls", str(rows[0]["url"])), workers=1)
    assert (done.documents, done.shards) == (1, 1)
    now = {row["path"] for row in pq.read_table(corpus / _manifest(corpus).lists.shards).to_pylist()}
    assert len(now - shards) == 2  # one shard, in two formats
    again = takedown(str(corpus), urls=_lines(tmp_path / "urls", str(rows[1]["url"])), workers=1)
    assert again.manifest.generation == 2
    assert again.documents == 1
    assert len(_rows(corpus)) == len(rows) - 2
    assert audit(str(corpus)).faults == ()
    collect(str(corpus))
    assert audit(str(corpus)).faults == ()
    listed = load_suppression(Store(str(corpus)), SUPPRESSED)
    assert all(listed.lists_url(str(row["url"])) for row in rows[:2])
    assert not any(listed.lists_url(str(row["url"])) for row in rows[2:])


def test_a_list_says_whether_and_not_what(built: Path, tmp_path: Path) -> None:
    corpus = _copy(built, tmp_path)
    takedown(str(corpus), domains=_lines(tmp_path / "domains", "leave.test"), workers=1)
    listed = load_suppression(Store(str(corpus)), SUPPRESSED)
    assert listed.lists_url("http://leave.test/anything")
    assert listed.lists_url("https://a.b.LEAVE.test/")
    assert not listed.lists_url("http://believe.test/")
    assert b"leave" not in (corpus / SUPPRESSED).read_bytes()


def test_a_later_build_leaves_out_what_was_taken_down(built: Path, tmp_path: Path) -> None:
    corpus = _copy(built, tmp_path)
    takedown(
        str(corpus), urls=_lines(tmp_path / "urls", "http://stay.test/story/1", "http://cdn.test/5.jpg"),
        domains=_lines(tmp_path / "domains", "leave.test"),
        hashes=_lines(tmp_path / "hashes", hashlib.sha256(SHARED).hexdigest()), workers=2,
    )  # fmt: skip
    archive, later = str(built.parent / "pages.warc.gz"), tmp_path / "later"
    done = build(
        [archive], str(later), recipe="annotate", extractor="fast", workers=2, options=BOTH, suppress=str(corpus)
    )
    said = _everything(later)
    for trace in ("leave.test", "http://stay.test/story/1'", "cdn.test/5.jpg"):
        assert trace not in said
    assert repr(SHARED[2000:2040])[2:-1] not in said
    assert audit(str(later)).faults == ()
    dropped = {(line.scope, reason) for line in done.funnel for reason in line.dropped}
    assert {("document", "suppressed"), ("image", "suppressed")} <= dropped
    with pytest.raises(ConfigError, match="--suppress"):
        build([archive], str(tmp_path / "no"), recipe="annotate", suppress=str(tmp_path))
    assert not (tmp_path / "no").exists()


def test_wrong_lists_are_one_sentence_and_change_nothing(built: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    cases = {
        "urls": _lines(tmp_path / "a", "not a url"), "domains": _lines(tmp_path / "b", "http://x.test/"),
        "hashes": _lines(tmp_path / "c", "abc"),
    }  # fmt: skip
    for option, path in cases.items():
        with pytest.raises(ConfigError, match=f"--{option}.*line 1"):
            takedown(str(built), **{option: path})
    with pytest.raises(ConfigError, match="nothing to take down"):
        takedown(str(built))
    with pytest.raises(ConfigError, match="cannot be read"):
        takedown(str(built), urls=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError):
        takedown(str(tmp_path), urls=_lines(tmp_path / "d", "http://x.test/"))
    assert before == {path: path.stat().st_mtime_ns for path in built.rglob("*")}


@pytest.mark.parametrize("command", [["takedown", "nowhere", "--urls", "nowhere.txt"], ["gc", "nowhere"]])
def test_command_line_says_what_is_wrong_and_exits_2(command: list[str], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from plait.jobs.cli import app

    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "nowhere" in done.output
