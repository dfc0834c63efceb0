"""Pictures as the report carries them: small WebP files in data URIs."""

from __future__ import annotations

import base64
import io
from typing import Final

from plait.explorer.safety import unsafe
from plait.loader import Picture

THUMBNAIL: Final = (192, 128)  # pixels
SMALL: Final = (112, 84)  # pixels, of contact sheets and examples
MAX_PIXELS: Final = 40_000_000  # as recipes' own limit; larger pictures are not decoded for a thumbnail
_QUALITY: Final = 65
HIDDEN: Final = "hidden"  # stands where a picture may not be shown


def thumbnail_of(data: bytes | memoryview, size: tuple[int, int] = SMALL) -> str:
    """A small WebP of an encoded picture as a data URI; "" where it cannot be decoded."""
    from PIL import Image, ImageOps

    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            return ""
        image.draft("RGB", (2 * size[0], 2 * size[1]))
        image.load()
        image = ImageOps.exif_transpose(image)
        image.thumbnail(size, Image.Resampling.BILINEAR)
        file = io.BytesIO()
        transparent = "transparency" in image.info or image.mode in ("LA", "RGBA", "P")
        image.convert("RGBA" if transparent else "RGB").save(file, "webp", quality=_QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def thumbnail(picture: Picture, size: tuple[int, int] = THUMBNAIL) -> str:
    """A picture of a corpus as a data URI; `HIDDEN` where it may not be shown, "" where there is nothing to show."""
    if picture.data is None:
        return ""
    return HIDDEN if unsafe(picture.info) else thumbnail_of(picture.data, size)
