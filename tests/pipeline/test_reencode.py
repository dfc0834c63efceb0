"""Policy for the stored bytes of pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from plait.pipeline.decode import DecodeLimits, decode, inspect_image
from plait.pipeline.reencode import Reencode, reencode
from plait.schemas.errors import ConfigError, RecordError


def picture(width: int, height: int, kind: str = "PNG", **options: object) -> bytes:
    rng = np.random.default_rng(width)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    file = io.BytesIO()
    small.resize((width, height)).save(file, kind, **options)
    return file.getvalue()


def test_the_default_keeps_the_original_bytes():
    data = picture(300, 200)
    assert reencode(data, None) is data


def test_a_large_picture_is_reduced_to_the_longest_side_and_keeps_its_shape():
    out = reencode(picture(900, 300), Reencode(longest_side=600))
    info = inspect_image(out)
    assert (info.format, info.width, info.height) == ("jpeg", 600, 200)


@pytest.mark.parametrize("kind", ["jpeg", "webp", "png"])
def test_a_small_picture_of_the_format_keeps_its_bytes_unless_asked(kind):
    data = picture(300, 200, kind.upper())
    assert reencode(data, Reencode(longest_side=400, format=kind)) == data
    assert inspect_image(reencode(data, Reencode(longest_side=400, format=kind, always=True))).width == 300


def test_orientation_is_in_the_pixels_and_metadata_is_gone():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "somebody's name"
    data = picture(300, 200, "JPEG", exif=exif)
    out = reencode(data, Reencode(quality=95))
    info = inspect_image(out)
    assert (info.width, info.height, info.orientation) == (200, 300, 1)
    assert b"somebody" in data and b"somebody" not in out
    left, right = (np.asarray(decode(content)).astype(int) for content in (data, out))
    assert np.abs(left - right).mean() < 3


def test_the_same_bytes_come_out_every_time():
    data = picture(900, 700)
    policy = Reencode(longest_side=333, format="webp", quality=80)
    assert reencode(data, policy) == reencode(data, policy)


def test_an_extreme_shape_keeps_a_pixel():
    assert inspect_image(reencode(picture(3000, 2), Reencode(longest_side=100))).height == 1


def test_limits_and_settings_are_checked():
    with pytest.raises(RecordError, match="image_too_many_pixels"):
        reencode(picture(300, 200), Reencode(), DecodeLimits(pixels=100))
    for wrong in ({"longest_side": 0}, {"quality": 0}, {"quality": 101}):
        with pytest.raises(ConfigError, match="re-encoding"):
            Reencode(**wrong)
