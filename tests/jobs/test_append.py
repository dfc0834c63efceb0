"""Append: a second crawl becomes a generation that repeats nothing of the first, whatever is killed on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.jobs import Options, audit, build
from plait.jobs.append import append
from plait.jobs.auditing import open_manifest
from plait.jobs.engines import EngineChoice
from plait.jobs.refilter import refilter
from plait.jobs.store import Store
from plait.jobs.takedown import takedown
from plait.loader import Corpus
from plait.schemas.errors import ConfigError
from tests.archives import WarcBuilder, html, picture
from tests.jobs.clusters import Saboteur
from tests.jobs.corpora import SITE_NOTE, prose

RECIPE = """name = "crawls"
description = "Two crawls of a site."
extends = "annotate"

[images]
cap = 3
hamming_radius = 2

[dedup]
paragraphs = 5

[dedup.minhash]
ngram = 5
bands = 16
rows = 6
threshold = 0.68
"""
LONGER = """
[[rule]]
name = "too_short"
scope = "document"
keep = "chars >= 2145"
source = "test"
"""
SETTINGS = Options(shard_docs=4)


def _page(seed: int, pictures: list[str], *, changed: bool = False) -> bytes:
    parts = [prose(seed * 10 + part, 96) for part in range(3)]
    if changed:
        parts[0] = parts[0].replace("The", "Thy", 1)
    shown = "".join(f"<img src='http://cdn.test/{name}.jpg' alt='A picture'>" for name in pictures)
    paragraphs = "".join(f"<p>{part}</p>" for part in parts)
    return html(f"<article><h1>Story {seed}</h1><p>{SITE_NOTE}</p>{paragraphs}{shown}</article>")


def _crawl(path: Path, day: int, pages: dict[str, bytes], pictures: dict[str, int]) -> Path:
    archive = WarcBuilder(info=True)
    for name, page in pages.items():
        archive.response(f"http://site.test/{name}", page, date=f"2024-{day:02d}-01T12:00:00Z")
    for name, seed in pictures.items():
        archive.response(f"http://cdn.test/{name}.jpg", picture(320, 240, seed), "image/jpeg")
    return archive.save(path)


@pytest.fixture(scope="module")
def crawls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Two crawls and a recipe; of the second's eight pages four repeat the first in one way each.

    The picture "all" stands on two pages of the first crawl and on all of the second; "near" is a second file of it.
    The URL "other" stands on two pages of the first and three of the second, and gives another picture there.
    """
    folder = tmp_path_factory.mktemp("crawls")
    first = {f"{n}": _page(n, [str(n), "all"] if n < 2 else [str(n), "other"]) for n in range(4)}
    second = {
        "0": _page(50, ["50", "all"]),  # the same URL, later, with another text
        "copy": _page(1, ["51", "all"]),  # the same text
        "near": _page(2, ["52", "all"], changed=True),  # nearly the same text
        "new-a": _page(60, ["60", "all", "other"]),
        "new-b": _page(61, ["61", "all", "other"]),
        "new-c": _page(62, ["62", "all", "other"]),
        "new-d": _page(62, ["63", "all", "other"], changed=True),  # near-duplicates of each other
    }
    numbers = {str(n): n for n in (*range(4), *range(50, 64))}
    recipe = folder / "crawls.toml"
    recipe.write_text(RECIPE)
    return (
        _crawl(folder / "first.warc.gz", 1, first, numbers | {"all": 99, "other": 97}),
        _crawl(folder / "second.warc.gz", 2, second, numbers | {"all": 99, "other": 98}),
        str(recipe),
    )


