"""A quality classifier that users train on their own good and bad text; its score is a column.

OBELICS, Baichuan and FineWeb-Edu pick good pages by such a classifier: positives from text that one trusts, negatives
from the crawl. Ours is fastText's supervised model over words and word pairs.
"""

from __future__ import annotations

import functools
import gzip
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from plait.filters.vocabulary import unspaced
from plait.filters.word_rules import words
from plait.schemas.errors import ConfigError

_GOOD, _BAD = "__label__good", "__label__bad"
HELD_OUT = 10  # one document in ten is held out to measure the model
_SEED = 7


@dataclass(frozen=True)
class Training:
    """What `train` made: the file, how many documents it saw, and how well it does on held-out ones.

    ``accuracy`` is the share of held-out documents on the right side of 0.5; ``auc`` the probability that a good one
    scores above a bad one.
    """

    model: Path
    good: int
    bad: int
    accuracy: float
    auc: float


class _Model(Protocol):
    def predict(self, text: str, k: int, threshold: float, on_unicode_error: str) -> list[tuple[float, str]]: ...


def prepared(text: str) -> str:
    """The text as the model sees it: lower-case words on one line, characters of scripts without spaces apart."""
    text = text.lower()
    if unspaced(text):
        return " ".join(word for chunk in text.split() for word in words(chunk))
    return " ".join(text.split())


def read_texts(path: Path) -> Iterator[str]:
    """The documents of a file.

    JSON lines with a ``text`` (``.jsonl``), Parquet with ``text`` or ``texts``, or plain text with one document a
    line; ``.gz`` is undone.

    Raises:
        ConfigError: where the file cannot be read or has no text.
    """
    suffixes = path.suffixes
    try:
        if path.suffix == ".parquet":
            yield from _parquet_texts(path)
            return
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if suffixes[-1:] == [".gz"]
            else path.open("r", encoding="utf-8") as lines
        ):
            for line in lines:
                if not line.strip():
                    continue
                yield str(json.loads(line)["text"]) if ".jsonl" in suffixes else line
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read as documents ({error!r}); each line needs a text") from error


def _parquet_texts(path: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    column = next((name for name in ("text", "texts") if name in file.schema_arrow.names), None)
    if column is None:
        raise ConfigError(f"{path} has neither a column 'text' nor 'texts'")
    for batch in file.iter_batches(columns=[column]):
        for value in batch.column(0).to_pylist():
            yield "\n".join(part for part in value if part) if isinstance(value, list) else value or ""


def train(good: Path, bad: Path, out: Path, epochs: int = 5, threads: int = 1) -> Training:
    """Trains the classifier and writes it to a file.

    With one thread the same files give the same model. Cost: about 5 s per million words and epoch.

    Args:
        good: documents to prefer, see `read_texts`.
        bad: documents to avoid.
        out: the model's file, written at the end.
        epochs: times that every document is seen.
        threads: more than one is faster and not reproducible.

    Raises:
        ConfigError: where a file has fewer than 20 documents or cannot be read.
    """
    import fasttext

    counts, held = {}, []
    with tempfile.TemporaryDirectory(prefix="plait-quality-") as folder:
        lines: list[list[str]] = []
        for label, path in ((_GOOD, good), (_BAD, bad)):
            texts = [prepared(text) for text in read_texts(path)]
            texts = [text for text in texts if text]
            if len(texts) < 20:
                raise ConfigError(f"{path} has {len(texts)} documents with text; a classifier needs at least 20")
            counts[label] = len(texts)
            held += [(text, label) for text in texts[::HELD_OUT]]
            lines.append([f"{label} {text}\n" for place, text in enumerate(texts) if place % HELD_OUT])
        # Taken by turns: fastText reads in order, and a file of one label after the other would unlearn the first.
        longest = max(map(len, lines))
        mixed = [part[place] for place in range(longest) for part in lines if place < len(part)]
        path = Path(folder) / "train.txt"
        path.write_text("".join(mixed), "utf-8")
        model = fasttext.train_supervised(
            input=str(path), epoch=epochs, wordNgrams=2, dim=64, lr=0.3, bucket=200_000, minCount=2, thread=threads,
            seed=_SEED, verbose=0,
        )  # fmt: skip
    part = out.with_name(f".{out.name}.part")
    model.save_model(str(part))
    part.replace(out)
    scores = _scores(cast(_Model, model.f), [text for text, _ in held])
    labels = np.array([label == _GOOD for _, label in held])
    return Training(out, counts[_GOOD], counts[_BAD], float(np.mean((scores >= 0.5) == labels)), _auc(scores, labels))


def _auc(scores: np.ndarray, labels: np.ndarray) -> float:
    good, bad = np.sort(scores[labels]), np.sort(scores[~labels])
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.sum() / (2 * len(good) * len(bad)))


def _scores(model: _Model, texts: Sequence[str]) -> np.ndarray:
    found = np.full(len(texts), np.nan)
    for place, text in enumerate(texts):
        if text:
            share = {label: probability for probability, label in model.predict(text + "\n", 2, 0.0, "replace")}
            found[place] = min(share.get(_GOOD, 0.0), 1.0)
    return found


@functools.lru_cache(maxsize=2)
def _load(path: str) -> _Model:
    import fasttext

    try:
        return cast(_Model, fasttext.load_model(path).f)
    except ValueError as error:
        raise ConfigError(f"{path} is no fastText model: {error}") from error


def quality(texts: Sequence[str], model: str) -> np.ndarray:
    """Probability of "good" for every text, 0 to 1; NaN for a text without words.

    Raises:
        ConfigError: where the file is no model of `train`.
    """
    return _scores(_load(model), [prepared(text) for text in texts])
