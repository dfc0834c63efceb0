"""Builds of real archives: what they must find, resolve and survive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from plait.explorer.recipes import dropped_by
from plait.jobs import Options, audit, build
from plait.schemas.manifest import Manifest

GIB = 1 << 30


def _rows(corpus: Path, columns: list[str]) -> list[dict[str, object]]:
    paths = sorted((corpus / "data").glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path, columns=columns).to_pylist()]


def _build(inputs: list[Path], out: Path, **options: str) -> Manifest:
    return build([str(path) for path in inputs], str(out), recipe="annotate", workers=2, options=Options(**options))


def test_wikipedia_keeps_its_pages_and_pictures(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "warc_made/wikipedia_en_ray_charles_2015-06.warc.gz"
    manifest = _build([archive], tmp_path / "out")
    images = {info["sha256"] for row in _rows(tmp_path / "out", ["image_info"]) for info in row["image_info"] if info}
    assert manifest.totals.documents >= 60
    assert len(images) >= 90
    assert audit(str(tmp_path / "out")).faults == ()


def test_21_languages_are_told(shared_data: Path, tmp_path: Path) -> None:
    _build([shared_data / "warc_made/iot-21lang.warc.gz"], tmp_path / "out", images="none")
    gold = {}
    for line in (shared_data / "warc_made/iot-21lang.gold.jsonl").read_text("utf-8").splitlines():
        page = json.loads(line)
        gold[page["url"]] = {"tw": "zh"}.get(page["lang"], page["lang"])  # the folder "tw" is Chinese, Taiwan's script
    rows = _rows(tmp_path / "out", ["url", "lang"])
    right = sum(row["lang"] == gold[row["url"]] for row in rows)
    assert len(rows) >= 100
    assert right >= 0.95 * len(rows)


def test_arc_and_warc_of_one_crawl_give_the_same_documents(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "warc_images"
    arc = _build([folder / "iah-archiveorg-2008.arc.gz"], tmp_path / "arc", images="none")
    warc = _build([folder / "iah-archiveorg-2008.warc.gz"], tmp_path / "warc", images="none")
    assert arc.totals.documents > 30
    assert arc.fingerprint == warc.fingerprint
    both = _build(sorted(folder.glob("iah-archiveorg-2008.*")), tmp_path / "both", images="none")
    assert both.fingerprint == warc.fingerprint
    assert dropped_by(both, "document")["duplicate_capture"] >= warc.totals.documents


def test_one_crawl_in_three_files_resolves_across_them(shared_data: Path, tmp_path: Path) -> None:
    parts = sorted((shared_data / "warc_images").glob("netarkivet-2008-*.warc"))
    assert len(parts) == 3
    together = _build(parts, tmp_path / "all")
    alone = [_build([part], tmp_path / part.stem) for part in parts]
    assert _located(together) >= sum(map(_located, alone)) + 15


def _located(manifest: Manifest) -> int:
    """Image nodes whose bytes an archive holds."""
    [line] = [line for line in manifest.funnel if (line.stage, line.scope) == ("assemble", "image")]
    return line.entered - line.dropped.get("image_not_in_archives", 0)


def test_revisits_find_their_payload_in_another_file(shared_data: Path, tmp_path: Path) -> None:
    pair = sorted((shared_data / "warc_images").glob("ukwa-govuk-2014-*.warc.gz"))
    assert len(pair) == 2
    manifest = _build(pair, tmp_path / "out", images="none")
    assert "revisit_unresolved" not in dropped_by(manifest, "record")
    [again] = [line for line in manifest.funnel if line.stage == "extract_revisits" and line.scope == "document"]
    assert again.entered == 26
    alone = _build([path for path in pair if "revisits" in path.name], tmp_path / "alone", images="none")
    assert dropped_by(alone, "record")["revisit_unresolved"] > 30


@pytest.mark.slow
def test_hostile_archives_run_to_the_end_in_bounded_memory(shared_data: Path, tmp_path: Path) -> None:
    hostile = shared_data / "warc_hostile"
    files = sorted(path for path in hostile.rglob("*") if path.is_file() and path.name != "NOTES.txt")
    # In a process of its own: the peak of this one may be another test's.
    command = [sys.executable, "-m", "plait.jobs", "build", *map(str, files), "--out", str(tmp_path / "out")]
    subprocess.run([*command, "--recipe", "annotate", "--images", "urls", "--workers", "2"], check=True)
    manifest = Manifest.from_json((tmp_path / "out/manifest.json").read_text())
    assert manifest.cost["peak_rss"] < GIB
    inputs = pq.read_table(tmp_path / "out/ledger/inputs.parquet")
    assert inputs.num_rows >= 100  # files with equal contents are one input
    lost = dropped_by(manifest, "record")
    assert lost["record_too_large"] >= 1  # the page that inflates to 339 MB
    assert lost["archive_truncated"] + lost["archive_unreadable"] >= 10
    assert audit(str(tmp_path / "out")).faults == ()
