"""Small pictures that tests of decoding share."""

import io

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose corners differ: red, green, blue, white from the top left, clockwise."""
    pixels = np.zeros((height, width, 3), np.uint8)
    half_y, half_x = height // 2, width // 2
    pixels[:half_y, :half_x] = (255, 0, 0)
    pixels[:half_y, half_x:] = (0, 255, 0)
    pixels[half_y:, half_x:] = (0, 0, 255)
    pixels[half_y:, :half_x] = (255, 255, 255)
    return Image.fromarray(pixels)


def colour_at(image: Image.Image, place: tuple[int, int] = (5, 5)) -> tuple[int, ...]:
    found = image.getpixel(place)
    assert isinstance(found, tuple)
    return found
