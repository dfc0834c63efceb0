"""What the classifier sees of a block: arrays over a page's blocks, some hundred numpy operations a page."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.segment import Layout

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Scripts without spaces between words: two characters count as a word.
_DENSE = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"
)
_SENTENCE_ENDS = ".!?。！？؟۔।"
_COMMAS = ",;:，、；：،"
_SEPARATORS = "|»›·•©→←"
_TAG_GROUPS = {
    "p": 1, "li": 2, "td": 3, "th": 3, "div": 4, "section": 5, "article": 5, "main": 5, "h1": 6, "h2": 7, "h3": 8, "h4": 9,
    "h5": 9, "h6": 9, "a": 10, "blockquote": 11, "pre": 12, "dt": 13, "dd": 14, "figcaption": 15, "button": 16, "body": 17,
    "figure": 18, "ul": 19, "ol": 19, "center": 20, "form": 21, "header": 22, "footer": 23, "nav": 24, "aside": 25,
    "address": 26, "summary": 27, "details": 27, "legend": 28, "tr": 29,
}  # fmt: skip
_LEVELS = 5  # containers above a block that are described
_PROSE_WORDS = 12


@dataclass(slots=True)
class Frame:
    """Arrays that features and selection share; over blocks unless said otherwise.

    Attributes:
        words: words as counted for scores: whitespace-separated, two characters of a dense script a word.
        chars: characters.
        containers: shape (levels, blocks): elements around a block whose ranges strictly grow.
        signature: number of the block's path signature; blocks with the same one came from the same template.
        first: first block of each element.
        end: past the last block of each element.
    """

    words: Floats
    chars: Floats
    containers: Ints
    signature: Ints
    signatures: int
    first: Ints
    end: Ints


def _prefix(values: Floats) -> Floats:
    out = np.zeros(len(values) + 1)
    np.cumsum(values, out=out[1:])
    return out


def _window(prefix: Floats, low: Ints, high: Ints) -> Floats:
    return np.asarray(prefix[high] - prefix[low])


def _containers(layout: Layout, first: Ints, end: Ints, element: Ints) -> Ints:
    """For each block the elements around it that hold ever more blocks, innermost first."""
    parent = np.array(layout.e_parent, np.int64)
    parent[0] = 0
    size = end - first
    up = parent.copy()
    while True:
        same = (size[up] == size) & (up != 0)
        if not same.any():
            break
        # an element's range equals its parent's: look further up
        moved = parent[up[same]]
        up[same] = moved
    levels = [np.where(size[element] > 1, element, up[element])]
    for _ in range(_LEVELS - 1):
        levels.append(up[levels[-1]])
    return np.stack(levels)


def _signatures(layout: Layout) -> tuple[Ints, int]:
    """Numbers of path signatures: tag and class along the whole path, then the block's first inline class."""
    paths: dict[tuple[int, str, str], int] = {}
    of_element = [0] * len(layout.e_tag)
    for e in range(1, len(layout.e_tag)):
        raw = layout.e_raw[e]
        style = ""
        if raw:
            start = raw.find('class="')
            if start >= 0:
                style = raw[start + 7 : raw.find('"', start + 7)]
        of_element[e] = paths.setdefault((of_element[layout.e_parent[e]], layout.e_tag[e], style), len(paths) + 1)
    numbers: dict[int, int] = {}
    out = [numbers.setdefault(of_element[e], len(numbers)) for e in layout.b_element]
    return np.array(out, np.int64), len(numbers)


def frame(layout: Layout) -> Frame:
    """The arrays that features and selection share."""
    words = np.array(
        [
            len(t.split())
            if t.isascii()
            else max(len(t.split()), len(_DENSE.findall(t)) / 2 + len(_DENSE.sub(" ", t).split()))
            for t in layout.b_text
        ],
        np.float64,
    )
    first, end = np.array(layout.e_first, np.int64), np.array(layout.e_end, np.int64)
    element = np.array(layout.b_element, np.int64)
    signature, signatures = _signatures(layout)
    chars = np.array([len(t) for t in layout.b_text], np.float64)
    return Frame(words, chars, _containers(layout, first, end, element), signature, signatures, first, end)


def _text_columns(layout: Layout, f: Frame) -> list[Floats]:
    texts = layout.b_text
    ends = np.array(
        [
            sum(t.count(c) for c in (".", "!", "?")) if t.isascii() else sum(c in _SENTENCE_ENDS for c in t)
            for t in texts
        ],
        np.float64,
    )
    commas = np.array(
        [t.count(",") + t.count(";") + t.count(":") if t.isascii() else sum(c in _COMMAS for c in t) for t in texts],
        np.float64,
    )
    link = np.minimum(1.0, np.array(layout.b_link, np.float64) / np.maximum(1.0, f.chars))
    last = [t[-1] for t in texts]
    return [
        ends,
        commas,
        link,
        np.array(layout.b_links, np.float64),
        np.array([c in _SENTENCE_ENDS for c in last], np.float64),
        np.array([c in ":：" for c in last], np.float64),
        np.array([t[0].isupper() for t in texts], np.float64),
        np.array([sum(map(t.count, "0123456789")) for t in texts], np.float64) / np.maximum(1.0, f.chars),
        np.array([any(c in t for c in _SEPARATORS) for t in texts], np.float64),
        np.array([t.isupper() for t in texts], np.float64),
        np.array([t.count("\n") for t in texts], np.float64),
    ]


