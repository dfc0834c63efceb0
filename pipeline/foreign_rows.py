"""Rows of other corpora as shard rows: OBELICS, OmniCorpus-CC, MMC4 and NeMo Curator's row an item.

Each converter takes what the format's files hold and gives (url, nodes, what else is known); `shard_row` makes the row.
A picture without bytes becomes a URL, as in a build with ``--images urls``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from plait.pipeline.shard_rows import extension
from plait.schemas import ids
from plait.schemas.errors import RecordError
from plait.schemas.json_rows import Cell
from plait.schemas.urls import canonical_url, domain

Row: TypeAlias = dict[str, Cell]


@dataclass(frozen=True)
class ForeignImage:
    """A picture of another corpus: what it says of it, by the names of `schemas.shards.IMAGE_INFO`."""

    data: bytes | None
    info: Row


@dataclass(frozen=True)
class ForeignDocument:
    """A document of another corpus, nodes in reading order."""

    url: str
    nodes: tuple[str | ForeignImage, ...]
    fields: Row = field(default_factory=dict)


def from_obelics(rows: Iterable[Mapping[str, Cell]]) -> Iterator[ForeignDocument]:
    """OBELICS' Parquet rows: parallel lists, metadata as JSON strings.

    Raises:
        RecordError: a row's JSON cannot be read.
    """
    for row in rows:
        general, metadata = _json_object(row.get("general_metadata")), _json_list(row.get("metadata"))
        infos: list[Row] = [
            {
                "url": _text(item.get("unformatted_src")) or _text(item.get("src")),
                "alt": _text(item.get("alt_text")),
                "declared_width": _whole(item.get("rendered_width")),
                "declared_height": _whole(item.get("rendered_height")),
                "width": _whole(item.get("original_width")),
                "height": _whole(item.get("original_height")),
                "format": _text(item.get("format")),
            }
            for item in metadata
        ]
        fields: Row = {
            "archive": _text(general.get("warc_filename")),
            "offset": _whole(general.get("warc_record_offset")),
            "length": _whole(general.get("warc_record_length")),
        }
        yield ForeignDocument(_text(general.get("url")) or "", tuple(_slots(row, infos)), fields)


def from_omnicorpus(rows: Iterable[Mapping[str, Cell]]) -> Iterator[ForeignDocument]:
    """OmniCorpus-CC's Parquet rows: metadata has one entry a picture, none a text."""
    for row in rows:
        general = row.get("general_metadata")
        known = general if isinstance(general, dict) else {}
        metadata = iter(_list(row.get("metadata")))
        infos: list[Row] = []
        for url in _list(row.get("images")):
            item = next(metadata, None) if url is not None else None
            facts = item if isinstance(item, dict) else {}
            names = ("width", "height", "bytes", "p_hash_dup_count")
            hashes = {"phash": _hash(facts.get("p_hash")), "dhash": _hash(facts.get("d_hash"))}
            infos.append({"url": url, **{name: _whole(facts.get(name)) for name in names}, **hashes})
        yield ForeignDocument(_text(known.get("url")) or "", tuple(_slots(row, infos)))


def from_mmc4(lines: Iterable[str]) -> Iterator[ForeignDocument]:
    """MMC4's JSON lines: each picture before the sentence it was matched with, in the order of sentences.

    Raises:
        RecordError: a line is no JSON object.
    """
    for line in lines:
        row = _json_object(line)
        sentences = [text for text in _list(row.get("text_list")) if isinstance(text, str)]
        before: dict[int, list[ForeignImage]] = {}
        for item in _list(row.get("image_info")):
            if isinstance(item, dict):
                matched = _whole(item.get("matched_text_index")) or 0
                image = ForeignImage(_base64(item.get("image_base64")), {"url": _text(item.get("raw_url"))})
                before.setdefault(min(max(matched, 0), max(len(sentences) - 1, 0)), []).append(image)
        nodes: list[str | ForeignImage] = []
        for number, text in enumerate(sentences):
            nodes += [*before.get(number, []), text]
        yield ForeignDocument(_text(row.get("url")) or "", tuple(nodes))


def from_curator(rows: Iterable[Mapping[str, Cell]]) -> Iterator[ForeignDocument]:
    """NeMo Curator's rows: those of a sample stand together, the one at position -1 holds its metadata."""
    held: list[Mapping[str, Cell]] = []
    for row in rows:
        if held and row["sample_id"] != held[0]["sample_id"]:
            yield _curated(held)
            held = []
        held.append(row)
    if held:
        yield _curated(held)


