"""Removing lines and nodes from a batch of documents, and replacing text, without computing anything twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters.batch import DocumentBatch, TextBatch
from plait.filters.chunks import ramps
from plait.filters.edits import DOCUMENT_EDITS, EDITS
from plait.filters.hints import EDITED
from plait.filters.lines import Lines, sums


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
    """The documents with only the lines of the mask; a text node without more than spaces left is removed.

    Empty lines inside a node that loses a line go with it.
    """
    if kept.all():
        return documents
    text_stays = sums(kept & documents.lines.visible, documents.line_offsets) > 0
    kept = kept & text_stays[documents.by_node.unit]
    left = sums(kept, documents.line_offsets)
    touched = left < np.diff(documents.line_offsets)
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


def _places(units: TextBatch, texts: Sequence[str], name: str, edited: set[int]) -> list[int]:
    """Index of the texts that an edit of `EDITS` applies to; hints hold for those not edited yet."""
    edit = EDITS[name]
    if not edit.marks:
        return list(range(len(texts)))
    known = units.hints & EDITED[name] != 0 if name in EDITED else units.line_count > 1
    there = [place for place in np.flatnonzero(known).tolist() if place not in edited]
    return sorted([*there, *(place for place in edited if edit.concerns(texts[place]))])


def _edited(documents: DocumentBatch, texts: list[str], edits: Sequence[str]) -> tuple[list[int], set[int]]:
    """Applies edits by name to the text nodes' texts, in place; how many text nodes each changed, and which."""
    changes: list[int] = []
    edited: set[int] = set()
    for name in edits:
        count = 0
        if name in EDITS:
            places = _places(documents.by_node, texts, name, edited)
            fresh = [EDITS[name].apply(texts[place]) for place in places]
        else:
            edit = DOCUMENT_EDITS[name]
            tags = documents.nodes.field("tag").take(pa.array(documents.text_nodes))
            paragraphs = np.flatnonzero(pc.fill_null(pc.equal(tags, "p"), False))
            bounds = np.searchsorted(paragraphs, documents.text_node_offsets).tolist()
            chosen = paragraphs.tolist()
            places, fresh = [], []
            for low, high in pairwise(bounds):
                if low == high or edit.settled(texts[chosen[low]], texts[chosen[high - 1]]):
                    continue
                there = [place for place in chosen[low:high] if texts[place]]
                places += there
                fresh += edit.apply([texts[place] for place in there])
        for place, text in zip(places, fresh, strict=True):
            if text != texts[place]:
                texts[place] = text
                edited.add(place)
                count += 1
        changes.append(count)
    return changes, edited


def _cut_lines(text: str) -> tuple[list[str], list[int]]:
    """The lines of a node's text that are not empty, and the line feeds before each (1 before the first)."""
    if not text or text.isspace():
        return [], []
    lines, gaps, gap = [], [], 1
    for line in text.split("\n"):
        if line:
            lines.append(line)
            gaps.append(gap)
            gap = 1
        elif lines:
            gap += 1
    return lines, gaps


