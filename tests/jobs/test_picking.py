"""Builds of records that an index lists: the records of the archives and no others, few requests, trials."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.jobs import Options, audit, build
from plait.jobs.picking import sorted_ranges
from plait.jobs.selection import Selection
from plait.jobs.store import Store
from plait.pipeline.read import Limits, Record, expand, read_archive
from plait.pipeline.read.picked import NEAR, TOGETHER, joined, read_picked
from plait.pipeline.read.records import Loss
from plait.schemas.errors import ConfigError
from tests.jobs.corpora import write_archives
from tests.s3_proxy import BadS3, bad_s3

COLUMNS = ("url", "warc_filename", "warc_record_offset", "warc_record_length")
SETTINGS = Options(shard_docs=8)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_archives(tmp_path_factory.mktemp("archives"), archives=2, pages=3)


def _records(path: Path) -> list[Record]:
    found = read_archive(expand([str(path)])[0], Limits(), spool_dir=None)
    return [record for record in found if isinstance(record, Record)]


def _index(archives: list[Path], kinds: tuple[str, ...] = ("page", "image", "redirect", "revisit")) -> list[dict]:
    rows = [
        dict(zip(COLUMNS, (record.url, f"crawl-data/x/{path.name}", record.offset, record.length), strict=True))
        for path in archives
        for record in _records(path)
        if record.kind in kinds
    ]
    random.Random(1).shuffle(rows)
    return rows


def _columnar(path: Path, rows: list[dict]) -> str:
    table = pa.Table.from_pylist(rows)
    for name in COLUMNS[2:]:  # as Common Crawl's table has them
        table = table.set_column(table.schema.get_field_index(name), name, table.column(name).cast(pa.int32()))
    pq.write_table(table, path)
    return str(path)


def _cdxj(path: Path, rows: list[dict]) -> str:
    lines = ["!meta {}"]
    for url, filename, offset, length in (row.values() for row in rows):
        entry = {"url": url, "filename": filename, "offset": str(offset), "length": str(length)}
        lines.append(f"com,example)/ 20261001000000 {json.dumps(entry)}")
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return str(path)


def test_all_records_picked_are_the_corpus_of_the_archives(archives: list[Path], tmp_path: Path) -> None:
    whole = build([str(path) for path in archives], str(tmp_path / "all"), recipe="annotate", options=SETTINGS)
    rows = _index(archives)
    for name, index in (("p", _columnar(tmp_path / "i.parquet", rows)), ("c", _cdxj(tmp_path / "i.cdxj.gz", rows))):
        chosen = Selection(tuple(str(path) for path in archives), records=index)
        picked = build(chosen, str(tmp_path / name), recipe="annotate", options=SETTINGS)
        assert picked.fingerprint == whole.fingerprint
        assert audit(str(tmp_path / name)).faults == ()


def test_only_the_pages_listed_are_read(archives: list[Path], tmp_path: Path) -> None:
    pages = _index(archives, ("page",))[:3]
    chosen = Selection(tuple(str(path) for path in archives), records=_columnar(tmp_path / "i.parquet", pages))
    out = tmp_path / "out"
    done = build(chosen, str(out), recipe="annotate", options=Options(shard_docs=8, images="urls"))
    shards = [pq.read_table(path, columns=["url"]) for path in sorted((out / "data").glob("*.parquet"))]
    assert sorted(pa.concat_tables(shards).column("url").to_pylist()) == sorted(row["url"] for row in pages)
    assert next(line for line in done.funnel if line.stage == "extract").entered == 3


def test_a_wrong_address_costs_one_record(archives: list[Path]) -> None:
    archive = expand([str(archives[0])])[0]
    records = _records(archives[0])
    ranges = [(record.offset, record.length) for record in records]
    ranges += [(records[0].offset + 1, 50), (archive.bytes - 3, 100), (archive.bytes + 100, 100)]
    found = list(read_picked(archive, ranges, Limits()))
    assert [item.offset for item in found if isinstance(item, Record)] == sorted(record.offset for record in records)
    lost = [item for item in found if isinstance(item, Loss)]
    assert [item.offset for item in lost] == [records[0].offset + 1, archive.bytes - 3, archive.bytes + 100]
    assert {item.reason for item in lost} == {"record_malformed"}


def test_near_ranges_are_asked_for_together() -> None:
    ranges = [(0, 100), (100, 100), (200 + NEAR, 50), (251 + 2 * NEAR, 9), (10 * NEAR, TOGETHER), (0, 100)]
    assert list(joined(ranges)) == [ranges[:3], [ranges[3]], [ranges[4]]]
    dense = [(number * NEAR, NEAR) for number in range(40)]
    groups = list(joined(dense))
    assert [pair for group in groups for pair in group] == dense
    assert max(group[-1][0] + group[-1][1] - group[0][0] for group in groups) == TOGETHER


def test_a_trial_is_part_of_a_larger_one(archives: list[Path], tmp_path: Path) -> None:
    index = _columnar(tmp_path / "i.parquet", _index(archives))

    def taken(limit: int | None = None, sample: float | None = None) -> set[tuple[str, int]]:
        rows = [row for batch in sorted_ranges(index, limit, sample) for row in batch.to_pylist()]
        assert rows == sorted(rows, key=lambda row: (row["filename"], row["offset"]))
        return {(row["filename"], row["offset"]) for row in rows}

    everything = taken()
    assert len(everything) == len(_index(archives))
    assert len(taken(limit=4)) == 4
    assert taken(limit=4) < taken(limit=9) < everything
    assert set() < taken(sample=0.3) < taken(sample=0.7) < everything
    assert taken(sample=0.3, limit=2) < taken(sample=0.3)


def test_archives_of_one_name_are_told_apart_by_their_folder(archives: list[Path], tmp_path: Path) -> None:
    rows, inputs = [], []
    for folder, archive in zip(("a", "b"), archives, strict=True):
        place = tmp_path / "crawl" / folder / "part.warc.gz"
        place.parent.mkdir(parents=True)
        place.write_bytes(archive.read_bytes())
        inputs.append(str(place))
        rows += [{**row, "warc_filename": f"crawl/{folder}/part.warc.gz"} for row in _index([archive], ("page",))]
    picked = Selection(tuple(inputs), records=_columnar(tmp_path / "i.parquet", rows)).picked()
    assert picked is not None
    assert {archive.uri: picked.filenames[archive.id] for archive in picked.archives} == {
        inputs[0]: "crawl/a/part.warc.gz", inputs[1]: "crawl/b/part.warc.gz",
    }  # fmt: skip
    vague = _columnar(tmp_path / "vague.parquet", [{**rows[0], "warc_filename": "part.warc.gz"}])
    with pytest.raises(ConfigError, match=r"may be any of .*a/part.warc.gz, .*b/part.warc.gz: give one"):
        Selection(tuple(inputs), records=vague).picked()


def test_what_is_no_index_is_refused(archives: list[Path], tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["http://a.test/"]}), tmp_path / "other.parquet")
    (tmp_path / "text.cdxj").write_text("com,example)/ 2026 plain words\n")
    stray = [{**row, "warc_filename": "elsewhere.warc.gz"} for row in _index(archives)[:1]]
    for index, said in (
        (str(tmp_path / "absent.parquet"), "cannot be read"),
        (str(tmp_path / "other.parquet"), "no column warc_filename"),
        (str(tmp_path / "text.cdxj"), "line 1"),
        (_columnar(tmp_path / "stray.parquet", stray), "not among the inputs"),
    ):
        with pytest.raises(ConfigError, match=said):
            Selection((str(archives[0]),), records=index).picked()
    with pytest.raises(ConfigError, match="leave cc://"):
        Selection(("cc://CC-MAIN-2026-43",), records=str(tmp_path / "other.parquet")).picked()


@pytest.fixture
def s3() -> Iterator[BadS3]:
    pytest.importorskip("moto")
    with bad_s3(every=0) as store:
        yield store


@pytest.mark.heavy
def test_common_crawl_is_asked_once_for_near_records(
    s3: BadS3, archives: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAIT_COMMON_CRAWL", f"s3://{s3.bucket}")
    for path in archives:
        fsspec.filesystem("s3").put(str(path), f"{s3.bucket}/crawl-data/x/{path.name}")
    index = _columnar(tmp_path / "i.parquet", _index(archives, ("page",)))
    picked = Selection((), records=index).picked()
    assert picked is not None
    before = s3.requests
    picked.keep(Store(str(tmp_path)))
    for archive in picked.archives:
        rows = pq.read_table(
            tmp_path / "work/records.parquet", filters=[("filename", "=", picked.filenames[archive.id])]
        )
        ranges = list(zip(rows.column("offset").to_pylist(), rows.column("length").to_pylist(), strict=True))
        found = list(read_picked(archive, ranges, Limits()))
        assert len(found) == len(ranges) > 1
        assert all(isinstance(item, Record) for item in found)
    assert s3.requests - before == len(picked.archives)


@pytest.mark.heavy
def test_an_archive_that_is_gone_costs_its_records(s3: BadS3, archives: list[Path], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAIT_COMMON_CRAWL", f"s3://{s3.bucket}/gone")
        chosen = Selection((), records=_columnar(tmp_path / "i.parquet", _index(archives, ("page",))[:2]))
        done = build(chosen, str(tmp_path / "out"), recipe="annotate", options=SETTINGS)
    assert done.totals.documents == 0
    assert audit(str(tmp_path / "out")).faults == ()
