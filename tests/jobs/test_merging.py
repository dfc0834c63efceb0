"""Small files of a table are merged where they are many, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.jobs import Options, audit, build, merging
from plait.jobs.local import LocalEngine
from plait.jobs.store import Store
from plait.jobs.work import FAN_IN, Stage
from plait.schemas.receipts import Output, Receipt
from tests.jobs.corpora import write_archives

MIB = 1 << 20


def _files(*sizes: int) -> list[Output]:
    return [Output("keys", f"{number}.parquet", 1, size, str(number)) for number, size in enumerate(sizes)]


def test_few_files_stay_as_they_are() -> None:
    assert [len(group) for group in merging.groups(_files(*[1] * FAN_IN))] == [1] * FAN_IN
    assert merging.groups([]) == []


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1] * 1100, [512, 512, 76]),  # no task opens more than 512 files
        ([7 * MIB] * 600, [19] * 31 + [11]),  # 133 MiB a file
        ([200 * MIB] * 600, [1] * 600),  # large ones are left alone
        ([*[1] * 100, 128 * MIB, *[1] * 500], [100, 1, 500]),
    ],
)
def test_files_are_merged_to_a_size_and_by_a_number(sizes: list[int], expected: list[int]) -> None:
    files = _files(*sizes)
    groups = merging.groups(files)
    assert [len(group) for group in groups] == expected
    assert [file for group in groups for file in group] == files


def test_a_merged_file_has_all_rows_in_order_and_nulls_for_what_a_file_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MANY", 2)
    tables = [pa.table({"a": [1, 2]}), pa.table({"a": [3], "b": ["x"]}), pa.table({"b": ["y"]})]
    files = []
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"{number}.parquet")
        files.append(Output("rows", f"{number}.parquet", table.num_rows, 1000, f"file {number}"))
    engine = LocalEngine(Store(str(tmp_path)), 1)
    done: list[Receipt] = []
    try:
        stage = Stage("merge", "plait.jobs.units.merge:merge_files")
        for _ in range(2):
            (merged,) = merging.merged(files, lambda units: engine.run(stage, units, done.append))
    finally:
        engine.close()
    assert pq.read_table(tmp_path / merged.path).to_pylist() == [
        {"a": 1, "b": None}, {"a": 2, "b": None}, {"a": 3, "b": "x"}, {"a": None, "b": "y"},
    ]  # fmt: skip
    assert done[0] == done[1]  # asked again, it is found


def test_a_build_that_merges_gives_the_same_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives = [str(path) for path in write_archives(tmp_path / "in", archives=3, pages=3)]
    settings = Options(shard_docs=4)
    plain = build(archives, str(tmp_path / "plain"), recipe="annotate", workers=2, options=settings)
    monkeypatch.setattr(merging, "MANY", 1)
    merged = build(archives, str(tmp_path / "merged"), recipe="annotate", workers=2, options=settings)
    assert merged.fingerprint == plain.fingerprint
    assert audit(str(tmp_path / "merged")).faults == ()
    receipts = list((tmp_path / "merged/ledger/receipts/merge").glob("*.json"))
    assert {Receipt.from_json(path.read_bytes()).outputs[0].table for path in receipts} >= {"keys", "locators"}
    assert not (tmp_path / "plain/ledger/receipts/merge").exists()
