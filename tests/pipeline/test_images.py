"""The kernel that scores pictures."""

import hashlib
import io

import imagehash
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter

from plait.dedup.phash import distance
from plait.pipeline.decode import DecodeLimits
from plait.pipeline.images import SCORED, entropy, score_image, score_images, sharpness
from plait.schemas.errors import RecordError
from plait.schemas.images import IMAGE_SCORES

BROKEN = ("images_pillow_bad", "images_bad_jpeg", "images_bad_misc", "images_pillow_hopper")
FOLDERS = (*BROKEN, "images_pdq", "images_imagededup")


def batch(*data: bytes | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "archive_id": [f"a{i}" for i in range(len(data))],
            "offset": pa.array(range(len(data)), pa.int64()),
            "data": pa.array(data, pa.binary()),
        }
    )


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_row_for_every_row_and_a_reason_where_there_is_no_picture():
    good = png(Image.effect_noise((40, 30), 50))
    out = score_images(batch(good, b"<html>", None, good))
    assert out.schema == SCORED
    rows = out.to_pylist()
    assert [row["reason"] for row in rows] == [None, "image_undecodable", "image_undecodable", None]
    assert [row["archive_id"] for row in rows] == ["a0", "a1", "a2", "a3"]
    assert rows[0]["sha256"] == hashlib.sha256(good).digest() and rows[0]["image_id"] == rows[0]["sha256"][:16]
    assert rows[0]["bytes"] == len(good)
    assert (rows[0]["width"], rows[0]["height"], rows[0]["format"], rows[0]["frames"]) == (40, 30, "png", 1)
    assert rows[1]["width"] is None and rows[1]["phash"] is None and rows[1]["bytes"] == 6


def test_limits_that_decide_come_with_what_was_measured():
    row = score_images(batch(png(Image.new("L", (50, 50)))), DecodeLimits(pixels=2000)).to_pylist()[0]
    assert (row["reason"], row["value"], row["threshold"]) == ("image_too_many_pixels", 2500.0, 2000.0)


def test_scores_do_not_depend_on_the_batch():
    pictures = [png(Image.effect_noise((40 + i, 30), 50)) for i in range(5)]
    whole = score_images(batch(*pictures)).to_pylist()
    for i, data in enumerate(pictures):
        assert score_images(batch(data)).to_pylist()[0] == {**whole[i], "archive_id": "a0", "offset": 0}


def test_one_picture_has_the_columns_of_the_schema():
    assert set(score_image(png(Image.new("L", (9, 9))))) == {field.name for field in IMAGE_SCORES}


def test_every_decodable_file_has_imagehash_hashes(shared_data):
    equal = 0
    for file in sorted(file for name in FOLDERS for file in (shared_data / name).rglob("*") if file.is_file()):
        data = file.read_bytes()
        try:
            scores = score_image(data)
        except RecordError:
            continue
        try:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                expected = int(str(imagehash.phash(image)), 16), int(str(imagehash.dhash(image)), 16)
        except ValueError:  # imagehash has no way from LAB to grey
            assert image.mode == "LAB"
            continue
        except OSError:
            continue  # Pillow failed while it read what follows the pixels
        got = int(str(scores["phash"])) % 2**64, int(str(scores["dhash"])) % 2**64
        assert got == expected, file.name
        equal += 1
    assert equal > 190


def test_entropy_is_zero_for_blank_and_eight_for_all_values_alike():
    assert entropy(Image.new("L", (30, 30), 77)) == 0.0
    values = np.repeat(np.arange(256, dtype=np.uint8), 4).reshape(32, 32)
    assert entropy(Image.fromarray(values)) == pytest.approx(8.0)
    half = np.zeros((10, 10), np.uint8)
    half[:5] = 200
    assert entropy(Image.fromarray(half)) == pytest.approx(1.0)


def test_sharpness_falls_with_blur_and_is_of_the_laplacian():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (200, 300), dtype=np.uint8))
    values = [sharpness(noise.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert sharpness(Image.new("L", (50, 50), 100)) == 0.0
    assert np.isnan(sharpness(Image.new("L", (2, 50))))
    dot = np.zeros((5, 5), np.uint8)
    dot[2, 2] = 10
    laplacian = np.array([0, 10, 0, 10, -40, 10, 0, 10, 0])
    assert sharpness(Image.fromarray(dot)) == pytest.approx(laplacian.var())


def test_fast_hashes_are_near_the_exact_ones(shared_data):
    files = sorted((shared_data / "images_imagededup" / "base_images").glob("*.jpg"))
    files += sorted((shared_data / "images_pdq" / "bridge-mods").glob("*.jpg"))
    exact = [score_image(file.read_bytes()) for file in files]
    fast = [score_image(file.read_bytes(), fast=True) for file in files]
    for name in ("phash", "dhash"):
        left, right = (np.array([row[name] for row in rows], np.int64) for rows in (exact, fast))
        assert distance(left, right).mean() < 2
        assert distance(left, right).max() <= 6
    for same in ("sha256", "width", "height", "format", "frames", "bytes"):
        assert [row[same] for row in exact] == [row[same] for row in fast]
