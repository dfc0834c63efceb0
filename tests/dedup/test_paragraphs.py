"""What a site repeats, what a document repeats, what an evaluation set holds, what is on a list."""

import gzip
import json
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.dedup.contamination import CONTAMINATION, contamination, evaluation_text, read_items
from plait.dedup.hash_lists import ListIndex, hash_list, read_hash_list
from plait.dedup.keys import document_keys
from plait.dedup.minhash import FINEWEB
from plait.dedup.nodes import MAX_CHARS, REPEATED_NODE, ratio, repeated_nodes, repeats
from plait.dedup.paragraphs import (
    PARAGRAPH,
    REMOVED_NODE,
    host,
    paragraph_rows,
    repeated_paragraphs,
    without_nodes,
)
from plait.schemas.documents import PAGE
from plait.schemas.errors import ConfigError

from .streams import CUTS, cut, rows


def text(value):
    return {"kind": "text", "tag": "p", "text": value}


def image(url):
    return {"kind": "image", "image_url": url}


def pages(*made: tuple[str, list]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {"doc_id": bytes([i]) * 16, "order_key": 100 - i, "url": url, "nodes": nodes}
            for i, (url, nodes) in enumerate(made)
        ],
        schema=PAGE,
    )


def in_order(batch: pa.RecordBatch, places=()) -> list[pa.RecordBatch]:
    names = ("key", "order_key", "doc_id", "node")
    return cut(pa.Table.from_batches([batch]).sort_by([(n, "ascending") for n in names]), list(places))


def test_a_paragraph_seen_three_times_on_a_host_goes_everywhere_and_only_there():
    batch = pages(
        ("http://a.example/1", [text("Cookies!  Accept"), text("one")]),
        ("http://A.example/2", [image("x"), text("Cookies! Accept")]),
        ("http://user@a.example/3", [text("three"), text("Cookies! Accept"), text("Cookies! Accept")]),
        ("http://b.example/1", [text("Cookies! Accept"), text("one")]),
        ("http://b.example/2", [text("Cookies! Accept"), text("  ")]),
    )
    found = rows(repeated_paragraphs(in_order(paragraph_rows(batch)), 3))
    assert sorted((r["doc_id"][0], r["node"]) for r in found) == [(0, 0), (1, 1), (2, 1), (2, 2)]
    assert sorted(r["doc_id"][0] for r in rows(repeated_paragraphs(in_order(paragraph_rows(batch)), 5))) == []
    removed = pa.RecordBatch.from_pylist(found, schema=REMOVED_NODE)
    left = without_nodes(batch, removed).column("nodes").to_pylist()
    assert [[n["text"] or n["image_url"] for n in nodes] for nodes in left[:3]] == [["one"], ["x"], ["three"]]
    assert left[3:] == batch.column("nodes").to_pylist()[3:]


@given(
    st.lists(st.tuples(st.sampled_from([-3, 0, 4]), st.integers(0, 9), st.integers(0, 3)), max_size=40, unique=True),
    st.integers(1, 6),
    CUTS,
)
@settings(max_examples=300, deadline=None)
def test_all_copies_go_wherever_batches_end(made, least, places):
    table = pa.RecordBatch.from_pylist(
        [{"key": k, "order_key": d, "doc_id": bytes([d]), "node": n} for k, d, n in made], schema=PARAGRAPH
    )
    found = [(r["order_key"], r["node"]) for r in rows(repeated_paragraphs(in_order(table, places), least))]
    sizes = {key: sum(k == key for k, _, _ in made) for key, _, _ in made}
    assert sorted(found) == sorted((d, n) for k, d, n in made if sizes[k] >= least)


