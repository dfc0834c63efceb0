"""Extracted pages as Arrow rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from plait.pipeline.extract import Node, Page
from plait.schemas import ids
from plait.schemas.documents import NODE, PAGE, TIME
from plait.schemas.urls import canonical_url, domain


@dataclass(frozen=True, slots=True)
class Capture:
    """A page with what its record said of it."""

    page: Page
    url: str
    captured: int | None  # microseconds since 1970 UTC
    sha256: bytes  # of the decoded payload
    archive: str
    archive_id: str
    offset: int
    length: int

    def doc_id(self) -> bytes:
        """Id of the document; a capture without a date counts as captured in 1970."""
        return ids.doc_id(canonical_url(self.url), self.captured or 0, self.sha256)


def _text(value: str | None) -> str | None:
    """Text that UTF-8 can hold: lone surrogates, which no encoder takes, become U+FFFD."""
    if value is None or value.isascii():
        return value
    return value.encode("utf-8", "replace").decode("utf-8") if _has_surrogate(value) else value


def _has_surrogate(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _nodes(pages: Sequence[list[Node]]) -> pa.ListArray:
    flat = [node for nodes in pages for node in nodes]
    columns = {
        "kind": [node.kind for node in flat],
        "tag": [node.tag for node in flat],
        "text": [_text(node.text) for node in flat],
        "image_url": [_text(node.url) for node in flat],
        "alt": [_text(node.alt) for node in flat],
        "caption": [_text(node.caption) for node in flat],
        "width": [node.width for node in flat],
        "height": [node.height for node in flat],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in NODE]
    offsets = np.cumsum([0, *(len(nodes) for nodes in pages)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(arrays, fields=list(NODE)))


def pages_batch(captures: Sequence[Capture], order_seed: int) -> pa.RecordBatch:
    """Rows of `PAGE` for some captures, in their order."""
    doc_ids = [capture.doc_id() for capture in captures]
    pages = [capture.page for capture in captures]
    columns: dict[str, pa.Array] = {
        "doc_id": pa.array(doc_ids, pa.binary()),
        "order_key": pa.array([ids.order_key(doc, order_seed) for doc in doc_ids], pa.int64()),
        "url": pa.array([_text(capture.url) for capture in captures], pa.string()),
        "domain": pa.array([_text(domain(capture.url)) for capture in captures], pa.string()),
        "captured": pa.array([capture.captured for capture in captures], pa.int64()).cast(TIME),
        "archive": pa.array([capture.archive for capture in captures], pa.string()),
        "archive_id": pa.array([capture.archive_id for capture in captures], pa.string()),
        "offset": pa.array([capture.offset for capture in captures], pa.int64()),
        "length": pa.array([capture.length for capture in captures], pa.int64()),
        "title": pa.array([_text(page.title) for page in pages], pa.string()),
        "licence": pa.array([_text(page.licence) for page in pages], pa.string()),
        "canonical": pa.array([_text(page.canonical) for page in pages], pa.string()),
        "published": pa.array([_text(page.published) for page in pages], pa.string()),
        "site_name": pa.array([_text(page.site_name) for page in pages], pa.string()),
        "author": pa.array([_text(page.author) for page in pages], pa.string()),
        "html_lang": pa.array([_text(page.html_lang) for page in pages], pa.string()),
        "nodes": _nodes([page.nodes for page in pages]),
    }
    return pa.RecordBatch.from_arrays([columns[field.name].cast(field.type) for field in PAGE], schema=PAGE)
