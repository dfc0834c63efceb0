"""Scores that need what plait cannot bring: unreleased classifiers, KenLM models, proprietary services, image models.

They have names so that published recipes read as published. A rule on one of them ``requires`` what is named here; a
build that lacks it leaves the rule out, and manifest and card call the recipe partial.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from plait.filters.score import Score

_FLOAT = pa.float64()

# name -> (scope, requirement, documentation)
_NEEDED: dict[str, tuple[str, str, str]] = {
    "perplexity": (
        "document",
        "kenlm",
        "Perplexity by a KenLM 5-gram model of the document's language, trained on Wikipedia.",
    ),
    "common_word_ratio": (
        "document",
        "common_words",
        "Share of words seen at least twice in 10 million OSCAR documents (OBELICS).",
    ),
    "wikipedia_likeness": (
        "document",
        "obelics_classifier",
        "OBELICS' logistic regression: Wikipedia and OpenWebText against Common Crawl.",
    ),
    "fluency": ("document", "omnicorpus_bert", "OmniCorpus' classifier of fluency, 0 to 1."),
    "non_advertisement": ("document", "omnicorpus_bert", "OmniCorpus' classifier of adverts, 1 for none."),
    "politics": ("document", "omnicorpus_bert", "OmniCorpus' classifier of politics, 0 to 1."),
    "toxicity": ("document", "omnicorpus_bert", "OmniCorpus' classifier of toxic text, 0 to 1."),
    "pornography": ("document", "omnicorpus_bert", "OmniCorpus' classifier of pornographic text, 0 to 1."),
    "openlid_score": ("document", "openlid", "Probability of openLID's language over 201 languages (mOSCAR)."),
    "bff_ngram_overlap": ("document", "bff", "Share of 13-grams seen before in the crawl by a Bloom filter (MINT-1T)."),
    "csam": ("image", "thorn_safer", "Thorn Safer's score (proprietary)."),
    "opted_out_url": ("image", "spawning_list", "Whether Spawning's list names the image's URL, 0 or 1."),
}


def _score(name: str, scope: str, doc: str) -> Score:
    stage: Literal["text", "assemble"] = "assemble" if scope == "image" else "text"
    return Score(name, (scope,), _FLOAT, doc, stage=stage, stored=False)


SCORES: tuple[Score, ...] = tuple(_score(name, scope, doc) for name, (scope, _, doc) in _NEEDED.items())
REQUIRES: dict[str, str] = {name: need for name, (_, need, _) in _NEEDED.items()}
