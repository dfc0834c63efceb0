"""How much text there is: characters, words, lines, nodes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from plait.filters import characters
from plait.filters.batch import DocumentBatch, TextBatch, ratio
from plait.filters.lines import sums
from plait.filters.score import Score, of_documents, of_text


def chars(text: TextBatch) -> np.ndarray:
    """Characters of the text, line feeds included."""
    return text.chars


def words(text: TextBatch) -> np.ndarray:
    """Words that are more than punctuation; a character of a script without spaces is a word.

    Gopher (arXiv 2112.11446, appendix A) keeps documents of 50 to 100,000.
    """
    return text.words


def tokens(text: TextBatch) -> np.ndarray:
    """Words and punctuation marks."""
    return text.tokens


def space_words(text: TextBatch) -> np.ndarray:
    """Pieces of text between whitespace: what ``str.split`` gives."""
    return text.total(text.lines.words.chunks)


def lines(text: TextBatch) -> np.ndarray:
    """Lines with more than spaces."""
    return text.visible_lines


def sentences(text: TextBatch) -> np.ndarray:
    """Sentences: a new one begins after a terminal mark and at every line."""
    return text.total(text.line_sentences)


def mean_word_length(text: TextBatch) -> np.ndarray:
    """Mean length of the words that are more than punctuation, in characters; NaN where there are none.

    Gopher (arXiv 2112.11446, appendix A) keeps 3 to 10.
    """
    return ratio(text.word_chars, text.words)


def mean_token_length(text: TextBatch) -> np.ndarray:
    """Mean length of words and marks, in characters; NaN where there are none. OmniCorpus keeps 3 to 10."""
    return ratio(text.total_words("length", lambda words: words.length), text.tokens)


def longest_chunk(text: TextBatch) -> np.ndarray:
    """Characters of the longest piece without whitespace. C4's code drops lines with more than 1,000."""
    return maxima(text.lines.words.longest, text.offsets)


def longest_line(text: TextBatch) -> np.ndarray:
    """Characters of the longest line."""
    return maxima(text.lines.chars, text.offsets)


def unspaced_ratio(text: TextBatch) -> np.ndarray:
    """Share of letters from scripts without spaces between words (Han, kana, Thai, Lao, Khmer, Burmese, Tibetan)."""
    letters = text.of_class(characters.ALPHA) + text.of_class(characters.MARK)
    return ratio(np.minimum(text.of_class(characters.UNSPACED), letters), letters)


def maxima(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Largest of values[offsets[i] : offsets[i + 1]] for every i; 0 for an empty range."""
    found = np.zeros(len(offsets) - 1, np.int64)
    full = np.flatnonzero(np.diff(offsets))
    if len(full):
        found[full] = np.maximum.reduceat(values, offsets[:-1][full])
    return found


def utf8_bytes(text: TextBatch) -> np.ndarray:
    """Bytes of the text in UTF-8. mOSCAR's shortest node: 5 for Latin scripts, 15 for others."""
    per_line = np.fromiter(
        (len(t) if t.isascii() else len(t.encode("utf-8", "surrogatepass")) for t in text.lines.texts),
        np.int64,
        len(text.lines.texts),
    )
    return np.asarray(text.total(per_line) + text.newlines)


def text_nodes(documents: DocumentBatch) -> pa.Array:
    """Text nodes with text. mOSCAR drops documents with fewer than 5."""
    return pa.array(np.diff(documents.text_node_offsets))


def image_nodes(documents: DocumentBatch) -> pa.Array:
    """Image nodes with a URL, before any image was fetched or looked at."""
    urls = documents.nodes.field("image_url").is_valid().to_numpy(zero_copy_only=False)
    return pa.array(sums(documents.is_image & urls, documents.node_offsets))


def words_per_image_node(documents: DocumentBatch) -> pa.Array:
    """Words of the document divided by its image nodes; null without one.

    OmniCorpus asks for 50 from the third image on; its released code counts no images, so its rule never fires.
    """
    images = sums(documents.is_image, documents.node_offsets)
    return pa.array(ratio(documents.by_document.words, images), pa.float64(), from_pandas=True)


def longest_node_words(documents: DocumentBatch) -> pa.Array:
    """Words of the document's longest text node. OmniCorpus asks for one of 35 or a mean of 12."""
    return pa.array(maxima(documents.by_node.words, documents.text_node_offsets))


def mean_node_words(documents: DocumentBatch) -> pa.Array:
    """Mean words of the document's text nodes; null where there are none."""
    total = sums(documents.by_node.words, documents.text_node_offsets)
    return pa.array(ratio(total, np.diff(documents.text_node_offsets)), pa.float64(), from_pandas=True)


_INT, _FLOAT = pa.int64(), pa.float64()
SCORES: tuple[Score, ...] = (
    of_text(chars, _INT),
    of_text(words, _INT),
    of_text(tokens, _INT),
    of_text(space_words, _INT),
    of_text(lines, _INT),
    of_text(sentences, _INT),
    of_text(mean_word_length, _FLOAT),
    of_text(mean_token_length, _FLOAT),
    of_text(longest_chunk, _INT),
    of_text(longest_line, _INT),
    of_text(unspaced_ratio, _FLOAT),
    of_text(utf8_bytes, _INT),
    of_documents(text_nodes, _INT, ("document",)),
    of_documents(image_nodes, _INT, ("document",)),
    of_documents(words_per_image_node, _FLOAT, ("document",)),
    of_documents(longest_node_words, _INT, ("document",)),
    of_documents(mean_node_words, _FLOAT, ("document",)),
)
