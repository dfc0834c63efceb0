"""Which record an image node's bytes come from."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.pipeline.occurrences import LOCATE_IN, LOCATED, image_key, locate
from plait.pipeline.revisits import HOP_IN, batch_of, hop

URL = "http://site.test/a.jpg"


def _locator(captured: int, digest: str, offset: int = 0, kind: str = "payload", url: str = URL) -> dict[str, object]:
    return {
        "key": image_key(url), "side": 0, "image_url": url, "captured": captured, "digest": digest, "offset": offset,
        "archive_id": "a", "archive": "a.warc", "length": 10, "kind": kind,
    }  # fmt: skip


def _node(captured: int, node: int = 0, url: str = URL) -> dict[str, object]:
    return {
        "key": image_key(url), "side": 1, "doc_id": b"d", "order_key": 5, "node": node, "image_url": url,
        "captured": captured,
    }  # fmt: skip


def _located(rows: list[dict[str, object]], cuts: tuple[int, ...] = ()) -> list[dict[str, object]]:
    rows = sorted(
        rows,
        key=lambda row: (row["key"], row["side"], row["captured"] is None, row["captured"], row.get("digest") or ""),
    )
    batch = batch_of(rows, LOCATE_IN)  # type: ignore[arg-type]
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    batches = [batch.slice(low, high - low) for low, high in pairwise(edges)]
    return pa.Table.from_batches(list(locate(iter(batches))), schema=LOCATED).to_pylist()


def test_capture_nearest_in_time_wins() -> None:
    rows = _located([_locator(100, "b", 1), _locator(200, "a", 2), _locator(900, "c", 3), _node(260)])
    assert [row["offset"] for row in rows] == [2]


def test_of_equally_near_captures_the_smaller_digest_wins() -> None:
    rows = _located([_locator(100, "b", 1), _locator(300, "a", 2), _node(200)])
    assert [row["offset"] for row in rows] == [2]


def test_no_capture_is_a_reason() -> None:
    other = "http://site.test/b.jpg"
    rows = _located([_locator(1, "a", url=other), _node(1), _node(1, 1, other)])
    assert {row["node"]: row["reason"] for row in rows} == {0: "image_not_in_archives", 1: None}


def test_an_image_whose_answer_opted_out_is_not_used() -> None:
    assert [row["reason"] for row in _located([_locator(1, "a", kind="opted_out"), _node(1)])] == ["opted_out"]


def _refused(captured: int | None) -> dict[str, object]:
    return _locator(0, "robots_disallowed", kind="refused") | {"captured": captured}


def test_a_url_that_its_site_forbids_is_refused_whatever_captures_there_are() -> None:
    rows = _located([_locator(1, "a"), _refused(None), _node(1), _node(9, 1)])
    assert [row["reason"] for row in rows] == ["robots_disallowed"] * 2
    assert [row["offset"] for row in rows] == [None, None]
    assert [row["reason"] for row in _located([_refused(None), _node(1)])] == ["robots_disallowed"]


def test_a_redirect_to_what_a_site_forbids_is_a_capture_like_others() -> None:
    rows = _located([_locator(1, "a", 7), _refused(100), _node(2), _node(99, 1)])
    assert [(row["reason"], row["offset"]) for row in rows] == [(None, 7), ("robots_disallowed", None)]


def test_what_leads_to_a_forbidden_url_is_refused() -> None:
    here, there = "http://site.test/from.jpg", URL
    known = [_locator(1, "a", url=there), _refused(None)]
    leads = _locator(5, "b", 3, "redirect", here) | {"side": 1, "key": image_key(there), "target": there}
    rows = sorted([*known, leads], key=lambda row: (row["side"], row["captured"] is None, row["captured"]))
    ((found, further),) = hop(iter([batch_of(rows, HOP_IN)]))  # type: ignore[arg-type]
    assert further == []
    [row] = found
    assert (row["key"], row["kind"], row["digest"], row["captured"]) == (
        image_key(here),
        "refused",
        "robots_disallowed",
        5,
    )


def test_spelling_of_a_url_does_not_matter() -> None:
    rows = _located([_locator(1, "a", 7), _node(1, url="HTTP://SITE.test:80/a.jpg#x")])
    assert [row["offset"] for row in rows] == [7]


@given(st.lists(st.integers(0, 50), max_size=6), st.lists(st.integers(0, 50), max_size=6), st.sets(st.integers(0, 12)))
def test_batches_do_not_change_the_answer(captures: list[int], nodes: list[int], cuts: set[int]) -> None:
    rows = [_locator(when, f"d{number}", number) for number, when in enumerate(captures)]
    rows += [_node(when, number) for number, when in enumerate(nodes)]
    assert _located(rows, tuple(cuts)) == _located(rows)


def test_schema_of_input_can_be_read_by_every_engine() -> None:
    allowed = (pa.int32(), pa.int64(), pa.string(), pa.binary(), pa.timestamp("us", tz="UTC"))
    assert all(field.type in allowed for field in [*LOCATE_IN, *LOCATED])


@pytest.mark.parametrize("url", ["data:sha256:00", "http://[broken", ""])
def test_odd_urls_have_a_key(url: str) -> None:
    assert isinstance(image_key(url), int)
