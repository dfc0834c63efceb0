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

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from plait.schemas.errors import RecordError

FORMATS = ("jpeg", "png", "webp", "gif", "avif", "bmp", "tiff")

_STRIP_PIXELS = 1 << 20
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
        frames: of an animation or pages of a TIFF; only the first is decoded, the others are counted.
        formats: names from `FORMATS` that are taken.
    """

    bytes: int = 32 << 20
    pixels: int = 40_000_000
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

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    # Pictures that browsers and collections have and that no recipe takes.
    (b"\0\0\1\0", "ico"),
    (b"\0\0\2\0", "cur"),
    (b"8BPS", "psd"),
    (b"\0\0\0\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL ", "jxl"),
    (b"DDS ", "dds"),
    (b"qoif", "qoi"),
    (b"\x01\xda", "sgi"),
    (b"icns", "icns"),
    (b"%!PS", "eps"),
    (b"%PDF", "pdf"),
    (b"SIMPLE  =", "fits"),
    (b"/* XPM", "xpm"),
    (b"P1", "pnm"),
    (b"P2", "pnm"),
    (b"P3", "pnm"),
    (b"P4", "pnm"),
    (b"P5", "pnm"),
    (b"P6", "pnm"),
    (b"P7", "pnm"),
    (b"PF", "pnm"),
    (b"Pf", "pnm"),
    (b"BLP", "blp"),
    (b"gimp xcf", "xcf"),
    (b"\xd7\xcd\xc6\x9a", "wmf"),
)


def sniff(data: bytes) -> str | None:
    """Format by the first bytes: one of `FORMATS`, the name of another picture format, or None for no picture."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        if b"avif" in brands or b"avis" in brands:
            return "avif"
        return "heif" if any(b in brands for b in (b"heic", b"heix", b"mif1", b"hevc")) else None
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "svg" if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start) else None


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
    if width * height > limits.pixels:
        raise RecordError(
            "image_too_many_pixels", f"{width} x {height}", value=float(width * height), threshold=float(limits.pixels)
        )


def _check_frames(frames: int, limits: DecodeLimits) -> None:
    if frames > limits.frames:
        raise RecordError("image_too_many_frames", value=float(frames), threshold=float(limits.frames))


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Canvas of a WebP: its decoder allocates it on opening, before Pillow tells the size."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _gif_frames(data: bytes, limit: int) -> int:
    """Frames of a GIF, counted in its block structure without decoding; stops at ``limit + 1`` or where it breaks."""

    def table(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    place = 13 + table(data[10]) if len(data) > 12 else len(data)
    frames = 0
    while place < len(data) and frames <= limit:
        kind = data[place]
        if kind == 0x2C and place + 9 < len(data):
            frames += 1
            place += 11 + table(data[place + 9])
        elif kind == 0x21:
            place += 2
        else:
            break
        while place < len(data) and data[place]:
            place += data[place] + 1
        place += 1
    return frames


def _tiff_pages(image: Image.Image, limit: int) -> int:
    """Pages of a TIFF up to ``limit + 1``; a broken directory ends the count."""
    pages = 1
    try:
        while pages <= limit:
            image.seek(pages)
            pages += 1
    except (EOFError, OSError, ValueError, SyntaxError, TypeError, KeyError, OverflowError):
        pass
    image.seek(0)
    return pages


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
    if kind == "webp" and (size := _webp_size(data)):
        _check_pixels(*size, limits)
    if kind == "gif":
        _check_frames(_gif_frames(data, limits.frames), limits)
    with as_record_error(kind):
        image = Image.open(io.BytesIO(data), formats=(kind.upper(),))
        _check_pixels(image.width, image.height, limits)
        frames = 1
        if kind == "gif":
            frames = max(1, _gif_frames(data, limits.frames))
        elif kind == "tiff":
            tags = getattr(image, "tag_v2", {})
            _check_pixels(int(tags.get(_TILE_WIDTH, 1)), int(tags.get(_TILE_LENGTH, 1)), limits)
            frames = _tiff_pages(image, limits.frames)
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
    data: bytes, limits: DecodeLimits | None = None, *, draft: tuple[int, int] | None = None
) -> tuple[Image.Image, ImageInfo]:
    """The first frame, decoded to the end, as Pillow opens it: stored orientation, stored mode.

    Args:
        data: the encoded picture.
        limits: what it may cost.
        draft: for JPEGs, let the decoder scale by its transform (1/2, 1/4, 1/8) to no less than this width and height,
            in grey; all bytes are still read. The info says the full size.

    Raises:
        RecordError: as `inspect_image`; truncated pictures are image_undecodable.
    """
    image, info = _open(data, limits or DecodeLimits())
    with as_record_error(info.format), _silent(info.format):
        if draft is not None and info.format == "jpeg":
            image.draft("L", draft)
        image.load()
    return image, info


def decode(data: bytes, limits: DecodeLimits | None = None) -> Image.Image:
    """The picture as it is to be seen: first frame, upright, 8-bit RGB in sRGB, transparency over white.

    An embedded ICC profile is applied (relative colorimetric as the profile says; a damaged one is ignored); 16 and
    32-bit grey is scaled to 8; CMYK and YCCK follow their profile, else Pillow's plain conversion.

    Raises:
        RecordError: as `open_image`.
    """
    image, info = open_image(data, limits)
    with as_record_error(info.format):
        plain = to_rgb(image)
        return plain.transpose(_UPRIGHT[info.orientation]) if info.orientation in _UPRIGHT else plain


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
