"""Removing lines and nodes from a batch of documents, and replacing text, without computing anything twice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from plait.filters.batch import DocumentBatch, Lines, sums
from plait.filters.edits import DOCUMENT_EDITS, EDITS


def _with_texts(nodes: pa.StructArray, texts: pa.Array) -> pa.StructArray:
    fields = list(nodes.type)
    children = [texts if field.name == "text" else nodes.field(field.name) for field in fields]
    return pa.StructArray.from_arrays(children, fields=fields)


def _first_of(units: np.ndarray) -> np.ndarray:
    """Where a new unit begins: bool."""
    return np.concatenate([np.ones(min(1, len(units)), bool), units[1:] != units[:-1]])


def _cut(
    documents: DocumentBatch,
    nodes: pa.StructArray,
    node_stays: np.ndarray,
    text_stays: np.ndarray,
    line_offsets: np.ndarray,
    lines: Lines,
) -> DocumentBatch:
    """The documents without the nodes that do not stay, with new lines for the text nodes that do."""
    place = np.cumsum(node_stays) - 1
    return DocumentBatch(
        nodes.filter(pa.array(node_stays)) if not node_stays.all() else nodes,
        np.concatenate([np.zeros(1, np.int64), np.cumsum(sums(node_stays, documents.node_offsets))]),
        place[documents.text_nodes[text_stays]],
        line_offsets,
        lines,
        documents.langs,
    )


def keep_lines(documents: DocumentBatch, kept: np.ndarray) -> DocumentBatch:
    """The documents with only the lines of the mask; a text node without a line left is removed.

    Empty lines inside a node that loses a line go with it.
    """
    if kept.all():
        return documents
    left = sums(kept, documents.line_offsets)
    touched = left < np.diff(documents.line_offsets)
    text_stays = left > 0
    node_stays = np.ones(len(documents.nodes), bool)
    node_stays[documents.text_nodes[~text_stays]] = False
    edited = np.flatnonzero(touched & text_stays)
    nodes = documents.nodes
    if len(edited):
        texts = nodes.field("text").to_pylist()
        for place in edited.tolist():
            start, end = documents.line_offsets[place], documents.line_offsets[place + 1]
            parts = zip(documents.lines.texts[start:end], kept[start:end].tolist(), strict=True)
            texts[int(documents.text_nodes[place])] = "\n".join(text for text, keep in parts if keep)
        nodes = _with_texts(nodes, pa.array(texts, pa.string()))
    gap = np.where(touched[documents.by_node.unit], 1, documents.lines.gap)[kept]
    gap[_first_of(documents.by_document.unit[kept])] = 0
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(left[text_stays])])
    lines = documents.lines.take(kept, gap.astype(np.int32))
    return _cut(documents, nodes, node_stays, text_stays, offsets, lines)


def keep_nodes(documents: DocumentBatch, kept: np.ndarray) -> DocumentBatch:
    """The documents with only the nodes of the mask: bool of all nodes, images included."""
    if kept.all():
        return documents
    text_stays = kept[documents.text_nodes]
    counts = np.diff(documents.line_offsets)
    lines_kept = np.repeat(text_stays, counts)
    gap = documents.lines.gap[lines_kept]
    gap[_first_of(documents.by_document.unit[lines_kept])] = 0
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[text_stays])])
    return _cut(documents, documents.nodes, kept, text_stays, offsets, documents.lines.take(lines_kept, gap))


def _edited(documents: DocumentBatch, texts: list[str], edits: Sequence[str]) -> dict[str, int]:
    """Applies edits by name to the text nodes' texts, in place; how many text nodes each changed."""
    changes: dict[str, int] = {}
    offsets = documents.text_node_offsets.tolist()
    for name in edits:
        count = 0
        if name in EDITS:
            edit = EDITS[name]
            for place, text in enumerate(texts):
                new = edit(text)
                if new != text:
                    texts[place] = new
                    count += 1
        else:
            tags = documents.nodes.field("tag").take(pa.array(documents.text_nodes)).to_pylist()
            for low, high in itertools.pairwise(offsets):
                places = [place for place in range(low, high) if tags[place] == "p" and texts[place]]
                new_texts = DOCUMENT_EDITS[name]([texts[place] for place in places])
                for place, new in zip(places, new_texts, strict=True):
                    count += new != texts[place]
                    texts[place] = new
        changes[name] = count
    return changes


def apply_edits(documents: DocumentBatch, edits: Sequence[str]) -> tuple[DocumentBatch, dict[str, int]]:
    """The documents with edits applied one after the other to their text nodes.

    Args:
        documents: the batch.
        edits: names of `EDITS` or `DOCUMENT_EDITS`.

    Returns:
        The documents, without text nodes that became blank, and how many text nodes each edit changed. Words of lines
        that no edit touched are not computed again.
    """
    before = documents.by_node.texts
    texts = list(before)
    changes = _edited(documents, texts, edits)
    changed = [new != old for new, old in zip(texts, before, strict=True)]
    if not any(changed):
        return documents, changes
    old_offsets = documents.line_offsets.tolist()
    fresh: list[str] = []
    order: list[int] = []
    gaps: list[int] = []
    counts: list[int] = []
    total = len(documents.lines.texts)
    old_gaps = documents.lines.gap.tolist()
    for place, (text, is_new) in enumerate(zip(texts, changed, strict=True)):
        low, high = old_offsets[place], old_offsets[place + 1]
        if not is_new:
            order.extend(range(low, high))
            gaps.append(1)
            gaps.extend(old_gaps[low + 1 : high])
            counts.append(high - low)
            continue
        found = 0
        gap = 1
        for line in [] if text.isspace() else text.split("\n"):
            if line:
                order.append(total + len(fresh))
                fresh.append(line)
                gaps.append(gap)
                gap = 1
                found += 1
            elif found:
                gap += 1
        counts.append(found)
    per_node = np.asarray(counts, np.int64)
    owner = np.repeat(documents.document_of_node[documents.text_nodes], per_node)
    gap_array = np.asarray(gaps, np.int32)
    gap_array[_first_of(owner)] = 0
    lines = documents.lines.rearranged(fresh, np.asarray(order, np.int64), gap_array)
    all_texts = documents.nodes.field("text").to_pylist()
    for node, text, is_new in zip(documents.text_nodes.tolist(), texts, changed, strict=True):
        if is_new:
            all_texts[node] = text
    text_stays = per_node > 0
    node_stays = np.ones(len(documents.nodes), bool)
    node_stays[documents.text_nodes[~text_stays]] = False
    nodes = _with_texts(documents.nodes, pa.array(all_texts, pa.string()))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_node[text_stays])])
    return _cut(documents, nodes, node_stays, text_stays, offsets, lines), changes


def node_column(documents: DocumentBatch) -> pa.ListArray:
    """The documents' nodes as a column."""
    return pa.ListArray.from_arrays(pa.array(documents.node_offsets, pa.int32()), documents.nodes)
