"""Repetition and quality statistics against their definitions, spelled out naively."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.filters.batch import TextBatch
from plait.filters.chunks import utf8
from plait.filters.repetition import repetition
from plait.filters.scores import SCORES
from plait.filters.vocabulary import Vocabulary
from plait.filters.word_rules import words

# Few words, so that they repeat; marks and line breaks of all kinds.
PIECES = st.sampled_from(
    ["a", "be", "cat", "the", "word", "x.", "end.", "...", "•", "-", "\n", "\n\n", " ", "日本", "Don't", "#"]
)
TEXTS = st.lists(st.lists(PIECES, max_size=60).map(" ".join), min_size=1, max_size=6)


def tokens_of(text: str) -> list[str]:
    return [word for chunk in text.split() for word in words(chunk)]


def naive_top(text: str, n: int) -> int:
    found = tokens_of(text)
    grams = [" ".join(found[i : i + n]) for i in range(len(found) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count


def naive_duplicates(text: str, n: int) -> int:
    found = tokens_of(text)
    seen: set[tuple[str, ...]] = set()
    total, place = 0, 0
    while place < len(found) - n + 1:
        gram = tuple(found[place : place + n])
        if gram in seen:
            total += sum(map(len, gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return total


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_ngram_statistics_equal_their_definition(texts: list[str]):
    batch = TextBatch.of(texts)
    for n in (2, 3, 4):
        assert repetition(batch).top_chars(n).tolist() == [naive_top(text, n) for text in texts]
    for n in (5, 6, 7, 8, 9, 10):
        assert repetition(batch).duplicate_chars(n).tolist() == [naive_duplicates(text, n) for text in texts]


@settings(max_examples=20, deadline=None)
@given(TEXTS)
def test_no_score_depends_on_the_neighbours(texts: list[str]):
    whole = TextBatch.of(texts, ["en"] * len(texts))
    for name, score in SCORES.items():
        if score.text is None or "document" not in score.scopes:
            continue
        together = score.text(whole)
        for place, text in enumerate(texts):
            alone = score.text(TextBatch.of([text], ["en"], Vocabulary()))
            np.testing.assert_array_equal(alone[0], together[place], err_msg=name)


def test_duplicate_lines_and_paragraphs():
    batch = TextBatch.of(["one two\nthree\none two\n\nthree", "p q\n\nr\n\np q\n\np q", ""])
    lines = SCORES["dup_line_ratio"].text
    paragraphs = SCORES["dup_paragraph_ratio"].text
    chars = SCORES["dup_paragraph_char_ratio"].text
    assert lines is not None and paragraphs is not None and chars is not None
    assert lines(batch)[:2].tolist() == [0.5, 0.5]
    assert paragraphs(batch)[:2].tolist() == [0.0, 0.5]
    assert chars(batch)[1] == pytest.approx(6 / len("p q\n\nr\n\np q\n\np q"))
    assert np.isnan(lines(batch)[2])


def test_char_repetition_follows_its_definition():
    text = "abcabcabcabcabc" * 3 + "some other words that come once"
    grams = Counter(text[i : i + 10] for i in range(len(text) - 9))
    counts = sorted(grams.values(), reverse=True)
    top = min(int(len(counts) ** 0.5), sum(count > 1 for count in counts))
    score = SCORES["char_repetition"].text
    assert score is not None
    assert score(TextBatch.of([text]))[0] == pytest.approx(sum(counts[:top]) / sum(counts))
    assert score(TextBatch.of(["short"]))[0] == 0


def test_sentences_begin_after_a_mark_or_on_a_line():
    batch = TextBatch.of(
        ["One. Two! Three", "No mark", "A 3.5 is one.", "「はい。」そう。\nX", "", "Wait... what? Yes."]
    )
    score = SCORES["sentences"].text
    assert score is not None
    assert score(batch).tolist() == [3, 1, 1, 3, 0, 2]


def test_memo_of_two_generations_forgets_and_finds_again():
    small = Vocabulary(capacity=4)
    texts = ["alpha beta gamma. delta", "epsilon (zeta) eta", "alpha delta", "x" * 500, "alpha, beta"]
    for _ in range(3):
        for text in texts:
            once, big = small.words(utf8([text])), Vocabulary().words(utf8([text]))
            assert once.hash.tolist() == big.hash.tolist()
            assert once.length.tolist() == big.length.tolist()
            assert once.table.flags[once.codes].tolist() == big.table.flags[big.codes].tolist()
            assert once.hints.tolist() == big.hints.tolist()
