"""Which document of a group is kept."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.dedup.documents import CLAIM, VERDICT, claims, keep_latest
from plait.dedup.keys import KEYS, document_keys, document_texts
from plait.dedup.minhash import FINEWEB, OMNICORPUS
from plait.schemas.documents import PAGE
from plait.schemas.ids import key64, text_key

from .streams import CUTS, cut, rows

START = datetime(2020, 1, 1, tzinfo=UTC)


def claim_table(claimed) -> pa.Table:
    def order(row):
        key, captured, doc = row
        return (key is None, key or 0, captured is None, -(captured or 0), doc)

    made = [
        {"key": k, "captured": None if c is None else START + timedelta(days=c), "doc_id": d}
        for k, c, d in sorted(claimed, key=order)
    ]
    return pa.Table.from_pylist(made, schema=CLAIM)


def verdicts(claimed, places=()) -> dict[bytes, dict]:
    out = list(keep_latest(cut(claim_table(claimed), list(places)), "duplicate_url"))
    assert all(batch.schema == VERDICT for batch in out)
    return {row["doc_id"]: row for row in rows(out)}


def test_the_latest_capture_is_kept_and_named():
    found = verdicts([(1, 5, b"a"), (1, 9, b"b"), (1, None, b"c"), (2, None, b"d")])
    assert [doc for doc, row in found.items() if row["kept"]] == [b"b", b"d"]
    assert found[b"a"]["kept_doc_id"] == found[b"c"]["kept_doc_id"] == b"b"
    assert found[b"a"]["reason"] == "duplicate_url"
    assert found[b"b"]["reason"] is None


def test_two_captures_at_once_leave_the_smaller_id():
    assert verdicts([(7, 3, b"\x02"), (7, 3, b"\x01")])[b"\x01"]["kept"]


def test_a_null_key_is_in_no_group():
    assert all(row["kept"] for row in verdicts([(None, 1, b"a"), (None, 2, b"b"), (0, 1, b"c")]).values())


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, -3, 0, 1, 2]), st.sampled_from([None, 0, 1, 2]), st.binary(min_size=1, max_size=2)
        ),
        max_size=30,
        unique_by=lambda row: row[2],
    ),
    CUTS,
)
@settings(max_examples=300, deadline=None)
def test_one_of_each_group_is_kept_wherever_batches_end(claimed, places):
    found = verdicts(claimed, places)
    assert len(found) == len(claimed)
    for key in {k for k, _, _ in claimed if k is not None}:
        group = [(c is None, -(c or 0), d) for k, c, d in claimed if k == key]
        winner = min(group)[2]
        for _, _, doc in group:
            assert found[doc]["kept"] == (doc == winner)
            assert found[doc]["kept_doc_id"] == winner


def page(doc: bytes, nodes, url="http://a.example/") -> dict:
    return {"doc_id": doc, "order_key": 5, "url": url, "nodes": nodes}


def pages(*made) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(made), schema=PAGE)


def text(value):
    return {"kind": "text", "tag": "p", "text": value}


IMAGE = {"kind": "image", "image_url": "http://a.example/x.png"}


def test_keys_are_of_the_text_alone_and_of_the_canonical_url():
    found = document_keys(
        pages(
            page(b"1" * 16, [text("Hello  world"), IMAGE], "http://A.example:80/#top"),
            page(b"2" * 16, [IMAGE, text("Hello"), IMAGE, text("world")]),
            page(b"3" * 16, [IMAGE]),
            page(b"4" * 16, []),
            page(b"5" * 16, [text(None), text("…")]),
        ),
        OMNICORPUS,
    )
    assert found.schema == KEYS
    got = found.to_pylist()
    assert got[0]["url_key"] == got[1]["url_key"] == text_key("http://a.example/")
    assert got[0]["text_key"] == got[1]["text_key"] == text_key("Hello world")
    assert got[0]["bands"] == got[1]["bands"] and len(got[0]["bands"]) == OMNICORPUS.bands
    assert len(got[0]["sketch"]) == OMNICORPUS.permutations // 2
    assert [row["images"] for row in got] == [1, 2, 1, 0, 0]
    assert got[2]["text_key"] is None and got[2]["bands"] == [] and got[2]["sketch"] is None
    assert got[4]["text_key"] is not None and got[4]["bands"] == []
    assert got[0]["id"] == key64(b"1" * 16)
    assert got[0]["chars"] == len("Hello  world")


def test_keys_of_a_slice_are_the_keys_of_its_rows():
    batch = pages(*[page(bytes([i]) * 16, [text(f"word{i} " * 9), IMAGE][: i % 3]) for i in range(9)])
    whole = document_keys(batch, FINEWEB)
    assert document_keys(batch.slice(4, 3), FINEWEB).to_pylist() == whole.slice(4, 3).to_pylist()
    assert document_texts(batch.slice(7))[0] == "word7 " * 9


def test_claims_take_the_column_they_are_told():
    found = document_keys(pages(page(b"1" * 16, [text("x")])), FINEWEB)
    assert claims(found, "text_key").to_pylist()[0]["key"] == text_key("x")
