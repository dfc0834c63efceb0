"""Text as the report shows it: personal data masked, cut at a length."""

from __future__ import annotations

from typing import Final

from plait.filters.pii import masked

CHARS: Final = 360


def clipped(text: str, limit: int = CHARS) -> str:
    """Text on one line with personal data masked, cut at a length in characters."""
    text = " ".join(masked(text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
