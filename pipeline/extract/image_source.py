"""Which URL a picture stands for, among all the attributes that pages put one in."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from plait.pipeline.extract.urls import resolve
from plait.pipeline.extract.vocabulary import attributes

# Attributes of lazy loaders that hold one URL, best first (surveyed in recipes.md 1.2 and common lazy-loading scripts).
_LAZY = (
    "data-src", "data-original", "data-lazy-src", "data-lazy", "data-lazyload", "data-original-src", "data-actualsrc",
    "data-img-src", "data-image", "data-image-src", "data-url", "data-echo", "data-defer-src", "data-src-fg",
    "data-scroll-image", "data-lateloadsrc", "data-gt-lazy-src", "data-pagespeed-lazy-src", "data-runner-src",
    "data-ll-src", "data-flickity-lazyload", "data-delayed-url", "data-cfsrc", "data-ezsrc", "data-breeze",
    "data-hi-res-src",
    "data-hires", "data-full-src", "data-large-src", "data-high-res-src", "data-medium-file", "data-large-file",
    "data-orig-file", "data-wf-src", "data-srclazy", "lazysrc", "lazy-src", "src2", "datasrc", "file",
)  # fmt: skip
_LAZY_SETS = (
    "data-srcset",
    "data-lazy-srcset",
    "data-original-set",
    "data-ll-srcset",
    "lazysrcset",
    "lazy-srcset",
    "imagesrcset",
    "data-set",
)
_UNRANKED = 100  # place of attributes that only end like these; the plain one comes after them
_LAZY_RANK = {name: rank for rank, name in enumerate(_LAZY)}
_SET_RANK = {name: rank for rank, name in enumerate(_LAZY_SETS)} | {"srcset": _UNRANKED + 1}
# Names of files that stand in for a picture: the whole name but for sizes and words of the same kind.
_PLACEHOLDER = re.compile(
    r"(?:^|[/_.\-])(?:blank|spacer|place-?holders?|transparent|pixel|1x1|1px|clear|loading|loader|spinner|lazy|lazyload|"
    r"lazy-?load(?:ing)?|gr[ea]y|dummy|default-?image|empty|preload(?:er)?|trans|b)"
    r"(?:[_.\-](?:\d+(?:x\d+)?|image|img|spinner|icon|placeholder|pixel|blank|gif|px|white|grey|gray|bg|small|large|animation|[0-9a-f]{6,}))*"
    r"\.(?:gif|png|svg|jpe?g|webp)(?:$|[?#])",
    re.IGNORECASE,
)
# A URL has one of these among its words, else it names none: a look at them spares nearly every URL the pattern.
_PLACEHOLDER_WORDS = frozenset(
    {
        "blank", "spacer", "place", "holder", "holders", "placeholder", "placeholders", "transparent", "pixel", "1x1",
        "1px", "clear", "loading", "loader", "spinner", "lazy", "lazyload", "lazyloading", "grey", "gray", "dummy",
        "default", "defaultimage", "empty", "preload", "preloader", "trans", "b",
    }
)  # fmt: skip
_EXTENSION = re.compile(r"\.(?:avif|bmp|gif|hei[cf]|jpe?g|jfif|png|webp|svg|tiff?)(?:$|[?#&])", re.IGNORECASE)
_CANDIDATE = re.compile(r"\s*([^\s,]\S*)((?:\s+[^,()]*)?)(?:,|$)")
_DATA = re.compile(r"data:(image/[a-z0-9.+\-]+)((?:;[^,;]*)*),(.*)", re.IGNORECASE | re.DOTALL)
_WIDTH_TEMPLATE = re.compile(r"\{width\}|%7Bwidth%7D", re.IGNORECASE)
_STYLE_URL = re.compile(r"background(?:-image)?\s*:[^;]*?url\(\s*(['\"]?)(.*?)\1\s*\)", re.IGNORECASE)
_STYLE_SIDE = re.compile(r"(?:^|;)\s*(width|height)\s*:\s*(\d+(?:\.\d+)?)px", re.IGNORECASE)
_SIDE = re.compile(r"^\s*(\d{1,6})(?:\.\d+)?\s*(?:px)?\s*$", re.IGNORECASE)
_SIZES_PX = re.compile(r"(?:^|,)\s*(\d+(?:\.\d+)?)px\s*$")


class Candidate(NamedTuple):
    """One entry of a ``srcset``: URL as written, width in pixels or density, 0 where it says neither."""

    url: str
    width: int = 0
    density: float = 0.0


@dataclass(frozen=True, slots=True)
class Source:
    """What a picture stands for: its URL, other URLs of it, the size that the page declares (CSS pixels)."""

    url: str
    alternatives: tuple[str, ...]
    width: int | None
    height: int | None


def parse_srcset(value: str) -> list[Candidate]:
    """Candidates of a ``srcset``, commas inside URLs kept (HTML Standard: a comma ends a URL only at its end)."""
    found: list[Candidate] = []
    position = 0
    while match := _CANDIDATE.match(value, position):
        position = match.end()
        url, descriptor = match.groups()
        descriptor = descriptor.strip()
        if not descriptor and "," in url and not url.endswith(",") and re.search(r",(?=https?:|//)", url):
            # "a.jpg,https://…": no space after the comma, as some templates write it
            found += [Candidate(u) for u in re.split(r",(?=https?:|//)", url)]
            continue
        url = url.strip(",")
        if not url:
            continue
        width, density = 0, 0.0
        for word in descriptor.split():
            try:
                if word[-1] in "wW":
                    width = int(word[:-1])
                elif word[-1] in "xX":
                    density = float(word[:-1])
            except ValueError:
                continue
        found.append(Candidate(url, width, density))
    return found


def best_candidate(candidates: list[Candidate], target_width: int, declared_width: int | None) -> Candidate | None:
    """The narrowest candidate that is at least ``target_width`` pixels wide, else the widest; the first among equals.

    A density counts as declared width × density; where no width is declared, the highest density wins.
    """
    if not candidates:
        return None
    unit = float(declared_width or 0)
    if not unit and not any(width for _, width, _ in candidates):
        return max(candidates, key=lambda c: c.density or 1.0)
    sizes = [float(width) if width else (density or 1.0) * unit for _, width, density in candidates]
    enough = [size for size in sizes if size >= target_width]
    return candidates[sizes.index(min(enough) if enough else max(sizes))]


def _side(value: str | None) -> int | None:
    match = _SIDE.match(value) if value else None
    return int(match[1]) if match else None


def declared_size(found: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Width and height that a tag declares, style before attributes, in CSS pixels; percentages say nothing."""
    width, height = _side(found.get("width")), _side(found.get("height"))
    style = found.get("style")
    if style:
        for name, value in _STYLE_SIDE.findall(style):
            if name.lower() == "width":
                width = int(float(value))
            else:
                height = int(float(value))
    if width == 0 and (height or 0) > 0:
        width = None  # a side of 0 beside one that is not: the script that shows the picture sets it
    elif height == 0 and (width or 0) > 0:
        height = None
    if width is None and "sizes" in found and (match := _SIZES_PX.search(found["sizes"])):
        width = int(float(match[1]))
    return width, height