@pytest.fixture(scope="module")
def built(crawls: tuple[Path, Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("first") / "corpus"
    build([str(crawls[0])], str(out), recipe=crawls[2], workers=1, options=SETTINGS)
    return out


@pytest.fixture(scope="module")
def appended(crawls: tuple[Path, Path, str], built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(shutil.copytree(built, tmp_path_factory.mktemp("second") / "corpus"))
    append(str(out), [str(crawls[1])], workers=1)
    return out


@pytest.fixture(scope="module")
def superseded(crawls: tuple[Path, Path, str], built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(shutil.copytree(built, tmp_path_factory.mktemp("later") / "corpus"))
    append(str(out), [str(crawls[1])], workers=1, supersede=True)
    return out


def _rows(corpus: Path) -> dict[str, dict[str, object]]:
    listed = pq.read_table(corpus / open_manifest(Store(str(corpus))).lists.shards)["path"].to_pylist()
    return {row["url"]: row for path in listed for row in pq.read_table(corpus / path).to_pylist()}


def _reasons(corpus: Path) -> dict[str, str]:
    folder = corpus / open_manifest(Store(str(corpus))).lists.drops
    table = pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet")))
    return {row["url"]: row["reason"] for row in table.to_pylist() if row["scope"] == "document"}


def test_the_new_generation_repeats_nothing_of_the_corpus(built: Path, appended: Path) -> None:
    before, after = _rows(built), _rows(appended)
    new = {url.removeprefix("http://site.test/") for url in after.keys() - before.keys()}
    assert {"new-a", "new-b"} < new
    assert len(new) == 3  # one of new-c and new-d
    reasons = _reasons(appended)
    assert reasons["http://site.test/0"] == "duplicate_url"
    assert reasons["http://site.test/copy"] == "duplicate_text"
    assert reasons["http://site.test/near"] == "near_duplicate"
    for url, row in before.items():
        assert after[url] == row  # the older capture stays, later or not


def test_caps_and_paragraph_counts_go_on_from_the_corpus(built: Path, appended: Path) -> None:
    before, after = _rows(built), _rows(appended)
    of_all = [
        url for url, row in after.items() for info in row["image_info"] if info and info["url"].endswith("/all.jpg")
    ]
    assert len(of_all) == 3  # two in the first generation, one more in the second
    assert sum(url in before for url in of_all) == 2
    other = [(url, info) for url, row in after.items() for info in row["image_info"]
             if info and info["url"].endswith("/other.jpg")]  # fmt: skip
    assert sorted(info["url_dup_count"] for _, info in other) == [2, 2, 5]
    assert sum(url in before for url, _ in other) == 2  # one more document until the cap, though the picture is new
    assert all(SITE_NOTE in row["texts"] for row in before.values())  # four times are fewer than five
    assert not any(SITE_NOTE in after[url]["texts"] for url in after.keys() - before.keys())


def test_books_shards_and_readers(crawls: tuple[Path, Path, str], built: Path, appended: Path) -> None:
    assert audit(str(appended)).faults == ()
    manifest = open_manifest(Store(str(appended)))
    assert manifest.generation == 1
    assert manifest.totals.documents == len(_rows(appended)) == 7
    assert pq.read_table(appended / manifest.lists.inputs).num_rows == 2
    for path in (built / "data").glob("*.parquet"):
        assert (appended / "data" / path.name).read_bytes() == path.read_bytes()
    corpus = Corpus(appended)
    for row in _rows(appended).values():
        assert corpus.get(row["doc_id"]).fields["url"] == row["url"]


@pytest.mark.slow
def test_a_later_capture_supersedes_the_corpus_own(
    built: Path, appended: Path, superseded: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(superseded, tmp_path / "corpus"))
    before, plain, after = _rows(built), _rows(appended), _rows(out)
    renewed = "http://site.test/0"
    assert after.keys() == plain.keys()
    assert after[renewed]["captured"] > before[renewed]["captured"]
    assert after[renewed]["texts"] != before[renewed]["texts"]
    assert {url: row for url, row in after.items() if url != renewed} == {
        url: row for url, row in plain.items() if url != renewed
    } | {url: after[url] for url in after.keys() - before.keys()}
    assert audit(str(out)).faults == ()
    manifest = open_manifest(Store(str(out)))
    lines = {line.stage: line for line in manifest.funnel if line.scope == "document"}
    assert lines["superseded"].dropped == {"superseded": 1}
    # What went is no rival any more: its text may come back under another URL, and its own capture's cannot.
    third = _crawl(
        tmp_path / "third.warc.gz", 3, {"moved": _page(0, ["0"]), "x": _page(50, ["50"])}, {"0": 0, "50": 50}
    )
    assert append(str(out), [str(third)], workers=1).generation == 2
    assert "http://site.test/moved" in _rows(out)
    assert _reasons(out)["http://site.test/x"] == "duplicate_text"
    assert audit(str(out)).faults == ()


def test_appending_the_same_again_changes_nothing_and_parts_of_it_are_refused(
    crawls: tuple[Path, Path, str], appended: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in appended.rglob("*")}
    assert append(str(appended), [str(crawls[1])]).generation == 1
    third = _crawl(tmp_path / "third.warc.gz", 3, {"x": _page(70, ["70"])}, {"70": 70})
    with pytest.raises(ConfigError, match=r"second\.warc\.gz is in .* already"):
        append(str(appended), [str(crawls[1]), str(third)])
    with pytest.raises(ConfigError, match="manifest"):
        append(str(tmp_path), [str(third)])
    assert before == {path: path.stat().st_mtime_ns for path in appended.rglob("*")}


def test_an_append_that_ends_while_it_publishes_can_be_given_up_for_another(
    crawls: tuple[Path, Path, str], built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(built, tmp_path / "corpus"))
    with monkeypatch.context() as patched:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr("plait.jobs.append.write_around", stop)
        with pytest.raises(KeyboardInterrupt):
            append(str(out), [str(crawls[1])], workers=1)
    assert audit(str(out)).faults == ()  # the generation before stands as it was
    third = _crawl(
        tmp_path / "third.warc.gz", 3, {"x": _page(70, ["70"]), "new-a": _page(60, ["60"])}, {"60": 60, "70": 70}
    )
    with pytest.raises(ConfigError, match=r"removing ledger/append-g1\.json"):
        append(str(out), [str(third)], workers=1)
    (out / "ledger/append-g1.json").unlink()
    assert append(str(out), [str(third)], workers=1).generation == 1
    assert {"http://site.test/x", "http://site.test/new-a"} < _rows(out).keys()  # new-a of the other append is no rival
    assert audit(str(out)).faults == ()


@pytest.mark.heavy
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ray", pytest.param("spark", marks=pytest.mark.campaign)])
def test_another_engine_appends_the_same_generation(
    crawls: tuple[Path, Path, str], built: Path, appended: Path, tmp_path: Path, engine: str
) -> None:
    out = Path(shutil.copytree(built, tmp_path / "corpus"))
    done = append(str(out), [str(crawls[1])], engine=EngineChoice(engine, 1))
    assert done.fingerprint == open_manifest(Store(str(appended))).fingerprint
    assert _reasons(out) == _reasons(appended)
    assert audit(str(out)).faults == ()
    stricter = tmp_path / "stricter.toml"
    stricter.write_text(Path(crawls[2]).read_text().replace("cap = 3", "cap = 2") + LONGER)
    here = refilter(str(out), str(tmp_path / "here"), recipe=str(stricter), workers=1)
    there = refilter(str(out), str(tmp_path / "there"), recipe=str(stricter), engine=EngineChoice(engine, 1))
    assert 0 < there.totals.documents < done.totals.documents
    assert there.fingerprint == here.fingerprint
    assert _reasons(tmp_path / "there") == _reasons(tmp_path / "here")
    assert audit(str(tmp_path / "there")).faults == ()


@pytest.mark.slow
def test_a_third_generation_knows_both_and_a_takedown_is_kept(
    crawls: tuple[Path, Path, str], appended: Path, tmp_path: Path
) -> None:
    corpus = Path(shutil.copytree(appended, tmp_path / "corpus"))
    (tmp_path / "urls").write_text("http://site.test/new-b\n")
    takedown(str(corpus), urls=str(tmp_path / "urls"), workers=1)
    pages = {"a": _page(60, ["60"]), "new-b": _page(71, ["71"]), "three": _page(3, ["3"]), "fresh": _page(72, ["72"])}
    third = _crawl(tmp_path / "third.warc.gz", 3, pages, {name: int(name) for name in ("60", "71", "3", "72")})
    done = append(str(corpus), [str(third)], workers=1)
    assert done.generation == 3
    reasons = _reasons(corpus)
    assert reasons["http://site.test/a"] == reasons["http://site.test/three"] == "duplicate_text"
    assert "http://site.test/new-b" not in _rows(corpus)
    assert "http://site.test/fresh" in _rows(corpus)
    assert audit(str(corpus)).faults == ()


@pytest.mark.slow
def test_same_generation_when_killed_at_any_stage(
    crawls: tuple[Path, Path, str], built: Path, superseded: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(built, tmp_path / "corpus"))
    command = [sys.executable, "-m", "plait.jobs", "append", str(out), str(crawls[1]), "--workers", "1", "--supersede"]
    for stage in ("reopen_known", "find_superseded", "assemble", "superseded"):
        running = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        with Saboteur(
            Store(str(out)), f"work/receipts/{stage}", lambda running=running: os.killpg(running.pid, signal.SIGKILL)
        ):
            assert running.wait(120) == -signal.SIGKILL, stage
        assert open_manifest(Store(str(out))).generation == 0  # readers see the first generation until all is there
    subprocess.run(command, check=True, capture_output=True)
    done, wanted = open_manifest(Store(str(out))), open_manifest(Store(str(superseded)))
    assert (done.generation, done.fingerprint) == (1, wanted.fingerprint)
    assert audit(str(out)).faults == ()
