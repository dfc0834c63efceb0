"""The second half of the default extractor: a small network that sees a page's blocks together.

Trees judge a block at a time; the network lets blocks see their neighbours, those that came from the same template,
those in the same container and the whole page, so that the cards of a list or the posts of a thread are decided as one.

Every value between two steps is a multiple of 2⁻¹² and every sum of products is below 2⁵³ of its units, so float64
arithmetic is exact: the result does not depend on the order in which a machine's linear algebra adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract.frame import Floats, Frame, Ints
from plait.pipeline.extract.segment import Layout

UNIT = 4096.0  # values are kept in units of 1/4096
WIDTH = 64  # hidden values a block; a power of two, so that a mean over them is exact
LAYERS = 4  # layer k sees blocks 2**k away
LARGEST = 128.0  # of a hidden value
FEATURE_BOUND = 5.0  # standard deviations
_PIECE = 32  # rows: 32 x 127 x 64 products are below the 4 * 65536 from which OpenBLAS starts threads
_TINY = 1e-5


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that share a number, ready for sums: their order by number, where each number starts, how many it has."""

    number: Ints
    order: Ints
    starts: Ints
    count: Floats

    @classmethod
    def of(cls, labels: Ints) -> Group:
        """Rows with equal labels are one group.

        Args:
            labels: at least one, of any range.
        """
        _, number, count = np.unique(labels, return_inverse=True, return_counts=True)
        starts = np.concatenate(([0], np.cumsum(count)[:-1]))
        return cls(number, np.argsort(number, kind="stable"), starts, count.astype(np.float64)[:, None])

    def means(self, rows: Floats) -> Floats:
        """Mean of each group's rows, shape (groups, columns)."""
        return _grid(np.add.reduceat(rows[self.order], self.starts, axis=0) / self.count)


def block_groups(layout: Layout, f: Frame) -> list[Ints]:
    """Labels of the blocks that belong together, closest first: same template, same parent, two containers, page."""
    parent = f.parent[np.array(layout.b_element, np.int64)]
    return [f.signature, parent, f.containers[1], f.containers[2], np.zeros(len(parent), np.int64)]


def logs(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Logarithms of the values' sizes with the values' signs, 0 for 0: what the network takes of the features."""
    return np.asarray(np.copysign(np.log1p(np.abs(values)), values))


class Network:
    """Weights, as `benchmarks/train_network.py` writes them."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        self._mean = np.asarray(arrays["mean"], np.float64)
        self._scale = np.asarray(arrays["scale"], np.float64)
        self._weights = {
            name: np.asarray(array, np.float64) / UNIT
            for name, array in arrays.items()
            if name not in ("mean", "scale")
        }

    def odds(self, features: npt.NDArray[np.float32], groups: Sequence[Group]) -> Floats:
        """Log odds, one a row of shape (rows, features).

        Args:
            features: shape (blocks, features).
            groups: of the blocks, as `block_groups` gives them.
        """
        w = self._weights
        x = _standard(features, self._mean, self._scale)
        h = self._norm(np.maximum(_product(x, w["in"]) + w["in_bias"], 0.0), "first")
        for k in range(LAYERS):
            step = 1 << k
            own, earlier, later = (_product(h, part) for part in np.split(w[f"near_{k}"], 3, axis=1))
            z = own + w[f"bias_{k}"]
            z[step:] += earlier[:-step]
            z[:-step] += later[step:]
            for group, weights in zip(groups, np.split(w[f"group_{k}"], len(groups)), strict=True):
                z += _product(group.means(h), weights)[group.number]
            h = self._norm(h + np.maximum(z, 0.0), f"layer_{k}")
        return np.asarray((h @ w["out"] + w["out_bias"])[:, 0])

    def _norm(self, rows: Floats, name: str) -> Floats:
        """Rows less their mean over their standard deviation, scaled and shifted."""
        rows = _grid(np.minimum(rows, LARGEST))
        mean = rows.mean(axis=1, keepdims=True)
        variance = np.maximum((rows * rows).mean(axis=1, keepdims=True) - mean * mean, 0.0)
        scaled = (rows - mean) / np.sqrt(variance + _TINY)
        return _grid(scaled * self._weights[f"{name}_gain"] + self._weights[f"{name}_shift"])


def _product(rows: Floats, weights: Floats) -> Floats:
    """Matrix product in pieces so small that linear algebra starts no threads for them.

    On a page's few hundred rows those cost five times the CPU of the product, and wait for each other.
    """
    count, inner = rows.shape
    padded = np.zeros((-(-count // _PIECE) * _PIECE, inner))
    padded[:count] = rows
    product = padded.reshape(-1, _PIECE, inner) @ weights
    return np.asarray(product.reshape(len(padded), -1)[:count])


def _grid(values: Floats) -> Floats:
    """Values to the nearest multiple of 1/UNIT."""
    return np.asarray(np.rint(values * UNIT) * (1.0 / UNIT))


def _standard(values: npt.NDArray[np.float32], mean: Floats, scale: Floats) -> Floats:
    """Logarithms of the values' sizes, standardised and bounded."""
    return _grid(np.clip((logs(values.astype(np.float64)) - mean) / scale, -FEATURE_BOUND, FEATURE_BOUND))
