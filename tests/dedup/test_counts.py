"""Counts, ranks and the buffer that spills."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.dedup.counts import count_and_rank, counted
from plait.dedup.spill import SpillBuffer

from .streams import CUTS, cut, rows

SHOWN = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("order_key", pa.int64()),
        pa.field("doc_id", pa.binary()),
        pa.field("node", pa.int32()),
    ]
)


def shown(made) -> pa.Table:
    ordered = sorted(made, key=lambda row: (row[0] is None, row[0] or 0, row[1], row[2]))
    return pa.Table.from_pylist(
        [{"key": k, "order_key": d, "doc_id": bytes([d]), "node": n} for k, d, n in ordered], schema=SHOWN
    )


@given(
    st.lists(
        st.tuples(st.sampled_from([None, -2, 0, 5]), st.integers(0, 6), st.integers(0, 3)), max_size=40, unique=True
    ),
    CUTS,
    st.sampled_from([0, 200, 1 << 20]),
)
@settings(max_examples=300, deadline=None)
def test_counts_are_of_distinct_documents_wherever_batches_end(made, places, limit):
    table = shown(made)
    out = list(count_and_rank(cut(table, places), limit=limit))
    assert all(batch.schema == counted(SHOWN) for batch in out)
    got = rows(out)
    assert [{k: row[k] for k in SHOWN.names} for row in got] == table.to_pylist()
    documents: dict[int, list[int]] = {}
    for key, doc, _ in sorted(m for m in made if m[0] is not None):
        if doc not in documents.setdefault(key, []):
            documents[key].append(doc)
    for row in got:
        if row["key"] is None:
            assert (row["dup_count"], row["dup_rank"]) == (1, 0)
        else:
            assert row["dup_count"] == len(documents[row["key"]])
            assert row["dup_rank"] == documents[row["key"]].index(row["order_key"])


def test_a_key_larger_than_the_limit_goes_through_a_file_and_leaves_none(tmp_path):
    def stream():
        for low in range(0, 60_000, 1000):
            yield shown([(1, 0, n) for n in range(low, low + 1000)])

    batches = (batch for table in stream() for batch in table.to_batches())
    kernel = count_and_rank(batches, limit=100_000, folder=tmp_path)
    first = next(kernel)
    assert list(tmp_path.iterdir())
    assert first.column("dup_count").to_pylist() == [1] * len(first)
    assert len(first) + sum(len(batch) for batch in kernel) == 60_000
    assert not list(tmp_path.iterdir())


def test_a_stream_that_is_given_up_leaves_no_file(tmp_path):
    table = shown([(1, d, n) for d in range(100) for n in range(50)])
    kernel = count_and_rank(cut(table, list(range(0, 5000, 500))), limit=1000, folder=tmp_path)
    next(kernel)
    kernel.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [0, 100, 1 << 20])
def test_the_buffer_gives_back_what_it_got_in_order(limit, tmp_path):
    schema = pa.schema([("x", pa.int64())])
    with SpillBuffer(schema, limit=limit, folder=tmp_path) as buffer:
        for low in range(0, 50, 5):
            buffer.append(pa.RecordBatch.from_pydict({"x": list(range(low, low + 5))}, schema=schema))
        assert buffer.spilled == (limit < 400)
        assert [row["x"] for row in rows(buffer.batches())] == list(range(50))
        buffer.clear()
        assert buffer.rows == 0
        buffer.append(pa.RecordBatch.from_pydict({"x": [7]}, schema=schema))
        assert rows(buffer.batches()) == [{"x": 7}]
    assert not list(tmp_path.iterdir())
