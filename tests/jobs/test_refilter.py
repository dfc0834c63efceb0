"""Refilter: the corpus that a build from the archives gives, where what was retained suffices; refused elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from plait.jobs import Options, audit, build
from plait.jobs.refilter import refilter
from plait.jobs.store import Store
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Manifest
from tests.archives import WarcBuilder, html, picture
from tests.jobs.clusters import Saboteur
from tests.jobs.corpora import prose

LOOSE = """name = "loose"
description = "Little is dropped."
extends = "annotate"
passes = 1

[images]
cap = 1000
"""
WORDS = """
[[rule]]
name = "too_few_words"
scope = "document"
keep = "words >= {words}"
source = "test"
"""
SIDE = """
[[rule]]
name = "image_too_small"
scope = "image"
keep = "side >= {side}"
source = "test"
"""
NODE = """
[[rule]]
name = "short_node"
scope = "node"
keep = "words >= {least}"
source = "test"
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of 100 to 440 words with pictures of 160 to 300 pixels, and one that all pages show twice."""
    made = WarcBuilder(info=True)
    for number in range(15):
        first = prose(number, 96)
        rest = "".join(f"<p>{prose(number * 100 + part, 24)}</p>" for part in range(number))
        shown = [f"http://cdn.test/{number}.jpg", f"http://cdn.test/{(number + 1) % 15}.jpg", "http://cdn.test/all.jpg"]
        shown.append("http://cdn.test/all.jpg")
        pictures = "".join(f"<img src='{url}' alt='A picture'>" for url in shown)
        page = html(f"<article><h1>Story {number}</h1><p>{first}</p>{pictures}<p>Short.</p>{rest}</article>")
        made.response(f"http://site.test/{number}", page, date=f"2024-05-{number + 1:02d}T12:00:00Z")
        made.response(f"http://cdn.test/{number}.jpg", picture(160 + number * 10, 200, number), "image/jpeg")
    made.response("http://cdn.test/all.jpg", picture(500, 400, 99), "image/jpeg")
    return made.save(tmp_path_factory.mktemp("pages") / "pages.warc.gz")


Recipe = Callable[..., str]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("recipes")

    def write(words: int = 160, side: int = 170, least: int = 1, more: str = "") -> str:
        text = LOOSE + more + NODE.format(least=least) + WORDS.format(words=words) + SIDE.format(side=side)
        path = folder / f"r{abs(hash(text))}.toml"
        path.write_text(text)
        return str(path)

    return write


def _built(archive: Path, recipe: str, out: Path, retain: str) -> Manifest:
    return build([str(archive)], str(out), recipe=recipe, workers=1, options=Options(shard_docs=4, retain=retain))


@pytest.fixture(scope="module")
def kept(archive: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kept") / "corpus"
    _built(archive, recipe(), out, "kept")
    return out


@pytest.fixture(scope="module")
def everything(archive: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("all") / "corpus"
    _built(archive, recipe(), out, "all")
    return out


def _rows(corpus: Path) -> dict[str, dict[str, object]]:
    """Rows by URL, without how many pictures there were: a refilter from shards knows of those that were kept."""
    rows = [row for path in sorted((corpus / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    for row in rows:
        del row["image_nodes"], row["words_per_image_node"]
        for info in row["image_info"]:
            for name in ("url_dup_count", "sha256_dup_count", "p_hash_dup_count") if info else ():
                del info[name]
    return {row["url"]: row for row in rows}


def _urls(corpus: Path) -> set[str]:
    return {url for path in (corpus / "data").glob("*.parquet") for url in pq.read_table(path)["url"].to_pylist()}


@pytest.mark.parametrize("changed", [{}, {"words": 200, "side": 250}])
def test_stricter_thresholds_give_the_corpus_that_a_build_gives(
    changed: dict[str, int], archive: Path, kept: Path, everything: Path, recipe: Recipe, tmp_path: Path
) -> None:
    wanted = _built(archive, recipe(**changed), tmp_path / "scratch", "kept")
    done = refilter(str(everything), str(tmp_path / "all"), recipe=recipe(**changed), workers=1)
    assert done.fingerprint == wanted.fingerprint
    assert audit(str(tmp_path / "all")).faults == ()
    refilter(str(kept), str(tmp_path / "kept"), recipe=recipe(**changed), workers=1)
    assert _rows(tmp_path / "kept") == _rows(tmp_path / "scratch")
    assert audit(str(tmp_path / "kept")).faults == ()


@pytest.mark.parametrize("changed", [{"words": 50, "side": 170, "least": 2}, {"words": 1, "side": 10, "least": 1}])
def test_with_pages_retained_and_archives_at_hand_any_recipe_gives_what_a_build_gives(
    changed: dict[str, int], archive: Path, everything: Path, recipe: Recipe, tmp_path: Path
) -> None:
    wanted = _built(archive, recipe(**changed), tmp_path / "scratch", "kept")
    done = refilter(
        str(everything), str(tmp_path / "out"), recipe=recipe(**changed), archives=[str(archive)], workers=1
    )
    assert done.fingerprint == wanted.fingerprint
    assert audit(str(tmp_path / "out")).faults == ()


def test_node_rules_are_applied_to_retained_pages_and_to_shards(
    kept: Path, everything: Path, archive: Path, recipe: Recipe, tmp_path: Path
) -> None:
    wanted = _built(archive, recipe(least=3), tmp_path / "scratch", "kept")
    done = refilter(str(everything), str(tmp_path / "all"), recipe=recipe(least=3), workers=1)
    assert done.fingerprint == wanted.fingerprint
    refilter(str(kept), str(tmp_path / "kept"), recipe=recipe(least=3), workers=1)
    assert _rows(tmp_path / "kept") == _rows(tmp_path / "scratch")


def test_what_was_not_retained_is_refused_with_its_number(
    kept: Path, everything: Path, archive: Path, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    drops = pq.read_table(kept / "ledger/drops/extract.parquet").to_pylist()
    near = sum(row["reason"] == "too_few_words" and row["value"] >= 110 for row in drops)
    assert 0 < near < sum(row["reason"] == "too_few_words" for row in drops)
    with pytest.raises(ConfigError, match=rf"up to {near} documents \(too_few_words {near}\).*--retain all"):
        refilter(str(kept), str(out), recipe=recipe(words=110))
    with pytest.raises(ConfigError, match=r"up to \d+ images \(image_too_small \d+\)"):
        refilter(str(kept), str(out), recipe=recipe(side=155))
    with pytest.raises(ConfigError, match=r"image_too_small.*--archives"):
        refilter(str(everything), str(out), recipe=recipe(side=155))
    twice = len(_urls(kept))  # every page shows one picture twice
    with pytest.raises(ConfigError, match=rf"up to {twice} images \(duplicate_in_document {twice}\)"):
        refilter(str(kept), str(out), recipe=recipe(more="once_per_document = false\n"))
    with pytest.raises(ConfigError, match="--retain kept"):
        refilter(str(kept), str(out), recipe=recipe(), archives=[str(archive)])
    assert not out.exists()


def test_documents_that_come_back_without_their_pictures_are_refused(
    everything: Path, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"brings \d+ documents back whose pictures were not retained"):
        refilter(str(everything), str(tmp_path / "out"), recipe=recipe(words=50), workers=1)
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_corpus_without_pictures_takes_every_document_back(archive: Path, recipe: Recipe, tmp_path: Path) -> None:
    options = Options(images="none", retain="all")
    build([str(archive)], str(tmp_path / "first"), recipe=recipe(words=200), workers=1, options=options)
    refilter(str(tmp_path / "first"), str(tmp_path / "out"), recipe=recipe(words=20), workers=1)
    assert len(_urls(tmp_path / "out")) == 15
    assert Store(str(tmp_path / "out")).exists("ledger/pages")
    again = refilter(str(tmp_path / "out"), str(tmp_path / "again"), recipe=recipe(words=200), workers=1)
    assert again.fingerprint == Manifest.from_json((tmp_path / "first/manifest.json").read_text()).fingerprint


@pytest.mark.slow
def test_same_corpus_when_killed_at_any_stage(everything: Path, recipe: Recipe, tmp_path: Path) -> None:
    out, name = tmp_path / "out", recipe(words=200, side=200)
    command = [sys.executable, "-m", "plait.jobs", "refilter", str(everything), "--out", str(out), "--recipe", name]
    command += ["--workers", "1"]
    for stage in ("reopen", "retext", "locate_dropped", "assemble"):
        running = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        with Saboteur(
            Store(str(out)), f"work/receipts/{stage}", lambda running=running: os.killpg(running.pid, signal.SIGKILL)
        ):
            assert running.wait(120) == -signal.SIGKILL, stage
    subprocess.run(command, check=True, capture_output=True)
    wanted = refilter(str(everything), str(tmp_path / "whole"), recipe=name, workers=1)
    assert Manifest.from_json((out / "manifest.json").read_text()).fingerprint == wanted.fingerprint
    assert audit(str(out)).faults == ()
