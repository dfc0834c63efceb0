"""Near-equal text nodes within a document: the later ones are repeats (mOSCAR: Levenshtein ratio of at least 0.95)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.dedup.keys import normalised

REPEATED_NODE = pa.schema(
    [
        pa.field("doc_id", pa.binary(), nullable=False),
        pa.field("node", pa.int32(), nullable=False),  # index in the document's nodes: the repeat
        pa.field("of_node", pa.int32(), nullable=False),  # the earlier node that it repeats
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)

MAX_CHARS = 4096
"""Longer nodes are compared for equality only: the ratio's cost grows with the product of the lengths."""
MAX_KEPT = 4096
"""Distinct nodes of a document that later ones are compared with; after that only equal ones are found."""

_BUCKETS = 32  # of the character histogram whose overlap bounds the ratio


def ratio(left: str, right: str) -> float:
    """Share of characters in common, in order: 2 LCS / (length + length), 0 to 1; 1 for two empty strings.

    It is what the Levenshtein library calls ratio (substitutions count 2). Longest common subsequence by bit-vectors
    (Hyyrö 2004): one addition of big integers a character of ``right``.
    """
    if not left or not right:
        return float(left == right)
    places: dict[str, int] = {}
    for place, char in enumerate(left):
        places[char] = places.get(char, 0) | 1 << place
    everything = (1 << len(left)) - 1
    rows = everything
    for char in right:
        match = rows & places.get(char, 0)
        rows = (rows + match | rows - match) & everything
    common = len(left) - rows.bit_count()
    return 2 * common / (len(left) + len(right))


@dataclass
class _Kept:
    """Distinct nodes so far, with what bounds the ratio: lengths and character histograms."""

    texts: list[str] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    histograms: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((16, _BUCKETS), np.int32))

    def add(self, text: str, node: int, histogram: npt.NDArray[np.int32]) -> None:
        if len(self.texts) == len(self.histograms):
            self.histograms = np.concatenate([self.histograms, np.zeros_like(self.histograms)])
        self.histograms[len(self.texts)] = histogram
        self.texts.append(text)
        self.nodes.append(node)
        self.lengths.append(len(text))

    def candidates(self, length: int, histogram: npt.NDArray[np.int32], least: float) -> list[int]:
        """Places whose ratio to a text may reach ``least``: no subsequence has more of a character than either."""
        if not self.texts:
            return []
        overlap = np.minimum(self.histograms[: len(self.texts)], histogram).sum(axis=1)
        bound = 2 * overlap / (np.asarray(self.lengths) + length)
        places: list[int] = np.flatnonzero(bound >= least).tolist()
        return places


def _histogram(text: str) -> npt.NDArray[np.int32]:
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.bincount(points % _BUCKETS, minlength=_BUCKETS).astype(np.int32)


def repeats(texts: Sequence[str | None], similarity: float) -> Iterator[tuple[int, int, float]]:
    """Places of texts that repeat an earlier one: (place, earlier place, ratio), in order.

    Texts are compared in normal form (white space, Unicode composition) without regard to case. The first earlier text
    that is near enough is named; repeats are not compared with any more, so they do not chain.

    Args:
        texts: of a document's nodes in order; None and blank ones are no text.
        similarity: least ratio, above 0 to 1; 1 finds equal nodes only.
    """
    seen: dict[str, int] = {}
    kept = _Kept()
    for place, text in enumerate(texts):
        plain = normalised(text).casefold() if text else ""
        if not plain:
            continue
        if plain in seen:
            yield place, seen[plain], 1.0
            continue
        seen[plain] = place
        if similarity >= 1 or len(plain) > MAX_CHARS or len(kept.texts) >= MAX_KEPT:
            continue
        histogram = _histogram(plain)
        for candidate in kept.candidates(len(plain), histogram, similarity):
            likeness = ratio(kept.texts[candidate], plain)
            if likeness >= similarity:
                seen[plain] = kept.nodes[candidate]
                yield place, kept.nodes[candidate], likeness
                break
        else:
            kept.add(plain, place, histogram)


def repeated_nodes(batch: pa.RecordBatch, similarity: float) -> pa.RecordBatch:
    """Documents to `REPEATED_NODE`: text nodes that repeat an earlier one of their document, in order.

    Only doc_id and nodes are read; a document of n nodes costs at most n comparisons of histograms a node and the
    ratios of those that pass.
    """
    nodes = batch.column("nodes")
    flat = nodes.flatten()
    texts = flat.field("text").to_pylist()
    kinds = flat.field("kind").to_pylist()
    sizes = nodes.value_lengths().to_pylist()
    rows = []
    low = 0
    for doc, size in zip(batch.column("doc_id").to_pylist(), sizes, strict=True):
        high = low + (size or 0)
        own = [text if kind == "text" else None for text, kind in zip(texts[low:high], kinds[low:high], strict=True)]
        for place, earlier, likeness in repeats(own, similarity):
            rows.append({"doc_id": doc, "node": place, "of_node": earlier, "similarity": likeness})
        low = high
    return pa.RecordBatch.from_pylist(rows, schema=REPEATED_NODE)
