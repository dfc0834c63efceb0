"""Marks and thresholds without a browser: agreement, precision, numbers that move."""

from __future__ import annotations

import json

import pytest

from plait.explorer.view.marks import Marks, kappa, training_lines
from plait.explorer.view.original import sanitised
from plait.explorer.view.thresholds import movable, recipe_toml, with_number
from plait.filters.quality import read_texts
from plait.filters.recipe import load_recipe, recipe_names
from plait.jobs.viewing import blocks_of
from plait.pipeline.extract import extract_html
from plait.schemas.errors import ConfigError

ONE, TWO, THREE, FOUR = ("1" * 32, "2" * 32, "3" * 32, "4" * 32)


def test_kappa_of_textbook_tables():
    assert kappa([]) is None
    assert kappa([(True, True), (False, False)]) == 1
    assert kappa([(True, True), (True, False), (False, True), (False, False)]) == 0
    # Cohen's own kind of table: 20 both yes, 15 both no, 5 and 10 apart; observed 0.7, chance 0.5
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert kappa(pairs) == pytest.approx(0.4)


def test_last_mark_counts_and_files_of_people_join(tmp_path):
    mine, yours = Marks(tmp_path / "marks.jsonl", "me"), Marks(tmp_path / "yours.jsonl", "you")
    for doc_id, mark in ((ONE, "good"), (ONE, "bad"), (TWO, "good"), (THREE, "bad"), (FOUR, "good"), (FOUR, "")):
        mine.mark(doc_id, mark)
    for doc_id, mark in ((ONE, "bad"), (TWO, "bad"), (THREE, "bad")):
        yours.mark(doc_id, mark)
    joined = tmp_path / "joined.jsonl"
    joined.write_text((tmp_path / "marks.jsonl").read_text() + (tmp_path / "yours.jsonl").read_text())
    both = Marks(joined, "me")
    assert both.mine(ONE) == "bad"
    assert both.mine(FOUR) == ""
    assert both.settled() == {ONE: "bad", THREE: "bad"}  # of TWO they think differently
    found = both.agreement({ONE: False, THREE: True})
    assert (found.good, found.bad, found.bad_dropped, found.agreement) == (0, 2, 1, 0.5)
    assert found.shared == 3
    (line,) = both.precision({ONE: "too_short"})
    assert (line.rule, line.dropped, line.right, line.precision) == ("too_short", 1, 1, 1.0)


def test_faulty_files_and_marks_are_the_users_to_put_right(tmp_path):
    (tmp_path / "marks.jsonl").write_text("no json\n")
    with pytest.raises(ConfigError, match="no file of marks"):
        Marks(tmp_path / "marks.jsonl", "me")
    with pytest.raises(ConfigError, match="good, bad"):
        Marks(tmp_path / "new.jsonl", "me").mark(ONE, "splendid")


def test_exported_marks_are_what_the_classifier_reads(tmp_path):
    texts = {ONE: "First line.\nSecond line.", TWO: "", THREE: "Other"}
    lines = list(training_lines("good", {ONE: "good", TWO: "good", THREE: "bad"}, texts))
    assert [json.loads(line)["doc_id"] for line in lines] == [ONE]
    (tmp_path / "good.jsonl").write_text("".join(lines), "utf-8")
    assert list(read_texts(tmp_path / "good.jsonl")) == ["First line.\nSecond line."]


def test_numbers_of_conditions_move():
    condition = "3 <= words <= 1_000 and lang in ['en', 'de'] and n in [1, 2] and caps < -0.5"
    assert movable(condition) == [(0, "words"), (1, "words"), (4, "caps")]
    assert with_number(condition, 1, 250.0).startswith("3 <= words <= 250 and")
    assert with_number(condition, 4, 0.25).endswith("caps < 0.25")
    assert movable("1 < a < 5 < b") == []  # the 5 belongs to two comparisons
    assert movable("remove_urls") == []


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_being_saved(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / "saved.toml").write_text(recipe_toml(recipe, {}, "saved"), "utf-8")
    saved = load_recipe(str(tmp_path / "saved.toml"))
    assert saved.rules == recipe.rules
    assert saved.columns == recipe.columns
    same = {"name", "description", "extends", "resources"}
    assert saved.model_dump(exclude=same) == recipe.model_dump(exclude=same)


def test_settings_of_every_section_survive_being_saved(tmp_path):
    text = """
name = "mine"
description = "With a model of its own."
extends = "annotate"
order_seed = 7

[clip]
model = "ViT-B-32"
weights = "openai"
related = 0.3

[images]
cap = 3

[images.reencode]
longest_side = 640
"""
    (tmp_path / "mine.toml").write_text(text)
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    (tmp_path / "saved.toml").write_text(recipe_toml(recipe, {}, "saved"), "utf-8")
    same = {"name", "description", "extends"}
    assert load_recipe(str(tmp_path / "saved.toml")).model_dump(exclude=same) == recipe.model_dump(exclude=same)


def test_blocks_of_a_page_keep_its_order():
    texts = [f"Paragraph {n} tells of rivers, stones and of harbours in winter, at some length." for n in range(6)]
    html = (
        "<nav><a href='/'>Home</a> <a href='/b'>More</a></nav><article>"
        + "".join(f"<p>{text}</p>" for text in texts[:3])
        + "<img src='http://x/a.jpg' alt='A'>"
        + "".join(f"<p>{text}</p>" for text in texts[3:])
        + "</article><footer>Imprint and the rights of all</footer>"
    )
    blocks = blocks_of(extract_html(html.encode(), "http://x/"))
    assert not blocks[0].kept
    assert not blocks[-1].kept
    kept = [block.text for block in blocks if block.kept]
    assert kept == [*texts[:3], "A", *texts[3:]]


@pytest.mark.parametrize(
    "html",
    [
        "<script>fetch('http://evil')</script>", "<img src=x onerror=alert(1)>", "<a href='javascript:alert(1)'>x</a>",
        "<svg onload=alert(1)><script>1</script></svg>", "<meta http-equiv=refresh content='0;url=http://evil'>",
        "<p style='background:url(http://evil)'>x</p>", "<link rel=stylesheet href=http://evil>",
        "<iframe srcdoc='<script>1</script>'></iframe>", "<form action=http://evil><input name=a></form>",
        "<base href=http://evil>", "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<video src=http://evil>",
    ],
)  # fmt: skip
def test_sanitised_pages_hold_nothing_that_acts(html):
    clean = sanitised(html)
    assert not [word for word in ("evil", "alert", "script", "<img", "style=", "href", "src") if word in clean]
