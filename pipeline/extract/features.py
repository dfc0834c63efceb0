"""What the classifier sees of a block: arrays over a page's blocks, some hundred numpy operations a page."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.frame import Floats, Frame, Ints, prefix, window
from plait.pipeline.extract.segment import Layout

_SENTENCE_ENDS = ".!?。！？؟۔।"
_COMMAS = ",:，、：،"
_TAG_GROUPS = {
    "p": 1, "li": 2, "td": 3, "th": 3, "div": 4, "section": 5, "article": 5, "main": 5, "h1": 6, "h2": 7, "h3": 8,
    "h4": 9, "h5": 9, "h6": 9, "a": 10, "blockquote": 11, "pre": 12, "dt": 13, "dd": 14, "figcaption": 15,
    "button": 16, "body": 17, "figure": 18, "ul": 19, "ol": 19, "center": 20, "form": 21, "header": 22,
    "footer": 23, "nav": 24, "aside": 25, "address": 26, "summary": 27, "details": 27, "legend": 28, "tr": 29,
}  # fmt: skip
_PROSE_WORDS = 12  # words of a block that reads like a paragraph
_PROSE_LINKS = 0.4  # share of its characters in links at most

KINDS = (
    voc.NAV, voc.FOOTER, voc.HEADER, voc.ASIDE, voc.FORM, voc.UNLIKELY, voc.COMMENT, voc.ARTICLE, voc.HIDDEN,
    voc.BUTTON,
)  # fmt: skip
"""What elements say of themselves, in the order of `kind_columns`."""


def text_columns(layout: Layout, f: Frame) -> list[Floats]:
    """Sentence ends, commas, share in links, links, does it end as a sentence, does it begin in upper case."""
    texts = layout.b_text
    commas = [t.count(",") + t.count(":") if t.isascii() else sum(map(t.count, _COMMAS)) for t in texts]
    return [
        sentence_ends(texts),
        np.array(commas, np.float64),
        link_shares(layout, f),
        np.array(layout.b_links, np.float64),
        np.array([t[-1] in _SENTENCE_ENDS for t in texts], np.float64),
        np.array([t[0].isupper() for t in texts], np.float64),
    ]


def sentence_ends(texts: list[str]) -> Floats:
    """Sentence ends in each text."""
    ends = [
        t.count(".") + t.count("!") + t.count("?") if t.isascii() else sum(map(t.count, _SENTENCE_ENDS)) for t in texts
    ]
    return np.array(ends, np.float64)


def link_shares(layout: Layout, f: Frame) -> Floats:
    """Share of each block's characters that stand in links."""
    return np.minimum(1.0, np.array(layout.b_link, np.float64) / np.maximum(1.0, f.chars))


def flag_columns(layout: Layout, f: Frame) -> list[Floats]:
    """The columns of `kind_columns`, and six of 0 and 1 for the block's context."""
    return [
        *kind_columns(layout, f),
        *(
            ((f.context & bit) != 0).astype(np.float64)
            for bit in (voc.PRE, voc.CAPTION, voc.QUOTE, voc.TABLE, voc.ITEM, voc.NOSCRIPT)
        ),
    ]


def kind_columns(layout: Layout, f: Frame) -> list[Floats]:
    """For each of `KINDS`: 0 outside, else 1 less 0.9 of the innermost one's share of the page's words."""
    count = len(layout.b_text)
    total = prefix(f.words)
    value = (1.0 - 0.9 * ((total[f.end] - total[f.first]) / max(1.0, total[-1]))).tolist()
    flags = np.where(f.end == f.first, 0, f.flags)
    columns: list[Floats] = []
    for bits in KINDS:
        out = np.zeros(count)
        for e in np.flatnonzero(flags & bits).tolist():
            out[layout.e_first[e] : layout.e_end[e]] = value[e]
        columns.append(out)
    return columns


def heading_columns(tag: Ints) -> list[Floats]:
    """Blocks since the last heading, its level, blocks to the next, place relative to the first h1."""
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


def title_column(layout: Layout, title: str | None) -> Floats:
    """1 where the block is the page's title or a part of it between separators, else 0."""
    out = np.zeros(len(layout.b_text))
    if title:
        folded = " ".join(title.split()).casefold()
        longest = min(300, len(folded))  # folding makes no text shorter
        for i, text in enumerate(layout.b_text):
            if 3 <= len(text) <= longest and text.casefold() in folded:
                out[i] = len(text) / len(folded)
    return out


def _repeats(layout: Layout) -> list[Floats]:
    """How often the block's text stands on the page, and how often before it."""
    seen: dict[str, int] = {}
    before: list[int] = []
    for text in layout.b_text:
        n = seen.get(text, 0)
        before.append(n)
        seen[text] = n + 1
    return [np.array([seen[t] for t in layout.b_text], np.float64), np.array(before, np.float64)]


def main_columns(f: Frame, mass: Floats) -> list[Floats]:
    """The deepest element that holds most of a mass: is the block in it, how far from it, how large is it?"""
    count = len(mass)
    total = prefix(mass)
    if total[-1] <= 0:
        return [np.full(count, v) for v in (1.0, 0.0, 1.0, 1.0, 0.0, 1.0)]
    share = (total[f.end] - total[f.first]) / total[-1]
    words = prefix(f.words)
    index = np.arange(count)
    columns: list[Floats] = []
    for least in (0.5, 0.8):
        main = int(np.flatnonzero(share >= least)[-1])
        low, high = int(f.first[main]), int(f.end[main])
        away = np.where(index < low, index - low, np.where(index >= high, index - high + 1, 0))
        columns += [
            ((index >= low) & (index < high)).astype(np.float64),
            np.clip(away, -40, 40).astype(np.float64),
            np.full(count, (words[high] - words[low]) / max(1.0, words[-1])),
        ]
    return columns


