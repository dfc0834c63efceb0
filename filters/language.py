"""Language of a text: fastText's lid.176 over the document's own text, 176 languages, ISO 639 codes.

The model sees at most `WINDOW` characters: the whole text when it is shorter, else its first and its last half window
and one from the middle third, so that a long page costs no more than a short one and a foreign head or footer does
not decide alone. Cost: about 0.1 ms per 1,000 characters.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

import numpy as np

from plait.filters.models import lid176

WINDOW = 2000  # characters
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
