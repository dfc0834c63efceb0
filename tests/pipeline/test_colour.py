"""Colour: whatever mode and profile a picture is stored in, it is seen in sRGB."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from plait.pipeline.colour import to_rgb
from plait.pipeline.decode import decode, open_image
from tests.pipeline.scenes import colour_at, encoded, scene


def test_transparency_is_over_white():
    clear = Image.new("RGBA", (20, 20), (200, 0, 0, 0))
    assert colour_at(decode(encoded(clear, "PNG"))) == (255, 255, 255)
    half = Image.new("LA", (20, 20), (0, 128))
    assert abs(colour_at(decode(encoded(half, "PNG")))[0] - 127) <= 1
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    data = encoded(palette, "PNG", transparency=1)
    assert colour_at(decode(data)) == (255, 255, 255)
    assert colour_at(decode(encoded(palette, "PNG"))) == (0, 0, 255)


def test_sixteen_bits_keep_their_brightness():
    values = np.linspace(0, 65535, 400, dtype=np.uint16).reshape(20, 20)
    for kind in ("PNG", "TIFF"):
        got = np.asarray(decode(encoded(Image.fromarray(values), kind)))[:, :, 0]
        assert (got == values >> 8).all()


@pytest.mark.parametrize("top", [1.0, 200.0, 3e9])
def test_float_grey_is_scaled_and_nan_is_black(top):
    values = np.linspace(0, top, 400, dtype=np.float32).reshape(20, 20)
    values[0, 5] = np.nan
    got = np.asarray(decode(encoded(Image.fromarray(values), "TIFF")))[:, :, 0]
    assert got[0, 5] == 0
    assert got[19, 19] == (255 if top != 200.0 else 200)


def test_cmyk_becomes_rgb():
    data = encoded(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG")
    red, green, blue = colour_at(decode(data))
    assert red > 230 and green < 40 and blue < 40


@pytest.mark.parametrize("name", ["CMYK.jpg", "P.png", "PA.webp", "RGBA.png", "YCbCr.jpg", "L.png", "LA.png", "1.png"])
def test_one_photograph_in_every_mode_looks_alike(name, shared_data):
    folder = shared_data / "images_pdq" / "misc-images" / "modes"
    original = decode((folder / "original.jpg").read_bytes()).reduce(8)
    grey = name[0] in "L1"
    expected = original.convert("L").convert("RGB") if grey else original
    got = decode((folder / name).read_bytes()).reduce(8)
    away = np.abs(np.asarray(got, int) - np.asarray(expected, int))
    assert away.mean() < 3  # of 255; what dithering and JPEG leave once 8 x 8 pixels are averaged


def test_sixteen_bits_a_channel_and_inverted_ycck_are_what_they_show(shared_data):
    folder = shared_data / "images_pillow_bad"
    wide = np.asarray(decode((folder / "tiff_16bit_RGB.tiff").read_bytes()), int)
    assert np.abs(wide - np.asarray(decode((folder / "tiff_16bit_RGB_target.png").read_bytes()), int)).max() <= 1
    data = (shared_data / "images_bad_jpeg" / "reftest" / "images" / "ycck.jpg").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.info["adobe_transform"]) == ("CMYK", 2)
        plain = np.asarray(image.convert("RGB").resize((16, 16)), int)
    got = np.asarray(decode(data).resize((16, 16)), int)
    assert np.corrcoef(plain.ravel(), got.ravel())[0, 1] > 0.9  # its profile moves colours; inverted ones would be < 0


def test_an_embedded_profile_is_applied_and_a_damaged_one_ignored():
    lab = ImageCms.createProfile("LAB")
    broken = encoded(scene(), "PNG", icc_profile=b"no profile at all")
    assert colour_at(decode(broken)) == (255, 0, 0)
    wrong = encoded(scene(), "PNG", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    assert colour_at(decode(wrong)) == (255, 0, 0)
    same = encoded(scene(), "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert colour_at(decode(same)) == (255, 0, 0)


def test_a_real_profile_changes_the_colours(shared_data):
    data = (shared_data / "images_pillow_bad" / "xmp_tags_orientation.png").read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        plain = np.asarray(image.convert("RGB")).astype(int)
    stored, _ = open_image(data)
    got = np.asarray(to_rgb(stored)).astype(int)
    assert got.shape == plain.shape
    assert np.abs(got - plain).max() > 3
