"""Where a text node stands: its tag, what comes after it, how far the next image is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters.batch import DocumentBatch
from plait.filters.score import Score, of_documents

_HEADINGS = pa.array(["h1", "h2", "h3", "h4", "h5", "h6"])
_FAR = 1 << 40


def tag(documents: DocumentBatch) -> pa.Array:
    """Tag of the text node: p, h1 to h6, li, quote, code, table, caption."""
    return documents.nodes.field("tag").take(pa.array(documents.text_nodes))


def heading(documents: DocumentBatch) -> pa.Array:
    """Whether the text node is a heading."""
    return pc.is_in(tag(documents), value_set=_HEADINGS)


def empty_heading(documents: DocumentBatch) -> pa.Array:
    """Whether the text node is a heading and the next node of its document a heading of the same level. OmniCorpus."""
    level = pc.fill_null(pc.index_in(documents.nodes.field("tag"), value_set=_HEADINGS), -1).to_numpy()
    owner = documents.document_of_node
    same = np.zeros(len(level), bool)
    same[:-1] = (level[:-1] >= 0) & (level[1:] == level[:-1]) & (owner[1:] == owner[:-1])
    return pa.array(same[documents.text_nodes])


def nodes_after(documents: DocumentBatch) -> pa.Array:
    """Text nodes of the document that follow."""
    offsets = documents.text_node_offsets
    counts = np.diff(offsets)
    return pa.array(np.repeat(offsets[1:], counts) - 1 - np.arange(len(documents.text_nodes)), pa.int64())


def image_distance(documents: DocumentBatch) -> pa.Array:
    """Nodes to the nearest image of the document, 1 for a neighbour; null where the document has no image.

    OmniCorpus spares short paragraphs near an image (10 lines of its XML, some 5 nodes).
    """
    images = np.flatnonzero(documents.is_image)
    owner = documents.document_of_node
    texts = documents.text_nodes
    distance = np.full(len(texts), _FAR, np.int64)
    if len(images):
        after = np.searchsorted(images, texts)
        for neighbour in (np.minimum(after, len(images) - 1), np.maximum(after - 1, 0)):
            image = images[neighbour]
            same = owner[image] == owner[texts]
            distance = np.where(same, np.minimum(distance, np.abs(image - texts)), distance)
    return pa.array(distance, pa.int64(), mask=distance == _FAR)


def repeated_node(documents: DocumentBatch) -> pa.Array:
    """Whether the same text stood in an earlier node of the document. mOSCAR removes it."""
    texts = documents.by_node.texts
    owners = documents.document_of_node[documents.text_nodes].tolist()
    seen: set[str] = set()
    found, last = [], -1
    for text, owner in zip(texts, owners, strict=True):
        if owner != last:
            seen, last = set(), owner
        found.append(text in seen)
        seen.add(text)
    return pa.array(found, pa.bool_())


_NODE = ("node",)
SCORES: tuple[Score, ...] = (
    of_documents(tag, pa.string(), _NODE),
    of_documents(heading, pa.bool_(), _NODE),
    of_documents(empty_heading, pa.bool_(), _NODE),
    of_documents(nodes_after, pa.int64(), _NODE),
    of_documents(image_distance, pa.int64(), _NODE),
    of_documents(repeated_node, pa.bool_(), _NODE),
)
