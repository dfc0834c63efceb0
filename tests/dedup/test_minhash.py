"""MinHash: the tokeniser, the estimate, the bands and what they find."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.dedup.minhash import (
    FINEWEB,
    OMNICORPUS,
    MinHashConfig,
    band_keys,
    estimate,
    find_probability,
    has_words,
    jaccard,
    signatures,
    sketches,
)
from plait.dedup.words import shingles, words
from plait.filters.recipe import load_recipe, recipe_names
from plait.schemas.errors import ConfigError


def counts(text: str) -> int:
    return int(words([text]).bounds[-1])


def test_words_ignore_case_punctuation_and_spacing():
    left, right = words(["The quick,  brown\nFOX!", "the quick brown fox"]).hashes.reshape(2, 4)
    assert (left == right).all()


def test_equal_words_hash_alike_wherever_they_stand():
    found = words(["alpha beta alpha", "x y alpha"])
    assert found.hashes[0] == found.hashes[2] == found.hashes[5]
    assert len(set(found.hashes.tolist())) == 4


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("深度学习模型", 6),
        ("ひらがな", 4),
        ("ภาษาไทย", 7),
        ("한국어 문장", 2),
        ("слово и дело", 3),
        ("GPT4模型 v2", 4),
        ("नमस्ते दुनिया", 2),
        ("don't", 2),
        ("", 0),
        (" .,;— ", 0),
    ],
)
def test_scripts_without_spaces_give_a_word_a_character(text, number):
    assert counts(text) == number


def test_composed_and_decomposed_letters_are_one_word():
    left, right = words(["café", "cafe\u0301"]).hashes
    assert left == right


@given(st.lists(st.text(max_size=40), max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_text_has_the_same_words_in_any_batch(texts):
    together = words(texts)
    for i, text in enumerate(texts):
        own = together.hashes[together.bounds[i] : together.bounds[i + 1]]
        assert own.tolist() == words([text]).hashes.tolist()


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=12), max_size=6), st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_shingles_are_equal_exactly_where_the_words_are(documents, ngram):
    found = shingles(words([" ".join(d) for d in documents]), ngram)
    expected = []
    for document in documents:
        if len(document) >= ngram:
            expected += [tuple(document[i : i + ngram]) for i in range(len(document) - ngram + 1)]
        elif document:
            expected.append(tuple(document))
    assert len(found.hashes) == len(expected)
    names = dict(zip(found.hashes.tolist(), expected, strict=True))
    assert [names[h] for h in found.hashes.tolist()] == expected
    assert len(names) == len(set(expected))


def test_signature_does_not_depend_on_the_batch():
    rng = random.Random(1)
    texts = [" ".join(rng.choices("abcdefgh", k=n)) for n in (0, 1, 4, 5, 6, 300, 1200, 3000, 0, 7)]
    together = signatures(texts, FINEWEB)
    for row, text in zip(together, texts, strict=True):
        assert (signatures([text], FINEWEB)[0] == row).all()


def test_signature_is_the_minimum_over_shingles():
    config = MinHashConfig(bands=2, rows=2, ngram=2)
    whole = signatures(["a b c d"], config)[0]
    parts = signatures(["a b", "b c", "c d"], config)
    assert (whole == parts.min(axis=0)).all()


def test_seed_changes_signatures_and_no_words_give_none():
    sig = signatures(["one two three four five six", "…"], MinHashConfig(seed=1))
    assert has_words(sig).tolist() == [True, False]
    assert (sig[0] != signatures(["one two three four five six"], MinHashConfig(seed=2))[0]).all()


def test_shingle_order_does_not_matter_but_words_of_a_short_text_do():
    config = MinHashConfig(ngram=5)
    sig = signatures(["a b c", "a b c", "c b a", "a b"], config)
    assert (sig[0] == sig[1]).all()
    assert jaccard(sig[0], sig[2]) < 0.1
    assert jaccard(sig[0], sig[3]) < 0.1


def planted(rng: random.Random, similarity: float, size: int = 400) -> tuple[str, str]:
    """Two texts of distinct words whose sets of single words have about this Jaccard similarity."""
    shared = round(2 * size * similarity / (1 + similarity))
    names = [f"{rng.getrandbits(48):x}" for _ in range(2 * size - shared)]
    left, right = names[:size], names[size - shared :]
    rng.shuffle(left)
    rng.shuffle(right)
    return " ".join(left), " ".join(right)


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.8, 0.9])
def test_estimate_is_unbiased_with_the_error_of_theory(similarity):
    rng = random.Random(int(similarity * 100))
    config = MinHashConfig(ngram=1, bands=16, rows=8)
    pairs = [planted(rng, similarity) for _ in range(1500)]
    left, right = signatures([a for a, _ in pairs], config), signatures([b for _, b in pairs], config)
    shared = round(2 * 400 * similarity / (1 + similarity))
    true = shared / (800 - shared)
    error = jaccard(left, right) - true
    theory = (true * (1 - true) / config.permutations) ** 0.5
    assert abs(error.mean()) < 4 * theory / len(pairs) ** 0.5
    assert np.sqrt((error**2).mean()) == pytest.approx(theory, rel=0.10)
    chance = 1 / 16
    agree = true + (1 - true) * chance
    theory = (agree * (1 - agree) / config.permutations) ** 0.5 / (1 - chance)
    error = estimate(sketches(left), sketches(right)) - true
    assert abs(error.mean()) < 4 * theory / len(pairs) ** 0.5
    assert np.sqrt((error**2).mean()) == pytest.approx(theory, rel=0.10)


@pytest.mark.parametrize("config", [FINEWEB, OMNICORPUS], ids=["fineweb", "omnicorpus"])
@pytest.mark.parametrize("similarity", [0.5, 0.7, 0.8])
def test_presets_find_pairs_as_their_curve_says(config, similarity):
    rng = random.Random(3)
    config = MinHashConfig(ngram=1, bands=config.bands, rows=config.rows)
    pairs = [planted(rng, similarity, 200) for _ in range(4000)]
    shared = round(400 * similarity / (1 + similarity))
    true = shared / (400 - shared)
    left = band_keys(signatures([a for a, _ in pairs], config), config)
    right = band_keys(signatures([b for _, b in pairs], config), config)
    found = float((left == right).any(axis=1).mean())
    expected = find_probability(true, config)
    # Chance alone moves a share of 4,000 by this much in 1 of 1,000 runs.
    assert abs(found - expected) < 0.01 + 3.3 * (expected * (1 - expected) / len(pairs)) ** 0.5


def test_bands_with_the_same_rows_have_different_keys():
    config = MinHashConfig(bands=4, rows=2)
    sig = np.full((1, 8), 7, dtype=np.uint32)
    assert len(set(band_keys(sig, config)[0].tolist())) == 4


def test_a_document_moves_less_than_two_kilobytes():
    for config in (FINEWEB, OMNICORPUS):
        sketch = config.permutations // 2 if config.threshold is not None else 0
        bands = config.bands * (8 + 8 + sketch)
        by_url, by_text = 8 + 8 + 16, 8 + 8 + 16
        labels = 8 + 8 + 16 + 8
        assert bands + by_url + by_text + labels < 2048


@pytest.mark.parametrize("wrong", [{"bands": 0}, {"rows": 0}, {"ngram": 0}, {"threshold": 0.0}, {"threshold": 1.5}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="minhash"):
        MinHashConfig(**wrong)


def checked_bands() -> list[tuple[int, int, float]]:
    """Distinct (bands, rows, threshold) of the recipes that check the estimate."""
    every = (load_recipe(name).dedup.minhash for name in recipe_names())
    return sorted({(m.bands, m.rows, m.threshold) for m in every if m is not None and m.threshold is not None})


@pytest.mark.parametrize(("bands", "rows", "threshold"), checked_bands())
def test_recipes_that_check_the_estimate_join_98_of_100_pairs_at_the_similarity_they_mean(bands, rows, threshold):
    rng = random.Random(8)
    config = MinHashConfig(ngram=1, bands=bands, rows=rows, threshold=threshold)
    for similarity, least, most in ((0.8, 0.98, 1.0), (0.5, 0.0, 0.001)):
        pairs = [planted(rng, similarity, 200) for _ in range(3000)]
        left, right = signatures([a for a, _ in pairs], config), signatures([b for _, b in pairs], config)
        met = (band_keys(left, config) == band_keys(right, config)).any(axis=1)
        joined = (met & (estimate(sketches(left), sketches(right)) >= threshold)).mean()
        # Chance alone moves a share of 3,000 by this much in 1 of 1,000 runs.
        assert least - 3.1 * (0.02 / 3000) ** 0.5 <= joined <= most + 3.1 * (0.001 / 3000) ** 0.5