def _flag_columns(layout: Layout, f: Frame) -> list[Floats]:
    """Levels up to the nearest element of each kind (0: none), and how much of the page that element holds."""
    count = len(layout.b_text)
    flags = np.array(layout.e_flags, np.int64)
    total = _prefix(f.words)
    share = (total[f.end] - total[f.first]) / max(1.0, total[-1])
    columns: list[Floats] = []
    for bits in (
        voc.NAV,
        voc.FOOTER,
        voc.HEADER,
        voc.ASIDE,
        voc.FORM,
        voc.UNLIKELY,
        voc.COMMENT,
        voc.ARTICLE,
        voc.HIDDEN,
        voc.BUTTON,
    ):
        out = np.zeros(count)
        for e in np.flatnonzero(flags & bits):
            out[f.first[e] : f.end[e]] = 1.0 - 0.9 * share[e]
        columns.append(out)
    context = np.array(layout.b_context, np.int64)
    columns += [
        ((context & bit) != 0).astype(np.float64)
        for bit in (voc.PRE, voc.CAPTION, voc.QUOTE, voc.TABLE, voc.ITEM, voc.NOSCRIPT)
    ]
    return columns


def _headings(tag: Ints) -> list[Floats]:
    count = len(tag)
    index = np.arange(count)
    heading = (tag >= 6) & (tag <= 9)
    last = np.maximum.accumulate(np.where(heading, index, -1))
    level = np.where(last >= 0, tag[last], 0)
    following = np.minimum.accumulate(np.where(heading, index, count)[::-1])[::-1]
    h1 = np.flatnonzero(tag == 6)
    top = h1[0] if len(h1) else -1
    return [
        np.minimum(index - last, 50).astype(np.float64),
        level.astype(np.float64),
        np.minimum(following - index, 50).astype(np.float64),
        (index - top).astype(np.float64) / count if top >= 0 else np.full(count, -9.0),
        np.clip(index - top, -50, 50).astype(np.float64) if top >= 0 else np.full(count, -99.0),
    ]


def _title_column(layout: Layout, title: str | None) -> Floats:
    """1 where the block is the page's title or a part of it between separators, else 0."""
    out = np.zeros(len(layout.b_text))
    if title:
        folded = " ".join(title.split()).casefold()
        for i, text in enumerate(layout.b_text):
            if 3 <= len(text) <= 300 and text.casefold() in folded:
                out[i] = len(text) / len(folded)
    return out


def _repeats(layout: Layout) -> Floats:
    seen: dict[str, int] = {}
    for text in layout.b_text:
        seen[text] = seen.get(text, 0) + 1
    return np.array([seen[t] for t in layout.b_text], np.float64)


def features(layout: Layout, f: Frame, tokens: Floats, title: str | None) -> npt.NDArray[np.float32]:
    """Features of the first stage, shape (blocks, features)."""
    count = len(layout.b_text)
    index = np.arange(count)
    text = _text_columns(layout, f)
    ends, commas, link = text[0], text[1], text[2]
    tag = np.array([_TAG_GROUPS.get(layout.e_tag[e], 0) for e in layout.b_element], np.int64)
    words = f.words
    linked = words * link
    prose = np.where((words >= _PROSE_WORDS) & (link < 0.4) & (ends > 0), words, 0.0)
    token = tokens[:, 0]
    one = np.ones(count)
    sums = {
        "words": _prefix(words), "linked": _prefix(linked), "prose": _prefix(prose), "ends": _prefix(ends),
        "commas": _prefix(commas), "token": _prefix(token), "one": _prefix(one),
    }  # fmt: skip
    images = np.zeros(count + 1)
    for image in layout.images:
        images[image.position] += 1
    sums["images"] = _prefix(images)
    total_words = max(1.0, float(sums["words"][-1]))
    columns: list[Floats] = [
        words,
        np.log1p(f.chars),
        *text,
        tag.astype(np.float64),
        tokens[:, 0],
        tokens[:, 1],
        tokens[:, 2],
    ]
    columns += [
        index / count,
        sums["words"][:-1] / total_words,
        np.minimum(index, 60).astype(np.float64),
        np.minimum(count - index, 60).astype(np.float64),
    ]
    columns += _flag_columns(layout, f) + _headings(tag) + [_title_column(layout, title), _repeats(layout)]
    for offset in (-2, -1, 1, 2):
        at = index + offset
        valid = (at >= 0) & (at < count)
        at = np.clip(at, 0, count - 1)
        columns += [np.where(valid, words[at], -1.0), np.where(valid, link[at], -1.0), np.where(valid, tag[at], -1.0)]
    for reach in (3, 8, 20):
        low, high = np.maximum(0, index - reach), np.minimum(count, index + reach + 1)
        w = _window(sums["words"], low, high)
        n = (high - low).astype(np.float64)
        columns += [
            w / n,
            _window(sums["linked"], low, high) / np.maximum(1.0, w),
            _window(sums["prose"], low, high) / np.maximum(1.0, w),
            _window(sums["ends"], low, high) / np.maximum(1.0, w),
            _window(sums["token"], low, high) / n,
            _window(sums["images"], low, high) / n,
        ]
    previous = np.zeros(count)
    for level in f.containers:
        low, high = f.first[level], f.end[level]
        n = np.maximum(1.0, (high - low).astype(np.float64))
        w = _window(sums["words"], low, high)
        columns += [
            n,
            w,
            w / n,
            w / total_words,
            _window(sums["linked"], low, high) / np.maximum(1.0, w),
            _window(sums["prose"], low, high) / np.maximum(1.0, w),
            _window(sums["commas"], low, high) / np.maximum(1.0, w),
            _window(sums["token"], low, high) / n,
            _window(sums["images"], low, high) / n,
            (index - low) / n,
            w - previous,
        ]
        previous = w
    columns += _signature_columns(f, words, link, prose, ends)
    columns += _page_columns(count, words, link, prose, sums["images"][-1], tag)
    return np.stack(columns, axis=1).astype(np.float32)


