"""What belongs to the chosen blocks though it scores low by itself, and what stands between them and does not.

Each rule was checked on WCXB with models that had not seen the page's domain: none moves the word F1 by more than
0.0003. They mend what that benchmark hardly sees: pages of other languages and long articles with tables.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.frame import Floats, Frame, prefix
from plait.pipeline.extract.segment import Layout

Flags = npt.NDArray[np.bool_]

TEMPLATE_SHARE = 0.5  # an element that holds more of the page's words is no menu, whatever its class says
_GAP_BLOCKS = 2  # left out between two kept blocks at most, for them to be kept too
_GAP_WORDS = 8
_GAP_LINKS = 0.5  # share of their characters that stand in links at most
_GAP_LEAST = 0.15  # probability of each of them at least
_TABLE_LEAST = 0.3  # mean probability of a table's words at least
_LIST_LEAST = 0.2  # mean probability of a list's words at least
_TITLE_LEAST = 0.2  # probability of the heading above the content at least
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_COLONS = (":", "\N{FULLWIDTH COLON}")  # what introduces a list, in the scripts that write one
_SECTION_WORDS = 5  # that a heading's section has at least; a call to action has its button alone
_POINTER_LINKS = 0.3  # share of a note's characters in links: above, it sends the reader elsewhere


def complete(layout: Layout, keep: Flags, p: Floats, f: Frame) -> Flags:
    """The chosen blocks with the short gaps, code, tables and announced lists between them, without pointers elsewhere.

    Args:
        layout: the page.
        keep: the chosen blocks, at least one.
        p: probability of each block.
        f: the page's shared arrays.
    """
    filled = fill_tables(layout, fill_gaps(layout, keep, p, f), keep, p, f)
    return drop_pointers(layout, add_announced_lists(layout, filled, p, f), f)


def fill_gaps(layout: Layout, keep: Flags, p: Floats, f: Frame) -> Flags:
    """Keep the few short blocks that stand between kept ones ("Step 2", a cell's heading), and code between them."""
    out = keep.copy()
    kept = np.flatnonzero(keep)
    code = (f.context & voc.PRE != 0) & (np.array(layout.b_link, np.int64) == 0)
    code[: kept[0]] = code[kept[-1] :] = False
    out |= code & (p >= _GAP_LEAST)
    words = prefix(f.words)
    for before in np.flatnonzero((np.diff(kept) > 1) & (np.diff(kept) <= _GAP_BLOCKS + 1)):
        first, end = int(kept[before]) + 1, int(kept[before + 1])
        links = sum(layout.b_link[first:end]) / max(1.0, float(f.chars[first:end].sum()))
        if words[end] - words[first] <= _GAP_WORDS and links < _GAP_LINKS and p[first:end].min() >= _GAP_LEAST:
            out[first:end] = True
    return out


def fill_tables(layout: Layout, out: Flags, keep: Flags, p: Floats, f: Frame) -> Flags:
    """Keep whole tables between kept blocks: cells are short, and half a table says nothing.

    Args:
        layout: the page.
        out: what is kept so far.
        keep: the blocks chosen by probability; a table must begin after the first of them and end before the last.
        p: probability of each block.
        f: the page's shared arrays.
    """
    if "table" not in layout.e_tag:
        return out
    tables = [e for e, tag in enumerate(layout.e_tag) if tag == "table"]
    kept = np.flatnonzero(keep)
    words, mass = prefix(f.words), prefix(p * f.words)
    filled, template = out.copy(), template_elements(layout, f)
    for e in tables:
        first, end = layout.e_first[e], layout.e_end[e]
        held = words[end] - words[first]
        if first <= kept[0] or end > kept[-1] or held <= 0 or mass[end] - mass[first] < _TABLE_LEAST * held:
            continue
        if not template[e]:
            filled[first:end] = True
    return filled


def add_announced_lists(layout: Layout, keep: Flags, p: Floats, f: Frame) -> Flags:
    """Keep whole lists between kept blocks of which the first ends in a colon ("In this lesson we'll cover:").

    Their items are often links into the page, as a menu's are. Cross-validated on WCXB: boilerplate snippets absent
    .9497 with and without, gold snippets present .9271 and .9274, word F1 the same.
    """
    lists = [e for e, tag in enumerate(layout.e_tag) if tag in ("ul", "ol")]
    if not lists:
        return keep
    words, mass, kept = prefix(f.words), prefix(p * f.words), np.concatenate(([0], np.cumsum(keep)))
    announced: list[tuple[int, int, int]] = []
    for e in lists:
        first, end = layout.e_first[e], layout.e_end[e]
        if not 0 < first < end < len(keep) or not (keep[first - 1] and keep[end]):
            continue
        likely = mass[end] - mass[first] >= _LIST_LEAST * (words[end] - words[first])
        if likely and kept[end] - kept[first] < end - first and layout.b_text[first - 1].endswith(_COLONS):
            announced.append((e, first, end))
    if not announced:
        return keep
    template, out = template_elements(layout, f), keep.copy()
    for e, first, end in announced:
        if not template[e]:
            out[first:end] = True
    return out


def add_title(layout: Layout, keep: Flags, p: Floats) -> Flags:
    """Keep the heading right above the first kept block that is an ``h1`` or ranks above all kept headings.

    A title stands in the page's header as often as with its text. Cross-validated on WCXB: gold snippets present .9274
    to .9278, boilerplate snippets absent .9497 to .9495.

    Args:
        layout: the page.
        keep: the chosen blocks.
        p: probability of each block.
    """
    title = int(np.argmax(keep)) - 1
    if title < 0 or p[title] < _TITLE_LEAST:
        return keep
    rank = layout.e_tag[layout.b_element[title]]
    if rank not in _HEADINGS:
        return keep
    if rank != _HEADINGS[0]:
        tags = {layout.e_tag[layout.b_element[block]] for block in np.flatnonzero(keep)}
        if any(tag <= rank for tag in tags.intersection(_HEADINGS)):
            return keep
    out = keep.copy()
    out[title] = True
    return out


def drop_pointers(layout: Layout, keep: Flags, f: Frame) -> Flags:
    """Drop notes (the ARIA role: what is parenthetic to the content) that are mostly links: "Main article: …"."""
    out = keep
    for e in np.flatnonzero(f.flags & voc.NOTE):
        for block in range(layout.e_first[e], layout.e_end[e]):
            if out[block] and layout.b_link[block] > _POINTER_LINKS * len(layout.b_text[block]):
                if out is keep:
                    out = keep.copy()
                out[block] = False
    return out


def drop_last_headings(layout: Layout, keep: Flags, images: Flags, f: Frame) -> Flags:
    """Drop headings at the end whose sections were left out: "Related articles", "Share this", "Leave a reply".

    Cross-validated on WCXB 82 pages change, 56 for the better: boilerplate snippets absent .948 to .950, gold snippets
    present .9307 to .9303, word F1 the same.

    Args:
        layout: the page.
        keep: the chosen blocks.
        images: the chosen pictures; a heading with one behind it stays.
        f: the page's shared arrays.
    """
    kept = np.flatnonzero(keep).tolist()
    if len(kept) < 2 or not f.context[kept[-1]] & voc.HEADING:
        return keep
    pictures = max((layout.images[i].position for i in np.flatnonzero(images)), default=-1)
    headings = np.flatnonzero(f.context & voc.HEADING)
    words, out = prefix(f.words), keep.copy()
    for block in reversed(kept[1:]):
        after = headings[headings > block]
        end = int(after[0]) if len(after) else len(keep)
        if not f.context[block] & voc.HEADING or pictures > block or words[end] - words[block + 1] < _SECTION_WORDS:
            break
        out[block] = False
    return out


def template_elements(layout: Layout, f: Frame, kinds: int = voc.TEMPLATE) -> list[bool]:
    """For each element: is it in a menu or the like, one that holds a small share of the page?

    Args:
        layout: the page.
        f: its shared arrays.
        kinds: bits of `vocabulary` that say what counts.
    """
    words = prefix(f.words)
    small = words[f.end] - words[f.first] < TEMPLATE_SHARE * max(1.0, words[-1])
    out: list[bool] = (small & (f.flags & kinds != 0)).tolist()
    for element, parent in enumerate(layout.e_parent):
        if parent >= 0 and out[parent]:
            out[element] = True
    return out
