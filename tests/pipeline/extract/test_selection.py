"""The choice of blocks by expected F1, and of the pictures between them."""

from __future__ import annotations

import numpy as np

from plait.pipeline.extract.frame import frame
from plait.pipeline.extract.markup import parse
from plait.pipeline.extract.segment import segment
from plait.pipeline.extract.selection import choose_images, expected_f1_set


def test_likely_blocks_are_chosen_and_equals_stay_together() -> None:
    p, words = np.array([0.9, 0.1, 0.9, 0.5, 0.5]), np.array([50.0, 50.0, 40.0, 10.0, 10.0])
    assert expected_f1_set(p, words).tolist() == [True, False, True, True, True]


def test_unlikely_block_of_many_words_does_not_outweigh_an_article() -> None:
    p, words = np.array([0.76] * 20 + [0.16]), np.array([60.0] * 20 + [68_950.0])  # as on a page with words for engines
    assert expected_f1_set(p, words).tolist() == [True] * 20 + [False]


def test_likely_block_that_is_the_whole_article_outweighs_its_surroundings() -> None:
    p, words = np.array([0.41, 0.92]), np.array([44.0, 602.0])
    assert expected_f1_set(p, words).tolist() == [False, True]


def chosen_pictures(body: str) -> list[bool]:
    """Of a page whose blocks are content where they say "story", with a certainty that no model has."""
    markup = parse(f"<html><body>{body}</body></html>".encode(), max_nodes=10_000, max_depth=100)
    layout = segment(markup.pieces, max_depth=100, posters=False, backgrounds=False)
    keep = np.array(["story" in text for text in layout.b_text])
    return choose_images(layout, np.where(keep, 0.95, 0.05), keep, frame(layout)).tolist()


STORY = "<p>" + "The story of the harbour goes on. " * 5 + "</p>"
BOX = "<div class=box><img src=/t.jpg></div>"


def test_picture_between_kept_blocks_is_chosen() -> None:
    assert chosen_pictures(f"<article>{STORY}{BOX}{STORY}</article>") == [True]


def test_picture_of_a_kind_of_place_that_is_mostly_left_out_goes_too() -> None:
    others = "".join(f"{BOX}<h3>Nine other things that you should read today instead</h3>" for _ in range(6))
    inside = chosen_pictures(f"<article>{STORY}{BOX}{STORY}{others}</article>")
    assert inside == [False] * 7


def test_caption_keeps_a_picture_whatever_becomes_of_its_kind() -> None:
    box = "<figure class=box><img src=/t.jpg>{}</figure>"
    others = "".join(f"{box.format('')}<h3>Nine other things that you should read today instead</h3>" for _ in range(6))
    captioned = box.format("<figcaption>The story in one picture</figcaption>")
    assert chosen_pictures(f"<article>{STORY}{captioned}{STORY}{others}</article>")[0]