def shard_row(document: ForeignDocument, seed: int = 0) -> Row:
    """The row of a document; its id comes from its URL and its nodes.

    Raises:
        RecordError: it has no text (``no_text_left``), or no picture (``no_image_left``).
    """
    texts = [node for node in document.nodes if isinstance(node, str)]
    if not texts:
        raise RecordError("no_text_left", document.url)
    if len(texts) == len(document.nodes):
        raise RecordError("no_image_left", document.url)
    digest = hashlib.sha256()
    slots: dict[str, list[Cell]] = {"texts": [], "tags": [], "images": [], "image_info": []}
    for node in document.nodes:
        if isinstance(node, str):
            cells: tuple[Cell, ...] = (node, "p", None, None)
            digest.update(b"t" + node.encode("utf-8", "surrogatepass") + b"\0")
        else:
            cells = (None, None, *_cells(node))
            digest.update(b"i" + str(node.info.get("url")).encode() + (node.data or b"") + b"\0")
        for name, cell in zip(slots, cells, strict=True):
            slots[name].append(cell)
    doc_id = ids.doc_id(canonical_url(document.url), 0, digest.digest())
    row: Row = {"doc_id": doc_id, "order_key": ids.order_key(doc_id, seed), "url": document.url}
    return {**row, "domain": domain(document.url), **document.fields, **slots}


def _cells(image: ForeignImage) -> tuple[Cell, Cell]:
    """The cells ``images`` and ``image_info`` of a picture."""
    info = dict(image.info)
    if image.data is None:
        return None, info
    digest = hashlib.sha256(image.data).digest()
    info |= {"sha256": digest, "image_id": digest[: ids.ID_BYTES], "bytes": len(image.data)}
    return {"bytes": image.data, "path": f"{digest.hex()}.{extension(_text(info.get('format')))}"}, info


def _slots(row: Mapping[str, Cell], infos: list[Row]) -> Iterator[str | ForeignImage]:
    for text, url, info in zip(_list(row.get("texts")), _list(row.get("images")), infos, strict=False):
        if isinstance(text, str):
            yield text
        elif url is not None:
            yield ForeignImage(None, {**info, "url": info.get("url") or _text(url)})


def _curated(rows: list[Mapping[str, Cell]]) -> ForeignDocument:
    url, fields = "", {}
    nodes: list[str | ForeignImage] = []
    for row in sorted(rows, key=lambda row: _whole(row["position"]) or 0):
        if row["modality"] == "metadata":
            known = _json_object(row.get("text_content"))
            url = _text(known.get("url")) or ""
            fields = {name: _text(known.get(name)) for name in ("lang", "title", "licence") if known.get(name)}
        elif row["modality"] == "text" and isinstance(row["text_content"], str):
            nodes.append(row["text_content"])
        elif row["modality"] == "image":
            data, kind = row.get("binary_content"), _text(row.get("content_type")) or ""
            source = _json_object(row.get("source_ref"))
            info: Row = {"url": _text(source.get("path")), "format": kind.removeprefix("image/") or None}
            nodes.append(ForeignImage(data if isinstance(data, bytes) else None, info))
    return ForeignDocument(url or f"sample:{rows[0]['sample_id']!s}", tuple(nodes), dict(fields))


def _json_object(text: Cell) -> Row:
    if text is None:
        return {}
    try:
        found = json.loads(str(text))
    except ValueError as error:
        raise RecordError("record_malformed", f"a row's metadata is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _json_list(text: Cell) -> list[Row]:
    try:
        found = json.loads(str(text)) if text is not None else []
    except ValueError as error:
        raise RecordError("record_malformed", f"a row's metadata is not JSON: {error}") from error
    return [item if isinstance(item, dict) else {} for item in found] if isinstance(found, list) else []


def _list(value: Cell) -> list[Cell]:
    return value if isinstance(value, list) else []


def _text(value: Cell) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: Cell) -> int | None:
    return int(value) if isinstance(value, (int, float)) and value == value else None


def _hash(value: Cell) -> int | None:
    """16 hex characters as a signed 64-bit integer."""
    try:
        found = int(value, 16) if isinstance(value, str) else None
    except ValueError:
        return None
    return found - (1 << 64) if found is not None and found >> 63 else found


def _base64(value: Cell) -> bytes | None:
    import base64

    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError:
        return None
