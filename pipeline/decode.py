"""Picture bytes to a verdict and pixels, under limits that give the same answer on every machine.

`inspect_image` reads headers only; `open_image` decodes the first frame as it is stored; `decode` gives upright sRGB.
What is wrong with the bytes is a `RecordError`; a decoder that hangs or crashes is the end of the process it runs in,
and the engine's business.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, ImageFile, UnidentifiedImageError

from plait.pipeline.colour import to_rgb
from plait.pipeline.picture_headers import (
    FORMATS,
    MAX_SCANS,
    gif_frames,
    jpeg_scans,
    sniff,
    tiff_pages,
    webp_size,
)
from plait.schemas.errors import RecordError

_ORIENTATION = 0x0112  # EXIF tag
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF tags
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class DecodeLimits:
    """What a picture may cost; part of the recipe.

    Attributes:
        bytes: of the encoded picture.
        pixels: of a frame, width times height; at most Pillow's own bound, 178,956,970. Measured at 40 M: scoring peaks
            at 0.70 GB (WebP), decoding at 0.83 GB (AVIF with alpha), both growing with the number.
        side: pixels of a frame's longer side. Resizing a picture of one pixel's width holds 32 bytes a row.
        frames: of an animation or pages of a TIFF; only the first is decoded, the others are counted.
        formats: names from `FORMATS` that are taken.
    """

    bytes: int = 32 << 20
    pixels: int = 40_000_000
    side: int = 65_535
    frames: int = 2_000
    formats: tuple[str, ...] = FORMATS


@dataclass(frozen=True)
class ImageInfo:
    """What a picture's headers say.

    Attributes:
        format: one of `FORMATS`.
        width: pixels, as shown: EXIF orientation applied.
        height: the same.
        frames: frames of an animation, pages of a TIFF, else 1.
        orientation: EXIF orientation still to be applied to the stored pixels, 1 to 8.
        mode: Pillow's name of the pixels' type.
    """

    format: str
    width: int
    height: int
    frames: int
    orientation: int
    mode: str


_PILLOW_LOG = logging.getLogger("PIL")
_PILLOW_LOG.addHandler(logging.NullHandler())  # else Python prints errors that no one handles


@contextmanager
def as_record_error(kind: str) -> Iterator[None]:
    """Anything that a decoder raises is the picture's fault, and nothing is printed.

    Decoders raise a dozen types on damaged bytes (struct.error, ValueError, SyntaxError, KeyError, zlib.error…), so all
    are taken: with `DecodeLimits` checked first, a MemoryError too is a header that lies.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library may have set it, and half a picture is no picture
    spoke, _PILLOW_LOG.propagate = _PILLOW_LOG.propagate, False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except RecordError:
            raise
        except UnidentifiedImageError as error:  # its text holds a memory address
            raise RecordError("image_undecodable", f"{kind}: the header cannot be read") from error
        except Image.DecompressionBombError as error:
            raise RecordError("image_too_many_pixels", str(error)) from error
        except Exception as error:
            raise RecordError("image_undecodable", f"{kind}: {type(error).__name__}: {error}"[:300]) from error
        finally:
            _PILLOW_LOG.propagate = spoke


@contextmanager
def _silent(kind: str) -> Iterator[None]:
    """Standard error closed while libtiff works: it writes a line for every damaged tag, past Python.

    The file descriptor is the whole process': what other threads write in that time is lost, so only TIFFs pay.
    """
    if kind != "tiff":
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _check_pixels(width: int, height: int, limits: DecodeLimits) -> None:
    if width < 1 or height < 1:
        raise RecordError("image_undecodable", f"a picture of {width} x {height} pixels")
    if max(width, height) > limits.side:
        raise RecordError(
            "image_too_many_pixels",
            f"{width} x {height}",
            value=float(max(width, height)),
            threshold=float(limits.side),
        )
    if width * height > limits.pixels:
        raise RecordError(
            "image_too_many_pixels", f"{width} x {height}", value=float(width * height), threshold=float(limits.pixels)
        )


def _check_frames(frames: int, limits: DecodeLimits) -> None:
    if frames > limits.frames:
        raise RecordError("image_too_many_frames", value=float(frames), threshold=float(limits.frames))


