"""The language of conditions: what it reads, what it refuses, what nulls decide."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.filters.conditions import ConditionError, names, parse
from plait.filters.rules import Rule, evaluate, first_failure

BATCH = pa.RecordBatch.from_pydict(
    {
        "words": pa.array([10, 60, None, 200], pa.int64()),
        "ratio": pa.array([0.1, 0.5, float("nan"), 0.9], pa.float64()),
        "score": pa.array([0.65, 0.64, None, 0.2], pa.float32()),
        "lang": pa.array(["en", "de", None, "zh"]),
        "bad": pa.array([True, False, None, False]),
    }
)


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("words >= 50", [False, True, True, True]),
        ("50 <= words <= 100", [False, True, True, False]),
        ("words >= 1_00", [False, False, True, True]),
        ("ratio < 0.6 and words < 100", [True, True, True, False]),
        ("ratio > 0.6 or words < 50", [True, False, True, True]),
        ("lang in ['en', \"de\"]", [True, True, True, False]),
        ("lang not in ['en']", [False, True, True, True]),
        ("lang == 'zh'", [False, False, True, True]),
        ("not bad", [False, True, True, True]),
        ("not (bad or words > 100)", [False, True, True, False]),
        ("words is null", [False, False, True, False]),
        ("words is not null", [True, True, False, True]),
        ("ratio is not null and ratio < 1", [True, True, False, True]),
        ("score >= 0.65", [True, False, True, False]),
        ("bad == false", [False, True, True, True]),
        ("ratio > -1e0", [True, True, True, True]),
    ],
)
def test_condition_decides_rows(condition: str, kept: list[bool]):
    assert evaluate(condition, BATCH).tolist() == kept


def test_unknown_can_drop():
    assert evaluate("words >= 0", BATCH, unknown_keeps=False).tolist() == [True, True, False, True]


def test_false_and_unknown_is_false():
    assert evaluate("words >= 0 and lang == 'xx'", BATCH, unknown_keeps=True).tolist() == [False, False, True, False]
    table = pa.RecordBatch.from_pydict({"a": pa.array([None], pa.int64()), "b": pa.array([1], pa.int64())})
    assert not evaluate("a > 0 and b > 1", table)[0]
    assert evaluate("a > 0 or b > 0", table, unknown_keeps=False)[0]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "words >",
        "words >= 5 words",
        "(words > 5",
        "words in [ratio]",
        "5",
        "words = 5",
        "words > 5 and",
        "__import__('os')",
        "words in []",
    ],
)
def test_what_cannot_be_read_is_refused(wrong: str):
    with pytest.raises(ConditionError):
        parse(wrong)


def test_names_come_in_order():
    assert names(parse("b < 3 and (a in ['x'] or not c)")) == ("b", "a", "c")


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True, width=64)), min_size=1, max_size=30), st.floats(-10, 10))
def test_negation_keeps_the_other_rows(values: list[float | None], limit: float):
    batch = pa.RecordBatch.from_pydict({"x": pa.array(values, pa.float64())})
    known = np.array([value is not None and not math.isnan(value) for value in values])
    below = evaluate(f"x < {limit!r}", batch, unknown_keeps=False)
    above = evaluate(f"not x < {limit!r}", batch, unknown_keeps=False)
    assert (below ^ above == known).all()


def test_first_failure_names_rule_value_and_what_each_rule_alone_drops():
    rules = [
        Rule("short", "document", "words >= 50"),
        Rule("lang", "document", "lang in ['en', 'de']"),
        Rule("both", "document", "ratio <= 0.4 and words <= 150"),
    ]
    found = first_failure(rules, BATCH)
    assert found.rule.tolist() == [0, 2, -1, 1]
    assert found.value[:2].tolist() == [10.0, 0.5]
    assert found.text[3] == "zh"
    assert found.alone.tolist() == [1, 1, 2]


def test_value_of_a_negated_leaf_is_what_decided():
    found = first_failure([Rule("r", "document", "not (words < 5 or ratio > 0.8)")], BATCH)
    assert found.rule.tolist() == [-1, -1, -1, 0]
    assert found.value[3] == 0.9


def test_rule_looks_only_at_its_languages():
    rule = Rule("few", "document", "words >= 1000", languages=("de",))
    assert first_failure([rule], BATCH).rule.tolist() == [-1, 0, -1, -1]
