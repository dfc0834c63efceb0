"""From chosen blocks and pictures to a document's nodes, in document order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.captions import caption_blocks
from plait.pipeline.extract.image_source import Source, SourceResolver
from plait.pipeline.extract.page import Node, Removed
from plait.pipeline.extract.segment import Image, Layout
from plait.pipeline.extract.urls import resolve

_IMAGE_LINK = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff")
_TINY = 2  # pixels: pictures that declare no more on a side measure visits
_UNIQUE_NAME = 12  # characters: shorter file names ("image1.jpg") are shared by different pictures
_DATA_TABLE_BLOCKS = 1.5  # blocks a cell: above, a table lays out a page
_CELL_CHARS = 400  # mean characters a cell: above, a table lays out a page


_TAG_REASONS = {"nav": "navigation", "footer": "footer", "aside": "sidebar", "form": "form", "button": "form"}


@dataclass(slots=True)
class _Table:
    """A data table: its rows and their cells are elements."""

    row_of: dict[int, int]
    cell_of: dict[int, int]


def source_of(image: Image, resolver: SourceResolver) -> Source | None:
    """URL of a picture: its own, else its ``<noscript>`` fallback's; the link around it joins the alternatives."""
    source = resolver.find(image.raw, image.sources, image.tag)
    for raw in image.fallbacks:
        if source is None or source.url.startswith("data:"):
            source = resolver.find(raw, []) or source
    if source is None or not image.link:
        return source
    href = voc.attributes(image.link).get("href", "")
    if href.partition("?")[0].lower().endswith(_IMAGE_LINK):
        full = resolve(resolver.base, href)
        if full and full != source.url and full not in source.alternatives:
            return Source(source.url, (*source.alternatives, full), source.width, source.height)
    return source


def _same_picture(image: Image, source: Source, other: Image, other_source: Source) -> bool:
    """Do two tags side by side show one picture: a small stand-in and the file itself, or a copy for other screens?

    They must declare the same size and alternative text and end in the same file name, one that looks unique.
    """
    if image.position != other.position or source.width is None or source.height is None:
        return False
    if (source.width, source.height) != (other_source.width, other_source.height):
        return False
    name = source.url.partition("?")[0].rpartition("/")[2]
    if len(name) < _UNIQUE_NAME or not any(c.isdigit() for c in name):
        return False
    same_alt = voc.attributes(image.raw).get("alt") == voc.attributes(other.raw).get("alt")
    return same_alt and other_source.url.partition("?")[0].rpartition("/")[2] == name


def _data_tables(layout: Layout, kept: Sequence[bool]) -> dict[int, _Table]:
    """Blocks in tables that hold data, by block."""
    if "table" not in layout.e_tag:
        return {}
    tables: dict[int, tuple[dict[int, int], dict[int, int], set[int], set[int]]] = {}
    for block, context in enumerate(layout.b_context):
        if not (kept[block] and context & voc.TABLE) or context & (voc.PRE | voc.CAPTION):
            continue
        cell = layout.b_element[block]
        while layout.e_tag[cell] not in ("td", "th") and cell > 0:
            cell = layout.e_parent[cell]
        row = layout.e_parent[cell]
        while layout.e_tag[row] != "tr" and row > 0:
            row = layout.e_parent[row]
        table = layout.e_parent[row] if row > 0 else 0
        while table > 0 and layout.e_tag[table] != "table":
            table = layout.e_parent[table]
        if table <= 0 or row <= 0:
            continue
        cell_of, row_of, cells, rows = tables.setdefault(table, ({}, {}, set(), set()))
        cell_of[block] = cell
        row_of[block] = row
        cells.add(cell)
        rows.add(row)
    found: dict[int, _Table] = {}
    for table, (cell_of, row_of, cells, rows) in tables.items():
        chars = sum(len(layout.b_text[b]) for b in cell_of)
        inner = layout.e_end[table] - layout.e_first[table]
        if len(rows) < 2 or len(cells) < 3 or len(cell_of) > _DATA_TABLE_BLOCKS * len(cells) + 1:
            continue
        if chars > _CELL_CHARS * len(cells) or inner > 4 * len(cell_of) + 8:
            continue
        data = _Table(row_of, cell_of)
        for block in cell_of:
            found[block] = data
    return found


def tag_of(layout: Layout, block: int) -> str:
    """Tag of a block's text node, tables aside."""
    context = layout.b_context[block]
    if not context:
        return "p"
    if context & voc.PRE:
        return "code"
    if context & voc.HEADING:
        element = layout.b_element[block]
        while element > 0:
            tag = layout.e_tag[element]
            if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
                return tag
            element = layout.e_parent[element]
    if context & voc.CAPTION:
        return "caption"
    if context & voc.QUOTE:
        return "quote"
    if context & voc.ITEM:
        return "li"
    return "p"


