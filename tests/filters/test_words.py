"""Word rules: English conventions, scripts without spaces, no quadratic traps."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.filters.chunks import utf8
from plait.filters.vocabulary import Vocabulary
from plait.filters.word_rules import english_words, exceptions, words
from plait.filters.word_sets import word_hashes
from plait.filters.word_table import facts_of


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        ("word", ["word"]),
        ("don't", ["do", "n't"]),
        ("(don’t).", ["(", "do", "n’t", ")", "."]),
        ("they'll", ["they", "'ll"]),
        ("James'", ["James", "'"]),
        ("well-known.", ["well", "-", "known", "."]),
        ("a--b", ["a", "--", "b"]),
        ("10-20", ["10", "-", "20"]),
        ("10km", ["10", "km"]),
        ("$5", ["$", "5"]),
        ("5$", ["5", "$"]),
        ("50%", ["50", "%"]),
        ("U.S.", ["U.S."]),
        ("e.g.,", ["e.g.", ","]),
        ("Mr.", ["Mr."]),
        ("etc.", ["etc", "."]),
        ("end.Next", ["end", ".", "Next"]),
        ("example.com", ["example.com"]),
        ("x@y.org", ["x@y.org"]),
        ("wait...what", ["wait", "...", "what"]),
        ("x…", ["x", "…"]),
        ("1,000", ["1,000"]),
        ("foo_bar", ["foo_bar"]),
        ("_foo_", ["_", "foo", "_"]),
        ("3pm", ["3", "pm"]),
        ("12:30", ["12:30"]),
        ("C#", ["C", "#"]),
        ("#tag", ["#", "tag"]),
        ("+1", ["+1"]),
        ("«x»", ["«", "x", "»"]),
        ("'90s", ["'", "90s"]),
        ("its", ["its"]),
        ("...", ["..."]),
    ],
)
def test_english_chunk(chunk: str, expected: list[str]):
    assert english_words(chunk) == expected


def test_characters_without_spaces_are_words():
    assert words("我爱Python编程。") == ["我", "爱", "Python", "编", "程", "。"]
    assert words("ภาษา") == list("ภาษา")
    assert english_words("我爱Python编程。") == ["我爱Python编程", "。"]


@given(st.text(min_size=1, max_size=40).filter(lambda text: not any(map(str.isspace, text))))
def test_words_are_the_chunk_again(chunk: str):
    assert "".join(words(chunk)) == chunk
    assert all(words(chunk))


STEMS = [
    "the",
    "The",
    "THE",
    "US",
    "a",
    "b",
    "end",
    "Mr",
    "etc",
    "cannot",
    "well-known",
    "o'clock",
    "10",
    "日本",
    "é",
    "",
]
STEMS += [chunk.strip("(['’\".") for chunk in exceptions() if chunk.isascii()][::9]
MARKS = ["", "(", "[", '"', ".", ",", ";", ":", "!", "?", ")", "]", "“", "’s", "'", ":)", "-"]
CHUNKS = st.tuples(st.sampled_from(MARKS), st.sampled_from(STEMS), st.sampled_from(MARKS)).map("".join)


@settings(deadline=None, max_examples=400)
@given(st.lists(CHUNKS, max_size=12))
def test_words_of_a_batch_are_those_of_each_chunk(chunks: list[str]):
    wanted = [word for chunk in " ".join(chunks).split() for word in words(chunk)]
    vocabulary = Vocabulary()
    for _ in range(2):  # new, and remembered
        found = vocabulary.words(utf8([" ".join(chunks)]))
        table = found.table
        assert found.hash.tolist() == word_hashes(wanted).tolist()
        assert table.lower[found.codes].tolist() == word_hashes([word.lower() for word in wanted]).tolist()
        known = table.length.astype(np.int64) << 16 | table.stop.astype(np.int64) << 8 | table.flags
        assert known[found.codes].tolist() == [facts_of(word) for word in wanted]


def test_a_run_of_punctuation_is_linear():
    start = time.process_time()
    assert len(english_words(")" * 50_000)) == 50_000
    for chunk in ("a" + ".,-" * 20_000, "a:" * 20_000 + "b.c", "a.b@" * 20_000, "1." * 20_000, "-–" * 20_000):
        assert "".join(english_words(chunk)) == chunk
    assert time.process_time() - start < 5
