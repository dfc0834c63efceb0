"""Decoding: limits, orientation, colour, and what hostile files get."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from plait.pipeline.decode import DecodeLimits, decode, inspect_image, open_image
from plait.pipeline.picture_headers import FORMATS, jpeg_scans, sniff
from plait.schemas.errors import RecordError
from plait.schemas.reasons import REASONS
from tests.pipeline.scenes import colour_at, encoded, scene

HOSTILE = ("images_pillow_bad", "images_bad_jpeg", "images_bad_misc", "images_pillow_hopper")


def reason_of(data: bytes, limits: DecodeLimits | None = None) -> str:
    with pytest.raises(RecordError) as caught:
        decode(data, limits)
    assert caught.value.reason in REASONS
    return caught.value.reason


ENCODERS = {
    "jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "avif": ("AVIF", {"quality": 95}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_decodes_and_says_its_size(kind):
    name, options = ENCODERS[kind]
    data = encoded(scene(), name, **options)
    info = inspect_image(data)
    assert (info.format, info.width, info.height, info.frames) == (kind, 64, 48, 1)
    got = decode(data)
    assert got.mode == "RGB"
    assert np.abs(np.asarray(got).astype(int) - np.asarray(scene()).astype(int)).mean() < 4


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_pictures_are_undecodable_in_every_format(kind, share, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # another library's doing
    name, options = ENCODERS[kind]
    rng = np.random.default_rng(1)
    data = encoded(Image.fromarray(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)), name, **options)
    assert reason_of(data[: int(len(data) * share)]) == "image_undecodable"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(kind, orientation):
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = scene().transpose(turned[orientation]) if orientation > 1 else scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, kind, exif=exif)
    info = inspect_image(data)
    assert (info.width, info.height) == (64, 48)
    got = np.asarray(decode(data)).astype(int)
    assert got.shape == (48, 64, 3)
    assert np.abs(got - np.asarray(scene()).astype(int)).mean() < 12


def test_a_damaged_exif_block_spoils_no_picture():
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert inspect_image(data).orientation == 1
    assert decode(data).size == (64, 48)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "image_undecodable"),
        (b"<!doctype html><html><body>404</body></html>", "image_undecodable"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image_unsupported"),
        (b"<?xml version='1.0'?><svg/>", "image_unsupported"),
        (b"\0\0\1\0\1\0", "image_unsupported"),
        (b"\xff\xd8\xff\xe0", "image_undecodable"),
        (b"GIF89a", "image_undecodable"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image_undecodable"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "image_undecodable"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image_unsupported"),
    ],
)
def test_what_is_no_picture_has_its_reason(data, reason):
    assert reason_of(data) == reason


def test_a_format_that_the_recipe_leaves_out_is_unsupported():
    limits = DecodeLimits(formats=("jpeg", "png"))
    assert reason_of(encoded(scene(), "GIF"), limits) == "image_unsupported"
    assert decode(encoded(scene(), "PNG"), limits).size == (64, 48)


def test_bytes_over_the_limit_are_not_opened():
    data = encoded(scene(), "PNG")
    limits = DecodeLimits(bytes=len(data) - 1)
    with pytest.raises(RecordError) as caught:
        inspect_image(data, limits)
    assert (caught.value.reason, caught.value.value) == ("image_too_large", float(len(data)))
    assert inspect_image(data, DecodeLimits(bytes=len(data))).width == 64


@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_over_the_limit_are_not_decoded(kind):
    name, options = ENCODERS[kind]
    data = encoded(scene(), name, **options)
    assert reason_of(data, DecodeLimits(pixels=64 * 48 - 1)) == "image_too_many_pixels"
    assert decode(data, DecodeLimits(pixels=64 * 48)).size == (64, 48)


def png_bomb(side: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7_000, 20_000, 2**31 - 1])
def test_a_bomb_is_refused_by_its_header_whatever_pillow_thinks(side):
    assert reason_of(png_bomb(side)) == "image_too_many_pixels"


def test_a_picture_as_long_as_a_million_pixels_is_refused():
    data = encoded(Image.new("L", (1, 70_000)), "PNG")
    assert reason_of(data) == "image_too_many_pixels"
    assert decode(data, DecodeLimits(side=70_000)).size == (1, 70_000)


def test_a_webp_bomb_is_refused_before_its_canvas_is_allocated():
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xff\xff\0" + b"\xff\xff\0"
    data = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    assert reason_of(data) == "image_too_many_pixels"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_frames_are_counted_and_limited_and_the_first_is_taken(kind):
    frames = [Image.new("RGB", (16, 16), (40 * i, 255 - 40 * i, 9)) for i in range(5)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert inspect_image(data).frames == 5
    assert colour_at(decode(data)) == (0, 255, 9)
    assert reason_of(data, DecodeLimits(frames=4)) == "image_too_many_frames"
    assert inspect_image(data, DecodeLimits(frames=5)).frames == 5


def test_a_gif_of_a_million_frames_is_refused_quickly():
    data = encoded(Image.new("P", (1, 1)), "GIF")
    start = data.index(b"\x2c", 13)
    frame = data[start:-1]
    assert reason_of(data[:-1] + frame * 1_000_000 + b"\x3b") == "image_too_many_frames"


def progressive_bomb(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = encoded(scene(2000, 2000), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_costs():
    assert inspect_image(progressive_bomb(100)).width == 2000
    assert reason_of(progressive_bomb(5000)) == "image_undecodable"


def test_scans_are_counted_across_the_parts_of_a_large_file():
    marker = b"\xff\xda"
    for place in ((1 << 20) - 1, 1 << 20, (1 << 20) + 1):
        data = b"\0" * place + marker + b"\xff" * 5 + b"\xda"
        assert jpeg_scans(data) == data.count(marker) == 2
    assert jpeg_scans(b"") == jpeg_scans(b"\xff") == 0


def tiff_chain(pages: int, tags: int, loop: bool) -> bytes:
    """Directories of many tags that overlap, each a few bytes after the one before."""
    whole = encoded(scene(), "TIFF")
    start = len(whole)
    chain = bytearray(whole)
    first = int.from_bytes(whole[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(whole[first : first + 2], "little")
    chain[end : end + 4] = start.to_bytes(4, "little")
    size = 2 + 12 * tags + 4
    for page in range(pages):
        own = bytearray(size)
        own[:2] = tags.to_bytes(2, "little")
        after = start + (page + 1) * size if page + 1 < pages else (start if loop else 0)
        own[-4:] = after.to_bytes(4, "little")
        chain += own
    return bytes(chain)


@pytest.mark.parametrize("loop", [False, True])
def test_tiff_directories_are_counted_without_reading_them(loop):
    assert inspect_image(tiff_chain(300, 500, loop)).frames == 301
    assert reason_of(tiff_chain(300, 500, loop), DecodeLimits(frames=200)) == "image_too_many_frames"


def test_bigtiff_pages_are_counted():
    frames = [Image.new("L", (8, 8), i) for i in range(3)]
    data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:], big_tiff=True)
    assert data[2] == 43
    assert inspect_image(data).frames == 3


def test_inspection_reads_headers_only():
    data = encoded(scene(600, 600), "PNG")
    assert inspect_image(data[: len(data) - 20]).width == 600


def test_draft_says_the_full_size_and_gives_a_smaller_picture():
    data = encoded(scene(1024, 768), "JPEG")
    image, info = open_image(data, draft=(64, 64))
    assert (info.width, info.height) == (1024, 768)
    assert image.mode == "L" and image.width < 200
    assert reason_of(data[: len(data) // 2]) == "image_undecodable"


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_a_picture_or_a_reason(data):
    for start in (b"", b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\0", b"\x89PNG\r\n\x1a\n", b"RIFF\0\1\0\0WEBPVP8X"):
        try:
            decode(start + data, DecodeLimits(pixels=1_000_000))
        except RecordError as error:
            assert error.reason in REASONS


@given(st.sampled_from(FORMATS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8))
@settings(max_examples=150, deadline=None)
def test_a_few_wrong_bytes_end_in_a_picture_or_a_reason(kind, edits):
    name, options = ENCODERS[kind]
    data = bytearray(encoded(scene(), name, **options))
    for place, value in edits:
        data[place % len(data)] = value
    try:
        assert decode(bytes(data), DecodeLimits(pixels=1_000_000)).mode == "RGB"
    except RecordError as error:
        assert error.reason in REASONS


def hostile_files(shared_data: Path) -> list[Path]:
    return [file for name in HOSTILE for file in sorted((shared_data / name).rglob("*")) if file.is_file()]


@pytest.mark.parametrize("name", HOSTILE)
def test_every_hostile_file_is_a_picture_or_a_reason(shared_data, name, capfd):
    seen = 0
    for file in hostile_files(shared_data):
        if name not in file.parts:
            continue
        data = file.read_bytes()
        seen += 1
        try:
            image = decode(data)
            info = inspect_image(data)
        except RecordError as error:
            assert error.reason in REASONS
            assert "0x" not in error.detail  # an address would differ from run to run
        else:
            assert image.mode == "RGB"
            assert image.size == (info.width, info.height)
    assert seen > 25
    printed = capfd.readouterr()
    assert printed.err == printed.out == ""


def peak_of(script: str, *arguments: str) -> tuple[str, int]:
    """What a script prints in a process of its own, which must write no error, and its peak memory in bytes."""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory of a process alone (VmHWM) is known on Linux only")
    script += "sys.stdout.write(' ' + open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    *printed, peak = done.stdout.split()
    return " ".join(printed), int(peak) * 1024


def test_hostile_files_stay_under_a_gigabyte(shared_data):
    """In a process of its own, which also shows that none of them kills it."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from plait.pipeline.images import score_image\n"
        "from plait.schemas.errors import RecordError\n"
        "bad = 0\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        score_image(Path(name).read_bytes())\n"
        "    except RecordError:\n"
        "        bad += 1\n"
        "sys.stdout.write(str(bad))\n"
    )
    files = [str(file) for file in hostile_files(shared_data)]
    printed, peak = peak_of(script, *files)
    assert 50 < int(printed) < len(files)
    assert peak < 1e9


def test_the_largest_picture_allowed_stays_under_a_gigabyte(tmp_path):
    """A lossless animated WebP holds the most bytes a pixel: two canvases, a decoded frame and its copies."""
    side = int(DecodeLimits().pixels ** 0.5)
    frames = [Image.new("RGBA", (side, side), colour) for colour in ("red", "blue")]
    path = tmp_path / "large.webp"
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:], lossless=True, quality=0, method=0)
    del frames
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from plait.pipeline.images import score_image\n"
        "score_image(Path(sys.argv[1]).read_bytes())\n"
    )
    assert peak_of(script, str(path))[1] < 1e9


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sniffing_knows_what_pillow_knows(shared_data):
    for file in hostile_files(shared_data):
        data = file.read_bytes()
        if sniff(data) is not None:
            continue
        try:
            with Image.open(io.BytesIO(data)) as image:
                found = image.format
        except Exception:
            continue
        assert found is not None and found.lower() not in FORMATS, file.name