class _Reasons:
    """Why something in an element is boilerplate, as the nearest ancestor that says it has it; remembered."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known = {0: "boilerplate"}

    def of(self, element: int) -> str:
        """Reason code for what stands in an element."""
        layout, known = self._layout, self._known
        reason = known.get(element)
        if reason is not None:
            return reason
        climbed: list[int] = []
        while (reason := known.get(element)) is None:
            climbed.append(element)
            if layout.e_flags[element] & voc.HIDDEN:
                reason = "hidden"
            else:
                reason = _TAG_REASONS.get(layout.e_tag[element])
                if reason is None and (raw := layout.e_raw[element]):
                    reason = voc.reason_of(raw)
            if reason:
                break
            element = layout.e_parent[element]
        for each in climbed:
            known[each] = reason
        return reason


def build_nodes(
    layout: Layout, kept_blocks: Sequence[bool], kept_images: Sequence[bool], resolver: SourceResolver
) -> tuple[list[Node], list[Removed]]:
    """Nodes of the chosen blocks and pictures, and what was left out.

    Args:
        layout: the page.
        kept_blocks: one flag a block.
        kept_images: one flag a picture.
        resolver: finds the pictures' URLs.
    """
    kept = list(kept_blocks)
    reason = _Reasons(layout).of
    chosen: list[tuple[Image, Source, range]] = []
    removed_at: list[tuple[int, str, str | None]] = []  # position, reason, URL
    for image, keep in zip(layout.images, kept_images, strict=True):
        if not keep:
            removed_at.append((image.position, reason(image.element), None))
            continue
        source = source_of(image, resolver)
        if source is None:
            removed_at.append((image.position, "image_url_invalid", None))
            continue
        if (source.width is not None and source.width <= _TINY) or (
            source.height is not None and source.height <= _TINY
        ):
            removed_at.append((image.position, "tracking_pixel", source.url))
            continue
        caption = caption_blocks(layout, image)
        for block in caption:
            kept[block] = True
        if chosen and _same_picture(chosen[-1][0], chosen[-1][1], image, source):
            _, before, caption_before = chosen.pop()
            others = dict.fromkeys((*source.alternatives, before.url, *before.alternatives))
            source = Source(source.url, tuple(others), source.width, source.height)
            caption = caption or caption_before
        chosen.append((image, source, caption))
    tables = _data_tables(layout, kept)
    nodes: list[Node] = []
    removed: list[Removed] = []
    next_image = next_removed = 0
    row: list[str] = []
    rows: list[str] = []
    open_table: _Table | None = None
    open_row = open_cell = -1

    def close_table() -> None:
        nonlocal open_table, open_row, open_cell
        if open_table is not None:
            rows.append("\t".join(row))
            nodes.append(Node("text", "table", "\n".join(rows)))
            row.clear()
            rows.clear()
            open_table, open_row, open_cell = None, -1, -1

    for block, text in enumerate((*layout.b_text, None)):
        while next_removed < len(removed_at) and removed_at[next_removed][0] <= block:
            _, why, url = removed_at[next_removed]
            removed.append(Removed(why, "img", None, url, len(nodes)))
            next_removed += 1
        while next_image < len(chosen) and chosen[next_image][0].position <= block:
            image, source, caption = chosen[next_image]
            next_image += 1
            close_table()
            nodes.append(_image_node(layout, image, source, caption))
        if text is None:
            break
        if not kept[block]:
            after = len(nodes) + (open_table is not None)
            removed.append(Removed(reason(layout.b_element[block]), tag_of(layout, block), text, None, after))
            continue
        table = tables.get(block)
        if table is None:
            if open_table is not None:
                close_table()
            nodes.append(Node("text", tag_of(layout, block), text))
            continue
        if table is not open_table:
            close_table()
            open_table, open_row, open_cell = table, table.row_of[block], -1
        elif table.row_of[block] != open_row:
            rows.append("\t".join(row))
            row.clear()
            open_row, open_cell = table.row_of[block], -1
        if table.cell_of[block] == open_cell and row:
            row[-1] += " " + text
        else:
            row.append(text.replace("\n", " "))
        open_cell = table.cell_of[block]
    close_table()
    return nodes, removed


def _image_node(layout: Layout, image: Image, source: Source, caption: range) -> Node:
    found = voc.attributes(image.raw)
    alt = " ".join((found.get("alt") or "").split())
    for raw in image.fallbacks:
        alt = alt or " ".join((voc.attributes(raw).get("alt") or "").split())
    alt = alt or " ".join((found.get("title") or found.get("aria-label") or "").split())
    text = " ".join(layout.b_text[b].replace("\n", " ") for b in caption)
    return Node(
        "image", None, None, source.url, alt or None, text or None, source.width, source.height, source.alternatives
    )
