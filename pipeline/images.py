"""Score pictures: bytes of a pack in, one row of scores or a reason out."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from PIL import Image

from plait.dedup.phash import dhash_squares, fast_hash_squares, grey, hash_squares, phash_squares
from plait.pipeline.decode import DecodeLimits, as_record_error, open_image
from plait.schemas.conform import conform
from plait.schemas.errors import RecordError
from plait.schemas.ids import ID_BYTES
from plait.schemas.images import IMAGE_SCORES

SCORED = pa.schema(
    [
        pa.field("archive_id", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        *IMAGE_SCORES,
        pa.field("reason", pa.string()),  # null, or why there are no scores; then only id, sha256 and bytes are set
        pa.field("value", pa.float64()),  # what was measured, where a limit decided
        pa.field("threshold", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)

SHARPNESS_SIDE = 512  # pixels of the longer side at which sharpness is measured
_DRAFT = (64, 64)


def entropy(image: Image.Image) -> float:
    """Shannon entropy of a grey picture's 256-bin histogram, in bits: 0 for a blank picture, at most 8."""
    counts = np.asarray(image.histogram(), dtype=np.float64)
    share = counts[counts > 0] / counts.sum()
    return float(max(0.0, -(share * np.log2(share)).sum()))


def sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian of a grey picture (Pech-Pacheco et al. 2000), 0 upwards; under about 100 looks blurred.

    Measured after whole-number box reduction to at most 1,023 and at least 512 pixels on the longer side (smaller
    pictures as they are), so that sizes compare. NaN under 3 pixels a side.
    """
    factor = max(image.size) // SHARPNESS_SIDE
    if factor > 1:
        image = image.reduce(factor)
    if min(image.size) < 3:
        return float("nan")
    pixels = np.asarray(image).astype(np.int16)
    inner = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:] - 4 * pixels[1:-1, 1:-1]
    # Sums of integers, so that the order of summation cannot change the last bit.
    count, total = inner.size, int(inner.sum(dtype=np.int64))
    squares = int((inner.astype(np.int32) ** 2).sum(dtype=np.int64))
    return squares / count - (total / count) ** 2


def score_image(data: bytes, limits: DecodeLimits | None = None, *, fast: bool = False) -> dict[str, object]:
    """The columns of `IMAGE_SCORES` for one picture.

    Args:
        data: the picture's bytes.
        limits: of decoding.
        fast: hashes, entropy and sharpness from a JPEG decoded at a fraction of its size: the hashes are then no longer
            equal to imagehash's (benchmarks/images.py has speed and distance). Part of the recipe.

    Raises:
        RecordError: as `plait.pipeline.decode.open_image`.
    """
    image, info = open_image(data, limits, draft=_DRAFT if fast else None)
    with as_record_error(info.format):
        plain = grey(image)
    large, small = fast_hash_squares(plain) if fast else hash_squares(plain)
    return _identity(data) | {
        "format": info.format,
        "width": info.width,
        "height": info.height,
        "phash": int(phash_squares(large[None])[0]),
        "dhash": int(dhash_squares(small[None])[0]),
        "frames": info.frames,
        "entropy": entropy(plain),
        "sharpness": sharpness(plain),
    }


def _identity(data: bytes) -> dict[str, object]:
    digest = hashlib.sha256(data).digest()
    return {"image_id": digest[:ID_BYTES], "sha256": digest, "bytes": len(data)}


def score_images(batch: pa.RecordBatch, limits: DecodeLimits | None = None, *, fast: bool = False) -> pa.RecordBatch:
    """`SCORED`, a row for each row of the batch, in order; memory is one decoded picture.

    Args:
        batch: archive_id, offset, data (binary; null counts as no bytes), further columns ignored.
        limits: of decoding.
        fast: as `score_image`.
    """
    rows: list[dict[str, object]] = []
    for value in batch.column("data"):
        data = value.as_py() or b""
        try:
            rows.append(score_image(data, limits, fast=fast))
        except RecordError as error:
            verdict = {"reason": error.reason, "detail": error.detail}
            rows.append(_identity(data) | verdict | {"value": error.value, "threshold": error.threshold})
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in list(SCORED)[2:]]
    columns = [batch.column("archive_id"), batch.column("offset"), *columns]
    return conform(pa.RecordBatch.from_arrays(columns, names=SCORED.names), SCORED)
