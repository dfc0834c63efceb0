"""One document of the index as the browser shows it: nodes, scores, verdicts of the rules, the archived page."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.explorer.dropped import RETAINED, ledger_files
from plait.explorer.safety import unsafe, unshown
from plait.explorer.view.index import Index
from plait.explorer.view.thresholds import Thresholds
from plait.loader import Corpus, Picture
from plait.loader.documents import Node
from plait.schemas.manifest import Json

MIME: Final = {
    "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif", "avif": "image/avif",
    "bmp": "image/bmp", "tiff": "image/tiff",
}  # fmt: skip
"""Formats that are served; SVG is none of them."""


def plain(value: object) -> Json:
    """A value of a row as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def card(index: Index, place: int, mark: str) -> dict[str, Json]:
    """What a list shows of a document."""
    row = index.row(place)
    names = ("url", "domain", "lang", "title", "reason", "stage", "images")
    known = {name: plain(row[name]) for name in names}
    return {**known, "place": place, "id": plain(row["doc_id"]), "kept": bool(index.kept[place]), "mark": mark}


class Reader:
    """Reads documents of a corpus by their place in its index."""

    def __init__(self, corpus: Corpus, index: Index, thresholds: Thresholds) -> None:
        self._corpus = corpus
        self._index = index
        self._thresholds = thresholds

    def nodes(self, place: int) -> list[dict[str, Json]] | None:
        """A document's nodes; None where it was dropped and the build did not retain it, or must not be shown."""
        row = self._index.row(place)
        if self._index.kept[place]:
            document = self._corpus[int(self._index.integers("row")[place])]
            return [_node(node, place, slot) for slot, node in enumerate(document.nodes)]
        if unshown(str(row["reason"])) or int(self._index.integers("file")[place]) < 0:
            return None
        return self._retained(place)

    def _retained(self, place: int) -> list[dict[str, Json]]:
        """Nodes of a dropped document; its pictures were not acquired, or are gone."""
        files, names = ledger_files(self._corpus.path, RETAINED)
        at = int(self._index.integers("place")[place])
        with files.open(names[int(self._index.integers("file")[place])], "rb") as file:
            held = pq.ParquetFile(file)
            for group in range(held.num_row_groups):
                rows = held.metadata.row_group(group).num_rows
                if at < rows:
                    nodes = held.read_row_group(group, columns=["nodes"]).column("nodes")[at].as_py()
                    return [
                        {
                            "kind": node["kind"], "tag": node["tag"], "text": node["text"], "url": node["image_url"],
                            "alt": node["alt"], "caption": node["caption"], "src": None,
                        }
                        for node in nodes
                    ]  # fmt: skip
                at -= rows
        return []

    def text(self, place: int) -> str:
        """A document's text, what a classifier is trained on; "" where it cannot be had."""
        nodes = self.nodes(place) or []
        return "\n".join(str(node["text"]) for node in nodes if node["kind"] == "text" and node["text"])

    def document(self, place: int, mark: str) -> dict[str, Json]:
        """Everything that the browser shows of a document."""
        row = self._index.row(place)
        nodes = self.nodes(place)
        scores = {name: plain(row[name]) for name in self._index.scores}
        hidden = not self._index.kept[place] and unshown(str(row["reason"]))
        return {
            **card(self._index, place, mark),
            "value": plain(row["value"]),
            "threshold": plain(row["threshold"]),
            "archive": plain(row["archive"]),
            "hidden": hidden,
            "nodes": [dict(node) for node in nodes] if nodes is not None else None,
            "scores": {name: value for name, value in scores.items() if value is not None},
            "rules": list(self._verdicts(place)) if self._index.scored[place] else [],
        }

    def _verdicts(self, place: int) -> list[Json]:
        """Every document rule, whether the stored scores fail it, and what they are."""
        found: list[Json] = []
        for rule in self._thresholds.rules.values():
            values = {
                n: plain(float(self._index.numbers(n)[place]))
                for n in rule.scores
                if n in (*self._index.scores, "images")
            }
            failed = bool(self._thresholds.failed(rule)[place])
            found.append({"rule": rule.name, "keep": rule.keep, "failed": failed, "values": dict(values)})
        return found

    def picture(self, place: int, slot: int) -> tuple[bytes, str] | None:
        """Bytes and media type of a picture; None where there is none, or it may not be shown."""
        if not self._index.kept[place]:
            return None
        document = self._corpus[int(self._index.integers("row")[place])]
        if not 0 <= slot < len(document.nodes):
            return None
        node = document.nodes[slot]
        if not isinstance(node, Picture) or node.data is None or unsafe(node.info):
            return None
        mime = MIME.get(_format(node))
        return (bytes(node.data), mime) if mime else None

    def picture_url(self, place: int, slot: int) -> str | None:
        """Where the browser gets a kept document's picture; None where it may not be shown or there are no bytes."""
        return f"image/{place}/{slot}" if self.picture(place, slot) is not None else None

    def places_of(self, ids: list[bytes]) -> dict[str, int]:
        """Places of documents by their ids, hex; a document that the ledger has several times, its first."""
        column = self._index.table.column("doc_id")
        found: dict[str, int] = {}
        first = 0
        wanted = pa.array(sorted(set(ids)), pa.binary())
        for chunk in column.chunks:
            for at in np.flatnonzero(np.asarray(pc.is_in(chunk, wanted))).tolist():
                found.setdefault(chunk[at].as_py().hex(), first + at)
            first += len(chunk)
        return found


def _format(picture: Picture) -> str:
    """Of the bytes that the corpus holds, which a recipe may have encoded again."""
    return str(picture.info.get("stored_format") or picture.info.get("format"))


def _node(node: Node, place: int, slot: int) -> dict[str, Json]:
    if not isinstance(node, Picture):
        return {"kind": "text", "tag": node.tag, "text": node.text}
    hidden = node.data is not None and unsafe(node.info)
    shown = node.data is not None and not hidden and _format(node) in MIME
    facts: dict[str, Json] = {
        name: plain(node.info.get(name))
        for name, value in node.info.items()
        if isinstance(value, (int, float)) and name not in ("offset", "length", "phash", "dhash")
    }
    return {
        "kind": "image", "url": node.url, "alt": node.alt, "caption": plain(node.info.get("caption")),
        "src": f"image/{place}/{slot}" if shown else None, "hidden": hidden, "facts": facts,
    }  # fmt: skip
