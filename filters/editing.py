"""Removing lines and nodes from a batch of documents, and replacing text, without computing anything twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from plait.filters.batch import DocumentBatch, Lines, sums


def _with_texts(nodes: pa.StructArray, texts: pa.Array) -> pa.StructArray:
    fields = list(nodes.type)
    children = [texts if field.name == "text" else nodes.field(field.name) for field in fields]
    return pa.StructArray.from_arrays(children, fields=fields)


def _gaps(documents: DocumentBatch, kept: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """Line feeds before every kept line: 0 for a document's first, 1 for the first of a node or in a rebuilt node."""
    gap = documents.lines.gap.copy()
    of_node = documents.by_node.unit
    gap[rebuilt[of_node]] = 1
    # A line after a removed one of the same node stands directly under what is left.
    previous_gone = np.concatenate([[False], ~kept[:-1]])
    gap[previous_gone & (gap > 0)] = 1
    first = np.concatenate([[-1], documents.by_document.unit[kept][:-1]]) != documents.by_document.unit[kept]
    result = gap[kept]
    result[first] = 0
    return np.asarray(result, np.int32)


def keep_lines(documents: DocumentBatch, kept: np.ndarray) -> DocumentBatch:
    """The documents with only the lines of the mask; a text node without a line left is removed.

    Blank lines inside a node that loses a line go with it.
    """
    if kept.all():
        return documents
    left = sums(kept, documents.line_offsets)
    touched = left < np.diff(documents.line_offsets)
    node_stays = np.ones(len(documents.nodes), bool)
    node_stays[documents.text_nodes[left == 0]] = False
    lines = documents.lines.take(kept, _gaps(documents, kept, touched))
    text_stays = left > 0
    offsets = np.concatenate([[0], np.cumsum(left[text_stays])])
    edited: dict[int, str] = {}
    for place in np.flatnonzero(touched & text_stays).tolist():
        start, end = documents.line_offsets[place], documents.line_offsets[place + 1]
        mask = kept[start:end].tolist()
        parts = documents.lines.texts[start:end]
        edited[int(documents.text_nodes[place])] = "\n".join(t for t, keep in zip(parts, mask, strict=True) if keep)
    nodes = documents.nodes
    if edited:
        texts = nodes.field("text").to_pylist()
        for place, text in edited.items():
            texts[place] = text
        nodes = _with_texts(nodes, pa.array(texts, pa.string()))
    return _cut(documents, nodes, node_stays, text_stays, offsets, lines)


def _cut(
    documents: DocumentBatch,
    nodes: pa.StructArray,
    node_stays: np.ndarray,
    text_stays: np.ndarray,
    line_offsets: np.ndarray,
    lines: Lines,
) -> DocumentBatch:
    place = np.cumsum(node_stays) - 1
    return DocumentBatch(
        nodes.filter(pa.array(node_stays)) if not node_stays.all() else nodes,
        np.concatenate([[0], np.cumsum(sums(node_stays, documents.node_offsets))]),
        place[documents.text_nodes[text_stays]],
        line_offsets,
        lines,
        documents.langs,
    )


def keep_nodes(documents: DocumentBatch, kept: np.ndarray) -> DocumentBatch:
    """The documents with only the nodes of the mask: bool of all nodes, images included."""
    if kept.all():
        return documents
    text_stays = kept[documents.text_nodes]
    counts = np.diff(documents.line_offsets)
    lines_kept = np.repeat(text_stays, counts)
    gap = documents.lines.gap.copy()
    # The first line of a node stands one line feed under the node before, whatever stood between.
    units = documents.by_document.unit[lines_kept]
    first = np.concatenate([[-1], units[:-1]]) != units
    cut = gap[lines_kept]
    cut[first] = 0
    lines = documents.lines.take(lines_kept, np.asarray(cut, np.int32))
    offsets = np.concatenate([[0], np.cumsum(counts[text_stays])])
    return _cut(documents, documents.nodes, kept, text_stays, offsets, lines)


def replace_texts(documents: DocumentBatch, edit: Callable[[str], str]) -> tuple[DocumentBatch, np.ndarray]:
    """The documents with an edit applied to every text node, and which text nodes it changed (bool).

    A text node whose text becomes blank is removed.
    """
    texts = documents.nodes.field("text").to_pylist()
    changed = np.zeros(len(documents.text_nodes), bool)
    for index, place in enumerate(documents.text_nodes.tolist()):
        new = edit(texts[place])
        if new != texts[place]:
            texts[place] = new
            changed[index] = True
    if not changed.any():
        return documents, changed
    nodes = _with_texts(documents.nodes, pa.array(texts, pa.string()))
    listed = pa.ListArray.from_arrays(pa.array(documents.node_offsets, pa.int32()), nodes)
    fresh = DocumentBatch.of(listed, documents.langs, documents.lines.words_with)
    stays = np.ones(len(nodes), bool)
    stays[np.setdiff1d(documents.text_nodes, fresh.text_nodes)] = False
    return keep_nodes(fresh, stays), changed


def node_column(documents: DocumentBatch) -> pa.ListArray:
    """The documents' nodes as a column."""
    return pa.ListArray.from_arrays(pa.array(documents.node_offsets, pa.int32()), documents.nodes)
