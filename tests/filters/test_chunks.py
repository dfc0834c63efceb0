"""What is found over the bytes of whole batches is what Python finds in each text: lines, chunks, classes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.filters import characters
from plait.filters.chunks import split_chunks, split_lines, utf8

TEXT = st.text(st.sampled_from("ab1.A \n\n\t\u00a0\u2003\u3000é汉𠀀\U0003ffff\x1c"), max_size=30) | st.text(max_size=9)


@settings(deadline=None)
@given(st.lists(TEXT.filter(bool), max_size=6))
def test_lines_are_those_of_each_text(texts: list[str]):
    lines, gaps, owners = [], [], []
    for owner, text in enumerate(texts):
        gap = 1
        for line in text.split("\n"):
            if line:
                lines.append(line)
                gaps.append(gap)
                owners.append(owner)
            gap = 1 if line or owner not in owners else gap + 1
    found, text_of_line, gap_of_line = split_lines(pa.array(texts, pa.string()))
    assert found.to_pylist() == lines
    assert text_of_line.tolist() == owners
    assert gap_of_line.tolist() == gaps


@settings(deadline=None)
@given(st.lists(TEXT, max_size=6))
def test_chunks_are_those_of_each_text(texts: list[str]):
    chunks, offsets = split_chunks(utf8(texts))
    found = [chunk.decode() for chunk in chunks.to_pylist()]
    assert [found[low:high] for low, high in pairwise(offsets)] == [t.split() for t in texts]


@settings(deadline=None)
@given(st.lists(TEXT | st.just("é1" * 1500), max_size=6))
def test_classes_of_characters_are_counted(texts: list[str]):
    wanted = {characters.ALPHA: str.isalpha, characters.UPPER: str.isupper, characters.SPACE: str.isspace}
    for flag, test in wanted.items():
        group, place = characters.group_of(flag)
        found = characters.class_counts(utf8(texts), group)[:, place]
        # Above the table's planes every character counts as a letter.
        expected = [sum(test(c) if c < "\U00030000" else flag == characters.ALPHA for c in t) for t in texts]
        np.testing.assert_array_equal(found, expected)
