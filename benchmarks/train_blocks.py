"""Train the block classifier of `plait.pipeline.extract` on WCXB and write the model that the package ships.

usage: python benchmarks/train_blocks.py WCXB_DIR --out pipeline/extract/blocks.npz
       python benchmarks/train_blocks.py WCXB_DIR --folds build/extraction/folds     fold models by registered domain

WCXB (Murrough Foley, Web Content eXtraction Benchmark, development split) is CC BY 4.0.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import pathlib
import re
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract.charset import decode_html
from plait.pipeline.extract.features import Frame, features, frame, second_features
from plait.pipeline.extract.markup import parse
from plait.pipeline.extract.metadata import read_metadata
from plait.pipeline.extract.noscript import settle_noscript
from plait.pipeline.extract.segment import Layout, segment
from plait.pipeline.extract.tokens import BITS, SIZE, TokenModel, tokens_of
from plait.schemas.urls import domain

WORD = re.compile(r"\w+")
GRAM = 4  # words; a word is gold if a run of this many words around it stands in the gold text
NEAR = 100  # words on each side that decide which of several equal runs is the gold one
INNER_FOLDS = 4  # folds that give training pages honest scores of the stage before


@dataclass(slots=True)
class TrainPage:
    """A page ready for training: arrays over its blocks."""

    name: str
    domain: str
    kind: str
    title: str | None
    layout: Layout
    frame: Frame
    labels: npt.NDArray[np.float64]
    tokens: list[list[int]]  # hashed tokens of each block: path, own, inner


def label_blocks(texts: Sequence[str], gold: str) -> npt.NDArray[np.float64]:
    """Share of each block's words that stand in the gold text, in [0, 1]."""
    words: list[str] = []
    owner: list[int] = []
    for i, text in enumerate(texts):
        found = WORD.findall(text.lower())
        words += found
        owner += [i] * len(found)
    gold_words = WORD.findall(gold.lower())
    wanted = collections.Counter(tuple(gold_words[i : i + GRAM]) for i in range(len(gold_words) - GRAM + 1))
    grams = [tuple(words[i : i + GRAM]) for i in range(max(0, len(words) - GRAM + 1))]
    have = collections.Counter(g for g in grams if g in wanted)
    sure = np.zeros(len(words) + 1)
    for i, gram in enumerate(grams):
        if gram in have and have[gram] <= wanted[gram]:
            sure[i] = 1.0
    total = np.concatenate(([0.0], np.cumsum(sure)))
    hit = sure[: len(words)] > 0
    unsure: dict[tuple[str, ...], list[tuple[float, int]]] = {}
    for i, gram in enumerate(grams):
        if gram in have and have[gram] > wanted[gram]:
            near = total[min(len(words), i + NEAR)] - total[max(0, i - NEAR)]
            unsure.setdefault(gram, []).append((-near, i))
    for gram, places in unsure.items():
        for _, i in sorted(places)[: wanted[gram]]:
            hit[i] = True
    covered = np.zeros(len(words))
    for i in np.flatnonzero(hit):
        covered[i : i + GRAM] = 1.0
    count = np.bincount(owner, minlength=len(texts)) if owner else np.zeros(len(texts))
    share = np.bincount(owner, covered, minlength=len(texts)) if owner else np.zeros(len(texts))
    return np.asarray(share / np.maximum(1, count), np.float64)


def token_lists(layout: Layout) -> list[list[int]]:
    """Hashed tokens of each block, as `TokenModel.score` sums them."""
    path: list[list[int]] = [[]]
    own: list[tuple[int, ...]] = [()]
    for e in range(1, len(layout.e_tag)):
        tokens = tokens_of(layout.e_tag[e], layout.e_raw[e])
        own.append(tokens)
        path.append([*path[layout.e_parent[e]], *tokens])
    out: list[list[int]] = []
    for element, inner in zip(layout.b_element, layout.b_inner, strict=True):
        row = [*path[element], *((1 << BITS) + t for t in own[element])]
        if inner:
            row += [(2 << BITS) + t for t in tokens_of("", inner)]
        out.append(row)
    return out


def read_layout(html: bytes, url: str) -> tuple[Layout, str | None]:
    """Layout and title of a page, exactly as extraction sees them."""
    markup = parse(decode_html(html, None), max_nodes=1_000_000, max_depth=100_000)
    meta = read_metadata(markup.head, markup.html_attributes, markup.data_blocks, markup.pieces, url)
    layout = segment(markup.pieces, max_depth=5000, posters=False, backgrounds=False)
    settle_noscript(layout)
    return layout, meta.title


def load_pages(wcxb: pathlib.Path) -> list[TrainPage]:
    """All pages of WCXB that have a block."""
    pages: list[TrainPage] = []
    for path in sorted((wcxb / "ground-truth").glob("*.json")):
        truth = json.loads(path.read_text("utf-8"))
        url = truth.get("url") or "http://fakehost/"
        layout, title = read_layout(gzip.open(wcxb / "html" / f"{path.stem}.html.gz").read(), url)
        if not layout.b_text:
            continue
        kind = ((truth.get("_internal") or {}).get("page_type") or {}).get("primary", "?")
        labels = label_blocks(layout.b_text, truth["ground_truth"].get("main_content") or "")
        pages.append(TrainPage(path.stem, domain(url), kind, title, layout, frame(layout), labels, token_lists(layout)))
    return pages


def fold_of(name: str, folds: int) -> int:
    """Fold of a registered domain: the same for all its pages, on every machine."""
    return zlib.crc32(name.encode()) % folds


def block_weights(pages: Sequence[TrainPage]) -> npt.NDArray[np.float64]:
    """Training weight of each block: its words, damped; each page counts by the root of its blocks' sum."""
    out = []
    for page in pages:
        w = np.minimum(page.frame.words, 200.0) ** 0.75 + 0.2
        out.append(w * (w.sum() ** -0.5))
    weights = np.concatenate(out)
    return np.asarray(weights / weights.mean())


def fit_tokens(pages: Sequence[TrainPage], *, penalty: float = 3.0, rounds: int = 60) -> npt.NDArray[np.float64]:
    """Weights of a logistic regression over hashed tokens, shape (SIZE,)."""
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix

    rows = [row for page in pages for row in page.tokens]
    starts = np.concatenate(([0], np.cumsum([len(r) for r in rows])))
    columns = np.fromiter((t for row in rows for t in row), np.int32, int(starts[-1]))
    matrix = csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape=(len(rows), SIZE))
    transposed = matrix.T.tocsr()
    labels = np.concatenate([page.labels for page in pages])
    weights = block_weights(pages)

    def loss(x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        z = matrix @ x[:-1] + x[-1]
        p = 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))
        value = -(weights * (labels * np.log(p + 1e-12) + (1 - labels) * np.log(1 - p + 1e-12))).sum()
        error = weights * (p - labels)
        gradient = np.concatenate([transposed @ error + penalty * x[:-1], [error.sum()]])
        return float(value + 0.5 * penalty * (x[:-1] @ x[:-1])), gradient

    found = minimize(loss, np.zeros(SIZE + 1), jac=True, method="L-BFGS-B", options={"maxiter": rounds})
    return np.asarray(found.x[:-1])
