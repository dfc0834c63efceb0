"""What must never be shown: whatever a safety rule or a list dropped, and pictures that a model finds unsafe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from plait.filters.rules import Rule, keeps

WORDS: Final = ("nsfw", "unsafe", "porn", "csam", "listed", "abuse", "taken_down", "suppressed", "opted_out", "robots_")
"""Reasons with one of these in their name are counted; nothing of what they dropped is shown."""

UNSAFE: Final = 0.5
"""Probability of nudity from which a picture is not shown, whether or not the recipe has a rule on it. Open NSFW's
authors call a picture above 0.8 very probably unsafe and one below 0.2 very probably safe: this is the middle."""


def unshown(reason: str) -> bool:
    """Whether a reason's examples are counted only."""
    return any(word in reason for word in WORDS)


def unsafe(facts: Mapping[str, object]) -> bool:
    """Whether what is known of a picture forbids to show it."""
    return any(
        "nsfw" in name and isinstance(value, (int, float)) and not value < UNSAFE  # NaN: unknown is not shown
        for name, value in facts.items()
    )


def forbidden(batch: pa.RecordBatch, rules: Sequence[Rule]) -> list[bool]:
    """For rows of pictures, whether one must not be shown: unsafe by score, or by any safety rule of the recipe.

    A picture that another rule dropped first is judged all the same.

    Args:
        batch: what is known of pictures.
        rules: of the recipe; those of safety whose columns are there are applied.
    """
    names = set(batch.schema.names)
    found = [unsafe(row) for row in batch.select([n for n in batch.schema.names if "nsfw" in n]).to_pylist()]
    found = found or [False] * batch.num_rows
    for rule in rules:
        if rule.scope == "image" and rule.keep and unshown(rule.name) and names.issuperset(rule.scores):
            found = [bad or not kept for bad, kept in zip(found, keeps(rule, batch).tolist(), strict=True)]
    return found
