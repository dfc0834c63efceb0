"""Evaluation text that a build must not contain: read once in the driver, put where units find it."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plait.dedup.contamination import NGRAM, EvaluationText, evaluation_text, read_items
from plait.jobs.context import Context
from plait.jobs.store import Store
from plait.jobs.work import Json
from plait.schemas.errors import ConfigError


@dataclass(frozen=True)
class Evaluation:
    """Evaluation items as their n-grams.

    Attributes:
        text: the n-grams.
        digest: identity of the n-grams; which files they came from makes no difference.
    """

    text: EvaluationText
    digest: str

    @property
    def path(self) -> str:
        """Where units find it, in a build's folder."""
        return evaluation_path(self.digest)

    def keep(self, store: Store) -> dict[str, Json]:
        """Put the n-grams where units find them; the setting of stages that look at them."""
        if not store.exists(self.path):
            data = io.BytesIO()
            np.save(data, self.text.hashes)
            with store.open_write(self.path) as file:
                file.write(data.getvalue())
        return {"evaluation": self.path, "evaluation_ngram": self.text.ngram}


def open_evaluation(paths: Sequence[str]) -> Evaluation | None:
    """The n-grams of evaluation files; None where no file is given.

    Args:
        paths: ``.jsonl`` files (every string of every record is an item) or text files (one item), ``.gz`` or not.

    Raises:
        ConfigError: a file cannot be read, or none of them has an item of 13 words.
    """
    if not paths:
        return None
    text = evaluation_text(item for path in paths for item in read_items(Path(path)))
    if not len(text.hashes):
        raise ConfigError(f"{', '.join(paths)}: no item has {NGRAM} words, so there is nothing to look for")
    return Evaluation(text, hashlib.sha256(text.hashes.tobytes()).hexdigest()[:32])


def evaluation_path(digest: str) -> str:
    """Place of the n-grams in a corpus' folder."""
    return f"ledger/evaluation-{digest}.npy"


def kept_evaluation(store: Store) -> tuple[str, dict[str, Json]] | None:
    """Digest of the evaluation text that a corpus was built without, and the setting of stages; None where none was."""
    try:
        digest = json.loads(store.read("ledger/build.json")).get("evaluation")
    except FileNotFoundError:
        return None
    return (
        (digest, {"evaluation": evaluation_path(digest), "evaluation_ngram": NGRAM})
        if isinstance(digest, str)
        else None
    )


@functools.lru_cache(maxsize=2)
def _kept(root: str, path: str, ngram: int) -> EvaluationText:
    hashes = np.load(io.BytesIO(Store(root).read(path)))
    return EvaluationText(ngram, hashes, 0, 0)


def evaluation_of(ctx: Context) -> EvaluationText | None:
    """What a stage's settings name; None where they name nothing. A worker reads it once."""
    path, ngram = ctx.params.get("evaluation"), ctx.params.get("evaluation_ngram")
    if not isinstance(path, str) or not isinstance(ngram, int):
        return None
    return _kept(ctx.store.root, path, ngram)
