"""What a payload is, by its first bytes.

The patterns are those of the WHATWG MIME Sniffing Standard (sections 6.1 and 7.1), with AVIF, HEIF, JPEG XL and TIFF
added from their file formats.
"""

from __future__ import annotations

import re

SNIFF_BYTES = 1445  # WHATWG MIME Sniffing Standard, section 5.2: the resource header that is looked at

_HTML = re.compile(
    rb"(?:<!DOCTYPE HTML|<(?:HTML|HEAD|BODY|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BR|P|META|LINK|CENTER)"
    rb"|<!--)(?=[\s>/]|-)",
    re.IGNORECASE,
)
_CLEARLY_HTML = re.compile(
    rb"(?:<!--.{0,1000}?-->\s*|<\?xml[^>]{0,200}\?>\s*)*<(?:!DOCTYPE\s+HTML|HTML)[\s>]", re.I | re.S
)
_XHTML = re.compile(rb"<html\b|<!DOCTYPE\s+html", re.IGNORECASE)
_BOMS = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")
_ISO_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heif",
    b"heix": "heif",
    b"mif1": "heif",
    b"msf1": "heif",
}
# Formats that servers send as text/html all the same: PDF, PostScript, ZIP, RAR, 7z, gzip, bzip2, xz, OLE documents,
# Flash, Ogg, FLV, MP3, RealMedia, Matroska, ELF, WOFF.
_BINARY = (
    b"%PDF-", b"%!PS-Adobe", b"PK\x03\x04", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"BZh",
    b"\xfd7zXZ", b"\xd0\xcf\x11\xe0", b"FWS", b"CWS", b"OggS", b"FLV\x01", b"ID3", b".RMF", b"\x1a\x45\xdf\xa3",
    b"\x7fELF", b"wOFF", b"wOF2", b"RIFF",
)  # fmt: skip


def image_format(data: bytes) -> str | None:
    """Name of the picture format that the first bytes show, None where they show none (SVG is text: None)."""
    first = data[:1]
    if first == b"\xff":
        return "jpeg" if data[:3] == b"\xff\xd8\xff" else "jxl" if data[:2] == b"\xff\x0a" else None
    if first == b"\x89":
        return "png" if data[:8] == b"\x89PNG\r\n\x1a\n" else None
    if first == b"G":
        return "gif" if data[:6] in (b"GIF87a", b"GIF89a") else None
    if first == b"R":
        return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
    if first == b"B":  # the word "BM" can start a text: the reserved bytes and the size of the header must fit
        return "bmp" if data[:2] == b"BM" and data[6:10] == b"\0\0\0\0" and data[14:18] in _BMP_HEADERS else None
    if first in (b"I", b"M"):
        return "tiff" if data[:4] in (b"II*\0", b"MM\0*") else None
    if first == b"\0":
        if data[4:8] == b"ftyp":
            return _ISO_BRANDS.get(data[8:12])
        if data[:12] == b"\0\0\0\x0cJXL \r\n\x87\n":
            return "jxl"
        return "ico" if data[:4] == b"\0\0\1\0" and 0 < int.from_bytes(data[4:6], "little") <= 64 else None
    return None


_BMP_HEADERS = tuple(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def _text_start(data: bytes) -> bytes:
    head = data[:SNIFF_BYTES]
    for mark in _BOMS:
        if head.startswith(mark):
            head = head[len(mark) :].replace(b"\0", b"") if mark != _BOMS[0] else head[3:]
            break
    return head.lstrip(b"\t\n\x0c\r ")


def looks_html(data: bytes) -> bool:
    """Whether the first bytes are HTML by the tags with which the standard recognises it."""
    return _HTML.match(_text_start(data)) is not None


def clearly_html(data: bytes) -> bool:
    """Whether the first bytes are an HTML document beyond doubt: a doctype or an html element, comments before it."""
    return _CLEARLY_HTML.match(_text_start(data)) is not None


def xhtml_root(data: bytes) -> bool:
    """Whether XML declares itself HTML within the bytes that are looked at."""
    return _XHTML.search(data[:SNIFF_BYTES]) is not None


def is_binary(data: bytes) -> bool:
    """Whether the first bytes cannot be HTML: a known binary format, or NULs in what is not UTF-16 or UTF-32.

    A stray NUL happens in real pages, so more than one byte in twenty must be NUL; UTF-16 without a mark has one in two
    bytes NUL but then an ASCII "<" and a NUL, in either order, among its first bytes.
    """
    if data.startswith(_BINARY):
        return True
    head = data[:SNIFF_BYTES]
    nuls = head.count(0)
    if nuls * 20 <= len(head) or head[:2] in _BOMS:
        return False
    return b"<\0" not in head[:64] and b"\0<" not in head[:64]