def _signature_columns(f: Frame, words: Floats, link: Floats, prose: Floats, ends: Floats) -> list[Floats]:
    size = f.signatures
    n = np.bincount(f.signature, minlength=size).astype(np.float64)
    w = np.bincount(f.signature, words, minlength=size)
    columns = [
        n,
        n / len(words),
        w / n,
        w / max(1.0, float(words.sum())),
        np.bincount(f.signature, words * link, minlength=size) / np.maximum(1.0, w),
        np.bincount(f.signature, prose, minlength=size) / np.maximum(1.0, w),
        np.bincount(f.signature, ends, minlength=size) / np.maximum(1.0, w),
    ]
    return [c[f.signature] for c in columns]


def _page_columns(count: int, words: Floats, link: Floats, prose: Floats, images: float, tag: Ints) -> list[Floats]:
    total = max(1.0, float(words.sum()))
    values = [
        float(count), total, total / count, float((words * link).sum()) / total, float(prose.sum()) / total,
        float((prose > 0).mean()), float(np.sort(words)[-max(1, count // 20) :].mean()), images / count,
        float((tag == 6).sum()), float(((tag >= 7) & (tag <= 9)).sum()) / count, float((tag == 2).mean()), float((tag == 1).mean()),
    ]  # fmt: skip
    return [np.full(count, v) for v in values]


def second_features(f: Frame, p: Floats) -> npt.NDArray[np.float32]:
    """Features that the second stage sees beside the first's: probabilities of the first stage around a block.

    Args:
        f: the page's shared arrays.
        p: first-stage probability of each block.
    """
    count = len(p)
    index = np.arange(count)
    words = f.words
    weighted, total, plain = _prefix(p * words), _prefix(words), _prefix(p)
    columns: list[Floats] = [p]
    for offset in (-3, -2, -1, 1, 2, 3):
        at = index + offset
        columns.append(np.where((at >= 0) & (at < count), p[np.clip(at, 0, count - 1)], -1.0))
    for reach in (4, 12, 30):
        low, high = np.maximum(0, index - reach), np.minimum(count, index + reach + 1)
        columns += [
            _window(weighted, low, high) / np.maximum(1.0, _window(total, low, high)),
            _window(plain, low, high) / (high - low),
        ]
    for level in f.containers:
        low, high = f.first[level], f.end[level]
        columns += [
            _window(weighted, low, high) / np.maximum(1.0, _window(total, low, high)),
            _window(plain, low, high) / np.maximum(1, high - low),
        ]
    n = np.bincount(f.signature, minlength=f.signatures).astype(np.float64)
    w = np.bincount(f.signature, words, minlength=f.signatures)
    columns.append((np.bincount(f.signature, p, minlength=f.signatures) / n)[f.signature])
    columns.append((np.bincount(f.signature, p * words, minlength=f.signatures) / np.maximum(1.0, w))[f.signature])
    # how much surer content stands before and after
    before = np.maximum.accumulate(p)
    after = np.maximum.accumulate(p[::-1])[::-1]
    mass = max(1e-9, float(weighted[-1]))
    columns += [
        before,
        after,
        weighted[:-1] / mass,
        np.full(count, mass),
        np.full(count, mass / max(1.0, float(total[-1]))),
        np.full(count, float(p.max())),
    ]
    order = np.argsort(-p, kind="stable")
    rank = np.empty(count)
    rank[order] = _prefix(words[order])[:-1] / max(1.0, float(total[-1]))
    columns.append(rank)
    return np.stack(columns, axis=1).astype(np.float32)
