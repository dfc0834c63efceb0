"""What scores need beyond plait itself, by the score's name."""

from __future__ import annotations

from plait.filters import clip_scores, external

REQUIRES: dict[str, str] = {
    **external.REQUIRES,
    **clip_scores.REQUIRES,
    "quality": "quality_model",
    "blocked_domain": "blocked_domains",
    "blocked_url": "blocked_urls",
    "nsfw": "nsfw_model",
    "nsfw_max": "nsfw_model",
}
