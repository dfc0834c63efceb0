"""What the first bytes and the block structure of a picture say, without decoding or trusting it."""

from __future__ import annotations

from typing import Literal

import numpy as np

FORMATS = ("jpeg", "png", "webp", "gif", "avif", "bmp", "tiff")

MAX_SCANS = 500
"""Scans of a JPEG, thumbnails' included. Every scan of a progressive JPEG goes over all its blocks, so a few kilobytes
of scans take minutes; encoders write about ten. libjpeg-turbo's fuzzers take the same bound."""

_COUNTED_AT_ONCE = 1 << 20

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


def jpeg_scans(data: bytes) -> int:
    """Scans of a JPEG: start-of-scan markers. Within coded data a byte 255 is followed by 0, so none is found there.

    By arrays, 1 MB at a time: six times faster than counting the two bytes in a bytes object.
    """
    points = np.frombuffer(data, dtype=np.uint8)
    scans = 0
    for low in range(0, len(points), _COUNTED_AT_ONCE):
        part = points[low : low + _COUNTED_AT_ONCE + 1]
        scans += int(np.count_nonzero((part[:-1] == 0xFF) & (part[1:] == 0xDA)))
    return scans


def webp_size(data: bytes) -> tuple[int, int] | None:
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


def gif_frames(data: bytes, limit: int) -> int:
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


def tiff_pages(data: bytes, limit: int) -> int:
    """Pages of a TIFF or BigTIFF: the chain of its directories, none of them parsed; stops at ``limit + 1``.

    Parsing directories that overlap, each of 65,535 tags, would take minutes. A chain that leaves the file or comes
    back to itself ends where it does so.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = 43 in data[2:4]  # BigTIFF has 43 where TIFF has 42, and 8-byte offsets
    first, count_size, entry, width = (8, 8, 20, 8) if big else (4, 2, 12, 4)
    place = int.from_bytes(data[first : first + width], order)
    seen: set[int] = set()
    while 0 < place <= len(data) - count_size and place not in seen and len(seen) <= limit:
        seen.add(place)
        end = place + count_size + entry * int.from_bytes(data[place : place + count_size], order)
        place = int.from_bytes(data[end : end + width], order) if end + width <= len(data) else 0
    return max(1, len(seen))