def data_image_size(uri: str) -> int:
    """Decoded size in bytes of a ``data:`` image, -1 if it is none or cannot be decoded."""
    match = _DATA.match(uri)
    if not match:
        return -1
    if ";base64" in match[2].lower():
        try:
            return len(
                base64.b64decode(
                    re.sub(r"\s+", "", unquote_to_bytes(match[3]).decode("ascii", "replace")), validate=True
                )
            )
        except (binascii.Error, ValueError):
            return -1
    return len(unquote_to_bytes(match[3]))


def is_placeholder(url: str) -> bool:
    """Does the URL say that it stands in for a picture that a script loads later?"""
    if url.startswith(("data:", "about:", "javascript:", "blob:")):
        return True
    if "{" in url:
        return True
    path, mark, query = url.partition("?")
    return _names_placeholder(path) or ("." in query and _names_placeholder(mark + query))


@functools.lru_cache(maxsize=64)  # the candidates of a srcset often differ in their queries alone
def _names_placeholder(url: str) -> bool:
    words = url.lower().replace("_", "/").replace("-", "/").replace(".", "/").split("/")
    return not _PLACEHOLDER_WORDS.isdisjoint(words) and _PLACEHOLDER.search(url) is not None


def _plausible(value: str) -> bool:
    value = value.strip()
    return bool(value) and "{" not in value and "<" not in value and value[0] not in "[#" and len(value) < 4096


def _ranked(names: Iterable[str], rank: Mapping[str, int], ending: str) -> list[str]:
    """The names that have a rank, by it, and those that only have the ending; of these the page's order."""
    found = [name for name in names if name in rank or name.endswith(ending)]
    if len(found) > 1:
        found.sort(key=lambda name: rank.get(name, _UNRANKED))
    return found