def test_a_paragraph_of_a_million_pages_is_streamed():
    def stream():
        for low in range(0, 200_000, 10_000):
            size = 10_000
            order = pa.array(range(low, low + size), pa.int64())
            columns = [pa.array(np.zeros(size, np.int64)), order, pa.array([b"x"] * size), pa.array([0] * size)]
            yield pa.RecordBatch.from_arrays(
                [c.cast(f.type) for c, f in zip(columns, PARAGRAPH, strict=True)], schema=PARAGRAPH
            )

    kernel = repeated_paragraphs(stream(), 3)
    assert len(next(kernel)) == 10_000
    assert sum(len(batch) for batch in kernel) == 190_000


@pytest.mark.parametrize(
    ("url", "name"), [("http://A.b:80/x", "a.b:80"), ("https://u:p@a.b/", "a.b"), ("nonsense", ""), ("http://[", "")]
)
def test_host_is_the_netloc_without_credentials(url, name):
    assert host(url) == name


def lcs(left: str, right: str) -> int:
    row = [0] * (len(right) + 1)
    for a in left:
        before = row[:]
        for j, b in enumerate(right):
            row[j + 1] = before[j] + 1 if a == b else max(before[j + 1], row[j])
    return row[-1]


@given(st.text("abcd é深", max_size=30), st.text("abcd é深", max_size=30))
@settings(max_examples=300, deadline=None)
def test_ratio_is_of_the_longest_common_subsequence(left, right):
    whole = len(left) + len(right)
    assert ratio(left, right) == pytest.approx(2 * lcs(left, right) / whole if whole else 1.0)


@given(st.lists(st.one_of(st.none(), st.text("ab ", max_size=12)), max_size=12), st.sampled_from([0.5, 0.8, 0.95, 1.0]))
@settings(max_examples=300, deadline=None)
def test_repeats_are_what_comparing_with_every_earlier_node_finds(texts, similarity):
    plain = [" ".join((t or "").split()) for t in texts]
    expected, kept = {}, []
    for place, own in enumerate(plain):
        if not own:
            continue
        near = next((k for k in kept if ratio(plain[k], own) >= similarity), None)
        equal = next((k for k in range(place) if plain[k] == own), None)
        if equal is not None:
            expected[place] = expected.get(equal, equal)
        elif near is not None:
            expected[place] = near
        else:
            kept.append(place)
    assert {place: earlier for place, earlier, _ in repeats(texts, similarity)} == expected


def test_repeated_nodes_are_named_with_what_they_repeat():
    share = "Share this story with your friends and family on the networks you like"
    batch = pages(
        ("http://a/", [text(share + "."), image("u"), text("Other words altogether"), text(share.upper() + "!")]),
        ("http://a/", [text(share), text("Other words altogether"), text(None), image("u"), image("u")]),
    )
    found = repeated_nodes(batch, 0.95)
    assert found.schema == REPEATED_NODE
    assert [(r["doc_id"][0], r["node"], r["of_node"]) for r in found.to_pylist()] == [(0, 3, 0)]
    assert found.to_pylist()[0]["similarity"] == pytest.approx(1 - 1 / (len(share) + 1))
    assert repeated_nodes(batch.slice(1), 0.95).num_rows == 0


def test_long_nodes_and_thousands_of_nodes_stay_cheap():
    rng = random.Random(0)
    long = "".join(rng.choices("abcdefgh ", k=MAX_CHARS * 30))
    assert [place for place, _, _ in repeats([long, long + "x", long], 0.9)] == [2]
    many = [f"Item number {n} of the catalogue" for n in range(6000)]
    assert len(list(repeats(many, 1.0))) == 0


def test_the_same_set_of_images_has_the_same_key():
    batch = pages(
        ("http://a/1", [image("http://i.example/1.png"), text("x"), image("http://i.example/2.png")]),
        ("http://a/2", [image("http://I.example:80/2.png#f"), image("http://i.example/1.png")] * 2),
        ("http://a/3", [image("http://i.example/1.png")]),
        ("http://a/4", [text("x")]),
        ("http://a/5", [text("x"), image("")]),
    )
    found = document_keys(batch, FINEWEB)
    keys = found.column("image_set_key").to_pylist()
    assert keys[0] == keys[1] != keys[2]
    assert keys[3:] == found.column("id").to_pylist()[3:]


