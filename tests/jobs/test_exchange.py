"""Rows by parts, as tasks of a cluster see them, are the rows that the local engine sorts."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from plait.jobs import work
from plait.jobs.exchange import PART, Exchange
from plait.jobs.scan import pieces
from plait.jobs.sorted_rows import sort_table, sorted_rows
from plait.jobs.store import Store
from plait.jobs.work import Shuffle, Source, Stage
from plait.schemas.errors import UnitError
from plait.schemas.receipts import Output

ROW = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("side", pa.int32(), nullable=False),
        pa.field("doc_id", pa.binary()),
        pa.field("when", pa.timestamp("us", "UTC")),
        pa.field("nodes", pa.list_(pa.struct([pa.field("text", pa.string())]))),
        pa.field("extra", pa.string()),
    ]
)
SPAN = 1 << 63


def _file(store: Store, name: str, table: pa.Table) -> Output:
    path = Path(store.path(name))
    pq.write_table(table, path)
    return Output("rows", name, table.num_rows, path.stat().st_size, name, None)


@pytest.fixture
def shuffle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shuffle:
    """Two sources with columns in other orders and some absent; keys at both ends of the space, and none."""
    store, draw = Store(str(tmp_path)), random.Random(3)
    keys = [draw.choice([None, -SPAN, SPAN - 1, 0, draw.randrange(-SPAN, SPAN)]) for _ in range(3000)]
    ids = [number.to_bytes(2, "big") for number in range(3000)]
    nodes = [[{"text": f"line {number}"}] for number in range(3000)]
    whole = pa.table({"nodes": nodes, "doc_id": ids, "key": keys, "when": pa.nulls(3000, pa.timestamp("us", "UTC"))})
    times = pa.array([draw.choice([None, draw.randrange(10**15)]) for _ in range(500)], pa.timestamp("us", "UTC"))
    part = pa.table({"when": times, "key": pa.array(keys[:500], pa.int64()), "doc_id": ids[:500], "unread": ids[:500]})
    sources = (
        Source((_file(store, "a.parquet", whole.slice(0, 2000)), _file(store, "b.parquet", whole.slice(2000))), 0),
        Source((_file(store, "c.parquet", part),), 1),
    )
    monkeypatch.setattr(work, "FAN_OUT_BYTES", 5000)
    stage = Stage("stage", "nowhere:run")
    return Shuffle(stage, sources, ROW, ("key", "-when", "side", "doc_id"))


def _arrived(store: Store, shuffle: Shuffle, skip: tuple[int, ...] = ()) -> dict[int, list[dict[str, object]]]:
    """Rows of each part, moved as an engine would."""
    exchange = Exchange.of(store.root, shuffle, skip)
    rows = pa.Table.from_batches(
        [batch for group in pieces(shuffle) for batch in exchange.read(group)], schema=exchange.schema
    )
    found = {}
    for number in sorted(set(rows.column(PART).to_pylist())):
        own = rows.filter(pc.equal(rows.column(PART), number))
        batches = exchange.rows(sort_table(own, exchange.sorting))
        found[number] = [row for batch in batches for row in batch.to_pylist()]
    return found


def _local(store: Store, shuffle: Shuffle) -> dict[int, list[dict[str, object]]]:
    ranges = enumerate(shuffle.parts())
    rows = {
        number: [row for batch in sorted_rows(store, shuffle, low, high) for row in batch.to_pylist()]
        for number, (low, high) in ranges
    }
    return {number: found for number, found in rows.items() if found}


def test_parts_hold_the_rows_that_the_local_engine_sorts(shuffle: Shuffle, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    found = _arrived(store, shuffle)
    assert len(shuffle.parts()) > 3
    assert found == _local(store, shuffle)
    assert sum(map(len, found.values())) == 3500


def test_rows_without_a_key_are_in_the_last_part(shuffle: Shuffle, tmp_path: Path) -> None:
    found = _arrived(Store(str(tmp_path)), shuffle)
    homes = {number for number, rows in found.items() if any(row["key"] is None for row in rows)}
    assert homes == {len(shuffle.parts()) - 1}
    assert found[len(shuffle.parts()) - 1][-1]["key"] is None


def test_only_listed_documents_arrive(shuffle: Shuffle, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    rows = pq.read_table(store.path("a.parquet"), columns=["doc_id", "key"])
    listed = rows.filter(pc.is_valid(rows.column("key"))).slice(0, 700)
    only = Shuffle(shuffle.stage, shuffle.sources, ROW, shuffle.order, (_file(store, "only.parquet", listed),))
    found = _arrived(store, only)
    assert found == _local(store, only)
    kept = {row["doc_id"] for rows in found.values() for row in rows}
    assert kept == set(listed.column("doc_id").to_pylist())


def test_a_list_without_the_key_is_an_error(shuffle: Shuffle, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    listed = pq.read_table(store.path("a.parquet"), columns=["doc_id"])
    only = Shuffle(shuffle.stage, shuffle.sources, ROW, shuffle.order, (_file(store, "only.parquet", listed),))
    with pytest.raises(UnitError, match="lists documents without their key"):
        _arrived(store, only)


def test_parts_that_are_done_are_not_moved_again(shuffle: Shuffle, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    everything, rest = _arrived(store, shuffle), _arrived(store, shuffle, skip=(0, 2))
    assert set(everything) - set(rest) == {0, 2}
    assert rest == {number: rows for number, rows in everything.items() if number not in (0, 2)}
