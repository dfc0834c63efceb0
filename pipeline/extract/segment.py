"""One pass over a page's pieces: elements, blocks of text, pictures, all in document order.

A *block* is the text between two boundaries of block-level elements. Elements cover contiguous ranges of blocks, so
any statistic of an ancestor is a difference of two prefix sums (`plait.pipeline.extract.features`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from plait.pipeline.extract import vocabulary as voc
from plait.pipeline.extract.block_text import BREAK, SEAM, clean_text, formula_source, is_seam
from plait.schemas.errors import RecordError

_LINE = re.compile(r'class="(?:[^"]* )?(?:\w+-)?line[ "]')  # how highlighters name a line of code
_STYLE_IMAGE = re.compile(r"background(?:-image)?\s*:[^;\"]*url\(", re.IGNORECASE)
_SMALL = re.compile(r'(?:^|\s)(?:width|height)="(\d{1,2})(?:px)?"')
_INLINE_SIDE = 48  # pixels; a picture that declares less on a side stands in the line and does not split a sentence
_UNSEEN = voc.SKIP | voc.HIDDEN  # of an inline element
_IMAGE_TAGS = frozenset({"img", "amp-img", "amp-anim"})


@dataclass(slots=True)
class Image:
    """A picture as the page has it, not yet resolved.

    Attributes:
        raw: attributes of the tag, as serialised.
        tag: "img", "amp-img", "video" (poster) or "style" (CSS background).
        element: index of the element that holds it.
        position: number of blocks that stand before it.
        context: bits of `vocabulary`, inherited.
        sources: attributes of the ``<source>`` tags of its ``<picture>``.
        link: attributes of the ``<a>`` around it, or "".
        fallbacks: attributes of the pictures that its ``<noscript>`` shows instead.
        caption: index of its caption among the blocks, -1 if it has none.
    """

    raw: str
    tag: str
    element: int
    position: int
    context: int
    sources: list[str] = field(default_factory=list)
    link: str = ""
    fallbacks: list[str] = field(default_factory=list)
    caption: int = -1


@dataclass(slots=True)
class Layout:
    """A page in one pass. Lists of elements (``e_*``) and of blocks (``b_*``) run in document order.

    Attributes:
        e_parent: index of the parent; -1 for the root, element 0.
        e_tag: tag name.
        e_raw: attributes, as serialised.
        e_context: bits of `vocabulary` that an element passes on to what it holds.
        e_flags: bits of `vocabulary` of the element itself; without those of its attributes where it holds nothing.
        e_first: index of the element's first block.
        e_end: index past its last block.
        b_text: text, whitespace as a reader sees it, line breaks kept.
        b_words: words of it, separated by whitespace.
        b_element: the block-level element whose text it is.
        b_context: bits of `vocabulary`.
        b_link: characters of it that stand in links.
        b_links: links that start in it.
        b_inner: attributes of the first inline element in it, or "".
        images: pictures.
    """

    e_parent: list[int]
    e_tag: list[str]
    e_raw: list[str]
    e_context: list[int]
    e_flags: list[int]
    e_first: list[int]
    e_end: list[int]
    b_text: list[str]
    b_words: list[int]
    b_element: list[int]
    b_context: list[int]
    b_link: list[int]
    b_links: list[int]
    b_inner: list[str]
    images: list[Image]


def _set_flags(layout: Layout) -> None:
    """Add what attributes say of the elements that hold a block or a picture; of the others nobody asks."""
    holding = [end > first for first, end in zip(layout.e_first, layout.e_end, strict=True)]
    for image in layout.images:
        element = image.element
        while not holding[element] and element > 0:
            holding[element] = True
            element = layout.e_parent[element]
    flags_of = voc.flags_of
    for element, (raw, holds) in enumerate(zip(layout.e_raw, holding, strict=True)):
        if holds and raw:
            layout.e_flags[element] |= flags_of(raw)


def segment(pieces: list[str], *, max_depth: int, posters: bool, backgrounds: bool) -> Layout:
    """Read the pieces of a page once.

    Raises:
        RecordError: ``too_deep``, if elements nest deeper than ``max_depth``.
    """
    e_parent, e_tag, e_raw, e_context, e_flags, e_first, e_end = [-1], ["#root"], [""], [0], [0], [0], [0]
    b_text: list[str] = []
    b_words: list[int] = []
    b_element: list[int] = []
    b_context: list[int] = []
    b_link: list[int] = []
    b_links: list[int] = []
    b_inner: list[str] = []
    images: list[Image] = []
    pending: list[Image] = []  # small pictures in the line: they follow their block
    buffer: list[str] = []
    current = context = depth = skip = 0
    link_depth = link_chars = links = 0
    inner = link_raw = ""
    begun = False  # is there anything for `flush` to write or to reset?
    filled = False  # is there anything but whitespace in the buffer?
    picture: list[str] | None = None
    math_start = math_depth = -1
    math_opening = ""
    link_end = -2
    ending = "/#root"  # end tag of the current element
    kinds, tag_context, known, context_of = voc.KINDS, voc.TAG_CONTEXT, voc.KNOWN, voc.context_of

    def flush() -> None:
        nonlocal link_chars, links, inner, begun, filled
        if filled:
            text, words = clean_text("".join(buffer), bool(context & voc.PRE))
            if text:
                b_text.append(text)
                b_words.append(words)
                b_element.append(current)
                b_context.append(context)
                b_link.append(link_chars if link_chars < len(text) else len(text))
                b_links.append(links)
                b_inner.append(inner)
        buffer.clear()
        link_chars = links = 0
        inner = ""
        begun = filled = False
        if pending:
            for image in pending:
                image.position = len(b_text)
            images.extend(pending)
            pending.clear()

    for number, piece in enumerate(pieces):
        head, _, text = piece.partition(">")
        if head == ending and not skip:
            depth -= 1
            if begun:
                flush()
            e_end[current] = len(b_text)
            current = e_parent[current]
            context = e_context[current]
            ending = "/" + e_tag[current]
        elif not head:
            continue
        elif head[0] == "/":
            depth -= 1
            if skip:
                if depth >= skip:
                    continue
                skip = 0
                if math_depth >= 0 and head == "/math":
                    source = pieces[math_start : number + 1]
                    source[-1] = "/math>"
                    buffer.append(formula_source(source, math_opening))
                    begun = filled = True
                    math_depth = -1
            elif head == "/a":
                if link_depth:
                    link_depth -= 1
                    if not link_depth:
                        link_raw = ""
                    if not text:
                        link_end = number
            elif head == "/picture":
                picture = None
        else:
            name, _, raw = head.partition(" ")
            kind = kinds.get(name)
            if kind is None:
                kind = "inline" if "-" in name else "block"
            if skip:
                if kind != "void":
                    depth += 1
                continue
            if kind == "void":
                if name == "br":
                    buffer.append(BREAK)
                    begun = True
                elif name == "img":
                    image = Image(raw, "img", current, 0, context, picture or [], link_raw)
                    if filled and (small := _SMALL.search(raw)) and int(small[1]) < _INLINE_SIDE:
                        pending.append(image)
                    else:
                        if begun:
                            flush()
                        image.position = len(b_text)
                        images.append(image)
                elif name == "source":
                    if picture is not None:
                        picture.append(raw)
                elif name == "hr" and begun:
                    flush()
            else:
                depth += 1
                if depth > max_depth:
                    raise RecordError("too_deep", value=float(depth), threshold=float(max_depth))
                if kind == "block":
                    if begun:
                        flush()
                    flags = tag_context.get(name, 0)
                    if raw:
                        said = known.get(raw)
                        flags |= context_of(raw) if said is None else said
                        if flags & voc.SKIP:
                            skip = depth
                            continue
                        if backgrounds and "url(" in raw and _STYLE_IMAGE.search(raw):
                            images.append(Image(raw, "style", current, len(b_text), context, [], link_raw))
                    e_parent.append(current)
                    current = len(e_tag)
                    context |= flags & voc.INHERITED
                    ending = "/" + name
                    e_flags.append(flags)
                    e_tag.append(name)
                    e_raw.append(raw)
                    e_context.append(context)
                    e_first.append(len(b_text))
                    e_end.append(0)
                elif kind == "link":
                    if link_end == number - 1:
                        buffer.append(" ")  # two links side by side are two words
                    elif filled and pieces[number - 1][-1] == ">":
                        buffer.append(SEAM)
                    link_depth += 1
                    links += 1
                    begun = True
                    link_raw = raw
                    if not inner:
                        inner = raw
                    if voc.is_rendered_math(raw):
                        skip = depth
                elif kind == "inline":
                    if filled and pieces[number - 1][-1] == ">" and is_seam(pieces[number - 1], name):
                        buffer.append("\n" if context & voc.PRE and _LINE.search(raw) else SEAM)
                    if raw:
                        said = known.get(raw)
                        flags = context_of(raw) if said is None else said
                        if flags & _UNSEEN and (flags & voc.SKIP or "math" not in raw):
                            skip = depth
                            continue
                        if not inner:
                            inner = raw
                            begun = True
                    if name == "picture":
                        picture = []
                    elif name in _IMAGE_TAGS:
                        if begun:
                            flush()
                        images.append(Image(raw, name, current, len(b_text), context, [], link_raw))
                    elif name == "rp":
                        skip = depth
                        continue
                elif name == "math":
                    math_start, math_depth, math_opening, skip = number, depth, raw, depth
                    continue
                else:
                    if begun:
                        flush()
                    if posters and "poster=" in raw:
                        images.append(Image(raw, "video", current, len(b_text), context, [], ""))
                    skip = depth
                    continue
        if text:
            if filled:
                buffer.append(text)
            elif not text.isspace():
                buffer.append(text)
                begun = filled = True
            elif context & voc.PRE:
                buffer.append(text)  # elsewhere a block's leading whitespace is not seen
                begun = True
            if link_depth:
                link_chars += len(text)
                begun = True
    if begun:
        flush()
    while current >= 0:
        e_end[current] = len(b_text)
        current = e_parent[current]
    layout = Layout(
        e_parent, e_tag, e_raw, e_context, e_flags, e_first, e_end,
        b_text, b_words, b_element, b_context, b_link, b_links, b_inner, images,
    )  # fmt: skip
    _set_flags(layout)
    return layout
