"""Decoding: upright, RGB, the size that was asked for, near to what Pillow makes of the whole picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from plait.loader import Resize, Tiles
from plait.loader import decode as module
from plait.loader.decode import decode, orientation, size


def photograph(width: int = 320, height: int = 200) -> Image.Image:
    """Smooth, with no two corners alike."""
    y, x = np.mgrid[0:height, 0:width]
    wave = 127 + 120 * np.sin(x / 40 + y / 90)
    pixels = np.stack([wave, x * 255 / width, y * 255 / height], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str = "jpeg", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("endian", ["fast", "pillow"])
def test_pictures_are_upright(turn, endian, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(photograph(), exif=exif.tobytes(), quality=95)
    assert orientation(data) == turn
    if endian == "pillow":
        monkeypatch.setattr(module, "_fast_jpeg", lambda: None)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert size(data) == (upright.shape[1], upright.shape[0])
    assert np.abs(decode(data).astype(int) - upright).mean() < 1.5
    small = decode(data, Resize(40))
    expected = np.asarray(Image.fromarray(upright).resize((40, 40), Image.Resampling.BILINEAR))
    assert np.abs(small.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("target", [16, 60, 224, 640])
@pytest.mark.parametrize("shape", [(320, 200), (1000, 37), (33, 900), (1, 1)])
def test_sizes_are_what_was_asked_for(target, shape):
    data = encoded(photograph(*shape))
    assert decode(data, Resize(target)).shape == (target, target, 3)
    assert decode(data, Resize(target, "crop")).shape == (target, target, 3)
    height, width, _ = decode(data, Resize(target, "fit")).shape
    assert max(height, width) <= max(target, 1)
    assert max(height, width) == min(target, max(shape))


def test_scaled_decoding_is_near_to_decoding_whole():
    data = encoded(photograph(1600, 1200), quality=90)
    whole = np.asarray(Image.open(io.BytesIO(data)).resize((224, 224), Image.Resampling.BILINEAR))
    assert np.abs(decode(data, Resize(224)).astype(int) - whole).mean() < 1.0


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "jpeg"), ("CMYK", "jpeg"), ("L", "png"), ("P", "png"), ("RGBA", "png"), ("1", "png"), ("RGB", "webp"),
     ("P", "gif"), ("I;16", "png"), ("RGB", "bmp"), ("RGB", "tiff")],
)  # fmt: skip
def test_every_mode_becomes_rgb(mode, kind):
    image = (
        photograph().convert("L").convert("I").point(lambda v: v * 256).convert("I;16")
        if mode == "I;16"
        else photograph()
    )
    data = encoded(image if mode == "I;16" else image.convert(mode), kind)
    assert decode(data, Resize(32)).shape == (32, 32, 3)


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert (decode(encoded(clear, "png"), Resize(8)) == 255).all()


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"GIF89a", b"not a picture", encoded(photograph())[:3000]])
def test_broken_bytes_are_an_os_error(data):
    with pytest.raises(OSError):
        decode(data, Resize(16))


def test_bad_files_of_others_never_raise_anything_else(shared_data):
    """Fuzzed and broken pictures of Pillow's, and JPEGs made to break decoders: pixels, or an OSError."""
    tried = 0
    for folder in ("images_bad_jpeg", "images_bad_misc", "images_pillow_bad", "images_pillow_hopper"):
        for path in sorted((shared_data / folder).rglob("*")):
            if not path.is_file() or path.stat().st_size > 2_000_000:
                continue
            tried += 1
            try:
                made = decode(path.read_bytes(), Resize(24))
            except (OSError, Image.DecompressionBombError):
                continue
            assert made.shape == (24, 24, 3)
            assert made.dtype == np.uint8
    assert tried > 20


def test_tiles_are_internvls():
    tiles = Tiles(448)
    assert tiles.grid(448, 448) == (1, 1)
    assert tiles.grid(2000, 1000) == (4, 2)  # of 2x1 and 4x2, equally near, the picture has pixels for the larger
    assert tiles.grid(600, 300) == (2, 1)
    assert tiles.grid(100, 1200) == (1, 12)
    assert tiles.images(600, 300) == 3
    assert tiles.images(400, 400) == 1


def test_tiles_are_the_pieces_of_the_picture_and_a_thumbnail():
    data = encoded(photograph(400, 200), quality=95)
    made = Tiles(32, most=2).apply(data)
    assert len(made) == 3
    whole = np.asarray(photograph(400, 200).resize((64, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(np.concatenate(made[:2], axis=1) - whole).mean() < 3
