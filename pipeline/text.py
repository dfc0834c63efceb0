"""The text stage: pages in, documents with language and scores out, everything dropped with its reason.

A recipe's rules are applied in its order. A run of line, node and image rules edits the documents (`Recipe.passes`
times), scores are computed again after it, and a run of document rules decides on what is left; the first rule that a
document fails is its reason. Documents that failed stay in the flow to the end, so that every rule's count of what it
alone would have dropped is about all documents. A score column holds what the last rule that reads the score saw, so
that a stricter threshold can be applied to it later; a score that no rule reads is of the text as it leaves the stage.
The language is identified once, on the text before any edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa

from plait.dedup.contamination import EvaluationText, evaluation_ngrams
from plait.dedup.nodes import repeats
from plait.filters.batch import DocumentBatch
from plait.filters.editing import node_column
from plait.filters.language import identify
from plait.filters.page_scores import NAMES as PAGE_SCORES
from plait.filters.page_scores import compute_page
from plait.filters.passes import Books, remove_nodes, run_passes
from plait.filters.pii import masked_all
from plait.filters.quality import quality
from plait.filters.recipe import Recipe
from plait.filters.rules import Rule, first_failure
from plait.filters.scores import SCORES, compute
from plait.schemas.documents import PAGE, document_schema
from plait.schemas.ledger import DROP, NODE_SAMPLE

STAGE = "text"

EVALUATION = Rule(
    name="evaluation_text",
    scope="document",
    keep="eval_ngrams == 0",
    source="GPT-3 (arXiv 2005.14165, appendix C): 13 words of an evaluation item",
)
"""The rule that a build with evaluation files adds to its recipe's."""


@dataclass(frozen=True)
class TextResult:
    """What the text stage made of a batch of pages.

    Attributes:
        kept: documents that pass, with language and score columns (`document_schema`).
        dropped: one row of `plait.schemas.ledger.DROP` for every document that does not.
        dropped_documents: those documents, in the schema of ``kept``.
        node_counts: text nodes (line rules: lines) removed, by reason, in all documents.
        edit_counts: text nodes changed, by the name of the edit; ``pii_masked`` for masking.
        image_node_counts: image nodes removed, by reason, in all documents; ``document_dropped`` for those that a
            dropped document still had. Image nodes in = image nodes of ``kept`` + the sum of these.
        node_samples: one removed node in 32 (`plait.schemas.ledger.NODE_SAMPLE`).
        alone: for every document rule of this stage, how many documents it alone would have dropped.
        pages: the pages as they came, personal data masked where the recipe asks: what any recipe can begin with again.
    """

    kept: pa.RecordBatch
    dropped: pa.RecordBatch
    dropped_documents: pa.RecordBatch
    node_counts: dict[str, int]
    edit_counts: dict[str, int]
    image_node_counts: dict[str, int]
    node_samples: pa.RecordBatch
    alone: dict[str, int]
    pages: pa.RecordBatch


def score_types(recipe: Recipe) -> dict[str, pa.DataType]:
    """The score columns that documents get with this recipe, sorted by name."""
    return {name: SCORES[name].type for name in sorted(recipe.columns)}


@dataclass
class _Flow:
    """The documents on their way through the rules, and the books kept of it."""

    pages: pa.RecordBatch
    recipe: Recipe
    ids: list[bytes]
    documents: DocumentBatch
    lang: pa.Array
    lang_score: pa.Array
    books: Books = field(default_factory=Books)
    scores: dict[str, pa.Array] = field(default_factory=dict)
    current: set[str] = field(default_factory=set)

    def changed(self, documents: DocumentBatch) -> None:
        if documents is not self.documents:
            self.documents = documents
            self.current = set()

    def document_columns(self, names: Sequence[str]) -> dict[str, pa.Array]:
        """Scores of the documents as they are now."""
        self.scores = {
            name: column for name, column in self.scores.items() if name in self.current or name not in names
        }
        return self.latest(names)

    def latest(self, names: Sequence[str]) -> dict[str, pa.Array]:
        """Scores as the last rule that asked saw them; those that none asked for, of the documents as they are now."""
        known = {"lang": self.lang, "lang_score": self.lang_score}
        missing = [name for name in names if name not in self.scores and name not in known]
        ordinary = [name for name in missing if name not in PAGE_SCORES and name != "quality"]
        self.scores.update(compute(ordinary, "document", self.documents))
        files = self.recipe.resources
        for name in missing:
            if name in PAGE_SCORES:
                self.scores[name] = compute_page(name, self.pages, files.blocked_domains, files.blocked_urls)
            elif name == "quality" and files.quality_model:
                found = quality(self.documents.by_document.texts, files.quality_model)
                self.scores[name] = pa.array(found, pa.float64(), from_pandas=True)
            elif name == "quality":
                self.scores[name] = pa.nulls(len(self.documents), SCORES[name].type)
        self.current.update(missing)
        return {name: known[name] if name in known else self.scores[name] for name in names}