QUESTION = "The mitochondrion is the organelle in which most of a cell's energy is made available to it"


def test_evaluation_text_is_found_whatever_its_case_and_spacing():
    known = evaluation_text([QUESTION, "Too short?", ""])
    assert (known.items, known.short) == (3, 2)
    assert len(known.hashes) == len(QUESTION.replace("'", " ").split()) - 12
    batch = pages(
        ("http://a/1", [text("Quiz! " + QUESTION.upper().replace(" ", "\n")), text("…and then some")]),
        ("http://a/2", [text("Quiz about " + " ".join(QUESTION.split()[:10]))]),
        ("http://a/3", [text("Too short?")]),
        ("http://a/4", []),
    )
    found = contamination(batch, known)
    assert found.schema == CONTAMINATION
    hits = [r["eval_ngrams"] for r in found.to_pylist()]
    assert hits[0] == len(known.hashes)
    assert hits[1:] == [0, 0, 0]
    shares = [r["eval_share"] for r in found.to_pylist()]
    assert 0 < shares[0] < 1 and shares[1:] == [0, 0, 0]
    nothing = contamination(batch, evaluation_text([]))
    assert [r["eval_ngrams"] for r in nothing.to_pylist()] == [0, 0, 0, 0]


def test_an_ngram_across_two_nodes_counts():
    half = QUESTION.split()
    batch = pages(("http://a/1", [text(" ".join(half[:8])), image("x"), text(" ".join(half[8:]))]))
    assert contamination(batch, evaluation_text([QUESTION])).to_pylist()[0]["eval_ngrams"] > 0


def test_evaluation_files_give_every_string(tmp_path):
    records = [{"q": "one", "choices": ["two", {"x": "three"}], "n": 4}, "five"]
    lines = "\n".join(json.dumps(record) for record in records) + "\n\n"
    (tmp_path / "a.jsonl").write_text(lines, "utf-8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(lines)
    (tmp_path / "c.txt").write_text("one two\nthree", "utf-8")
    (tmp_path / "d.jsonl").write_text('{"q": ', "utf-8")
    assert list(read_items(tmp_path / "a.jsonl")) == ["one", "two", "three", "five"]
    assert list(read_items(tmp_path / "b.jsonl.gz")) == ["one", "two", "three", "five"]
    assert list(read_items(tmp_path / "c.txt")) == ["one two\nthree"]
    with pytest.raises(ConfigError, match="line 1"):
        list(read_items(tmp_path / "d.jsonl"))
    with pytest.raises(ConfigError, match=r"none\.txt"):
        list(read_items(tmp_path / "none.txt"))


def scored(*made: tuple[bytes | None, int | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"sha256": pa.array([s for s, _ in made], pa.binary()), "phash": pa.array([p for _, p in made], pa.int64())}
    )


def test_listed_pictures_are_told_by_bytes_or_by_looks(tmp_path):
    looks = 0x0F0F_F0F0_33CC_CC33
    path = tmp_path / "list.txt"
    path.write_text(f"# opt-outs\n{'ab' * 32}  # a digest\n\n{looks:016X}\n0000000000000000\n", "utf-8")
    known = read_hash_list(path)
    assert known.ignored == 1
    found = (
        ListIndex(known, 4)
        .listed(scored((b"\xab" * 32, 5), (b"x", looks ^ 0b101), (b"x", looks ^ 0b11111), (None, None), (b"x", 0)))
        .to_pylist()
    )
    assert [row["listed_by"] for row in found] == ["sha256", "phash", None, None, None]
    assert [row["listed"] for row in found] == [True, True, False, False, False]


def test_an_unreadable_line_is_named():
    with pytest.raises(ConfigError, match=r"my list, line 2: 'xyz'"):
        hash_list(["ab" * 32, "xyz"], "my list")
    assert not ListIndex(hash_list([]), 4).listed(scored((b"x", 7))).column("listed")[0].as_py()
