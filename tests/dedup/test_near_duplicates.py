"""Buckets to edges to components."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.dedup.buckets import BAND_ROW, EDGE, LINKED_REPRESENTATIVES, REPRESENTATIVES, bucket_edges, explode_bands
from plait.dedup.components import (
    ARC,
    both_ways,
    components,
    downward,
    edge_digest,
    label_batch,
    large_star,
    small_star,
    star_labels,
)
from plait.dedup.keys import document_keys
from plait.dedup.minhash import FINEWEB, OMNICORPUS, MinHashConfig, band_keys, estimate, signatures, sketches
from plait.schemas.documents import PAGE

from .streams import CUTS, cut, rows

CHECKED = MinHashConfig(bands=4, rows=4, threshold=0.7)


def band_table(made) -> pa.Table:
    ordered = sorted(made, key=lambda row: row[:2])
    return pa.Table.from_pylist([{"key": k, "id": i, "sketch": s} for k, i, s in ordered], schema=BAND_ROW)


def alike(left: bytes, right: bytes) -> float:
    return float(estimate(np.frombuffer(left, np.uint8), np.frombuffer(right, np.uint8)))


def sequential(made, threshold) -> list[tuple[int, int]]:
    """The kernel's rule, one row at a time."""
    found, reps, open_key = [], [], None
    for key, name, sketch in sorted(made, key=lambda row: row[:2]):
        if key != open_key:
            open_key, reps = key, []
        if threshold is None:
            if reps:
                found.append((reps[0][0], name))
            else:
                reps = [(name, sketch, 0)]
            continue
        into = {}
        for rep, of, group in reps:
            if alike(sketch, of) >= threshold:
                into.setdefault(group, rep)
        found += [(rep, name) for rep in into.values()]
        fresh = all(of != sketch for _, of, _ in reps)
        if fresh and len(reps) < (LINKED_REPRESENTATIVES if into else REPRESENTATIVES):
            reps.append((name, sketch, min(into, default=len(reps))))
    return sorted(found)


SKETCHES = [bytes([v] * n + [0] * (8 - n)) for v in (0x11, 0x23) for n in range(9)]


@given(
    st.lists(
        st.tuples(st.sampled_from([-5, 0, 9]), st.integers(-4, 40), st.sampled_from(SKETCHES)),
        max_size=60,
        unique_by=lambda row: row[:2],
    ),
    CUTS,
    st.sampled_from([None, 0.7]),
)
@settings(max_examples=300, deadline=None)
def test_edges_follow_the_rule_wherever_batches_end(made, places, threshold):
    config = MinHashConfig(bands=4, rows=4, threshold=threshold)
    out = list(bucket_edges(cut(band_table(made), places), config))
    assert all(batch.schema == EDGE for batch in out)
    got = [(row["a"], row["b"]) for row in rows(out)]
    assert sorted(got) == sequential(made, threshold)
    assert all(a < b for a, b in got)


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=20, max_size=60), CUTS, st.sampled_from([0.05, 0.1, 0.3]))
@settings(max_examples=100, deadline=None)
def test_a_crowded_bucket_follows_the_rule_too(marks, places, threshold):
    made = [(1, name, mark) for name, mark in enumerate(marks)]
    config = MinHashConfig(bands=4, rows=4, threshold=threshold)
    got = [(row["a"], row["b"]) for row in rows(bucket_edges(cut(band_table(made), places), config))]
    assert sorted(got) == sequential(made, threshold)


def test_a_bucket_of_a_million_equal_rows_keeps_one_representative():
    def stream():
        for low in range(0, 1_000_000, 50_000):
            ids = pa.array(range(low, low + 50_000), pa.int64())
            keys = pa.array(np.zeros(50_000, np.int64))
            yield pa.RecordBatch.from_arrays([keys, ids, pa.array([b"\x11" * 48] * 50_000)], schema=BAND_ROW)

    seen = 0
    for batch in bucket_edges(stream(), OMNICORPUS):
        assert set(batch.column("a").to_pylist()) == {0}
        seen += len(batch)
    assert seen == 999_999


def brute(a, b) -> dict[int, int]:
    neighbours: dict[int, set[int]] = {}
    for x, y in zip(a, b, strict=True):
        neighbours.setdefault(x, set()).add(y)
        neighbours.setdefault(y, set()).add(x)
    labels: dict[int, int] = {}
    for node in sorted(neighbours):
        todo = [node] if node not in labels else []
        while todo:
            at = todo.pop()
            if at not in labels:
                labels[at] = node
                todo += neighbours[at]
    return labels


def sorted_cut(batches, schema, places=()):
    table = pa.Table.from_batches(batches, schema=schema)
    return cut(table.sort_by([(name, "ascending") for name in schema.names]), list(places))


