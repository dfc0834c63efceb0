"""The journal of answers: whole answers survive whatever broke off; each URL has one end."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from plait.jobs.journal import Bodies, Journal
from plait.jobs.store import Store
from plait.pipeline.fetch.answers import Answer
from plait.schemas.errors import UnitError


def _answer(number: int, body: bytes | None = None) -> Answer:
    body = f"body {number} ".encode() * 20 if body is None else body
    reason = None if body else "fetch_empty"
    return Answer(
        url=f"http://site.test/{number}", reason=reason, body=body,
        sha256=hashlib.sha256(body).digest() if body else None,
        status=200, bytes=len(body), content_type="image/jpeg", final_url=f"http://site.test/{number}", redirects=0,
        attempts=1, asked_us=number, first_byte_s=0.5, total_s=1.0, detail=None,
    )  # fmt: skip


def _write(store: Store, attempt: str, numbers: range) -> None:
    with Journal(store, "work/answers/0", attempt) as journal:
        for number in numbers:
            journal.append(_answer(number, b"" if number % 3 == 0 else None), number)


def _read(store: Store) -> dict[int, bytes]:
    with Journal(store, "work/answers/0", "reader") as journal, Bodies(store) as bodies:
        return {
            entry.image_key: bodies.read(entry) if entry.row["reason"] is None else b"" for entry in journal.entries()
        }


def _stores(tmp_path: Path) -> list[Store]:
    return [Store(str(tmp_path)), Store(f"memory://{uuid.uuid4().hex}")]


def test_answers_of_all_attempts_are_read_back_on_disk_and_on_an_object_store(tmp_path: Path) -> None:
    for store in _stores(tmp_path):
        _write(store, "a", range(10))
        _write(store, "b", range(10, 300))  # more than a segment
        found = _read(store)
        assert sorted(found) == list(range(300))
        assert found[4] == b"body 4 " * 20
        assert found[3] == b""


def test_a_journal_that_breaks_off_anywhere_keeps_all_whole_answers(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    _write(store, "a", range(1, 5))
    path = tmp_path / "work/answers/0/a"
    whole = path.read_bytes()
    ends = []
    for size in range(len(whole), -1, -3):
        path.write_bytes(whole[:size])
        found = _read(store)
        assert list(found) == list(range(1, len(found) + 1))  # a beginning of what was written
        ends.append(len(found))
    assert sorted(set(ends)) == [0, 1, 2, 3, 4]
    assert ends == sorted(ends, reverse=True)


def test_what_follows_a_torn_answer_is_in_the_next_attempts_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    _write(store, "a", range(3))
    path = tmp_path / "work/answers/0/a"
    path.write_bytes(path.read_bytes()[:-7])
    _write(store, "b", range(2, 5))
    assert sorted(_read(store)) == [0, 1, 2, 3, 4]


def test_where_attempts_raced_one_answer_counts(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for attempt, body in (("b", b"later"), ("a", b"first")):
        with Journal(store, "work/answers/0", attempt) as journal:
            journal.append(_answer(1, body), 1)
    assert _read(store) == {1: b"first"}


def test_a_damaged_body_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    _write(store, "a", range(1, 2))
    path = tmp_path / "work/answers/0/a"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnitError, match="work/answers/0/a is damaged"):
        _read(store)