def _orientation(image: Image.Image, kind: str) -> int:
    """EXIF orientation that Pillow leaves to us: 1 for TIFF, which it turns itself, and where the tag is damaged."""
    if kind == "tiff":
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block spoils no picture, and it raises as many types as decoders do
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _open(data: bytes, limits: DecodeLimits) -> tuple[Image.Image, ImageInfo]:
    """Headers read and checked; no pixel decoded."""
    if not data:
        raise RecordError("image_undecodable", "no bytes")
    if len(data) > limits.bytes:
        raise RecordError("image_too_large", value=float(len(data)), threshold=float(limits.bytes))
    kind = sniff(data)
    if kind is None:
        raise RecordError("image_undecodable", "the bytes begin like no picture")
    if kind not in limits.formats or kind not in FORMATS:
        raise RecordError("image_unsupported", kind)
    if kind == "webp" and (size := webp_size(data)):
        _check_pixels(*size, limits)
    if kind == "gif":
        _check_frames(gif_frames(data, limits.frames), limits)
    if kind == "jpeg" and (scans := jpeg_scans(data)) > MAX_SCANS:
        raise RecordError("image_undecodable", f"{scans} scans", value=float(scans), threshold=float(MAX_SCANS))
    with as_record_error(kind):
        image = Image.open(io.BytesIO(data), formats=(kind.upper(),))
        _check_pixels(image.width, image.height, limits)
        frames = 1
        if kind == "gif":
            frames = max(1, gif_frames(data, limits.frames))
        elif kind == "tiff":
            tags = getattr(image, "tag_v2", {})
            _check_pixels(int(tags.get(_TILE_WIDTH, 1)), int(tags.get(_TILE_LENGTH, 1)), limits)
            frames = tiff_pages(data, limits.frames)
        elif kind != "jpeg":  # further pictures in a JPEG (MPO) are previews or depth maps
            frames = int(getattr(image, "n_frames", 1))
        _check_frames(frames, limits)
        turn = _orientation(image, kind)
        width, height = image.size if turn < 5 else image.size[::-1]
        return image, ImageInfo(kind, width, height, frames, turn, image.mode)


def inspect_image(data: bytes, limits: DecodeLimits | None = None) -> ImageInfo:
    """What the headers say; pixels may still prove undecodable.

    Raises:
        RecordError: image_too_large, image_unsupported, image_undecodable, image_too_many_pixels,
            image_too_many_frames.
    """
    return _open(data, limits or DecodeLimits())[1]


def open_image(
    data: bytes, limits: DecodeLimits | None = None, *, draft: tuple[int, int] | None = None, colour: bool = False
) -> tuple[Image.Image, ImageInfo]:
    """The first frame, decoded to the end, as Pillow opens it: stored orientation, stored mode.

    Args:
        data: the encoded picture.
        limits: what it may cost.
        draft: for JPEGs, let the decoder scale by its transform (1/2, 1/4, 1/8) to no less than this width and height,
            in grey; all bytes are still read. The info says the full size.
        colour: the draft keeps its colours.

    Raises:
        RecordError: as `inspect_image`; truncated pictures are image_undecodable.
    """
    image, info = _open(data, limits or DecodeLimits())
    with as_record_error(info.format), _silent(info.format):
        if draft is not None and info.format == "jpeg":
            image.draft(None if colour else "L", draft)
        image.load()
    return image, info


def decode(data: bytes, limits: DecodeLimits | None = None, *, least: int | None = None) -> Image.Image:
    """The picture as it is to be seen: first frame, upright, 8-bit RGB in sRGB, transparency over white.

    An embedded ICC profile is applied (relative colorimetric as the profile says; a damaged one is ignored); 16 and
    32-bit grey is scaled to 8; CMYK and YCCK follow their profile, else Pillow's plain conversion.

    Args:
        data: the encoded picture.
        limits: what it may cost.
        least: for JPEGs, the decoder may scale the picture to no less than this many pixels of its shorter side.

    Raises:
        RecordError: as `open_image`.
    """
    image, info = open_image(data, limits, draft=None if least is None else (least, least), colour=True)
    with as_record_error(info.format):
        plain = to_rgb(image)
        return plain.transpose(_UPRIGHT[info.orientation]) if info.orientation in _UPRIGHT else plain


__all__ = ["FORMATS", "DecodeLimits", "ImageInfo", "as_record_error", "decode", "inspect_image", "open_image", "sniff"]
