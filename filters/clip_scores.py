"""Scores of pictures against texts by CLIP; `plait.pipeline.clip` computes them, rules read them at assembly."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters.score import Score

NEED = "clip_model"
AESTHETIC = "aesthetic_model"
AESTHETIC_SCORE = "aesthetic"

_DOCS = {
    "clip_similarity": "Cosine of the picture and its best span of the document (MMC4: 0.15), -1 to 1.",
    "clip_near": "Cosine of the picture and the best of the spans nearest to it, as many as clip.near says.",
    "clip_rank": "Rank of the best span's cosine among those with texts of other documents of the language, 1 the best "
    "(mOSCAR: 8 of 64); null in shards with fewer such texts than clip.negatives.",
    "clip_text_image": "Zero-shot probability that the picture shows text, by the recipe's prompts, 0 to 1.",
    "clip_logo": "Zero-shot probability that the picture is a logo, by the recipe's prompts, 0 to 1.",
    "clip_nsfw": "Zero-shot probability that the picture is pornographic, by the recipe's prompts, 0 to 1.",
    "aesthetic": "Aesthetic score of the picture by the head that the recipe names (LAION's: about 1 to 10).",
    "matched_sim": "Cosine of the picture and the span it is assigned to, one picture a span (LCL: 0.24), -1 to 1.",
}
_OF_DOCUMENTS = {
    "matched_share": "Share of the document's images whose matched_sim is over clip.related (MMC4-core: 0.75).",
    "mean_matched_sim": "Mean matched_sim of the document's images.",
}


def _late(name: str, scope: str, kind: pa.DataType, doc: str) -> Score:
    return Score(name, (scope,), kind, doc, stage="assemble", stored=False)


SCORES: tuple[Score, ...] = (
    *(_late(name, "image", pa.float64() if name != "clip_rank" else pa.int64(), doc) for name, doc in _DOCS.items()),
    *(_late(name, "document", pa.float64(), doc) for name, doc in _OF_DOCUMENTS.items()),
)
REQUIRES: dict[str, str] = {score.name: AESTHETIC if score.name == AESTHETIC_SCORE else NEED for score in SCORES}
ASSIGNED = frozenset({"matched_sim"})
"""Scores known only once it is decided which pictures are left to be assigned."""
IMAGE_SCORES = frozenset(_DOCS)


def document_columns(
    sim: pa.Array, document: np.ndarray, kept: np.ndarray, rows: int, related: float
) -> dict[str, pa.Array]:
    """The document scores, from the images that are left.

    Args:
        sim: matched_sim of every node, null where it has none.
        document: row of every node's document.
        kept: which nodes are images that are left.
        rows: documents.
        related: cosine that counts as related.

    Returns:
        Columns of ``rows`` rows; null where no image of the document has a matched_sim.
    """
    known = kept & pc.is_valid(sim).to_numpy(zero_copy_only=False)
    values = sim.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    count = np.bincount(document[known], minlength=rows)
    over = np.bincount(document[known & (values > related)], minlength=rows)
    total = np.bincount(document[known], weights=values[known], minlength=rows)
    safe, nothing = np.maximum(count, 1), count == 0
    return {
        "matched_share": pa.array(over / safe, pa.float64(), mask=nothing),
        "mean_matched_sim": pa.array(total / safe, pa.float64(), mask=nothing),
    }
