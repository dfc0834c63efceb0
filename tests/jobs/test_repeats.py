"""What a recipe asks to be rare: paragraphs, nodes, sets of images, evaluation text; each gone, named and counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.jobs import Options, audit, build
from plait.jobs.store import Store
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Manifest
from tests.jobs.clusters import Saboteur
from tests.jobs.corpora import QUESTION, SITE_NOTE, write_repeats

SMALL = Options(shard_docs=4, retain="all")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_repeats(tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="module")
def corpus(given: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("repeats") / "corpus"
    build([str(given[0])], str(out), recipe=str(given[1]), workers=2, options=SMALL)
    return out


def _rows(corpus: Path) -> dict[str, dict[str, object]]:
    paths = sorted((corpus / "data").glob("*.parquet"))
    return {str(row["url"]): row for path in paths for row in pq.read_table(path).to_pylist()}


def _drops(corpus: Path) -> dict[str, list[dict[str, object]]]:
    table = pa.concat_tables(pq.read_table(path) for path in sorted((corpus / "ledger/drops").glob("*.parquet")))
    found: dict[str, list[dict[str, object]]] = {}
    for row in table.to_pylist():
        found.setdefault(row["reason"], []).append(row)
    return found


def test_each_repeat_is_gone_for_its_reason(corpus: Path) -> None:
    drops = _drops(corpus)
    gone = {reason: [row["url"] for row in rows if row["scope"] == "document"] for reason, rows in drops.items()}
    assert gone["evaluation_text"] == ["http://site0.test/story/4"]
    assert gone["duplicate_image_set"] == ["http://site0.test/story/2"]
    assert gone["near_duplicate"] == ["http://site1.test/story/11"]
    [row] = drops["evaluation_text"]
    assert row["value"] == 8  # of its 20 words 8 runs of 13
    assert row["threshold"] == "eval_ngrams == 0"
    rows = _rows(corpus)
    assert len(rows) == 11
    for row in rows.values():
        texts = [text for text in row["texts"] if text]
        assert SITE_NOTE not in texts
        assert not any(QUESTION in text for text in texts)
        assert not any("Thy " in text for text in texts)
        assert len(row["texts"]) == len(row["images"]) == len(row["tags"]) == len(row["image_info"])
        assert sum(image is not None for image in row["images"]) == 2


def test_removed_nodes_are_counted_and_the_books_balance(corpus: Path) -> None:
    assert audit(str(corpus)).faults == ()
    from plait.jobs.wholeness import read_receipts

    removed: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for receipt in read_receipts(Store(str(corpus))):
        removed.update(receipt.books.removed)
        alone.update(receipt.books.alone)
    assert removed["repeated_node"] == 14  # in every page
    assert removed["repeated_paragraph"] == 9  # of the 12 pages with the note three were dropped before
    assert alone["evaluation_text"] == 1


def test_a_paragraph_is_counted_within_its_host(given: tuple[Path, Path], tmp_path: Path) -> None:
    """The note stands on six pages of each host: at seven it stays everywhere, though twelve pages have it."""
    text = given[1].read_text().replace("paragraphs = 3", "paragraphs = 7")
    (given[1].parent / "seven.toml").write_text(text)
    done = build([str(given[0])], str(tmp_path / "out"), recipe=str(given[1].parent / "seven.toml"), workers=1)
    assert not done.recipe.partial
    noted = [row for row in _rows(tmp_path / "out").values() if SITE_NOTE in row["texts"]]
    assert len(noted) == 9


def test_evaluation_files_on_the_command_line_add_to_the_recipe(given: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(SITE_NOTE)
    build(
        [str(given[0])], str(tmp_path / "out"), recipe=str(given[1]), contamination=[str(tmp_path / "more.txt")],
        workers=1,
    )  # fmt: skip
    assert [url[-2:] for url in sorted(_rows(tmp_path / "out"))] == ["12", "13"]
    for content, message in (("Too short to be looked for.", "13 words"), (None, "cannot be read")):
        path = tmp_path / "bad.txt"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigError, match=message):
            build([str(given[0])], str(tmp_path / "bad"), contamination=[str(path)])
    assert not (tmp_path / "bad").exists()


@pytest.mark.slow
def test_same_corpus_when_killed_in_any_of_these_stages(given: tuple[Path, Path], corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "plait.jobs", "build", str(given[0]), "--out", str(out)]
    command += ["--recipe", str(given[1]), "--workers", "1", "--shard-docs", "4", "--retain", "all"]
    for stage in ("extract", "dedup_image_sets", "list_paragraphs", "repeated_paragraphs", "drop_paragraphs"):
        running = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        with Saboteur(
            Store(str(out)), f"work/receipts/{stage}", lambda running=running: os.killpg(running.pid, signal.SIGKILL)
        ):
            assert running.wait(120) == -signal.SIGKILL, stage
    subprocess.run(command, check=True, capture_output=True)
    done = Manifest.from_json((out / "manifest.json").read_text())
    assert done.fingerprint == Manifest.from_json((corpus / "manifest.json").read_text()).fingerprint
    assert audit(str(out)).faults == ()
