"""Train the block classifier of `plait.pipeline.extract` on WCXB: token weights, trees, network.

usage: python benchmarks/train_blocks.py WCXB_DIR [--ship pipeline/extract/blocks.npz] [--folds build/extraction]
       [--models fold-0 fold-1 ...] [--cache build/extraction/pages]

--ship writes the model that the package ships, trained on all pages. --folds writes a model for each of five folds
by registered domain, trained on the other four (``fold-0.npz`` …), and for each of two halves
(``half-0.npz``, ``half-1.npz``); ``benchmarks/extraction.py`` reads them. No model has seen a page of its fold's
domains at any step: the token weights that its training pages are scored with come from inner folds of
those pages. Segmented pages are kept under --cache, so that a run that was cut off goes on where it was; --models
trains only some of the models.

WCXB (Murrough Foley, Web Content eXtraction Benchmark, development split) is CC BY 4.0.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import pathlib
import pickle
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract.charset import utf8_html
from plait.pipeline.extract.features import features
from plait.pipeline.extract.frame import Frame, frame
from plait.pipeline.extract.markup import parse
from plait.pipeline.extract.metadata import read_metadata
from plait.pipeline.extract.noscript import settle_noscript
from plait.pipeline.extract.segment import Layout, segment
from plait.pipeline.extract.tokens import BITS, SIZE, TokenModel, tokens_of
from plait.pipeline.extract.trees import LEAVES
from plait.schemas.urls import domain

WORD = re.compile(r"\w+")
GRAM = 4  # words; a word is gold if a run of this many words around it stands in the gold text
NEAR = 100  # words on each side that decide which of several equal runs is the gold one
SHORT_NEAR = 0.3  # share of gold among the words around a short block that makes its words gold
FOLDS = 5
SAMPLE = 0.25  # of the blocks of mean weight that training sees
TREES = 130
# Chosen by cross-validated word F1; nothing of it moves the figure by more than 0.003.
BOOSTING = {
    "objective": "cross_entropy", "num_leaves": LEAVES - 1, "learning_rate": 0.09, "min_data_in_leaf": 50,
    "feature_fraction": 0.3, "bagging_fraction": 0.6, "bagging_freq": 1, "lambda_l2": 5.0, "num_threads": 1,
    "max_bin": 63, "seed": 7, "deterministic": True, "force_row_wise": True, "verbose": -1,
}  # fmt: skip
PIECE = 250  # pages segmented before they are written to the cache: about 20 s
Arrays = dict[str, npt.NDArray[np.generic]]
INNER_FOLDS = 10  # folds that give training pages honest scores of the stage before


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
    tokens: npt.NDArray[np.int32]  # hashed tokens of all blocks, one block after the other: path, own, inner
    token_starts: npt.NDArray[np.int64]  # first of each block's, shape (blocks + 1,)


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
    labels = np.asarray(share / np.maximum(1, count), np.float64)
    _label_short_blocks(labels, words, np.array(owner, np.int64), covered, gold_words)
    return labels


def _label_short_blocks(
    labels: npt.NDArray[np.float64],
    words: list[str],
    owner: npt.NDArray[np.int64],
    covered: npt.NDArray[np.float64],
    gold_words: list[str],
) -> None:
    """Label blocks too short for a run: gold if all their words are left over in the gold and gold text is around."""
    left = collections.Counter(gold_words)
    left.subtract(w for w, c in zip(words, covered, strict=True) if c)
    total = np.concatenate(([0.0], np.cumsum(covered)))
    first = np.searchsorted(owner, np.arange(len(labels)))
    end = np.searchsorted(owner, np.arange(len(labels)), side="right")
    reach = 40
    low, high = np.maximum(0, first - reach), np.minimum(len(words), end + reach)
    near = (total[high] - total[low]) / np.maximum(1, high - low)
    candidates = np.flatnonzero((labels < 0.5) & (end > first) & (end - first <= 2 * GRAM) & (near >= SHORT_NEAR))
    for b in candidates[np.argsort(-near[candidates], kind="stable")]:
        need = collections.Counter(words[first[b] : end[b]])
        if all(left[w] >= n for w, n in need.items()):
            left.subtract(need)
            labels[b] = 1.0


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
    markup = parse(utf8_html(html, None), max_nodes=1_000_000, max_depth=100_000)
    meta = read_metadata(markup, url)
    layout = segment(markup.pieces, max_depth=5000, posters=False, backgrounds=False)
    settle_noscript(layout)
    return layout, meta.title


def sources_digest() -> int:
    """Changes with every module that decides what a page's blocks and their labels are."""
    folder = pathlib.Path(segment.__code__.co_filename).parent
    names = (
        "charset", "mojibake", "markup", "metadata", "segment", "block_text", "noscript", "vocabulary", "frame",
        "tokens",
    )  # fmt: skip
    sources = [folder / f"{name}.py" for name in names] + [pathlib.Path(__file__)]
    return zlib.crc32(b"".join(path.read_bytes() for path in sources))


