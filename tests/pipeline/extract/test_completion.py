"""What is kept beside the chosen blocks: titles, lists that a colon announces, the headings of sections."""

from __future__ import annotations

import numpy as np
import pytest

from plait.pipeline.extract import completion
from plait.pipeline.extract.completion import add_announced_lists, add_title, complete
from plait.pipeline.extract.frame import Frame, frame
from plait.pipeline.extract.markup import parse
from plait.pipeline.extract.segment import Layout, segment
from plait.pipeline.extract.selection import drop_repeats

STORY = "<p>" + "The story of the harbour goes on. " * 5 + "</p>"


def page(body: str) -> tuple[Layout, Frame]:
    markup = parse(f"<html><body>{body}</body></html>".encode(), max_nodes=10_000, max_depth=100)
    layout = segment(markup.pieces, max_depth=100, posters=False, backgrounds=False)
    return layout, frame(layout)


def stories(layout: Layout) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array(["story" in text for text in layout.b_text])


@pytest.mark.parametrize(
    ("before", "likely", "kept"),
    [
        ("The story has three parts:", 0.3, True),
        ("故事 story 分三部分\uff1a", 0.3, True),
        ("The story ends here.", 0.3, False),
        ("The story has three parts:", 0.1, False),
    ],
)
def test_list_that_a_colon_announces_is_kept_whole(before: str, likely: float, kept: bool) -> None:
    items = "".join(f"<li><a href=#s{i}>Part {i} of the voyage</a></li>" for i in range(3))
    layout, f = page(f"<div>{STORY}<p>{before}</p><ul>{items}</ul>{STORY}</div>")
    keep = stories(layout)
    out = complete(layout, keep, np.where(keep, 0.9, likely), f)
    assert out.tolist() == [True, True, kept, kept, kept, True]


def test_a_pages_menus_are_looked_for_once_however_many_lists_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        completion, "template_elements", lambda layout, f: asked.append(1) or [False] * len(layout.e_tag)
    )
    layout, f = page("<div>" + "<p>The story is:</p><ul><li>Sail</li></ul>" * 50 + STORY + "</div>")
    keep = stories(layout)
    assert add_announced_lists(layout, keep, np.where(keep, 0.9, 0.4), f).all()
    assert asked == [1]


def test_list_at_the_end_is_not_announced() -> None:
    layout, f = page(f"<div>{STORY}<p>Read another story:</p><ul><li>A tale of two cities</li></ul></div>")
    keep = stories(layout)
    assert complete(layout, keep, np.where(keep, 0.9, 0.4), f).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("tag", "likely", "kept"),
    [("h1", 0.3, True), ("h1", 0.1, False), ("p", 0.3, False), ("h2", 0.3, True), ("h3", 0.3, False)],
)
def test_title_right_above_the_text_belongs_to_it(tag: str, likely: float, kept: bool) -> None:
    layout, _ = page(f"<p>Home</p><{tag}>The harbour</{tag}><div>{STORY}<h3>Its story</h3>{STORY}</div>")
    keep = stories(layout)
    assert add_title(layout, keep, np.where(keep, 0.9, likely)).tolist() == [False, kept, True, True, True]


def test_title_apart_from_the_text_stays_out() -> None:
    layout, _ = page(f"<h1>The harbour</h1><p>Menu</p><div>{STORY}</div>")
    assert add_title(layout, stories(layout), np.full(3, 0.4)).tolist() == [False, False, True]


def test_heading_is_kept_rather_than_the_line_that_names_it() -> None:
    layout, f = page(
        "<ul><li>How the story began</li><li>How the story ended</li></ul>"
        f"<div><h2>How the story began</h2>{STORY}<h2>How the story ended</h2>{STORY}</div><p>How the story ended</p>"
    )
    kept = drop_repeats(layout, np.ones(len(layout.b_text), np.bool_), f)
    assert kept.tolist() == [False, False, True, True, True, True, False]
