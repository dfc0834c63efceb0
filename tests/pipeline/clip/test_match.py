"""Cosines, neighbourhoods and assignments of one document; no model needed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.pipeline.clip.match import assign, best_and_near, match, nearest, rank, zero_shot
from plait.pipeline.clip.spans import split


def _random(pictures: int, spans: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (pictures, spans)).astype(np.float32)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=150, deadline=None)
def test_no_assignment_of_one_picture_a_span_has_a_larger_sum(pictures: int, spans: int, seed: int):
    similarity = _random(pictures, spans, seed)
    found = assign(similarity)
    few = min(pictures, spans)
    best = max(
        sum(float(similarity[row, column]) for row, column in zip(rows, columns, strict=True))
        for rows in itertools.combinations(range(pictures), few)
        for columns in itertools.permutations(range(spans), few)
    )

    def optimal(rows: tuple[int, ...]) -> bool:
        """Whether these pictures have a span each and the best sum, and the others their best span."""
        total = sum(float(similarity[row, found[row]]) for row in rows)
        others = [row for row in range(pictures) if row not in rows]
        alone = all(found[row] == similarity[row].argmax() for row in others)
        return len({int(found[row]) for row in rows}) == few and alone and abs(total - best) < 1e-5

    assert any(optimal(rows) for rows in itertools.combinations(range(pictures), few))


def test_pictures_left_over_go_to_their_best_span():
    similarity = np.array([[0.9, 0.1], [0.8, 0.7], [0.3, 0.2]], np.float32)
    assert assign(similarity).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("place", "k", "wanted"),
    [(0, 2, [0, 1]), (9, 2, [3, 4]), (3, 2, [1, 2]), (3, 3, [1, 2, 3]), (3, 99, [0, 1, 2, 3, 4]), (1, 4, [0, 1, 2, 3])],
)
def test_the_nearest_spans_stand_on_both_sides(place: int, k: int, wanted: list[int]):
    assert nearest(place, np.array([0, 2, 4, 6, 8]), k).tolist() == wanted


def test_the_neighbourhood_is_not_the_whole_document():
    similarity = np.full((1, 40), 0.05, np.float32)
    similarity[0, 39] = 0.9  # far away
    similarity[0, 2] = 0.2
    best, near = best_and_near(similarity, np.array([3]), np.arange(0, 80, 2), near=4)
    assert best[0] == pytest.approx(0.9)
    assert near[0] == pytest.approx(0.2)
    assert match(similarity, top=2).top.tolist() == [[39, 2]]


def test_a_document_without_text_matches_nothing():
    nothing = np.zeros((2, 0), np.float32)
    assert np.isnan(best_and_near(nothing, np.array([0, 1]), np.zeros(0, np.int64), near=4)).all()
    assert match(nothing, top=2).span.tolist() == [-1, -1]


def test_equal_cosines_of_strangers_count_against_a_picture():
    negatives = np.array([[0.1, 0.5, 0.6], [0.1, 0.2, 0.3]], np.float32)
    assert rank(np.array([0.5, 0.4], np.float32), negatives).tolist() == [3, 1]


def test_zero_shot_is_a_softmax_over_all_prompts():
    images = np.eye(3, dtype=np.float32)
    prompts = [(np.array([1, 0, 0], np.float32), True), (np.array([0, 1, 0], np.float32), False)]
    chance = zero_shot(images, prompts, scale=10.0)
    assert chance[0] == pytest.approx(1 / (1 + np.exp(-10)))
    assert chance[1] == pytest.approx(1 / (1 + np.exp(10)))
    assert chance[2] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It rained. Nobody came! Why?", ["It rained.", "Nobody came!", "Why?"]),
        ("Mr. Smith paid 3.5 dollars. Then he left.", ["Mr. Smith paid 3.5 dollars.", "Then he left."]),
        ("She said “No.” And went.", ["She said “No.”", "And went."]),
        ("雨が降った。誰も来ない！なぜ", ["雨が降った。", "誰も来ない！", "なぜ"]),
        ("one line\n  another  \n\n", ["one line", "another"]),
        ("  ", []),
    ],
)
def test_sentences_are_cut_where_they_end(text: str, wanted: list[str]):
    assert [text[span.start : span.end] for span in split([text], "sentence")] == wanted


@given(st.lists(st.text(max_size=80), max_size=6))
def test_spans_hold_every_character_but_white_space(texts: list[str]):
    for way in ("sentence", "paragraph"):
        spans = split(texts, way)
        joined = "".join(texts[span.text][span.start : span.end] for span in spans)
        assert "".join(joined.split()) == "".join("".join(texts).split())
        assert spans == sorted(spans)
