"""Pictures to a CLIP model's pixels, as open_clip's own evaluation transform has them.

The fast path lets the JPEG decoder scale by its transform first, and resizes with torch's vector instructions where
open_clip's transform resizes with Pillow: the same filter in fixed point, at most 2 of 255 apart on noise. docs/clip.md
has speed and distance of both.
"""

from __future__ import annotations

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
LONG = 4
"""Of pictures that are longer than this many times their width, only the middle is resized: the whole of a line of
65,535 pixels would be 10 GB."""
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
            fast: JPEGs are scaled while they are decoded, and torch resizes.

        Raises:
            RecordError: as `plait.pipeline.decode.decode`.
        """
        least = round(GAP * max(self.size)) if fast else None
        return self.of_image(decode(data, limits, least=least), fast=fast)

    def of_image(self, image: Image.Image, *, fast: bool = True) -> U8:
        """Pixels of an RGB picture."""
        height, width = self.size
        resize = self._by_torch if fast else self._by_pillow
        if self.mode == "squash":
            return resize(image, (width, height))
        ratios = (image.width / width, image.height / height)
        if self.mode == "longest":
            ratio = max(ratios)
            scaled = (max(1, round(image.width / ratio)), max(1, round(image.height / ratio)))
            return self._padded(resize(image, scaled))
        if height == width:  # torchvision's: the longer side is cut to a whole number, not rounded
            short, long = sorted(image.size)
            other = max(width, int(width * long / short))
            target = (width, other) if image.width <= image.height else (other, width)
        else:
            ratio = min(ratios)
            target = (round(image.width / ratio), round(image.height / ratio))
        left, top = round((target[0] - width) / 2), round((target[1] - height) / 2)
        if max(target) <= LONG * min(target):
            return resize(image, target)[top : top + height, left : left + width]
        wide, high = image.width / target[0], image.height / target[1]
        box = (left * wide, top * high, (left + width) * wide, (top + height) * high)
        return np.asarray(image.resize((width, height), self.filter, box=box))  # only what is left of the cut

    def _by_pillow(self, image: Image.Image, size: tuple[int, int]) -> U8:
        return np.asarray(image.resize(size, self.filter))

    def _by_torch(self, image: Image.Image, size: tuple[int, int]) -> U8:
        import torch

        given = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]  # as it lies in memory: channels last
        mode = "bilinear" if self.filter == Image.Resampling.BILINEAR else "bicubic"
        scaled = torch.nn.functional.interpolate(given, size[::-1], mode=mode, antialias=True)
        found: U8 = scaled[0].permute(1, 2, 0).numpy()
        return found

    def _padded(self, scaled: U8) -> U8:
        height, width = self.size
        page = np.full((height, width, 3), self.fill, np.uint8)
        top, left = (height - scaled.shape[0]) // 2, (width - scaled.shape[1]) // 2
        page[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
        return page


def _triple(value: object, otherwise: Triple) -> Triple:
    if isinstance(value, (list, tuple)) and len(value) == 3:
        return (float(value[0]), float(value[1]), float(value[2]))
    return otherwise
