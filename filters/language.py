"""Language of a text: fastText's lid.176 over the document's own text, 176 languages, ISO 639 codes.

The model sees at most `WINDOW` characters: the whole text when it is shorter, else its first and its last half window
and one from the middle third, so that a long page costs no more than a short one and a foreign head or footer does
not decide alone. Cost: about 0.1 ms per 1,000 characters.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, cast

import numpy as np
import pyarrow as pa

from plait.filters.batch import DocumentBatch
from plait.filters.models import lid176
from plait.filters.score import Score

WINDOW = 1200  # characters
PIECES = 8  # that a document is cut into, to see whether it is of one language
UNKNOWN = "und"  # ISO 639-3 for a text without letters


class Languages(NamedTuple):
    """Language of every text (ISO 639 code, "und" without letters) and fastText's probability, 0 to 1."""

    lang: list[str]
    score: np.ndarray


class _Model(Protocol):
    def predict(self, text: str, k: int, threshold: float, on_unicode_error: str) -> list[tuple[float, str]]: ...


@functools.cache
def _model() -> _Model:
    import fasttext

    return cast(_Model, fasttext.load_model(str(lid176(obtain=False))).f)


def sample(text: str) -> str:
    """What the model sees of a text: one line of at most `WINDOW` characters."""
    if len(text) > WINDOW:
        third = WINDOW // 3
        middle = (len(text) - third) // 2
        text = f"{text[:third]} {text[middle : middle + third]} {text[-third:]}"
    return text.replace("\n", " ")


def identify(texts: Sequence[str]) -> Languages:
    """Language and probability of every text.

    Raises:
        ConfigError: where the model is absent; the driver obtains it before it starts workers.
    """
    model = _model()
    lang: list[str] = []
    score = np.zeros(len(texts), np.float32)
    for place, text in enumerate(texts):
        found = model.predict(sample(text) + "\n", 1, 0.0, "replace") if any(map(str.isalpha, text)) else []
        if found:
            probability, label = found[0]
            lang.append(label.removeprefix("__label__"))
            score[place] = min(probability, 1.0)
        else:
            lang.append(UNKNOWN)
    return Languages(lang, score)


def lang_share(documents: DocumentBatch) -> pa.Array:
    """Share of the text that is in the document's language, 0 to 1: 1 for one language, less for a mixed document.

    The text nodes are dealt in order to at most 8 pieces of equal length; the pieces whose language is the document's
    are counted by their characters. Null where the document has no language.
    """
    chars = documents.by_node.chars
    offsets = documents.text_node_offsets.tolist()
    texts = documents.by_node.texts
    pieces: list[str] = []
    owners: list[int] = []
    for document in range(len(documents)):
        low, high = offsets[document], offsets[document + 1]
        if low == high or documents.langs[document] in ("", UNKNOWN):
            continue
        before = np.cumsum(chars[low:high]) - chars[low:high]
        piece = before * PIECES // max(int(chars[low:high].sum()), 1)
        for start, end in _runs(piece):
            pieces.append(" ".join(texts[low + start : low + end]))
            owners.append(document)
    total, same = np.zeros(len(documents)), np.zeros(len(documents))
    for piece_text, owner, lang in zip(pieces, owners, identify(pieces).lang, strict=True):
        total[owner] += len(piece_text)
        same[owner] += len(piece_text) * (lang == documents.langs[owner])
    share = np.full(len(documents), np.nan)
    np.divide(same, total, out=share, where=total > 0)
    return pa.array(share, pa.float64(), from_pandas=True)


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of equal values in a row."""
    edges = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]])).tolist()
    return list(pairwise(edges))


SCORES: tuple[Score, ...] = (
    Score(
        "lang", ("node", "document"), pa.string(), "Language by fastText lid.176, ISO 639; und without letters.",
        stored=False,
    ),
    Score(
        "lang_score", ("node", "document"), pa.float32(), "Probability that fastText gives the language.", stored=False
    ),
    Score(
        "lang_share", ("document",), pa.float64(), " ".join((lang_share.__doc__ or "").split()), documents=lang_share
    ),
)  # fmt: skip
