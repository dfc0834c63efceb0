"""Passes: looking only at what changed gives what looking at everything gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from plait.filters import characters
from plait.filters.batch import DocumentBatch
from plait.filters.editing import keep_lines, keep_nodes, node_column
from plait.filters.passes import Books, run_passes
from plait.filters.recipe import load_recipe
from plait.filters.scores import SCORES
from plait.schemas.documents import NODE

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # a batch shrinks for minutes
LINES = st.sampled_from(
    [
        "Read more", "By Jane Doe", "One two three four five six.", "An unfinished line of words", "see www.a.com now",
        "(in brackets)", "Home", "[Video]", "____________________", "12:30pm", "A sentence. Another one here. And then",
        "3 likes", "The end of this story is near.", "x", "WORD IN CAPITALS ONLY", "", "  ", "References",
    ]
)  # fmt: skip
TEXT = st.builds(
    lambda lines, tag: {"kind": "text", "tag": tag, "text": "\n".join(lines)},
    st.lists(LINES, min_size=1, max_size=3),
    st.sampled_from(["p", "p", "p", "h2", "li"]),
)
IMAGE = st.just({"kind": "image", "image_url": "http://x.com/a.jpg"})
DOCUMENTS = st.lists(st.lists(st.one_of(TEXT, TEXT, IMAGE), max_size=8), min_size=1, max_size=6)
OMNICORPUS = load_recipe("omnicorpus")
RULES = [rule for rule in OMNICORPUS.rules if rule.scope in ("node", "line") and not rule.requires]


def batch(documents: list[list[dict[str, object]]]) -> DocumentBatch:
    return DocumentBatch.of(pa.array(documents, pa.list_(NODE)), ["en"] * len(documents))


def same(one: DocumentBatch, other: DocumentBatch) -> None:
    assert node_column(one).to_pylist() == node_column(other).to_pylist()
    assert one.lines.texts == other.lines.texts
    for name in ("node_offsets", "text_nodes", "line_offsets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.lines.words.hash, other.lines.words.hash)
    np.testing.assert_array_equal(one.lines.words.hints, other.lines.words.hints)
    np.testing.assert_array_equal(one.lines.signs, other.lines.signs)
    for flag in (characters.UPPER, characters.DIGIT, characters.MARK):
        np.testing.assert_array_equal(one.lines.of_class(flag), other.lines.of_class(flag))


@settings(max_examples=40, deadline=None, phases=NO_SHRINKING)
@given(DOCUMENTS)
def test_three_passes_equal_one_pass_three_times(documents: list[list[dict[str, object]]]):
    ids = [bytes([number]) * 16 for number in range(len(documents))]
    together, apart = Books(), Books()
    at_once = run_passes(batch(documents), ids, RULES, 3, together)
    in_turn = batch(documents)
    for _ in range(3):
        in_turn = run_passes(in_turn, ids, RULES, 1, apart)
    same(at_once, in_turn)
    assert +together.nodes == +apart.nodes
    assert +together.edits == +apart.edits
    assert sorted(map(str, together.samples)) == sorted(map(str, apart.samples))


@settings(max_examples=40, deadline=None, phases=NO_SHRINKING)
@given(DOCUMENTS, st.randoms())
def test_an_edited_batch_scores_as_one_made_afresh(documents: list[list[dict[str, object]]], chance):
    whole = batch(documents)
    assert len(whole.lines.signs) == len(whole.lines.texts), (
        "words and signs are known before, so they are carried over"
    )
    nodes = np.array([chance.random() < 0.7 for _ in range(len(whole.nodes))], bool)
    edited = keep_nodes(whole, nodes)
    lines = np.array([chance.random() < 0.7 for _ in range(len(edited.lines.texts))], bool)
    edited = keep_lines(edited, lines)
    fresh = DocumentBatch.of(node_column(edited), edited.langs)
    same(edited, fresh)
    for name in ("chars", "words", "sentences", "dup_line_ratio", "newline_ratio", "alpha_ratio", "special_ratio"):
        score = SCORES[name].text
        assert score is not None
        np.testing.assert_array_equal(score(edited.by_document), score(fresh.by_document), err_msg=name)
