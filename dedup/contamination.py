"""Decontamination: documents that contain evaluation text, told by shared n-grams of words.

An evaluation item's 13-grams (GPT-3, arXiv 2005.14165, appendix C, uses 13 words) are kept as sorted 64-bit hashes; a
document's hits are counted by the same tokeniser, so case, punctuation and spacing make no difference.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.dedup.keys import document_texts
from plait.dedup.words import U64, shingles, words
from plait.schemas.errors import ConfigError

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

NGRAM = 13
_ITEMS_AT_ONCE = 4096

CONTAMINATION = pa.schema(
    [
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("eval_ngrams", pa.int64(), nullable=False),  # of the document's n-grams, those in evaluation items
        pa.field("eval_share", pa.float32(), nullable=False),  # of the document's n-grams; 0 where it has none
    ]
)


@dataclass(frozen=True)
class EvaluationText:
    """N-grams of evaluation items.

    Attributes:
        ngram: words of an n-gram.
        hashes: sorted distinct uint64, 8 bytes each.
        items: items read.
        short: items of fewer words than an n-gram; they are not looked for, since a question of five words stands in
            pages that have nothing to do with it.
    """

    ngram: int
    hashes: U64
    items: int
    short: int


def evaluation_text(items: Iterable[str], ngram: int = NGRAM) -> EvaluationText:
    """The n-grams of evaluation items, a few thousand items at a time."""
    found = np.zeros(0, np.uint64)
    total = short = 0
    for part in _groups(items):
        cut = words(part)
        counts = np.diff(cut.bounds)
        grams = shingles(cut, ngram)
        long_enough = np.repeat(counts >= ngram, np.diff(grams.bounds))
        found = np.union1d(found, grams.hashes[long_enough])
        total += len(part)
        short += int((counts < ngram).sum())
    return EvaluationText(ngram, found, total, short)


def _groups(items: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for item in items:
        part.append(item)
        if len(part) == _ITEMS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def read_items(path: Path) -> Iterator[str]:
    """Evaluation items of a file: every string of a .jsonl (.gz) record, at any depth; any other file is one item."""
    name = path.name.removesuffix(".gz")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            if not name.endswith(".jsonl"):
                yield file.read()
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield from _strings(_record(line, path, number))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the evaluation file {path} cannot be read: {error}") from error


def _record(line: str, path: Path, number: int) -> object:
    try:
        record: object = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{path}, line {number}: not JSON ({error})") from error
    return record


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def contamination(batch: pa.RecordBatch, known: EvaluationText) -> pa.RecordBatch:
    """Documents to `CONTAMINATION`, row by row. N-grams run across a document's nodes. Reads doc_id and nodes."""
    hits, share = evaluation_ngrams(document_texts(batch), known)
    columns = [batch.column("doc_id"), pa.array(hits, pa.int64()), pa.array(share, pa.float32())]
    return pa.RecordBatch.from_arrays(columns, schema=CONTAMINATION)


def evaluation_ngrams(texts: Sequence[str], known: EvaluationText) -> tuple[I64, F64]:
    """How many of each text's n-grams stand in evaluation items, and which share of its n-grams that is."""
    cut = words(texts)
    grams = shingles(cut, known.ngram)
    # A document shorter than an n-gram has one shingle of all its words, which is no n-gram.
    real = np.repeat(np.diff(cut.bounds) >= known.ngram, np.diff(grams.bounds))
    hit = real & _among(grams.hashes, known.hashes)
    hits = np.diff(np.concatenate([[0], np.cumsum(hit)])[grams.bounds])
    sizes = np.diff(np.concatenate([[0], np.cumsum(real)])[grams.bounds])
    return hits, hits / np.maximum(sizes, 1)


def _among(values: U64, known: U64) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    place = np.searchsorted(known, values)
    return np.asarray(known[np.minimum(place, len(known) - 1)] == values)