def by_stars(a, b, places=()) -> dict[int, int]:
    edges = [pa.RecordBatch.from_arrays([pa.array(a, pa.int64()), pa.array(b, pa.int64())], schema=EDGE)]
    before = None
    for _ in range(60):
        large = list(large_star(sorted_cut([both_ways(e) for e in edges], ARC, places)))
        edges = list(small_star(sorted_cut([downward(e) for e in large], ARC, places)))
        digest = edge_digest(edges)
        if digest == before:
            break
        before = digest
    else:
        raise AssertionError("no convergence")
    return {row["id"]: row["label"] for e in edges for row in star_labels(e).to_pylist()}


EDGES = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), max_size=60)


@given(EDGES, CUTS)
@settings(max_examples=200, deadline=None)
def test_components_equal_a_walk_over_the_graph(edges, places):
    a, b = [x for x, _ in edges], [y for _, y in edges]
    nodes, labels = components(np.array(a, np.int64), np.array(b, np.int64))
    assert dict(zip(nodes.tolist(), labels.tolist(), strict=True)) == brute(a, b)
    proper = [(x, y) for x, y in edges if x != y]
    x, y = [p for p, _ in proper], [q for _, q in proper]
    assert by_stars(x, y, places) == brute(x, y)


def test_a_long_path_is_one_component():
    size = 50_000
    rng = np.random.default_rng(0)
    names = rng.permutation(size).astype(np.int64)
    found = label_batch(names[:-1], names[1:])
    assert set(found.column("label").to_pylist()) == {0}
    assert len(found) == size


def test_alternating_stars_equal_union_find_on_random_graphs():
    rng = np.random.default_rng(5)
    for edges in (2000, 5000, 9000):
        a, b = rng.integers(0, 10_000, (2, edges))
        keep = a != b
        nodes, labels = components(a[keep], b[keep])
        assert by_stars(a[keep], b[keep]) == dict(zip(nodes.tolist(), labels.tolist(), strict=True))


def edited(rng: random.Random, words: list[str], edits: int) -> str:
    out = list(words)
    for _ in range(edits):
        out[rng.randrange(len(out))] = f"{rng.getrandbits(40):x}"
    return " ".join(out)


def jaccard_of(left: str, right: str, ngram: int) -> float:
    sets = [{tuple(w[i : i + ngram]) for i in range(len(w) - ngram + 1)} for w in (left.split(), right.split())]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_edited_copies_of_a_page_end_in_one_component_and_unlike_pages_do_not():
    rng = random.Random(11)
    originals = [[f"{rng.getrandbits(40):x}" for _ in range(300)] for _ in range(60)]
    texts = [edited(rng, words, edits) for words in originals for edits in (0, 2, 4, 6)]
    batch = pa.RecordBatch.from_pylist(
        [
            {"doc_id": i.to_bytes(16, "big"), "order_key": 0, "url": f"http://x/{i}", "nodes": [node(text)]}
            for i, text in enumerate(texts)
        ],
        schema=PAGE,
    )
    keys = document_keys(batch, OMNICORPUS)
    bands = sorted_cut([explode_bands(keys, OMNICORPUS)], BAND_ROW, [100, 901, 2000])
    edges = rows(bucket_edges(bands, OMNICORPUS))
    nodes, labels = components(np.array([e["a"] for e in edges]), np.array([e["b"] for e in edges]))
    label = dict(zip(nodes.tolist(), labels.tolist(), strict=True))
    groups = [[label.get(name) for name in keys.column("id").to_pylist()[i : i + 4]] for i in range(0, 240, 4)]
    whole = sum(len(set(group)) == 1 and group[0] is not None for group in groups)
    assert whole >= 59
    assert len({g for group in groups for g in group if g is not None}) == len(groups)


def node(text: str) -> dict:
    return {"kind": "text", "tag": "p", "text": text}


@pytest.mark.parametrize("config", [FINEWEB, OMNICORPUS], ids=["fineweb", "omnicorpus"])
def test_components_equal_brute_force_on_twenty_thousand_documents(config):
    """Every pair that shares a bucket and passes the check, compared one by one, against the streaming kernels."""
    rng = random.Random(2)
    originals = [[f"{rng.getrandbits(30):x}" for _ in range(40)] for _ in range(5_000)]
    texts = [edited(rng, words, rng.randrange(4)) for words in originals for _ in range(4)]
    sig = signatures(texts, config)
    keys, marks = band_keys(sig, config), sketches(sig)
    buckets: dict[int, list[int]] = {}
    for name, own in enumerate(keys.tolist()):
        for key in own:
            buckets.setdefault(key, []).append(name)
    pairs = {(x, y) for group in buckets.values() for i, x in enumerate(group) for y in group[i + 1 :]}
    a, b = np.array(sorted(pairs), np.int64).T
    if config.threshold is not None:
        close = estimate(marks[a], marks[b]) >= config.threshold
        a, b = a[close], b[close]
    expected = brute(a.tolist(), b.tolist())
    made = [(key, name, marks[name].tobytes()) for key, group in buckets.items() for name in group]
    found = rows(bucket_edges(cut(band_table(made), [1000, 77777, 200_000]), config))
    nodes, labels = components(np.array([e["a"] for e in found]), np.array([e["b"] for e in found]))
    assert dict(zip(nodes.tolist(), labels.tolist(), strict=True)) == expected
