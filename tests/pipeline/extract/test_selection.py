"""The choice of blocks by expected F1."""

from __future__ import annotations

import numpy as np

from plait.pipeline.extract.selection import expected_f1_set


def test_likely_blocks_are_chosen_and_equals_stay_together() -> None:
    p, words = np.array([0.9, 0.1, 0.9, 0.5, 0.5]), np.array([50.0, 50.0, 40.0, 10.0, 10.0])
    assert expected_f1_set(p, words).tolist() == [True, False, True, True, True]


def test_unlikely_block_of_many_words_does_not_outweigh_an_article() -> None:
    p, words = np.array([0.76] * 20 + [0.16]), np.array([60.0] * 20 + [68_950.0])  # as on a page with words for engines
    assert expected_f1_set(p, words).tolist() == [True] * 20 + [False]


def test_likely_block_that_is_the_whole_article_outweighs_its_surroundings() -> None:
    p, words = np.array([0.41, 0.92]), np.array([44.0, 602.0])
    assert expected_f1_set(p, words).tolist() == [False, True]
