"""Gradient-boosted trees in numpy: all blocks of a page against all trees at once.

QuickScorer (Lucchese et al., SIGIR 2015): every split that a row fails (its value is above the threshold) rules out the
leaves of its left subtree. With a bit a leaf, the splits of one feature that a value fails are one AND-ed mask a tree,
looked up by the value's rank among the feature's thresholds; the lowest bit left over is the row's leaf.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEAVES = 32  # most leaves a tree may have: bits of a mask


class Trees:
    """A boosted model: sum of the trees' leaf values, through the logistic function."""

    def __init__(
        self,
        feature: npt.NDArray[np.integer],
        threshold: npt.NDArray[np.floating],
        left: npt.NDArray[np.integer],
        right: npt.NDArray[np.integer],
        value: npt.NDArray[np.floating],
    ) -> None:
        """Build the lookup tables of a model.

        Args:
            feature: shape (trees, LEAVES - 1): feature of each split, -1 where a tree has fewer.
            threshold: same shape: rows with a value above go right.
            left: same shape: child; a leaf ``i`` is ``-1 - i``, leaves numbered from left to right.
            right: as ``left``.
            value: shape (trees, LEAVES): leaf values, the prior in the first tree's.
        """
        trees = feature.shape[0]
        self._value = np.ascontiguousarray(value, np.float64).ravel()
        self._offset = np.arange(trees, dtype=np.int32) * LEAVES
        mask = _left_masks(left, right, feature >= 0)
        self._columns: list[tuple[int, npt.NDArray[np.float64], npt.NDArray[np.uint32]]] = []
        for f in np.unique(feature[feature >= 0]):
            tree, node = np.nonzero(feature == f)
            at = threshold[tree, node].astype(np.float64)
            levels = np.unique(at)
            table = np.full((len(levels) + 1, trees), 0xFFFFFFFF, np.uint32)
            rank = np.searchsorted(levels, at)
            for t, n, r in zip(tree, node, rank, strict=True):
                table[r + 1 :, t] &= mask[t, n]
            self._columns.append((int(f), levels, table))
        self._trees = trees

    def odds(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Log odds, one a row of shape (rows, features)."""
        count = rows.shape[0]
        alive = np.full((count, self._trees), 0xFFFFFFFF, np.uint32)
        found = np.empty_like(alive)
        for f, levels, table in self._columns:
            rank = np.searchsorted(levels, rows[:, f].astype(np.float64), side="left")
            np.take(table, rank, axis=0, out=found, mode="clip")
            alive &= found
        np.bitwise_and(alive, (~alive) + np.uint32(1), out=alive)
        leaf = (alive.astype(np.float32).view(np.int32) >> 23) - 127
        leaf += self._offset
        return np.asarray(self._value[leaf].sum(axis=1), np.float64)


def _left_masks(
    left: npt.NDArray[np.integer], right: npt.NDArray[np.integer], used: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint32]:
    """For each split the mask that rules out the leaves of its left subtree."""
    masks = np.full(left.shape, 0xFFFFFFFF, np.uint32)
    for t in range(left.shape[0]):
        if not used[t].any():
            continue
        leaves: dict[int, int] = {}

        def collect(node: int, t: int = t, leaves: dict[int, int] = leaves) -> int:
            if node < 0:
                return 1 << (-1 - node)
            below = collect(int(left[t, node]))
            leaves[node] = below
            return below | collect(int(right[t, node]))

        collect(0)
        for node, bits in leaves.items():
            masks[t, node] = np.uint32(0xFFFFFFFF & ~bits)
    return masks
