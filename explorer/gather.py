"""What the report shows, gathered from a corpus' files: bounded samples, whatever the corpus' size."""

from __future__ import annotations

import base64
import hashlib
import heapq
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from plait.filters.pii import masked
from plait.loader import Corpus, Picture, Text
from plait.schemas.errors import ConfigError, CorpusError
from plait.schemas.manifest import Manifest

SAMPLED_DOCUMENTS: Final = 20_000  # for distributions; the head of the global shuffle is a random sample
SHOWN_DOCUMENTS: Final = 10
SHOWN_NODES: Final = 14
SHOWN_PICTURES: Final = 5
SHOWN_CHARS: Final = 360
EXAMPLES: Final = 4  # of each reason
SCANNED_DROPS: Final = 2_000_000  # rows of the ledger looked at for examples
THUMBNAIL: Final = (192, 128)  # pixels
UNSHOWN: Final = ("nsfw", "unsafe", "porn", "listed", "abuse")
"""Reasons with one of these in their name are counted; nothing of what they dropped is shown."""


@dataclass(frozen=True)
class Example:
    """Something that a rule dropped."""

    what: str
    url: str | None
    value: float | None
    threshold: str | None
    detail: str | None


@dataclass(frozen=True)
class Shown:
    """A document as the report shows it: lines of text and thumbnails as data URIs, in reading order."""

    title: str
    url: str
    about: str
    nodes: tuple[tuple[str, str], ...]  # ("p", text), ("img", data URI), ("url", image URL)


@dataclass(frozen=True)
class Gathered:
    """Everything the report needs besides the manifest."""

    rows: pa.Table | None  # columns without pictures of a sample of documents
    sampled: int
    documents: tuple[Shown, ...] = ()
    examples: dict[tuple[str, str, str], list[Example]] = field(default_factory=dict)  # (stage, scope, reason)
    nodes: dict[tuple[str, str], list[Example]] = field(default_factory=dict)  # removed nodes, by (stage, reason)


def gather(path: str, manifest: Manifest) -> Gathered:
    """Reads a corpus for its report.

    Args:
        path: the corpus' folder or URL.
        manifest: its manifest (which need not be written yet).
    """
    rows, sampled = None, 0
    documents: tuple[Shown, ...] = ()
    if "parquet" in manifest.formats and manifest.totals.documents:
        corpus = Corpus(path, manifest=manifest)
        sampled = min(len(corpus), SAMPLED_DOCUMENTS)
        head = corpus.head(sampled)
        rows = head.to_arrow([name for name in corpus.columns if name not in ("images", "texts", "tags")])
        documents = tuple(_shown(document.nodes, document.fields) for document in corpus.head(SHOWN_DOCUMENTS))
    examples = _examples(path, manifest.lists.drops)
    return Gathered(rows, sampled, documents, examples, _node_examples(path, manifest.lists.node_samples))


def _shown(nodes: tuple[Text | Picture, ...], fields: object) -> Shown:
    known = fields if isinstance(fields, dict) else {}
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
    return Shown(clipped(str(known.get("title") or "")), str(known.get("url") or ""), about, tuple(lines))


def thumbnail(picture: Picture) -> str:
    """A small WebP of a picture as a data URI; "" where it cannot be decoded."""
    from PIL import Image

    try:
        image = picture.decode()
        image.thumbnail(THUMBNAIL, Image.Resampling.BILINEAR)
        file = io.BytesIO()
        image.convert("RGBA" if "transparency" in image.info or image.mode in ("LA", "RGBA", "P") else "RGB").save(
            file, "webp", quality=70
        )
    except (OSError, ValueError, CorpusError, Image.DecompressionBombError):
        return ""
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def clipped(text: str, limit: int = SHOWN_CHARS) -> str:
    """Text with personal data masked, cut at a length."""
    text = " ".join(masked(text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _examples(path: str, folder: str) -> dict[tuple[str, str, str], list[Example]]:
    """The same few examples of every reason each time: those whose hashes are smallest."""
    kept: dict[tuple[str, str, str], list[tuple[int, int, Example]]] = {}
    columns = ["stage", "scope", "reason", "value", "threshold", "doc_id", "node", "url", "detail"]
    for number, row in enumerate(_ledger_rows(path, folder, columns)):
        key = (str(row["stage"]), str(row["scope"]), str(row["reason"]))
        if key[2] == "document_dropped" or any(word in key[2] for word in UNSHOWN):
            continue
        name = f"{row['doc_id']!r}{row['node']}{row['url']}".encode()
        rank = -int.from_bytes(hashlib.blake2b(name, digest_size=6).digest(), "big")
        held = kept.setdefault(key, [])
        if len(held) == EXAMPLES and rank <= held[0][0]:
            continue
        url = str(row["url"])[:SHOWN_CHARS] if row["url"] else None
        detail = clipped(str(row["detail"])) if row["detail"] else None
        value = row["value"] if isinstance(row["value"], float) else None
        example = Example(key[1], url, value, str(row["threshold"]) if row["threshold"] else None, detail)
        entry = (rank, number, example)
        if len(held) < EXAMPLES:
            heapq.heappush(held, entry)
        else:
            heapq.heapreplace(held, entry)
    return {key: [entry[2] for entry in sorted(held, reverse=True)] for key, held in sorted(kept.items())}


def _node_examples(path: str, folder: str) -> dict[tuple[str, str], list[Example]]:
    kept: dict[tuple[str, str], list[Example]] = {}
    for row in _ledger_rows(path, folder, ["stage", "reason", "tag", "text", "image_url", "value"]):
        held = kept.setdefault((str(row["stage"]), str(row["reason"])), [])
        if len(held) < EXAMPLES:
            value = row["value"] if isinstance(row["value"], float) else None
            text = clipped(str(row["text"])) if row["text"] else None
            held.append(Example(str(row["tag"] or "node"), _text(row["image_url"]), value, None, text))
    return dict(sorted(kept.items()))


def _text(value: object) -> str | None:
    return str(value) if value else None


def _ledger_rows(path: str, folder: str, columns: list[str]) -> Iterator[dict[str, object]]:
    """Rows of the Parquet files of a ledger's folder, in the order of their names, up to `SCANNED_DROPS`."""
    try:
        import fsspec

        files, base = fsspec.url_to_fs(path)
        names = sorted(name for name in files.find(f"{base}/{folder}") if name.endswith(".parquet"))
    except (FileNotFoundError, ImportError, ConfigError):
        return
    seen = 0
    for name in names:
        with files.open(name, "rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(4096, columns=columns):
                if seen >= SCANNED_DROPS:
                    return
                seen += batch.num_rows
                yield from batch.to_pylist()
