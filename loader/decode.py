"""Pictures to pixels: JPEG decoded at the scale that is needed, upright, RGB, by the fastest decoder that is there."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from plait.schemas.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""Height x width x 3, RGB."""

MAX_PIXELS: Final = 100_000_000  # as recipes' default limit of a picture
_JPEG: Final = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Resize:
    """What size pictures get.

    Attributes:
        side: pixels.
        how: "squash" to side x side; "crop" the middle of the picture scaled to cover side x side; "fit" within
            side x side, its shape kept, never enlarged.
    """

    side: int
    how: Literal["squash", "crop", "fit"] = "squash"

    def __post_init__(self) -> None:
        if self.side < 1:
            raise ConfigError(f"the side of pictures is {self.side}, it must be at least 1")
        if self.how not in ("squash", "crop", "fit"):
            raise ConfigError(f"pictures are resized by squash, crop or fit, not {self.how!r}")

    def box(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that a picture is scaled to (before a crop)."""
        if self.how == "squash":
            return self.side, self.side
        if self.how == "crop":
            scale = self.side / min(width, height)
            return max(self.side, round(width * scale)), max(self.side, round(height * scale))
        scale = min(1.0, self.side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def apply(self, data: bytes | memoryview) -> list[Pixels]:
        """The picture, decoded and resized, as one image."""
        return [decode(data, self)]

    def images(self, width: int, height: int) -> int:
        """Images that a picture of a size becomes: one."""
        return 1


@dataclass(frozen=True)
class Tiles:
    """InternVL's dynamic tiles: the grid of at most ``most`` tiles nearest to the picture's shape, and a thumbnail.

    Attributes:
        side: of a tile, in pixels (InternVL 1.5 and 2: 448).
        least: tiles at least.
        most: tiles at most (InternVL: 12).
        thumbnail: whether the whole picture is added where there is more than one tile.
    """

    side: int = 448
    least: int = 1
    most: int = 12
    thumbnail: bool = True

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows: the shape nearest to the picture's.

        Of equally near shapes the larger, if the picture has more than half its pixels (the rule of InternVL's
        ``find_closest_aspect_ratio``).
        """
        shapes = sorted(
            {
                (columns, rows)
                for number in range(self.least, self.most + 1)
                for columns in range(1, number + 1)
                for rows in range(1, number + 1)
                if self.least <= columns * rows <= self.most
            },
            key=lambda shape: (shape[0] * shape[1], shape),
        )
        ratio = width / height
        best, nearest = (1, 1), float("inf")
        for columns, rows in shapes:
            distance = abs(ratio - columns / rows)
            larger = width * height > 0.5 * self.side * self.side * columns * rows
            if distance < nearest or (distance == nearest and larger):
                best, nearest = (columns, rows), distance
        return best

    def images(self, width: int, height: int) -> int:
        """Images that a picture of a size becomes."""
        columns, rows = self.grid(width, height)
        return columns * rows + (self.thumbnail and columns * rows > 1)

    def apply(self, data: bytes | memoryview) -> list[Pixels]:
        """The picture's tiles, row by row, and its thumbnail last."""
        width, height = size(data)
        columns, rows = self.grid(width, height)
        whole = _resized(_pixels(data, columns * self.side, rows * self.side), columns * self.side, rows * self.side)
        side = self.side
        tiles = [
            np.ascontiguousarray(whole[row * side : (row + 1) * side, column * side : (column + 1) * side])
            for row in range(rows)
            for column in range(columns)
        ]
        if self.thumbnail and len(tiles) > 1:
            tiles.append(_resized(whole, side, side))
        return tiles


class Policy(Protocol):
    """How a picture becomes images: `Resize` or `Tiles`."""

    @property
    def side(self) -> int:
        """Pixels of an image's side."""

    def images(self, width: int, height: int) -> int:
        """Images that a picture of a size becomes."""

    def apply(self, data: bytes | memoryview) -> list[Pixels]:
        """The images."""


def decode(data: bytes | memoryview, resize: Resize | None = None) -> Pixels:
    """A picture's pixels, upright; scaled where ``resize`` is given.

    JPEG is decoded at the smallest of the eighths of its size that is not below what is asked for, then resized, which
    is what libjpeg's scaled inverse transform is for; everything else is decoded whole by Pillow.

    Raises:
        OSError: the bytes cannot be decoded, or are too many pixels.
    """
    if resize is None:
        return _pixels(data, 0, 0)
    if resize.how == "squash":
        return _resized(_pixels(data, resize.side, resize.side), resize.side, resize.side)
    width, height = resize.box(*size(data))
    pixels = _resized(_pixels(data, width, height), width, height)
    if resize.how == "crop":
        top, left = (height - resize.side) // 2, (width - resize.side) // 2
        pixels = np.ascontiguousarray(pixels[top : top + resize.side, left : left + resize.side])
    return pixels


def size(data: bytes | memoryview) -> tuple[int, int]:
    """Width and height of a picture as it is shown, from its header.

    Raises:
        OSError: the header cannot be read.
    """
    from PIL import Image

    with _broken_is_os_error(), Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    turned = bytes(data[:3]) == _JPEG and orientation(data) >= 5
    return (height, width) if turned else (width, height)


@contextlib.contextmanager
def _broken_is_os_error() -> Iterator[None]:
    """What Pillow's plugins raise on broken files, as one kind of error."""
    from PIL import Image

    kinds = (ValueError, SyntaxError, EOFError, struct.error, LookupError, TypeError, ArithmeticError, AttributeError)
    try:
        yield
    except (*kinds, RuntimeError, MemoryError, Image.DecompressionBombError) as error:
        raise OSError(f"the picture cannot be decoded: {error!r}") from error


def orientation(data: bytes | memoryview) -> int:
    """EXIF orientation of a JPEG, 1 to 8; 1 where there is none. Reads the header alone."""
    view = memoryview(data)
    at = 2
    while at + 4 <= len(view) and view[at] == 0xFF:
        marker, length = view[at + 1], int.from_bytes(view[at + 2 : at + 4], "big")
        if marker == 0xDA or length < 2:  # the picture begins
            return 1
        if marker == 0xE1 and bytes(view[at + 4 : at + 10]) == b"Exif\0\0":
            return _tiff_orientation(bytes(view[at + 10 : at + 2 + length]))
        at += 2 + length
    return 1


def _tiff_orientation(block: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    start = struct.unpack_from(f"{order}I", block, 4)[0]
    try:
        entries = struct.unpack_from(f"{order}H", block, start)[0]
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, start + 2 + 12 * entry)
            if tag == 0x0112 and kind == 3:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


class _JpegDecoder(Protocol):
    def __call__(self, data: bytes | memoryview, min_width: int, min_height: int) -> Pixels | None:
        """Pixels not smaller than asked for; None where this decoder does not take the file."""


@cache
def _fast_jpeg() -> _JpegDecoder | None:
    """libjpeg-turbo through simplejpeg, where that is installed."""
    try:
        import simplejpeg
    except ImportError:
        return None

    def decoded(data: bytes | memoryview, min_width: int, min_height: int) -> Pixels | None:
        try:
            height, width, space, _ = simplejpeg.decode_jpeg_header(data)
            if space not in ("YCbCr", "RGB", "Gray") or width * height > MAX_PIXELS:
                return None
            least = (min(min_height, height), min(min_width, width))
            pixels: Pixels = simplejpeg.decode_jpeg(
                data, "RGB", fastdct=False, fastupsample=False, min_height=least[0], min_width=least[1], min_factor=1
            )
        except ValueError:  # a broken file: Pillow has the last word on what can be read
            return None
        return pixels

    return decoded


def _pixels(data: bytes | memoryview, width: int, height: int) -> Pixels:
    """Upright RGB pixels; where width and height are given, JPEG may be decoded to any size that is not smaller."""
    if bytes(data[:3]) == _JPEG:
        turn = orientation(data)
        wanted = (height, width) if turn >= 5 else (width, height)
        fast = _fast_jpeg()
        pixels = fast(data, *wanted) if fast else None
        if pixels is not None:
            return _upright(pixels, turn)
    return _pillow(data, width, height)


def _pillow(data: bytes | memoryview, width: int, height: int) -> Pixels:
    from PIL import Image, ImageOps

    with _broken_is_os_error(), Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise OSError(f"the picture has {image.width} x {image.height} pixels, more than {MAX_PIXELS}")
        if image.format == "JPEG" and width and height:
            long = max(width, height)  # the picture may lie on its side
            image.draft("RGB", (long, long))
        return np.asarray(_flat(ImageOps.exif_transpose(image)))


def _flat(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white, as browsers show it on a page without a background."""
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _upright(pixels: Pixels, turn: int) -> Pixels:
    """Pixels with an EXIF orientation undone."""
    if turn == 1:
        return pixels
    turned = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: p[::-1].transpose(1, 0, 2),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: p[:, ::-1].transpose(1, 0, 2),
    }[turn](pixels)
    return np.ascontiguousarray(turned)


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Pixels scaled with an antialiased bilinear filter."""
    if pixels.shape[:2] == (height, width):
        return pixels
    from PIL import Image

    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)
