"""Passes over lines, nodes and images: the rules below the document, applied in a recipe's order.

A pass after the first looks only at the documents that the pass before has changed: the others would come out as they
went in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import pyarrow as pa

from plait.filters.batch import DocumentBatch
from plait.filters.editing import apply_edits, keep_lines, keep_nodes, merge, select
from plait.filters.language import identify
from plait.filters.rules import DOCUMENT_LANG, Rule, first_failure
from plait.filters.scores import compute

SAMPLE_ONE_IN = 32  # removed nodes that go into the ledger's sample, chosen by document id and place
SAMPLE_CHARS = 300  # of a sampled node's text
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class Books:
    """What passes removed and changed.

    Attributes:
        nodes: text nodes (line rules: lines) removed, by rule.
        edits: text nodes changed, by rule.
        images: image nodes removed, by rule.
        samples: (row of the document, removed node); a node has the fields of `plait.schemas.ledger.NODE_SAMPLE` but
            ``stage``.
    """

    nodes: Counter[str] = field(default_factory=Counter)
    edits: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[int, dict[str, object]]] = field(default_factory=list)


@dataclass
class _Pass:
    """Documents in one pass, which of them it has changed, and where they stand in the batch."""

    documents: DocumentBatch
    ids: Sequence[bytes]
    rows: np.ndarray
    touched: np.ndarray
    books: Books

    def sample(
        self, places: np.ndarray, reasons: Sequence[str], values: np.ndarray, texts: Sequence[str | None]
    ) -> None:
        """Notes one in 32 of the removed nodes; a node is chosen by its document's id and its place, nothing else."""
        owner = self.documents.document_of_node[places]
        inside = (places - self.documents.node_offsets[owner]).astype(np.uint64)
        packed = b"".join(self.ids[row].ljust(16, b"\0")[:16] for row in self.rows.tolist())
        halves = np.frombuffer(packed, "<u8").reshape(-1, 2)
        mixed = ((halves[:, 0] ^ halves[:, 1])[owner] ^ (inside * _MIX)) * _MIX
        for index in np.flatnonzero((mixed >> np.uint64(32)) % np.uint64(SAMPLE_ONE_IN) == 0).tolist():
            node = self.documents.nodes[int(places[index])].as_py()
            row = int(self.rows[owner[index]])
            text = texts[index]
            entry = {
                "reason": reasons[index],
                "doc_id": self.ids[row],
                "tag": node["tag"],
                "text": text[:SAMPLE_CHARS] if text else None,
                "image_url": node["image_url"],
                "value": None if np.isnan(values[index]) else float(values[index]),
            }
            self.books.samples.append((row, entry))

    def columns(self, rules: Sequence[Rule], scope: str) -> pa.RecordBatch:
        """The columns that rules of a scope below the document read."""
        documents = self.documents
        asked = list(dict.fromkeys(name for rule in rules for name in rule.scores))
        units = {"line": documents.by_line, "node": documents.by_node}
        columns = compute([name for name in asked if name not in ("lang", "lang_score")], scope, documents)
        if "lang" in asked or "lang_score" in asked:  # scores of a text node only
            found = identify(documents.by_node.texts)
            columns["lang"], columns["lang_score"] = pa.array(found.lang, pa.string()), pa.array(found.score)
        if any(rule.languages for rule in rules):
            if scope == "image":
                spoken = pa.array(documents.langs, pa.string()).take(pa.array(documents.document_of_node))
            else:
                spoken = pa.array(list(units[scope].langs), pa.string())
            columns[DOCUMENT_LANG] = spoken
        if not columns:
            columns["_"] = pa.nulls(len(documents.nodes) if scope == "image" else len(units[scope]))
        return pa.RecordBatch.from_pydict(columns)

    def remove(self, rules: Sequence[Rule], scope: str) -> None:
        """Removes the lines, text nodes or image nodes that fail one of the rules."""
        documents = self.documents
        failures = first_failure(rules, self.columns(rules, scope))
        failed = failures.rule >= 0
        if scope == "image":
            failed &= documents.is_image
        gone = np.flatnonzero(failed)
        if not len(gone):
            return
        reasons = [rules[index].name for index in failures.rule[gone].tolist()]
        (self.books.images if scope == "image" else self.books.nodes).update(reasons)
        texts: list[str | None] = [None] * len(gone)
        if scope == "line":
            nodes = documents.text_nodes[documents.by_node.unit[gone]]
            texts = [documents.lines.texts[place] for place in gone.tolist()]
        elif scope == "node":
            nodes = documents.text_nodes[gone]
            texts = [documents.by_node.texts[place] for place in gone.tolist()]
        else:
            nodes = gone
        self.sample(nodes, reasons, failures.value[gone], texts)
        self.touched[documents.document_of_node[nodes]] = True
        if scope == "line":
            self.documents = keep_lines(documents, ~failed)
        else:
            kept = np.ones(len(documents.nodes), bool)
            kept[nodes] = False
            self.documents = keep_nodes(documents, kept)

    def edit(self, rules: Sequence[Rule]) -> None:
        """Applies edits to the text nodes, one rule after the other."""
        self.documents, changes, touched = apply_edits(self.documents, [rule.edit for rule in rules])
        self.touched |= touched
        for rule, count in zip(rules, changes, strict=True):
            self.books.edits[rule.name] += count


def remove_nodes(
    documents: DocumentBatch, ids: Sequence[bytes], places: np.ndarray, values: np.ndarray, reason: str, books: Books
) -> DocumentBatch:
    """The documents without some of their text nodes, for a reason that no rule of a recipe gives.

    Args:
        documents: the batch.
        ids: the documents' ids, by which samples are chosen.
        places: int64, index among the batch's text nodes of each node that goes.
        values: float64, what was measured of each.
        reason: of `plait.schemas.reasons`.
        books: receives counts and samples.
    """
    if not len(places):
        return documents
    books.nodes[reason] += len(places)
    nodes = documents.text_nodes[places]
    now = _Pass(documents, ids, np.arange(len(documents)), np.zeros(len(documents), bool), books)
    now.sample(nodes, [reason] * len(places), values, [documents.by_node.texts[place] for place in places.tolist()])
    kept = np.ones(len(documents.nodes), bool)
    kept[nodes] = False
    return keep_nodes(documents, kept)


def run_passes(
    documents: DocumentBatch, ids: Sequence[bytes], rules: Sequence[Rule], passes: int, books: Books
) -> DocumentBatch:
    """The documents after a run of line, node and image rules.

    Rules of one scope in a row see the same documents; an edit sees what the rules before it left.

    Args:
        documents: the batch.
        ids: the documents' ids, by which samples are chosen.
        rules: in the recipe's order, none of them of scope "document".
        passes: how often the run is applied.
        books: receives counts and samples.
    """
    result = documents
    now = _Pass(documents, ids, np.arange(len(documents)), np.zeros(len(documents), bool), books)
    for _ in range(passes):
        for (scope, edits), group in groupby(rules, key=lambda rule: (rule.scope, bool(rule.edit))):
            if edits:
                now.edit(list(group))
            else:
                now.remove(list(group), scope)
        whole = len(now.rows) == len(documents)
        result = now.documents if whole else merge(result, now.documents, now.rows)
        if not now.touched.any():
            break
        rows = now.rows[now.touched]
        part = now.documents if now.touched.all() else select(now.documents, now.touched)
        now = _Pass(part, ids, rows, np.zeros(len(rows), bool), books)
    return result