def load_pages(wcxb: pathlib.Path, cache: pathlib.Path) -> list[TrainPage]:
    """All pages of WCXB that have a block, read in pieces that are kept in ``cache``."""
    paths = sorted((wcxb / "ground-truth").glob("*.json"))
    digest = sources_digest()
    cache.mkdir(parents=True, exist_ok=True)
    pages: list[TrainPage] = []
    for start in range(0, len(paths), PIECE):
        kept = cache / f"{digest:08x}-{start:05d}.pickle"  # written by this script alone
        if not kept.exists():
            kept.with_suffix(".part").write_bytes(pickle.dumps(read_pages(wcxb, paths[start : start + PIECE])))
            kept.with_suffix(".part").replace(kept)
        pages += pickle.loads(kept.read_bytes())
    return pages


def read_pages(wcxb: pathlib.Path, paths: Sequence[pathlib.Path]) -> list[TrainPage]:
    """The pages of these gold files, segmented and labelled; those without a block are left out."""
    pages: list[TrainPage] = []
    for path in paths:
        truth = json.loads(path.read_text("utf-8"))
        url = truth.get("url") or "http://fakehost/"
        layout, title = read_layout(gzip.decompress((wcxb / "html" / f"{path.stem}.html.gz").read_bytes()), url)
        if not layout.b_text:
            continue
        kind = ((truth.get("_internal") or {}).get("page_type") or {}).get("primary", "?")
        labels = label_blocks(layout.b_text, truth["ground_truth"].get("main_content") or "")
        rows = token_lists(layout)
        starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        tokens = np.fromiter((t for row in rows for t in row), np.int32, int(starts[-1]))
        pages.append(TrainPage(path.stem, domain(url), kind, title, layout, frame(layout), labels, tokens, starts))
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


def sample(pages: Sequence[TrainPage]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """About a quarter of the blocks, drawn by weight, and the weights that make up for the draw.

    Most blocks are one-word menu entries that weigh nothing; without them training takes a quarter of the time.
    """
    weights = block_weights(pages)
    chance = np.minimum(1.0, weights * SAMPLE)
    return np.random.default_rng(0).random(len(weights)) < chance, weights / chance


def fit_tokens(pages: Sequence[TrainPage], *, penalty: float = 1.0, rounds: int = 25) -> npt.NDArray[np.float16]:
    """Weights of a logistic regression over hashed tokens, shape (SIZE,)."""
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix

    drawn, weights = sample(pages)
    weights = weights[drawn]
    columns = np.concatenate([page.tokens for page in pages])
    starts = np.cumsum([0, *np.concatenate([np.diff(page.token_starts) for page in pages])])
    matrix = csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape=(len(starts) - 1, SIZE))[drawn]
    transposed = matrix.T.tocsr()
    labels = np.concatenate([page.labels for page in pages])[drawn]

    def loss(x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        z = matrix @ x[:-1] + x[-1]
        p = 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))
        value = -(weights * (labels * np.log(p + 1e-12) + (1 - labels) * np.log(1 - p + 1e-12))).sum()
        error = weights * (p - labels)
        gradient = np.concatenate([transposed @ error + penalty * x[:-1], [error.sum()]])
        return float(value + 0.5 * penalty * (x[:-1] @ x[:-1])), gradient

    found = minimize(loss, np.zeros(SIZE + 1), jac=True, method="L-BFGS-B", options={"maxiter": rounds})
    return np.asarray(found.x[:-1], np.float16)


def page_features(page: TrainPage, tokens: TokenModel) -> npt.NDArray[np.float32]:
    """Features of a page with these token weights."""
    return features(page.layout, page.frame, tokens.score(page.layout), page.title)


