"""Texts of a batch, with what several scores need computed once: lines, words, n-grams, characters.

The smallest piece is a line. A text node is a run of lines, a document a run of nodes, and a document's text is its
text nodes joined by line feeds. Words and character classes are computed per line, so that the scores of a node, of
its document, and of the document after an edit are sums over the same arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters.chunks import spans, split_lines
from plait.filters.lines import Lines, Measure, sums
from plait.filters.vocabulary import Vocabulary, vocabulary
from plait.filters.word_table import ALPHABETIC, PUNCTUATION, SYMBOLIC, TERMINAL


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole as float64, NaN where whole is 0."""
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=np.asarray(whole) != 0)
    return result


@dataclass(frozen=True)
class TextBatch:
    """Units of text of one scope: the lines, the nodes or the documents of a batch.

    Attributes:
        lines: the lines of all units.
        offsets: int64 of length units + 1; lines offsets[i] : offsets[i + 1] are unit i's. Units cover all lines.
        langs: language of every unit (of its document), "" where unknown.
    """

    lines: Lines
    offsets: np.ndarray
    langs: Sequence[str] = ()

    @staticmethod
    def of(
        texts: Sequence[str | None], langs: Sequence[str] | None = None, words_with: Vocabulary | None = None
    ) -> TextBatch:
        """Units from whole texts; empty lines only widen the gap before the next line."""
        lines: list[str] = []
        gaps: list[int] = []
        offsets = np.zeros(len(texts) + 1, np.int64)
        for place, text in enumerate(texts):
            gap = 0
            for line in (text or "").split("\n"):
                if line:
                    lines.append(line)
                    gaps.append(gap)
                    gap = 1
                elif gap:
                    gap += 1
            offsets[place + 1] = len(lines)
        body = Lines(lines, np.asarray(gaps, np.int32), words_with or vocabulary())
        return TextBatch(body, offsets, langs if langs is not None else [""] * len(texts))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def total(self, per_line: np.ndarray) -> np.ndarray:
        """Sum of a value of lines over every unit."""
        return sums(per_line, self.offsets)

    def count_lines(self, hits: Sequence[bool]) -> np.ndarray:
        """Lines of every unit for which a list says True; an empty list says it of none."""
        return self.total(np.fromiter(hits or repeat(False), bool, len(self.lines.texts)))

    @cached_property
    def unit(self) -> np.ndarray:
        """Unit of every line: int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def texts(self) -> list[str]:
        """Every unit's text: its lines with their gaps."""
        lines = self.lines.texts
        counts = np.diff(self.offsets)
        if len(counts) == len(lines) and (counts == 1).all():
            return lines
        starts = self.offsets[:-1]
        found = [lines[start] if count else "" for start, count in zip(starts.tolist(), counts.tolist(), strict=True)]
        for unit in np.flatnonzero(counts > 1).tolist():
            start, end = int(starts[unit]), int(starts[unit] + counts[unit])
            gaps = self.lines.gap[start + 1 : end]
            if (gaps == 1).all():
                found[unit] = "\n".join(lines[start:end])
            else:
                rest = zip(gaps.tolist(), lines[start + 1 : end], strict=True)
                found[unit] = lines[start] + "".join("\n" * gap + line for gap, line in rest)
        return found

    @cached_property
    def hints(self) -> np.ndarray:
        """What the lines of every unit hint at (`plait.filters.hints`): uint32."""
        found = np.zeros(len(self), np.uint32)
        full = np.flatnonzero(self.line_count)
        if len(full):
            found[full] = np.bitwise_or.reduceat(self.lines.words.hints, self.offsets[:-1][full])
        return found

    @cached_property
    def line_count(self) -> np.ndarray:
        """Lines that are not empty, lines of spaces included."""
        return np.diff(self.offsets)

    @cached_property
    def visible_lines(self) -> np.ndarray:
        """Lines with more than spaces."""
        return self.total(self.lines.visible)

    @cached_property
    def newlines(self) -> np.ndarray:
        """Line feeds between the lines of every unit."""
        gap = self.lines.gap.astype(np.int64)
        gap[self.offsets[:-1][self.line_count > 0]] = 0
        return self.total(gap)

    @cached_property
    def line_chars(self) -> np.ndarray:
        """Characters of every unit without line feeds."""
        return self.total(self.lines.chars)

    @cached_property
    def chars(self) -> np.ndarray:
        """Characters of every unit, line feeds between its lines included."""
        return np.asarray(self.line_chars + self.newlines)

    @cached_property
    def word_offsets(self) -> np.ndarray:
        """Words word_offsets[i] : word_offsets[i + 1] of `Lines.words` are unit i's."""
        return np.asarray(self.lines.words.offsets[self.offsets])

    def total_words(self, name: str, measure: Measure) -> np.ndarray:
        """Sum over the words of every unit of what a measure gives for each (`Lines.count`)."""
        return self.total(self.lines.count(name, measure))

    @cached_property
    def tokens(self) -> np.ndarray:
        """Words and punctuation marks of every unit."""
        return np.diff(self.word_offsets)

    @cached_property
    def words(self) -> np.ndarray:
        """Words of every unit that are more than punctuation."""
        return self.total_words("words", lambda words: ~words.flagged(SYMBOLIC))

    @cached_property
    def word_chars(self) -> np.ndarray:
        """Characters of those words."""
        return self.total_words("word_chars", lambda words: np.where(words.flagged(SYMBOLIC), 0, words.length))

    @cached_property
    def alphabetic_words(self) -> np.ndarray:
        """Words of every unit with a letter."""
        return self.total_words("alphabetic", lambda words: words.flagged(ALPHABETIC))

    @cached_property
    def line_sentences(self) -> np.ndarray:
        """Sentences of every line: int64; a sentence begins at the first word after a terminal mark."""
        words = self.lines.words
        terminal = words.flagged(TERMINAL)
        ordinary = np.flatnonzero(~words.flagged(TERMINAL | PUNCTUATION))
        line = np.repeat(np.arange(len(self.lines.texts)), np.diff(words.offsets))[ordinary]
        ended = np.concatenate([[0], np.cumsum(terminal)])
        before = ended[ordinary]
        # Marks seen at the last ordinary word of the same line, or at the line's start.
        previous = ended[words.offsets[:-1]][line]
        same = np.flatnonzero(line[1:] == line[:-1]) + 1
        previous[same] = before[same - 1]
        starts = np.bincount(line[before > previous], minlength=len(self.lines.texts))
        return starts + (np.diff(words.offsets) > 0)

    def of_class(self, flag: int) -> np.ndarray:
        """Characters of every unit of a class of `plait.filters.characters`."""
        return self.total(self.lines.of_class(flag))


