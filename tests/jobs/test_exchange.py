"""Rows by parts, as tasks of a cluster see them, are the rows that the local engine sorts."""

from __future__ import annotations

import random
from dataclasses import replace
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
from plait.jobs.survivors import SURVIVOR
from plait.jobs.work import Listed, Shuffle, Source, Stage
from plait.schemas.ids import archive_key
from plait.schemas.receipts import Output

ROW = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("side", pa.int32(), nullable=False),
        pa.field("doc_id", pa.binary()),
        pa.field("archive_id", pa.string()),
        pa.field("when", pa.timestamp("us", "UTC")),
        pa.field("nodes", pa.list_(pa.struct([pa.field("text", pa.string())]))),
        pa.field("extra", pa.string()),
    ]
)
SPAN = 1 << 63
ARCHIVES = ("3" * 32, "c" * 32)


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
    names = [draw.choice([*ARCHIVES, None]) for _ in range(3000)]
    columns = {"nodes": nodes, "doc_id": ids, "archive_id": names, "key": keys}
    whole = pa.table({**columns, "when": pa.nulls(3000, pa.timestamp("us", "UTC"))})
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


def _listed(store: Store, name: str, rows: list[dict[str, object]], low: int, high: int) -> Listed:
    return Listed(_file(store, name, pa.Table.from_pylist(rows, schema=SURVIVOR)), low, high)


def test_documents_that_are_not_listed_do_not_travel(shuffle: Shuffle, tmp_path: Path) -> None:
    """A document is listed for its archive: the same one out of another archive stays behind."""
    store = Store(str(tmp_path))
    rows = pq.read_table(store.path("a.parquet"))
    first = [name for name in rows.column("archive_id").to_pylist() if name == ARCHIVES[0]]
    assert 0 < len(first) < rows.num_rows
    named = zip(rows.column("archive_id").to_pylist(), rows.column("doc_id").to_pylist(), strict=True)
    listed = [{"archive_key": archive_key(ARCHIVES[0]), "doc_id": doc} for archive, doc in named][:900]
    cut = archive_key(ARCHIVES[0]) + 1
    lists = (_listed(store, "l.parquet", listed, 0, cut), _listed(store, "h.parquet", [], cut, work.ARCHIVES[1]))
    only = replace(shuffle, only=lists)
    found = _arrived(store, only)
    assert found == _local(store, only)
    kept = {(row["archive_id"], row["doc_id"]) for rows in found.values() for row in rows}
    ids = {row["doc_id"] for row in listed}
    archives = dict(zip(rows.column("doc_id").to_pylist(), rows.column("archive_id").to_pylist(), strict=True))
    assert kept == {(ARCHIVES[0], doc) for doc in ids if archives[doc] == ARCHIVES[0]}
    moved = [batch for group in pieces(only) for batch in Exchange.of(store.root, only, ()).read(group)]
    assert sum(batch.num_rows for batch in moved) == sum(map(len, found.values()))


def test_an_empty_list_keeps_nothing(shuffle: Shuffle, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    none = replace(shuffle, only=(_listed(store, "none.parquet", [], *work.ARCHIVES),))
    assert _arrived(store, none) == _local(store, none) == {}


def test_parts_that_are_done_are_not_moved_again(shuffle: Shuffle, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    everything, rest = _arrived(store, shuffle), _arrived(store, shuffle, skip=(0, 2))
    assert set(everything) - set(rest) == {0, 2}
    assert rest == {number: rows for number, rows in everything.items() if number not in (0, 2)}
