"""Extraction of one page: bytes in, a `Page` or a `RecordError` out."""

from __future__ import annotations

import numpy as np

from plait.pipeline.extract import blocks as block_classifier
from plait.pipeline.extract import fast
from plait.pipeline.extract.charset import utf8_html
from plait.pipeline.extract.external import trafilatura_nodes
from plait.pipeline.extract.gate import has_usable_image
from plait.pipeline.extract.image_source import SourceResolver
from plait.pipeline.extract.markup import parse
from plait.pipeline.extract.metadata import base_of, read_metadata
from plait.pipeline.extract.nodes import build_nodes
from plait.pipeline.extract.noscript import settle_noscript
from plait.pipeline.extract.page import EXTRACTORS, ExtractOptions, Page, Removed
from plait.pipeline.extract.segment import segment
from plait.schemas.errors import ConfigError, RecordError


def extract_html(html: bytes, url: str, *, options: ExtractOptions | None = None, charset: str | None = None) -> Page:
    """Extract a page's main content with its pictures in place.

    Args:
        html: the page's bytes, content encoding undone.
        url: its URL; relative references start from it, or from its ``<base href>``.
        options: extractor and limits.
        charset: of the HTTP Content-Type header, or None.

    Raises:
        RecordError: ``record_too_large``, ``too_many_nodes``, ``too_deep``, ``no_image``, ``no_content``.
    """
    return extract_with_model(html, url, options=options or ExtractOptions(), charset=charset, model=None)


def extract_with_model(
    html: bytes, url: str, *, options: ExtractOptions, charset: str | None, model: block_classifier.BlockModel | None
) -> Page:
    """As `extract_html`, with another block classifier than the package's own; cross-validation needs it.

    Args:
        html: as `extract_html`.
        url: as `extract_html`.
        options: as `extract_html`.
        charset: as `extract_html`.
        model: the classifier; None takes the one that ships.
    """
    if options.extractor not in EXTRACTORS:
        raise ConfigError(f"no extractor is called {options.extractor!r}; choose one of {', '.join(EXTRACTORS)}")
    if len(html) > options.max_bytes:
        raise RecordError("record_too_large", value=float(len(html)), threshold=float(options.max_bytes))
    page = utf8_html(html, charset)
    markup = parse(page, max_nodes=options.max_nodes, max_depth=options.max_depth)
    meta = read_metadata(markup, url)
    layout = segment(
        markup.pieces, max_depth=options.max_depth, posters=options.video_posters, backgrounds=options.css_backgrounds
    )
    settle_noscript(layout)
    resolver = SourceResolver(
        base_of(url, meta.base),
        target_width=options.target_width,
        data_bytes=options.data_image_bytes,
        data_min_bytes=options.data_image_min_bytes,
    )
    if not layout.b_text and not layout.images:
        raise RecordError("no_content")
    if options.require_image and not has_usable_image(
        layout, resolver, min_side=options.min_side, banned_words=options.banned_words
    ):
        raise RecordError("no_image")
    removed: list[Removed] = []
    if options.extractor == "trafilatura":
        nodes = trafilatura_nodes(page.decode("utf-8"), url, resolver.base)
    else:
        if not layout.b_text:
            blocks, images = np.zeros(0, np.bool_), np.ones(len(layout.images), np.bool_)
        elif options.extractor == "fast":
            blocks, images = fast.choose(layout, meta.title)
        else:
            blocks, images = block_classifier.choose(layout, meta.title, model or block_classifier.shipped_model())
        nodes, removed = build_nodes(layout, blocks.tolist(), images.tolist(), resolver)
    if not nodes:
        raise RecordError("no_content")
    return Page(
        url=url, title=meta.title, canonical=meta.canonical, published=meta.published, site_name=meta.site_name,
        author=meta.author, html_lang=meta.html_lang, licence=meta.licence, robots=meta.robots, nodes=nodes,
        removed=removed,
    )  # fmt: skip