def unseen_features(pages: Sequence[TrainPage]) -> list[npt.NDArray[np.float32]]:
    """Features of each page, its tokens scored by weights that have not seen its domain."""
    inner = np.array([fold_of(f"inner {page.domain}", INNER_FOLDS) for page in pages])
    rows: list[npt.NDArray[np.float32]] = [np.zeros((0, 0), np.float32)] * len(pages)
    for k in range(INNER_FOLDS):
        model = TokenModel(fit_tokens([page for page, f in zip(pages, inner, strict=True) if f != k]).astype(float))
        for i in np.flatnonzero(inner == k):
            rows[i] = page_features(pages[i], model)
    return rows


def fit_trees(pages: Sequence[TrainPage], rows: Sequence[npt.NDArray[np.float32]]) -> Arrays:
    """Boosted trees over the pages' features."""
    import lightgbm

    drawn, weights = sample(pages)
    labels = np.concatenate([page.labels for page in pages])[drawn]
    data = lightgbm.Dataset(np.concatenate(rows)[drawn], labels, weight=weights[drawn], params=BOOSTING)
    return export_trees(lightgbm.train(BOOSTING, data, TREES).dump_model())


def export_trees(dump: dict[str, object]) -> Arrays:
    """LightGBM's dump as the arrays of `plait.pipeline.extract.trees.Trees`."""
    infos = dump["tree_info"]
    assert isinstance(infos, list)
    shape = (len(infos), LEAVES - 1)
    feature, threshold = np.full(shape, -1, np.int16), np.zeros(shape, np.float32)
    left, right = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
    value = np.zeros((len(infos), LEAVES), np.float32)
    for t, info in enumerate(infos):
        splits = leaves = 0

        def walk(node: dict[str, object], t: int = t) -> int:
            nonlocal splits, leaves
            if "split_index" not in node:
                value[t, leaves] = node["leaf_value"]
                leaves += 1
                return -leaves
            own = splits
            splits += 1
            feature[t, own] = node["split_feature"]
            threshold[t, own] = floor32(float(str(node["threshold"])))
            left[t, own] = walk(node["left_child"])  # type: ignore[arg-type]
            right[t, own] = walk(node["right_child"])  # type: ignore[arg-type]
            return own

        walk(info["tree_structure"])
    return {"feature": feature, "threshold": threshold, "left": left, "right": right, "value": value}


def floor32(x: float) -> np.float32:
    """The largest float32 that is not above x: comparing float32 values with either gives the same answer."""
    y = np.float32(x)
    return y if float(y) <= x else np.nextafter(y, np.float32(-np.inf))


def train(pages: Sequence[TrainPage], out: pathlib.Path) -> None:
    """Train a model on these pages and write it."""
    from train_network import fit_network, make_sample

    out.parent.mkdir(parents=True, exist_ok=True)
    tokens = fit_tokens(pages)
    rows = unseen_features(pages)
    trees = fit_trees(pages, rows)
    weights = np.split(block_weights(pages), np.cumsum([len(page.labels) for page in pages])[:-1])
    samples = [
        make_sample(page.layout, page.frame, page.labels, w, x) for page, w, x in zip(pages, weights, rows, strict=True)
    ]
    network = {f"network_{name}": array for name, array in fit_network(samples).items()}
    np.savez_compressed(out, tokens=tokens, **trees, **network)
    print(f"{out}: {len(pages)} pages, {out.stat().st_size:,} bytes", flush=True)


def training_sets(pages: Sequence[TrainPage]) -> dict[str, list[TrainPage]]:
    """The pages that each fold's and each half's model may see, by the model's name."""
    folds = {f"fold-{k}": [p for p in pages if fold_of(p.domain, FOLDS) != k] for k in range(FOLDS)}
    halves = {f"half-{k}": [p for p in pages if fold_of(f"half {p.domain}", 2) != k] for k in range(2)}
    return folds | halves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wcxb", type=pathlib.Path)
    parser.add_argument("--ship", type=pathlib.Path)
    parser.add_argument("--folds", type=pathlib.Path)
    parser.add_argument("--models", nargs="+", default=[*(f"fold-{k}" for k in range(FOLDS)), "half-0", "half-1"])
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("build/extraction/pages"))
    args = parser.parse_args()
    pages = load_pages(args.wcxb, args.cache)
    print(f"{len(pages)} pages, {sum(len(page.labels) for page in pages):,} blocks", flush=True)
    if args.ship:
        train(pages, args.ship)
    if args.folds:
        sets = training_sets(pages)
        for name in args.models:
            train(sets[name], args.folds / f"{name}.npz")


if __name__ == "__main__":
    main()
