"""The default extractor: a block classifier, trained on WCXB by ``benchmarks/train_blocks.py``.

The model that ships (``blocks.npz``) was learned from the development split of WCXB, the Web Content eXtraction
Benchmark of Murrough Foley, CC BY 4.0.
"""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract.completion import add_title, complete, drop_last_headings
from plait.pipeline.extract.features import features
from plait.pipeline.extract.frame import Floats, Frame, frame
from plait.pipeline.extract.network import Group, Network, block_groups
from plait.pipeline.extract.segment import Layout
from plait.pipeline.extract.selection import (
    agree_among_siblings,
    choose_images,
    drop_repeats,
    expected_f1_set,
    is_shell,
)
from plait.pipeline.extract.tokens import TokenModel
from plait.pipeline.extract.trees import Trees

# Cross-validated word F1 on WCXB and that on the Readability pages are the same, within 0.001, from 0.35 to 0.5.
_NETWORK_SHARE = 0.45
_NETWORK_BLOCKS = 20_000  # of a page: as many take 90 MB in the network
_NETWORK = "network_"  # of the names of its arrays


class BlockModel:
    """Token weights, trees and a network."""

    def __init__(self, tokens: TokenModel, trees: Trees, network: Network) -> None:
        self.tokens = tokens
        self.trees = trees
        self.network = network

    @classmethod
    def load(cls, file: Path | IO[bytes]) -> BlockModel:
        """Read a model that ``benchmarks/train_blocks.py`` wrote; no pickles."""
        with np.load(file, allow_pickle=False) as data:
            return cls(
                TokenModel(data["tokens"].astype(np.float64)),
                Trees(data["feature"], data["threshold"], data["left"], data["right"], data["value"]),
                Network({name.removeprefix(_NETWORK): data[name] for name in data.files if name.startswith(_NETWORK)}),
            )

    def probabilities(self, layout: Layout, f: Frame, title: str | None) -> Floats:
        """Probability of each block to be main content: a weighted mean of the trees' and the network's log odds.

        The trees decide alone on pages of so many blocks that the network's values would take hundreds of megabytes.
        """
        rows = features(layout, f, self.tokens.score(layout), title)
        if len(rows) > _NETWORK_BLOCKS:
            return _probability(self.trees.odds(rows))
        groups = [Group.of(labels) for labels in block_groups(layout, f)]
        odds = (1.0 - _NETWORK_SHARE) * self.trees.odds(rows) + _NETWORK_SHARE * self.network.odds(rows, groups)
        return _probability(odds)


def _probability(odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


@functools.cache
def shipped_model() -> BlockModel:
    """The package's own model, read once a process (about 0.1 s)."""
    with resources.files("plait.pipeline.extract").joinpath("blocks.npz").open("rb") as file:
        return BlockModel.load(file)


def choose(layout: Layout, title: str | None, model: BlockModel) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Flags of the blocks and of the pictures to keep: none where the page holds nothing but its furniture.

    Args:
        layout: a page with at least one block.
        title: the page's title, if it has one.
        model: the classifier.
    """
    f = frame(layout)
    p = agree_among_siblings(layout, model.probabilities(layout, f, title), f)
    keep = complete(layout, expected_f1_set(p, f.words), p, f)
    images = choose_images(layout, p, keep, f)
    if is_shell(layout, p, keep, images, f):
        return np.zeros(len(keep), np.bool_), np.zeros(len(images), np.bool_)
    keep = drop_repeats(layout, add_title(layout, keep, p), f)
    return drop_last_headings(layout, keep, images, f), images
