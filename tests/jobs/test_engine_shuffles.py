"""One relational step on each cluster engine: the parts, their rows and what does not travel are the local engine's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.jobs import work
from plait.jobs.engines import EngineChoice
from plait.jobs.store import Store
from plait.jobs.survivors import SURVIVOR
from plait.jobs.work import ARCHIVES, Listed, Shuffle, Source, Stage
from plait.schemas.ids import archive_key
from plait.schemas.receipts import Output, Receipt

ROWS = 4000
NAMES = ("1" * 32, "9" * 32)  # of archives
ROW = pa.schema([*SURVIVOR, pa.field("archive_id", pa.string())])


def _file(folder: Path, name: str, table: pa.Table) -> Output:
    pq.write_table(table, folder / name)
    return Output("rows", name, table.num_rows, (folder / name).stat().st_size, name)


def _shuffle(folder: Path, stage: str) -> Shuffle:
    """Documents of two archives, of which every third one of the first archive survived."""
    ids = [number.to_bytes(16, "big") for number in range(ROWS)]
    files = []
    for name in NAMES:
        keys = [(number * 0x9E3779B97F4A7C15) % ARCHIVES[1] for number in range(ROWS)]
        rows = pa.table({"archive_key": keys, "doc_id": ids, "archive_id": [name] * ROWS}, schema=ROW)
        files.append(_file(folder, f"{name}.parquet", rows))
    listed = pa.table({"archive_key": [archive_key(NAMES[0])] * len(ids[::3]), "doc_id": ids[::3]}, schema=SURVIVOR)
    only = Listed(_file(folder, "listed.parquet", listed), *ARCHIVES)
    runner = Stage(stage, "plait.jobs.units.order:list_survivors")
    order = ("archive_key", "doc_id")
    return Shuffle(runner, (Source(tuple(files)),), ROW, order, (only,), space=ARCHIVES)


def _rows(folder: Path, receipts: list[Receipt]) -> list[list[dict[str, object]]]:
    """Rows of each part, in the order in which they came."""
    return [
        [row for file in receipt.tables("survivors") for row in pq.read_table(folder / file.path).to_pylist()]
        for receipt in receipts
    ]


@pytest.mark.heavy
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray", "spark"])
def test_parts_are_those_of_the_local_engine(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "FAN_OUT_BYTES", 40_000)
    found = {}
    for engine in ("local", name):
        shuffle = _shuffle(tmp_path, f"list_{engine}")
        assert len(shuffle.parts()) >= 3
        running = EngineChoice(engine, 2).open(Store(str(tmp_path)))
        try:
            told: list[Receipt] = []
            found[engine] = _rows(tmp_path, running.shuffle(shuffle, told.append))
        finally:
            running.close()
        assert len(told) == len(shuffle.parts())
    assert found[name] == found["local"]
    assert sum(map(len, found[name])) == len(range(0, ROWS, 3))