@dataclass(frozen=True)
class DocumentBatch:
    """Documents of a batch at three scopes that share their lines.

    Attributes:
        nodes: all nodes of all documents, images included (`NODE` structs).
        node_offsets: int64 of length documents + 1, into ``nodes``.
        text_nodes: int64, index in ``nodes`` of every text node that has text.
        line_offsets: int64 of length text nodes + 1: the lines of every text node.
        lines: all lines.
        langs: language of every document, "" where unknown.
    """

    nodes: pa.StructArray
    node_offsets: np.ndarray
    text_nodes: np.ndarray
    line_offsets: np.ndarray
    lines: Lines
    langs: list[str]

    def __len__(self) -> int:
        return len(self.node_offsets) - 1

    @staticmethod
    def of(
        nodes: pa.ListArray, langs: Sequence[str] | None = None, words_with: Vocabulary | None = None
    ) -> DocumentBatch:
        """The documents of a page batch's ``nodes`` column."""
        offsets = nodes.offsets.to_numpy().astype(np.int64)
        offsets = offsets - offsets[0]
        flat: pa.StructArray = nodes.flatten()
        texts = flat.field("text")
        written = pc.and_(pc.equal(flat.field("kind"), "text"), pc.greater(pc.binary_length(texts), 0))
        text_nodes = np.flatnonzero(pc.fill_null(written, False))
        found = texts.take(pa.array(text_nodes))
        listed = found.to_pylist()
        blank = np.fromiter(map(str.isspace, listed), bool, len(listed))
        if blank.any():
            text_nodes, found = text_nodes[~blank], found.filter(pa.array(~blank))
            listed = found.to_pylist()
        array, owner, gap = split_lines(found)
        line_offsets = np.searchsorted(owner, np.arange(len(text_nodes) + 1))
        first = line_offsets[np.searchsorted(text_nodes, offsets[:-1])]  # line of every document, if it has one
        gap[first[first < len(array)]] = 0
        listed = listed if array is found else array.to_pylist()
        body = Lines(listed, gap, words_with or vocabulary(), _utf8=[spans(array)])
        return DocumentBatch(
            flat,
            offsets,
            text_nodes,
            line_offsets,
            body,
            list(langs) if langs is not None else [""] * (len(offsets) - 1),
        )

    @cached_property
    def text_node_offsets(self) -> np.ndarray:
        """Text nodes text_node_offsets[i] : text_node_offsets[i + 1] are document i's."""
        return np.searchsorted(self.text_nodes, self.node_offsets)

    @cached_property
    def by_document(self) -> TextBatch:
        """One unit a document."""
        return TextBatch(self.lines, self.line_offsets[self.text_node_offsets], self.langs)

    @cached_property
    def by_node(self) -> TextBatch:
        """One unit a text node."""
        counts = np.diff(self.text_node_offsets)
        langs = np.repeat(np.asarray(self.langs, dtype=object), counts).tolist()
        return TextBatch(self.lines, self.line_offsets, langs)

    @cached_property
    def by_line(self) -> TextBatch:
        """One unit a line."""
        units = np.arange(len(self.lines.texts) + 1)
        counts = np.diff(self.by_document.offsets)
        return TextBatch(self.lines, units, np.repeat(np.asarray(self.langs, dtype=object), counts).tolist())

    @cached_property
    def is_image(self) -> np.ndarray:
        """Whether a node is an image: bool, of all nodes."""
        return np.asarray(pc.fill_null(pc.equal(self.nodes.field("kind"), "image"), False))

    @cached_property
    def document_of_node(self) -> np.ndarray:
        """Document of every node: int64."""
        return np.repeat(np.arange(len(self)), np.diff(self.node_offsets))
