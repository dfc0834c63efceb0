"""Pillow's Lanczos resize of an 8-bit grey picture to a few pixels, bit for bit, at about a third of the cost.

Pillow resizes rows, then columns (since version 13 the other way round for tall pictures, where that is cheaper); each
pixel is a sum of integer weights (22 fractional bits) times bytes, rounded and clipped to a byte. Such sums are exact
in doubles in any order (below 2^31 of 2^53), so a matrix product gives the same bytes as Pillow's loops and uses the
processor's vector units.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]

_BITS = 22  # PRECISION_BITS of Pillow's Resample.c: 32 less 8 of a byte and 2 to spare
_LOBES = 3.0
_GROUP = 8  # outputs computed together: their windows overlap, and a window is 6 outputs wide
# OpenBLAS starts threads for products of more multiplications than this; with a worker a core they only get in the way.
_SINGLE_THREADED = 262_144


@dataclass(frozen=True)
class _Band:
    """Weights of some neighbouring outputs: input pixels ``low:high`` times a (high - low, outputs) matrix."""

    low: int
    high: int
    first: int
    weights: F64


def _filter(x: float) -> float:
    if not -_LOBES <= x < _LOBES:
        return 0.0
    if x == 0.0:
        return 1.0
    angle = math.pi * x
    third = angle / _LOBES
    return math.sin(angle) / angle * (math.sin(third) / third)


def _window(place: int, size: int, outputs: int) -> tuple[int, list[int]]:
    """First input pixel of an output, and the integer weights from there."""
    scale = size / outputs
    spread = max(scale, 1.0)
    center, support = (place + 0.5) * scale, _LOBES * spread
    low, high = max(0, int(center - support + 0.5)), min(size, int(center + support + 0.5))
    raw = [_filter((pixel - center + 0.5) / spread) for pixel in range(low, high)]
    total = sum(raw)
    share = [weight / total if total else weight for weight in raw]
    return low, [int(weight * (1 << _BITS) + math.copysign(0.5, weight)) for weight in share]


@functools.lru_cache(maxsize=64)
def _bands(size: int, outputs: int) -> tuple[_Band, ...]:
    """All weights for resizing ``size`` pixels to ``outputs``; sizes repeat, so the last few are kept."""
    windows = [_window(place, size, outputs) for place in range(outputs)]
    bands = []
    for first in range(0, outputs, _GROUP):
        group = windows[first : first + _GROUP]
        low, high = group[0][0], max(start + len(weights) for start, weights in group)
        table = np.zeros((high - low, len(group)))
        for column, (start, weights) in enumerate(group):
            table[start - low : start - low + len(weights), column] = weights
        bands.append(_Band(low, high, first, table))
    return tuple(bands)


def _resized_rows(pixels: U8, outputs: int) -> U8:
    """Each row of ``pixels`` resized to ``outputs`` pixels."""
    rows, size = pixels.shape
    if size == outputs:
        return pixels
    bands = _bands(size, outputs)
    largest = max(band.weights.size for band in bands)
    step = max(1, _SINGLE_THREADED // largest)
    out = np.empty((rows, outputs), dtype=np.uint8)
    sums = np.empty((min(step, rows), outputs))
    for top in range(0, rows, step):
        part = pixels[top : top + step].astype(np.float64)
        into = sums[: len(part)]
        for band in bands:
            stop = band.first + band.weights.shape[1]
            into[:, band.first : stop] = part[:, band.low : band.high] @ band.weights
        into += 1 << (_BITS - 1)
        into *= 2.0**-_BITS
        np.floor(into, out=into)
        out[top : top + step] = np.clip(into, 0, 255, out=into)
    return out


def rows_first(width: int, height: int) -> bool:
    """Whether every Pillow resizes rows first when it makes a picture of this size as small as a hash's square.

    Pillow 13 takes columns first from a height of 1.74 widths on (measured, pictures of 64 to 1,200 pixels a side).
    """
    return min(width, height) >= 64 and 2 * height <= 3 * width


def resize_grey(pixels: U8, width: int, height: int) -> U8:
    """A grey picture of shape (rows, columns) as (height, width), equal to Pillow's ``resize(…, LANCZOS)``.

    Equal where Pillow resizes rows first (`rows_first`). Memory: 8 bytes for each pixel of some tens of rows.
    """
    across = _resized_rows(pixels, width)
    return np.ascontiguousarray(_resized_rows(np.ascontiguousarray(across.T), height).T)
