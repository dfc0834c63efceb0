"""Any picture that Pillow opens as 8-bit sRGB over white."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

_STRIP_PIXELS = 1 << 20


def to_rgb(image: Image.Image) -> Image.Image:
    """Any loaded picture as 8-bit sRGB over white; orientation untouched."""
    profile = image.info.get("icc_profile")
    if image.mode == "I" or image.mode == "F" or image.mode.startswith("I;16"):
        image = _to_grey8(image)
    elif image.mode == "1":
        image = image.convert("L")
    transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    if image.mode in ("P", "PA", "LA", "La", "RGBa"):
        image = image.convert("RGBA" if transparent else "RGB")
    elif transparent and image.mode in ("L", "RGB"):
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colour = image.convert("RGB") if image.mode == "RGBA" else image
    colour = _to_srgb(colour, profile)
    if alpha is None:
        return colour
    ground = Image.new("RGB", colour.size, (255, 255, 255))
    ground.paste(colour, mask=alpha)
    return ground


def _to_grey8(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits to 8.

    16-bit values give their high byte, and so do 32-bit integers up to 65,535; values that fit in 0 to 255 stay; others
    are scaled from [min(0, least), greatest] to [0, 255]. NaN and infinities are 0.
    """
    pixels = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((pixels.astype(np.uint16, copy=False) >> 8).astype(np.uint8))
    whole = image.mode == "I"
    strip = max(1, _STRIP_PIXELS // image.width)  # doubles of all pixels would be the largest buffer of all
    strips = [slice(top, top + strip) for top in range(0, image.height, strip)]
    low, high = 0.0, -np.inf
    for rows in strips:
        values = _finite(pixels[rows])
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    out = np.empty(pixels.shape, dtype=np.uint8)
    for rows in strips:
        values = _finite(pixels[rows])
        if low == 0.0 and 1.0 < high <= 255.0:
            out[rows] = values.astype(np.uint8)
        elif low == 0.0 and 255.0 < high <= 65535.0 and whole:
            out[rows] = values.astype(np.uint16) >> 8
        elif high > low:
            out[rows] = np.rint((values - low) * (255.0 / (high - low))).astype(np.uint8)
        else:
            out[rows] = 0
    return Image.fromarray(out)


def _finite(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, grey, CMYK or LAB to sRGB by the embedded profile where there is a sound one that is not sRGB itself."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if image.mode == "RGB" and "srgb" in (ImageCms.getProfileDescription(source) or "").lower():
                return image
            turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            turned = None
        if turned is not None:
            return turned
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB")) or image.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