def apply_edits(documents: DocumentBatch, edits: Sequence[str]) -> tuple[DocumentBatch, list[int], np.ndarray]:
    """The documents with edits applied one after the other to their text nodes.

    Args:
        documents: the batch.
        edits: names of `EDITS` or `DOCUMENT_EDITS`.

    Returns:
        The documents, without text nodes that became blank; how many text nodes each edit changed; and which documents
        are changed (bool). Words of lines that no edit touched are not computed again.
    """
    before = documents.by_node.texts
    texts = list(before)
    changes, edited_texts = _edited(documents, texts, edits)
    changed = np.zeros(len(texts), bool)
    changed[[place for place in edited_texts if texts[place] != before[place]]] = True
    touched = np.zeros(len(documents), bool)
    if not changed.any():
        return documents, changes, touched
    owner = documents.document_of_node[documents.text_nodes]
    touched[owner[changed]] = True
    old, total = documents.lines, len(documents.lines.texts)
    starts, counts = documents.line_offsets[:-1].copy(), np.diff(documents.line_offsets)
    fresh: list[str] = []
    fresh_gaps: list[int] = []
    for place in np.flatnonzero(changed).tolist():
        lines, gaps = _cut_lines(texts[place])
        starts[place], counts[place] = total + len(fresh), len(lines)
        fresh += lines
        fresh_gaps += gaps
    order = ramps(starts, counts)
    gap = np.concatenate([old.gap, np.asarray(fresh_gaps, np.int32)])[order]
    text_stays = counts > 0
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[text_stays])])
    gap[offsets[:-1]] = 1
    gap[_first_of(np.repeat(owner, counts))] = 0
    edited = np.zeros(len(documents.nodes), bool)
    edited[documents.text_nodes[changed]] = True
    new = pa.array([texts[place] for place in np.flatnonzero(changed).tolist()], pa.string())
    node_stays = np.ones(len(documents.nodes), bool)
    node_stays[documents.text_nodes[~text_stays]] = False
    nodes = _with_texts(documents.nodes, pc.replace_with_mask(documents.nodes.field("text"), pa.array(edited), new))
    lines_now = old.rearranged(fresh, order, gap.astype(np.int32))
    return _cut(documents, nodes, node_stays, text_stays, offsets, lines_now), changes, touched


def select(documents: DocumentBatch, kept: np.ndarray) -> DocumentBatch:
    """The documents of the mask."""
    node_kept = kept[documents.document_of_node]
    text_kept = node_kept[documents.text_nodes]
    counts = np.diff(documents.line_offsets)
    line_kept = np.repeat(text_kept, counts)
    place = np.cumsum(node_kept) - 1
    return DocumentBatch(
        documents.nodes.filter(pa.array(node_kept)),
        np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(documents.node_offsets)[kept])]),
        place[documents.text_nodes[text_kept]],
        np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[text_kept])]),
        documents.lines.take(line_kept, documents.lines.gap[line_kept]),
        [lang for lang, keep in zip(documents.langs, kept.tolist(), strict=True) if keep],
    )


def merge(documents: DocumentBatch, part: DocumentBatch, rows: np.ndarray) -> DocumentBatch:
    """The documents with those at the given rows replaced by the documents of another batch, in order."""
    starts, counts = documents.node_offsets[:-1].copy(), np.diff(documents.node_offsets)
    starts[rows] = len(documents.nodes) + part.node_offsets[:-1]
    counts[rows] = np.diff(part.node_offsets)
    order = ramps(starts, counts)
    nodes = pa.concat_arrays([documents.nodes, part.nodes]).take(pa.array(order))
    texts = len(documents.text_nodes)
    text_of_node = np.full(len(documents.nodes) + len(part.nodes), -1, np.int64)
    text_of_node[documents.text_nodes] = np.arange(texts)
    text_of_node[len(documents.nodes) + part.text_nodes] = texts + np.arange(len(part.text_nodes))
    text_order = text_of_node[order]
    text_nodes = np.flatnonzero(text_order >= 0)
    text_order = text_order[text_nodes]
    known = len(documents.lines.texts)
    line_starts = np.concatenate([documents.line_offsets[:-1], known + part.line_offsets[:-1]])[text_order]
    line_counts = np.concatenate([np.diff(documents.line_offsets), np.diff(part.line_offsets)])[text_order]
    return DocumentBatch(
        nodes,
        np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        text_nodes,
        np.concatenate([np.zeros(1, np.int64), np.cumsum(line_counts)]),
        documents.lines.merged(part.lines, ramps(line_starts, line_counts)),
        documents.langs,
    )


def node_column(documents: DocumentBatch) -> pa.ListArray:
    """The documents' nodes as a column."""
    return pa.ListArray.from_arrays(pa.array(documents.node_offsets, pa.int32()), documents.nodes)
