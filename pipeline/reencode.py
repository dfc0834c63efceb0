"""Policy for stored bytes: keep a picture as it came, or make it smaller and encode it again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from plait.pipeline.decode import DecodeLimits, as_record_error, decode, inspect_image
from plait.schemas.errors import ConfigError

FORMATS = ("jpeg", "webp", "png")


@dataclass(frozen=True)
class Reencode:
    """Encode again, upright sRGB over white, with no metadata; part of the recipe.

    Attributes:
        longest_side: pixels; larger pictures are reduced by Lanczos to it, smaller ones keep their size. None reduces
            nothing.
        format: jpeg and webp lose detail by ``quality``; png loses none.
        quality: 1 to 100.
        always: encode again even what is already of this format, small enough, of one frame and upright; else such
            pictures keep their bytes.
    """

    longest_side: int | None = None
    format: Literal["jpeg", "webp", "png"] = "jpeg"
    quality: int = 90
    always: bool = False

    def __post_init__(self) -> None:
        if self.longest_side is not None and self.longest_side < 1:
            raise ConfigError("re-encoding: longest_side must be at least 1 pixel, or left out")
        if not 1 <= self.quality <= 100:
            raise ConfigError("re-encoding: quality must be 1 to 100")


def reencode(data: bytes, policy: Reencode | None, limits: DecodeLimits | None = None) -> bytes:
    """The bytes to store for a picture; the same bytes for the same input and library versions.

    Args:
        data: as acquired; `image_id`, hashes and scores stay those of these bytes.
        policy: None keeps the original, which is the default of every recipe.
        limits: of decoding.

    Raises:
        RecordError: as `plait.pipeline.decode.decode`.
    """
    if policy is None:
        return data
    info = inspect_image(data, limits)
    side = max(info.width, info.height)
    fits = policy.longest_side is None or side <= policy.longest_side
    if fits and not policy.always and info.format == policy.format and info.frames == 1 and info.orientation == 1:
        return data
    image = decode(data, limits)
    if policy.longest_side is not None and not fits:
        share = policy.longest_side / side
        size = max(1, round(image.width * share)), max(1, round(image.height * share))
        image = image.resize(size, Image.Resampling.LANCZOS)
    clean = Image.frombytes("RGB", image.size, image.tobytes())  # no ICC, EXIF or XMP goes along
    file = io.BytesIO()
    with as_record_error(policy.format):
        if policy.format == "png":
            clean.save(file, "PNG")
        else:
            clean.save(file, policy.format.upper(), quality=policy.quality)
    return file.getvalue()
