"""pHash and dHash, bit-equal to imagehash's, two for the price of one grey picture.

imagehash defines both on the picture as Pillow opens it: stored orientation, ``convert("L")``, Lanczos resize. So do
we; turning a picture by its EXIF tag changes its hash, as it does there. 64 bits, row by row, the first bit highest, as
a signed 64-bit integer: ``int(str(imagehash.phash(im)), 16)`` is the same number modulo 2^64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from plait.dedup.lanczos import resize_grey, rows_first

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

SIDE = 8  # bits along a side of either hash
PHASH_SIDE = 32  # of the grey picture whose transform is taken

_REDUCED_SIDE = 64  # fast path: least side after the decoder's and the box filter's reduction


def grey(image: Image.Image) -> Image.Image:
    """The picture in 8-bit grey as imagehash takes it; through RGB where Pillow has no direct way (LAB, HSV)."""
    if image.mode == "L":
        return image
    try:
        return image.convert("L")
    except ValueError:
        return image.convert("RGB").convert("L")


def hash_squares(image: Image.Image) -> tuple[U8, U8]:
    """The two small grey pictures that the hashes are made of: (32, 32) for pHash and (8, 9) for dHash."""
    plain = grey(image)
    if rows_first(*plain.size):
        pixels = np.asarray(plain)
        return resize_grey(pixels, PHASH_SIDE, PHASH_SIDE), resize_grey(pixels, SIDE + 1, SIDE)
    return _square(plain, PHASH_SIDE, PHASH_SIDE), _square(plain, SIDE + 1, SIDE)


def _square(image: Image.Image, width: int, height: int) -> U8:
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def fast_hash_squares(image: Image.Image) -> tuple[U8, U8]:
    """`hash_squares` by a cheaper reduction: a box filter to about 64 pixels a side before Lanczos.

    Not bit-equal: benchmarks/images.py reports the distance. For a JPEG call ``image.draft("L", (64, 64))`` before it
    is loaded, so that the decoder itself scales by its transform.
    """
    factor = max(1, min(image.width, image.height) // _REDUCED_SIDE)
    plain = grey(image)
    if factor > 1:
        plain = plain.reduce(factor)
    return _square(plain, PHASH_SIDE, PHASH_SIDE), _square(plain, SIDE + 1, SIDE)


def _pack(bits: npt.NDArray[np.bool_]) -> I64:
    """(n, 8, 8) bits to n signed integers, first bit highest."""
    packed = np.packbits(bits.reshape(len(bits), 64), axis=1)
    return packed.view(">i8").astype(np.int64).reshape(len(bits))


def phash_squares(squares: U8) -> I64:
    """Hashes (pHash) of grey squares of shape (n, 32, 32).

    A bit is set where a coefficient of the 8 x 8 lowest of the two-dimensional DCT is above their median. Flat and
    symmetric pictures have coefficients of exactly 0, so the transform must round as imagehash's: it is the same one.
    """
    import scipy.fftpack

    rows = scipy.fftpack.dct(np.asarray(squares, dtype=np.float64), axis=1)
    low = np.ascontiguousarray(scipy.fftpack.dct(rows[:, :SIDE, :], axis=2)[:, :, :SIDE])
    median = np.median(low.reshape(len(low), SIDE * SIDE), axis=1)
    return _pack(low > median[:, None, None])


def dhash_squares(squares: U8) -> I64:
    """Hashes (dHash) of grey pictures (n, 8, 9): a bit is set where a pixel is brighter than its left neighbour."""
    return _pack(squares[:, :, 1:] > squares[:, :, :-1])


def phash(image: Image.Image) -> int:
    """The pHash of one picture, equal to ``imagehash.phash``; the picture must be loaded or loadable."""
    return int(phash_squares(hash_squares(image)[0][None])[0])


def dhash(image: Image.Image) -> int:
    """The dHash of one picture, equal to ``imagehash.dhash``."""
    return int(dhash_squares(hash_squares(image)[1][None])[0])


def hashes(images: Sequence[Image.Image], *, fast: bool = False) -> tuple[I64, I64]:
    """Both hashes of each picture."""
    if not images:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    pairs = [fast_hash_squares(image) if fast else hash_squares(image) for image in images]
    return phash_squares(np.stack([p for p, _ in pairs])), dhash_squares(np.stack([d for _, d in pairs]))


def distance(left: I64, right: I64) -> I64:
    """Number of differing bits, element by element (broadcasting)."""
    # bitwise_count takes the magnitude of a signed number, so the sign bit needs an unsigned view.
    both = np.asarray(np.bitwise_xor(left, right), dtype=np.int64)
    return np.asarray(np.bitwise_count(both.view(np.uint64)), dtype=np.int64)
