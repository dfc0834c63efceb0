"""Which documents a query finds: by state, language, domain, reason, a score's range, marks, and words in the text."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plait.explorer.view.index import Index
from plait.loader import Corpus

PAGE: Final = 24
BUDGET: Final = 1.5  # seconds that one answer spends on reading texts; the next answer goes on from there
_GROUPS: Final = 4096  # index rows looked at between two looks at the clock

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Query:
    """What is looked for; empty values ask for nothing.

    Attributes:
        state: "kept", "dropped" or "all".
        score: name of a score whose value must lie between ``low`` and ``high``.
        places: only these rows of the index.
    """

    state: str = "all"
    lang: str = ""
    domain: str = ""
    reason: str = ""
    score: str = ""
    low: float | None = None
    high: float | None = None
    text: str = ""
    places: Collection[int] | None = None


@dataclass(frozen=True)
class Found:
    """A page of an answer.

    Attributes:
        places: rows of the index.
        matching: how many documents the columns let through, before words in the text are looked for.
        following: where to go on; None at the end.
        looked: how many of the matching documents this page looked at.
    """

    places: list[int]
    matching: int
    following: int | None
    looked: int


def passing(index: Index, query: Query) -> Bools:
    """Documents that the columns let through."""
    mask = np.ones(len(index), bool)
    if query.state == "kept":
        mask &= index.kept
    elif query.state == "dropped":
        mask &= ~index.kept
    for name in ("lang", "domain", "reason"):
        wanted = str(getattr(query, name))
        if wanted:
            mask &= _equal(index.words(name), wanted)
    if query.score:
        values = index.numbers(query.score)
        with np.errstate(invalid="ignore"):
            if query.low is not None:
                mask &= values >= query.low
            if query.high is not None:
                mask &= values <= query.high
    if query.places is not None:
        only = np.zeros(len(index), bool)
        only[np.fromiter(query.places, np.int64, len(query.places))] = True
        mask &= only
    return mask


def _equal(words: pa.DictionaryArray, wanted: str) -> Bools:
    """Where a column has a value; a domain also matches the hosts below it, "?" a null."""
    codes = words.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    if wanted == "?":
        return np.asarray(codes < 0)
    names = words.dictionary.to_pylist()
    matching = [place for place, name in enumerate(names) if name == wanted or (name or "").endswith(f".{wanted}")]
    return np.isin(codes, matching)


def find(index: Index, corpus: Corpus, query: Query, after: int = 0) -> Found:
    """A page of the documents that a query finds, from a row of the index on.

    Words are looked for in title and URL, and in the texts of kept documents, which are read from the shards as far
    as a page and `BUDGET` ask for.
    """
    places = np.flatnonzero(passing(index, query))
    matching = len(places)
    places = places[np.searchsorted(places, after) :]
    if not query.text:
        page = [int(place) for place in places[:PAGE]]
        following = int(places[PAGE]) if len(places) > PAGE else None
        return Found(page, matching, following, len(page))
    began, looked = time.monotonic(), 0
    hits: list[int] = []
    while looked < len(places):
        stretch = places[looked : looked + _stretch(index, corpus, places, looked)]
        for place in stretch[_says(index, corpus, stretch, query.text)].tolist():
            hits.append(int(place))
            if len(hits) > PAGE:
                return Found(hits[:PAGE], matching, hits[PAGE], looked)
        looked += len(stretch)
        if time.monotonic() - began > BUDGET:
            break
    following = int(places[looked]) if looked < len(places) else None
    return Found(hits, matching, following, looked)


def _stretch(index: Index, corpus: Corpus, places: npt.NDArray[np.int64], at: int) -> int:
    """How many of the places from one on lie in the same row group; dropped documents are taken many at a time."""
    if not index.kept[places[at]]:
        return _GROUPS
    end = min(_group_end(corpus, int(places[at])), int(np.count_nonzero(index.kept)))  # a sample may end within one
    return max(1, int(np.searchsorted(places[at:], end)))


def _group_end(corpus: Corpus, row: int) -> int:
    group = int(np.searchsorted(corpus.groups[:, 2], row, side="right")) - 1
    return int(corpus.groups[group, 2] + corpus.groups[group, 3])


def _says(index: Index, corpus: Corpus, places: npt.NDArray[np.int64], text: str) -> Bools:
    """Which documents of a row group (or of the dropped ones) have a text, whatever its case."""
    rows = index.table.select(["url", "title"]).take(pa.array(places))
    found = np.zeros(len(places), bool)
    for name in ("url", "title"):
        found |= np.asarray(
            pc.match_substring(rows.column(name), text, ignore_case=True).fill_null(False).to_numpy(), bool
        )
    if index.kept[places[0]]:
        group = int(np.searchsorted(corpus.groups[:, 2], places[0], side="right")) - 1
        texts = corpus.read_group(group, ["texts"]).column("texts").take(pa.array(places - corpus.groups[group, 2]))
        flat = pc.match_substring(texts.flatten(), text, ignore_case=True).fill_null(False)
        parents = pc.list_parent_indices(texts).filter(flat)
        found[np.unique(parents.to_numpy(zero_copy_only=False))] = True
    return found