def _near_columns(words: Floats, link: Floats) -> list[Floats]:
    """Words and link share of the two blocks before and after."""
    count = len(words)
    columns: list[Floats] = []
    for offset in (-2, -1, 1, 2):
        at = np.arange(count) + offset
        valid = (at >= 0) & (at < count)
        at = np.clip(at, 0, count - 1)
        columns += [np.where(valid, words[at], -1.0), np.where(valid, link[at], -1.0)]
    return columns


def features(layout: Layout, f: Frame, tokens: Floats, title: str | None) -> npt.NDArray[np.float32]:
    """Features of a page's blocks, shape (blocks, features).

    Args:
        layout: the page.
        f: its shared arrays.
        tokens: token scores, shape (blocks, 3).
        title: the page's title, if it has one.
    """
    count = len(layout.b_text)
    index = np.arange(count)
    text = text_columns(layout, f)
    ends, link = text[0], text[2]
    tag = tag_groups(layout)
    words = f.words
    sums, prose = running_sums(layout, f, link, tokens[:, 0])
    total_words = max(1.0, float(sums["words"][-1]))
    likely = words / (1.0 + np.exp(-np.clip(tokens.sum(axis=1), -30, 30)))
    columns: list[Floats] = [words, np.log1p(f.chars), *text, tag.astype(np.float64), *tokens.T]
    columns += [
        index / count,
        sums["words"][:-1] / total_words,
        np.minimum(index, 60).astype(np.float64),
        np.minimum(count - index, 60).astype(np.float64),
    ]
    columns += [*flag_columns(layout, f), *heading_columns(tag), title_column(layout, title), *_repeats(layout)]
    columns += [*main_columns(f, prose), *main_columns(f, likely), *_near_columns(words, link)]
    columns += [*window_columns(sums, count), *container_columns(f, sums, count)]
    columns += _signature_columns(f, words, link, prose, ends)
    columns += _page_columns(count, words, link, prose, float(sums["images"][-1]), tag)
    return np.stack(columns, axis=1).astype(np.float32)


def tag_groups(layout: Layout) -> Ints:
    """Group of each block's tag."""
    return np.array([_TAG_GROUPS.get(layout.e_tag[e], 0) for e in layout.b_element], np.int64)


def prose_words(layout: Layout, f: Frame, link: Floats) -> Floats:
    """The words of each block that reads like prose, 0 for the others."""
    prose = np.where((f.words >= _PROSE_WORDS) & (link < _PROSE_LINKS), f.words, 0.0)
    # Thai, Lao and Khmer end no sentence with a mark: a long block is prose without one.
    short = np.flatnonzero((prose > 0) & (prose < 2 * _PROSE_WORDS))
    prose[short[sentence_ends([layout.b_text[i] for i in short]) == 0]] = 0.0
    return prose


def running_sums(layout: Layout, f: Frame, link: Floats, token: Floats) -> tuple[dict[str, Floats], Floats]:
    """Prefix sums over the blocks, and the words of each block that reads like prose (0 for the others)."""
    prose = prose_words(layout, f, link)
    pictures = np.zeros(len(layout.b_text) + 1)
    for image in layout.images:
        pictures[image.position] += 1
    sums = {
        "words": prefix(f.words), "linked": prefix(f.words * link), "prose": prefix(prose), "token": prefix(token),
        "images": prefix(pictures),
    }  # fmt: skip
    return sums, prose


def window_columns(sums: dict[str, Floats], count: int) -> list[Floats]:
    """Words a block, link share, prose share and token score of the 3, 8 and 20 blocks on each side."""
    index = np.arange(count)
    columns: list[Floats] = []
    for reach in (3, 8, 20):
        low, high = np.maximum(0, index - reach), np.minimum(count, index + reach + 1)
        w = window(sums["words"], low, high)
        n = (high - low).astype(np.float64)
        columns += [
            w / n,
            window(sums["linked"], low, high) / np.maximum(1.0, w),
            window(sums["prose"], low, high) / np.maximum(1.0, w),
            window(sums["token"], low, high) / n,
        ]
    return columns


def container_columns(f: Frame, sums: dict[str, Floats], count: int) -> list[Floats]:
    """Statistics of the containers around each block, innermost first."""
    index = np.arange(count)
    total_words = max(1.0, float(sums["words"][-1]))
    total_prose = max(1.0, float(sums["prose"][-1]))
    columns: list[Floats] = []
    for level in f.containers:
        low, high = f.first[level], f.end[level]
        n = np.maximum(1.0, (high - low).astype(np.float64))
        w = window(sums["words"], low, high)
        p = window(sums["prose"], low, high)
        columns += [
            n,
            w / n,
            w / total_words,
            p / total_prose,
            window(sums["linked"], low, high) / np.maximum(1.0, w),
            p / np.maximum(1.0, w),
            window(sums["token"], low, high) / n,
            window(sums["images"], low, high) / n,
            (index - low) / n,
        ]
    return columns


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
        float((tag == 6).sum()), float(((tag >= 7) & (tag <= 9)).sum()) / count, float((tag == 2).mean()),
        float((tag == 1).mean()),
    ]  # fmt: skip
    return [np.full(count, v) for v in values]
