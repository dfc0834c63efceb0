"""What the report shows, gathered from a corpus' files: bounded samples, whatever the corpus' size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from plait.explorer.dropped import Dropped, DroppedPictures, RuleExamples, dropped_rows, node_examples
from plait.explorer.masking import clipped
from plait.explorer.near import Near, nearly_dropped
from plait.explorer.pictures import thumbnail
from plait.explorer.quantiles import AtQuantiles, at_quantiles
from plait.explorer.sheets import Sheet, TextTwins, Twins, contact_sheets
from plait.filters.rules import Rule
from plait.loader import Corpus, Text
from plait.loader.documents import Node
from plait.schemas.manifest import Manifest

SAMPLED_DOCUMENTS: Final = 20_000  # for distributions; the head of the global shuffle is a random sample
SHOWN_DOCUMENTS: Final = 10
SHOWN_NODES: Final = 14
SHOWN_PICTURES: Final = 5


@dataclass(frozen=True)
class Shown:
    """A document as the report shows it: lines of text and thumbnails as data URIs, in reading order."""

    title: str
    url: str
    about: str
    nodes: tuple[tuple[str, str], ...]  # ("p", text), ("img", data URI), ("url", image URL)


@dataclass(frozen=True)
class Gathered:
    """Everything the report needs besides the manifest.

    Attributes:
        rows: columns without pictures of a sample of documents.
        sampled: how many those are.
        documents: the first ones.
        examples: of what was dropped, by (stage, scope, reason).
        nodes: removed nodes, by (stage, reason).
        near: what rules kept and nearly dropped, by the rule's name.
        sheets: clusters of equal pictures.
        twins: documents of equal or nearly equal text, of which one was kept.
        quantiles: pictures at the quantiles of scores on pictures and their texts.
    """

    rows: pa.Table | None = None
    sampled: int = 0
    documents: tuple[Shown, ...] = ()
    examples: dict[tuple[str, str, str], list[Dropped]] = field(default_factory=dict)
    nodes: dict[tuple[str, str], list[Dropped]] = field(default_factory=dict)
    near: dict[str, list[Near]] = field(default_factory=dict)
    sheets: tuple[Sheet, ...] = ()
    twins: tuple[Twins, ...] = ()
    quantiles: tuple[AtQuantiles, ...] = ()


def gather(path: str, manifest: Manifest, rules: Sequence[Rule], pictures: DroppedPictures | None = None) -> Gathered:
    """Reads a corpus for its report.

    Args:
        path: the corpus' folder or URL.
        manifest: its manifest (which need not be written yet).
        rules: of its recipe.
        pictures: gives bytes of dropped pictures, where they are still at hand.
    """
    examples, twins = RuleExamples(), TextTwins()
    for row in dropped_rows(path, manifest):
        examples.add(row)
        twins.add(row)
    found = Gathered(
        examples=examples.found(path, rules, pictures),
        nodes=node_examples(path, manifest.lists.node_samples),
        twins=twins.found(),
    )
    if "parquet" not in manifest.formats or not manifest.totals.documents:
        return found
    corpus = Corpus(path, manifest=manifest)
    sampled = min(len(corpus), SAMPLED_DOCUMENTS)
    rows = corpus.head(sampled).to_arrow([n for n in corpus.columns if n not in ("images", "texts", "tags")])
    return Gathered(
        rows, sampled, tuple(_shown(document.nodes, document.fields) for document in corpus.head(SHOWN_DOCUMENTS)),
        found.examples, found.nodes, nearly_dropped(corpus, rows, rules), contact_sheets(corpus, rows), found.twins,
        at_quantiles(corpus, rows),
    )  # fmt: skip


def _shown(nodes: tuple[Node, ...], known: Mapping[str, object]) -> Shown:
    lines: list[tuple[str, str]] = []
    pictures = 0
    for node in nodes[:SHOWN_NODES]:
        if isinstance(node, Text):
            lines.append(("h" if (node.tag or "").startswith("h") else "p", clipped(node.text)))
        elif node.data is None:
            lines.append(("url", node.url or ""))
        elif pictures < SHOWN_PICTURES:
            pictures += 1
            lines.append(("img", thumbnail(node)))
    if len(nodes) > SHOWN_NODES:
        lines.append(("more", f"and {len(nodes) - SHOWN_NODES} more nodes"))
    about = " · ".join(str(known[name]) for name in ("lang", "licence", "captured") if known.get(name))
    return Shown(clipped(str(known.get("title") or "")), clipped(str(known.get("url") or "")), about, tuple(lines))
