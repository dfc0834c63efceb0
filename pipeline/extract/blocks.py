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

from plait.pipeline.extract.completion import complete
from plait.pipeline.extract.features import features
from plait.pipeline.extract.frame import Floats, Frame, frame
from plait.pipeline.extract.segment import Layout
from plait.pipeline.extract.selection import (
    agree_among_siblings,
    choose_images,
    drop_repeats,
    expected_f1_set,
)
from plait.pipeline.extract.tokens import TokenModel
from plait.pipeline.extract.trees import Trees


class BlockModel:
    """Token weights and trees."""

    def __init__(self, tokens: TokenModel, trees: Trees) -> None:
        self.tokens = tokens
        self.trees = trees

    @classmethod
    def load(cls, file: Path | IO[bytes]) -> BlockModel:
        """Read a model that ``benchmarks/train_blocks.py`` wrote; no pickles."""
        with np.load(file, allow_pickle=False) as data:
            return cls(
                TokenModel(data["tokens"].astype(np.float64)),
                Trees(data["feature"], data["threshold"], data["left"], data["right"], data["value"]),
            )

    def probabilities(self, layout: Layout, f: Frame, title: str | None) -> Floats:
        """Probability of each block to be main content."""
        return self.trees.predict(features(layout, f, self.tokens.score(layout), title))


@functools.cache
def shipped_model() -> BlockModel:
    """The package's own model, read once a process (about 0.1 s)."""
    with resources.files("plait.pipeline.extract").joinpath("blocks.npz").open("rb") as file:
        return BlockModel.load(file)


def choose(layout: Layout, title: str | None, model: BlockModel) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Flags of the blocks and of the pictures to keep; a page with text never loses all of it.

    Args:
        layout: a page with at least one block.
        title: the page's title, if it has one.
        model: the classifier.
    """
    f = frame(layout)
    p = agree_among_siblings(layout, model.probabilities(layout, f, title), f)
    keep = complete(layout, expected_f1_set(p, f.words), p, f)
    return drop_repeats(layout, keep, f.words), choose_images(layout, p, keep, f)
