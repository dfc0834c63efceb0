"""Units of a fetch own whole hosts; a huge host has a unit of its own."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.jobs.runner import run_unit
from plait.jobs.store import Store
from plait.jobs.units import fetch
from plait.jobs.work import Stage, Unit
from plait.schemas.fetched import FETCH_URL
from plait.schemas.receipts import Receipt


def _grouped(hosts: list[int], cuts: list[int], most: int) -> tuple[Receipt, list[tuple[str, list[dict[str, int]]]]]:
    """Files that URLs of hosts (so many each) are grouped into, the stream being cut at some places."""
    rows = [
        {"key": host, "image_key": host * 1000 + number, "url": f"http://{host}.test/{number}", "order_key": number}
        for host, count in enumerate(hosts) for number in range(count)
    ]  # fmt: skip
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    batches = [pa.RecordBatch.from_pylist(rows[start:end], schema=FETCH_URL) for start, end in pairwise(edges)]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        stage = Stage("hosts", "plait.jobs.units.fetch:group_hosts", {"unit_urls": most})
        receipt = run_unit(store, stage, Unit(("x",), "part 0", {}), iter(batches))
        files = [(output.table, pq.read_table(store.path(output.path)).to_pylist()) for output in receipt.outputs]
    return receipt, files


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=25),
    st.lists(st.integers(0, 500), max_size=12),
    st.integers(1, 20),
)
def test_hosts_are_never_split_and_huge_ones_are_alone(hosts: list[int], cuts: list[int], most: int) -> None:
    _, files = _grouped(hosts, cuts, most)
    owners: Counter[int] = Counter()
    for table, rows in files:
        present = {row["key"] for row in rows}
        owners.update(present)
        if table == "huge":
            assert len(present) == 1
            assert len(rows) > most
        else:
            assert len(rows) <= most
            assert all(hosts[key] <= most for key in present)
    assert set(owners.values()) == {1}
    assert sum(len(rows) for _, rows in files) == sum(hosts)
    assert {row["image_key"] for _, rows in files for row in rows} == {
        host * 1000 + number for host, count in enumerate(hosts) for number in range(count)
    }


def test_small_hosts_share_files_that_are_nearly_full() -> None:
    _, files = _grouped([3] * 40, [], 20)
    assert len(files) == 7  # 18 of 20 each


def test_a_host_with_a_fifth_of_all_pictures_is_one_unit_and_changes_no_other() -> None:
    others = [3, 17, 40, 1] * 500
    fifth = sum(others) // 4
    _, without = _grouped(others, [], 500)
    _, files = _grouped([*others, fifth], list(range(0, sum(others), 4096)), 500)
    assert [len(rows) for table, rows in files if table == "huge"] == [fifth]
    assert [file for file in files if file[0] != "huge"] == without


def test_one_url_of_each_image_key_whatever_the_batches() -> None:
    def batch(keys: list[int]) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict(
            {"key": keys, "image_url": [f"http://HOST{key}.test/a" for key in keys], "order_key": keys}
        )

    keys = [1, 1, 2, 3, 3, 3, 4]
    for cut in range(len(keys) + 1):
        first = fetch.wanted_urls(batch(keys[:cut]), None)
        second = fetch.wanted_urls(batch(keys[cut:]), keys[cut - 1] if cut else None)
        assert [*first.column("image_key").to_pylist(), *second.column("image_key").to_pylist()] == [1, 2, 3, 4]
    same = [row["key"] for row in fetch.wanted_urls(batch([5]), None).to_pylist()]
    assert same != [row["key"] for row in fetch.wanted_urls(batch([6]), None).to_pylist()]