def _distinct(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _batch(columns: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
    if columns:
        return pa.RecordBatch.from_pydict(dict(columns))
    return pa.RecordBatch.from_pydict({"_": pa.nulls(rows)})


def _masked(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    """The pages with personal data masked in text, alternative text, captions and titles."""
    nodes = batch.column("nodes")
    flat = nodes.flatten()
    changed = 0
    children = []
    for part in flat.type:
        values = flat.field(part.name)
        if part.name in ("text", "alt", "caption"):
            values, count = masked_all(values)
            changed += count
        children.append(values)
    titles, count = masked_all(batch.column("title"))
    if not changed and not count:
        return batch, 0
    offsets = pa.array(nodes.offsets.to_numpy() - nodes.offsets[0].as_py(), pa.int32())
    listed = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(children, fields=list(flat.type)))
    columns = [listed if name == "nodes" else titles if name == "title" else batch.column(name) for name in PAGE.names]
    return pa.RecordBatch.from_arrays(columns, schema=PAGE), changed


def _drops(
    batch: pa.RecordBatch, rows: np.ndarray, reasons: Sequence[tuple[Rule, float, str | None]]
) -> pa.RecordBatch:
    taken = batch.take(pa.array(rows))
    count = len(rows)
    columns = {
        "stage": pa.array([STAGE] * count, pa.string()),
        "scope": pa.array(["document"] * count, pa.string()),
        "reason": pa.array([rule.name for rule, _, _ in reasons], pa.string()),
        "value": pa.array([value for _, value, _ in reasons], pa.float64(), from_pandas=True),
        "threshold": pa.array([rule.keep for rule, _, _ in reasons], pa.string()),
        "doc_id": taken.column("doc_id"),
        "node": pa.nulls(count, pa.int32()),
        "url": taken.column("url"),
        "archive": taken.column("archive"),
        "offset": taken.column("offset"),
        "detail": pa.array([text for _, _, text in reasons], pa.string()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in DROP.names], schema=DROP)


def _without_repeats(flow: _Flow, similarity: float) -> DocumentBatch:
    """The documents without text nodes that repeat an earlier one of their document, nearly or wholly."""
    documents = flow.documents
    offsets, texts = documents.text_node_offsets.tolist(), documents.by_node.texts
    found = [
        (low + place, likeness)
        for low, high in pairwise(offsets)
        for place, _, likeness in repeats(texts[low:high], similarity)
    ]
    places = np.array([place for place, _ in found], np.int64)
    values = np.array([likeness for _, likeness in found], np.float64)
    return remove_nodes(documents, flow.ids, places, values, "repeated_node", flow.books)


def apply_text(
    batch: pa.RecordBatch,
    recipe: Recipe,
    evaluation: EvaluationText | None = None,
    known: Mapping[str, pa.Array] | None = None,
) -> TextResult:
    """Applies a recipe's rules on text, and those on images that the page alone decides, to a batch of pages.

    Args:
        batch: pages, `plait.schemas.documents.PAGE`.
        recipe: rules that need what is absent must have been taken out (`Recipe.skipping`). Near-equal nodes within a
            document (``dedup.node_similarity``) go after its last rule on lines, nodes and images.
        evaluation: text that no kept document may contain; looked for in what the rules leave of each document.
        known: language and scores of the batch from an earlier time, by column; each stands until an edit changes the
            documents, then it is computed again. The language stands for good.

    Returns:
        Kept and dropped documents in the order of the input, and the books. What happens to a page does not depend on
        the other pages of the batch.

    Raises:
        ConfigError: where the language model has not been obtained.
    """
    masked_nodes = 0
    if recipe.mask_pii:
        batch, masked_nodes = _masked(batch)
    documents = DocumentBatch.of(batch.column("nodes"))
    if known is None:
        found = identify(documents.by_document.texts)
        known = {"lang": pa.array(found.lang, pa.string()), "lang_score": pa.array(found.score, pa.float32())}
    documents.langs[:] = [lang or "" for lang in known["lang"].to_pylist()]
    scores = {name: column for name, column in known.items() if name not in ("lang", "lang_score")}
    flow = _Flow(
        batch, recipe, batch.column("doc_id").to_pylist(), documents, known["lang"], known["lang_score"],
        scores=scores, current=set(scores),
    )  # fmt: skip
    if masked_nodes:
        flow.books.edits["pii_masked"] = masked_nodes
    verdict: list[tuple[Rule, float, str | None] | None] = [None] * batch.num_rows
    alone: dict[str, int] = {}
    rules = [rule for rule in recipe.rules if rule.stage == "text"]
    runs = [list(group) for _, group in groupby(rules, key=lambda rule: rule.scope == "document")]
    edits = [place for place, run in enumerate(runs) if run[0].scope != "document"]
    similarity = recipe.dedup.node_similarity
    if similarity is not None and not edits:
        flow.changed(_without_repeats(flow, similarity))
    for place, run in enumerate(runs):
        if run[0].scope != "document":
            flow.changed(run_passes(flow.documents, flow.ids, run, recipe.passes, flow.books))
            if similarity is not None and place == edits[-1]:
                flow.changed(_without_repeats(flow, similarity))
            continue
        columns = flow.document_columns(_distinct(name for rule in run for name in rule.scores))
        failures = first_failure(run, _batch(columns, batch.num_rows))
        alone.update({rule.name: int(count) for rule, count in zip(run, failures.alone, strict=True)})
        for row in np.flatnonzero(failures.rule >= 0).tolist():
            if verdict[row] is None:
                verdict[row] = (run[failures.rule[row]], float(failures.value[row]), failures.text[row])
    if evaluation is not None:
        hits, share = evaluation_ngrams(flow.documents.by_document.texts, evaluation)
        alone[EVALUATION.name] = int(np.count_nonzero(hits))
        for row in np.flatnonzero(hits).tolist():
            if verdict[row] is None:
                verdict[row] = (EVALUATION, float(hits[row]), f"{share[row]:.1%} of the document's n-grams")
    return _result(batch, flow, recipe, verdict, alone)


def _samples(books: Books) -> pa.RecordBatch:
    """The sampled nodes in the order of their documents."""
    ordered = sorted(books.samples, key=lambda sample: sample[0])
    return pa.RecordBatch.from_pylist([{"stage": STAGE, **entry} for _, entry in ordered], schema=NODE_SAMPLE)


def _result(
    batch: pa.RecordBatch,
    flow: _Flow,
    recipe: Recipe,
    verdict: Sequence[tuple[Rule, float, str | None] | None],
    alone: dict[str, int],
) -> TextResult:
    types = score_types(recipe)
    schema = document_schema(types)
    scored = flow.latest(list(types))
    columns = {name: batch.column(name) for name in PAGE.names}
    columns |= {"nodes": node_column(flow.documents), "lang": flow.lang, "lang_score": flow.lang_score, **scored}
    whole = pa.RecordBatch.from_arrays(
        [columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema
    )
    stays = np.array([entry is None for entry in verdict], bool)
    gone = np.flatnonzero(~stays)
    images = flow.documents.is_image[np.flatnonzero(~stays[flow.documents.document_of_node])]
    if images.any():
        flow.books.images["document_dropped"] += int(images.sum())
    return TextResult(
        kept=whole.filter(pa.array(stays)),
        dropped=_drops(batch, gone, [entry for entry in verdict if entry is not None]),
        dropped_documents=whole.filter(pa.array(~stays)),
        node_counts=dict(sorted(flow.books.nodes.items())),
        edit_counts=dict(sorted((name, count) for name, count in flow.books.edits.items() if count)),
        image_node_counts=dict(sorted(flow.books.images.items())),
        node_samples=_samples(flow.books),
        alone=alone,
        pages=batch,
    )
