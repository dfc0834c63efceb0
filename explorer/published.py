"""Shares that other corpora's papers give for their stages, to set beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class PublishedStage:
    """A stage of another pipeline.

    Attributes:
        stages: ours that do about the same.
        left: share of the documents that entered it which it left, 0 to 1.
        note: what it did.
    """

    name: str
    stages: tuple[str, ...]
    left: float
    note: str


OMNICORPUS: Final = (
    PublishedStage(
        "main body extraction and preliminary text filter", ("extract",), 0.53 * 0.20, "no image: dropped; Gopher, C4"
    ),
    PublishedStage("document dedup", ("dedup",), 0.10, "MinHash, Jaccard 0.8, the latest kept"),
    PublishedStage("image filter", ("assemble",), 0.60, "size, aspect, aesthetic, NSFW, at most 10 copies"),
    PublishedStage("detailed text filter", (), 0.33, "BERT scores and rules from human feedback"),
)
"""arXiv 2406.08418, section 3.1 and figure 2: 100% -> 53% -> 10.6% -> 1.1% -> 0.2% of the documents (the steps there
are rounded; the product of the rounded shares is 0.21%)."""

OBELICS: Final = (
    PublishedStage("text selection", (), 1.1e9 / 41.2e9, "English, MinHash, repetition, classifier"),
    PublishedStage("node and document filters", ("extract",), 365e6 / 1.1e9, "55% of the image URLs answered"),
    PublishedStage(
        "URL caps, NSFW, dedup, opt-outs", ("dedup", "assemble"), 141e6 / 365e6, "141,047,697 documents left"
    ),
)
"""arXiv 2306.16527, section 3 and appendix A.1: 41.2 B -> 1.1 B -> 365 M -> 141 M documents."""


def left_overall(stages: tuple[PublishedStage, ...]) -> float:
    """Share of all documents that are left after the last stage."""
    share = 1.0
    for stage in stages:
        share *= stage.left
    return share
