"""Pictures to a CLIP model's pixels, as open_clip's own evaluation transform has them.

The fast path lets the JPEG decoder scale by its transform first. docs/clip.md has speed and distance of both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from plait.pipeline.decode import DecodeLimits, decode

U8: TypeAlias = npt.NDArray[np.uint8]
Triple: TypeAlias = tuple[float, float, float]

GAP = 2.0
"""A JPEG is scaled by its decoder to no less than this many times the side that is wanted (Pillow's own
``reducing_gap`` of thumbnails); at 1.0 it would be faster and farther from the reference."""
_OPENAI_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
_OPENAI_STD: Triple = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preprocess:
    """How pixels are made.

    Attributes:
        size: height and width.
        mode: "shortest" cuts the middle out, "longest" pads, "squash" stretches.
        filter: of the resize.
        fill: grey that pads.
        mean: subtracted from channels in 0 to 1, on the device.
        std: divided by then.
    """

    size: tuple[int, int]
    mode: str = "shortest"
    filter: Image.Resampling = Image.Resampling.BICUBIC
    fill: int = 0
    mean: Triple = _OPENAI_MEAN
    std: Triple = _OPENAI_STD

    @classmethod
    def of(cls, config: Mapping[str, object]) -> Preprocess:
        """From what an open_clip model says of itself (`open_clip.get_model_preprocess_cfg`)."""
        size = config["size"]
        pair = (size, size) if isinstance(size, int) else tuple(size)  # type: ignore[arg-type]
        bilinear = config.get("interpolation") == "bilinear"
        return cls(
            (int(pair[0]), int(pair[1])),
            str(config.get("resize_mode") or "shortest"),
            Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC,
            int(config.get("fill_color") or 0),  # type: ignore[call-overload]
            _triple(config.get("mean"), _OPENAI_MEAN),
            _triple(config.get("std"), _OPENAI_STD),
        )

    def pixels(self, data: bytes, limits: DecodeLimits | None = None, *, fast: bool = True) -> U8:
        """A picture's pixels, (height, width, 3).

        Args:
            data: the encoded picture.
            limits: of decoding.
            fast: JPEGs are scaled while they are decoded.

        Raises:
            RecordError: as `plait.pipeline.decode.decode`.
        """
        least = round(GAP * max(self.size)) if fast else None
        return self.of_image(decode(data, limits, least=least))

    def of_image(self, image: Image.Image) -> U8:
        """Pixels of an RGB picture."""
        height, width = self.size
        if self.mode == "squash":
            return np.asarray(image.resize((width, height), self.filter))
        ratios = (image.width / width, image.height / height)
        if self.mode == "longest":
            ratio = max(ratios)
            scaled = image.resize((round(image.width / ratio), round(image.height / ratio)), self.filter)
            return self._padded(scaled)
        if height == width:  # torchvision's: the longer side is cut to a whole number, not rounded
            short, long = sorted(image.size)
            other = max(width, int(width * long / short))
            target = (width, other) if image.width <= image.height else (other, width)
        else:
            ratio = min(ratios)
            target = (round(image.width / ratio), round(image.height / ratio))
        scaled = image.resize(target, self.filter)
        left, top = round((scaled.width - width) / 2), round((scaled.height - height) / 2)
        return np.asarray(scaled.crop((left, top, left + width, top + height)))

    def _padded(self, image: Image.Image) -> U8:
        height, width = self.size
        page = Image.new("RGB", (width, height), (self.fill,) * 3)
        page.paste(image, (math.floor((width - image.width) / 2), math.floor((height - image.height) / 2)))
        return np.asarray(page)


def _triple(value: object, otherwise: Triple) -> Triple:
    if isinstance(value, (list, tuple)) and len(value) == 3:
        return (float(value[0]), float(value[1]), float(value[2]))
    return otherwise