class SourceResolver:
    """Finds the URL of pictures of one page."""

    def __init__(self, base: str, *, target_width: int, data_bytes: int, data_min_bytes: int) -> None:
        self.base = base
        self.target_width = target_width
        self.data_bytes = data_bytes
        self.data_min_bytes = data_min_bytes

    def _data(self, value: str) -> str | None:
        value = value.strip()
        if value[:5].lower() != "data:":
            return None
        return value if self.data_min_bytes <= data_image_size(value) <= self.data_bytes else None

    def _srcset(self, value: str, width: int | None, extra: Candidate | None = None) -> list[str]:
        candidates = [
            c for c in parse_srcset(value) if not c.url.lower().startswith("data:") and not is_placeholder(c.url)
        ]
        if not candidates:
            return []
        if extra is not None and not any(c.width for c in candidates):
            candidates = [extra, *candidates]
        return self._ordered(candidates, width)

    def _ordered(self, candidates: list[Candidate], width: int | None) -> list[str]:
        best = best_candidate(candidates, self.target_width, width)
        ordered = dict.fromkeys(c.url for c in ([best] if best else []) + candidates)
        return [u for url in ordered if (u := resolve(self.base, url))]

    def find(self, raw: str, sources: list[str], tag: str = "img") -> Source | None:
        """The picture's source, or None if every URL is a placeholder or cannot be resolved.

        Order: ``srcset`` (its own and lazy ones, ``src`` among the candidates), lazy attributes, ``src``, the sources
        of its ``<picture>`` (before those if they state a larger width than the picture declares), any other
        ``data-`` attribute that looks like a picture, a ``data:`` URI.
        """
        found = attributes(raw)
        width, height = declared_size(found)
        if tag == "video":
            url = resolve(self.base, found.get("poster", ""))
            return Source(url, (), width, height) if url else None
        if tag == "style":
            match = _STYLE_URL.search(found.get("style", ""))
            url = resolve(self.base, match[2]) if match else None
            return Source(url, (), width, height) if url and not is_placeholder(match[2] if match else "") else None
        urls: list[str] = []
        src = found.get("src", "")
        plain = src if src and _plausible(src) and not is_placeholder(src.strip()) else ""
        lazy = self._lazy(found)
        for name in _ranked(found, _SET_RANK, "-srcset"):
            value = found[name]
            if value and _plausible(value):
                first = lazy[0] if lazy and name != "srcset" else plain
                urls += self._srcset(value, width, Candidate(first, density=1.0) if first else None)
        own = [u for value in (*lazy, plain) if value and (u := resolve(self.base, value))]
        others, widest = self._picture(sources, width)
        # The picture's own URL is the one that every reader understands; another format or crop of it must be larger.
        urls += [*others, *own] if widest > (width or 0) else [*own, *others]
        if not urls:
            urls = self._other(found, src)
        if not urls:
            return None
        unique = list(dict.fromkeys(urls))
        return Source(unique[0], tuple(unique[1:]), width, height)

    def _picture(self, sources: list[str], width: int | None) -> tuple[list[str], int]:
        """URLs of a ``<picture>``'s sources, best first, and the largest width that one of them states."""
        if not sources:
            return [], 0
        candidates: list[Candidate] = []
        for source in sources:
            attrs = attributes(source)
            kind = attrs.get("type", "")
            if kind and not kind.startswith("image/"):
                continue
            for name in ("data-srcset", "data-lazy-srcset", "srcset", "data-src", "src"):
                value = attrs.get(name)
                if value and _plausible(value):
                    candidates += [c for c in parse_srcset(value) if not is_placeholder(c.url)]
        return self._ordered(candidates, width), max([c.width for c in candidates], default=0)

    def _lazy(self, found: Mapping[str, str]) -> list[str]:
        values: list[str] = []
        for name in _ranked(found, _LAZY_RANK, "-src"):
            value = found[name]
            if not value:
                continue
            if _WIDTH_TEMPLATE.search(value):
                value = _WIDTH_TEMPLATE.sub(str(self._template_width(found)), value)
            if not _plausible(value) or is_placeholder(value.strip()):
                continue
            named = name in {"data-url", "data-image", "data-set", "file", "data-lazy"}
            if named and not (_EXTENSION.search(value) or value.startswith(("http://", "https://", "//"))):
                continue
            values.append(value)
        return values

    def _template_width(self, found: Mapping[str, str]) -> int:
        widths = sorted(int(w) for w in re.findall(r"\d{2,5}", found.get("data-widths", "")))
        return next((w for w in widths if w >= self.target_width), widths[-1] if widths else self.target_width)

    def _other(self, found: Mapping[str, str], src: str) -> list[str]:
        for name, value in found.items():
            if not name.startswith("data-") or not _plausible(value) or " " in value.strip():
                continue
            if _EXTENSION.search(value) and not is_placeholder(value) and (url := resolve(self.base, value)):
                return [url]
        data = self._data(src)
        return [data] if data else []
