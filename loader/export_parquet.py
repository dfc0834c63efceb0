"""Exports as Parquet: OBELICS, OmniCorpus-CC, NeMo Curator's row an item, and the views pairs and text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from plait.loader.matched import best_span, cosine, matched_span, spans
from plait.loader.row_cells import infos, key, picture_format, picture_name, pictures, texts
from plait.schemas.json_rows import Cell, to_json_value
from plait.schemas.shards import IMAGE

GROUP_ROWS: Final = 100  # as Hugging Face writes rows with pictures
GROUP_BYTES: Final = 64 << 20

OBELICS = pa.schema(
    [
        ("images", pa.list_(pa.string())),
        ("metadata", pa.string()),
        ("general_metadata", pa.string()),
        ("texts", pa.list_(pa.string())),
    ]
)

OMNICORPUS = pa.schema(
    [
        ("general_metadata", pa.struct([("url", pa.string()), ("id", pa.string()), ("domain", pa.list_(pa.string()))])),
        ("images", pa.list_(pa.string())),
        ("texts", pa.list_(pa.string())),
        (
            "metadata",
            pa.list_(
                pa.struct(
                    [
                        ("bytes", pa.int64()),
                        ("d_hash", pa.string()),
                        ("height", pa.int64()),
                        ("img_url_sha", pa.string()),
                        ("p_hash", pa.string()),
                        ("p_hash_dup_count", pa.int64()),
                        ("width", pa.int64()),
                    ]
                )
            ),
        ),
    ]
)

CURATOR = pa.schema(
    [
        ("sample_id", pa.string()),
        ("position", pa.int32()),  # -1: the row that holds the document's metadata
        ("modality", pa.string()),  # "metadata", "text" or "image"
        ("content_type", pa.string()),
        ("text_content", pa.string()),
        ("binary_content", pa.large_binary()),
        ("source_ref", pa.string()),
        ("materialize_error", pa.string()),
    ]
)

_WORDS: Final = ("text", "text_from", "caption", "alt", "span", "image_url", "url", "lang", "doc_id")
_FEATURES: Final = {
    "image": {"_type": "Image"},
    **{name: {"dtype": "string", "_type": "Value"} for name in _WORDS},
    "similarity": {"dtype": "float32", "_type": "Value"},
}
PAIRS = pa.schema(
    [("image", IMAGE), *((name, pa.string()) for name in _WORDS), ("similarity", pa.float32())],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)
RETRIEVAL = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("texts", pa.list_(pa.string())),
        ("images", pa.list_(IMAGE)),
        ("similarities", pa.list_(pa.float32())),
    ]
)
TEXT = pa.schema([(name, pa.string()) for name in ("id", "url", "lang", "licence", "text")])


def write_obelics(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """OBELICS' columns: URLs in the pictures' place, metadata as JSON strings."""
    return _write(folder, number, OBELICS, map(_obelics, rows))


def write_omnicorpus(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """OmniCorpus-CC's columns, without the scores that only its authors have."""
    return _write(folder, number, OMNICORPUS, map(_omnicorpus, rows))


def write_curator(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """NeMo Curator's INTERLEAVED_SCHEMA: a metadata row a document, then a row an item in reading order."""
    name = f"part-{number:05d}.parquet"
    count = 0

    def items() -> Iterator[dict[str, object]]:
        nonlocal count
        for row in rows:
            count += 1
            yield from _curator(row)

    _write(folder, number, CURATOR, items())
    return name, count


def write_pairs(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """A row a picture with its caption, or its alternative text, or else the nearest text before it.

    Where the corpus was built with a CLIP model, ``span`` is the most similar span of the document, ``similarity`` its
    cosine.
    """
    return _write(folder, number, PAIRS, (pair for row in rows for pair in _pairs(row)))


def write_retrieval(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """A row a document in retrieval order: each picture stands before the span it is assigned to."""
    return _write(folder, number, RETRIEVAL, map(_retrieval, rows))


def write_text(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """A row a document: its texts, a blank line between them."""
    return _write(folder, number, TEXT, map(_text, rows))


def _write(folder: Path, number: int, schema: pa.Schema, rows: Iterable[dict[str, object]]) -> tuple[str, int]:
    name = f"part-{number:05d}.parquet"
    count, held, size = 0, [], 0
    with pq.ParquetWriter(folder / name, schema, compression="zstd") as writer:
        for row in rows:
            held.append(row)
            size += sum(len(value) for value in _blobs(row))
            count += 1
            if len(held) == GROUP_ROWS or size > GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(held, schema=schema))
                held, size = [], 0
        if held or not count:
            writer.write_table(pa.Table.from_pylist(held, schema=schema))
    return name, count


def _blobs(row: dict[str, object]) -> Iterator[bytes]:
    for value in row.values():
        for part in value if isinstance(value, list) else [value]:
            found = part.get("bytes") if isinstance(part, dict) else part
            if isinstance(found, bytes):
                yield found


def _obelics(row: dict[str, Cell]) -> dict[str, object]:
    metadata = [
        {
            "document_url": row["url"],
            "unformatted_src": info.get("url"),
            "src": info.get("url"),
            "formatted_filename": None,
            "alt_text": info.get("alt"),
            "rendered_width": info.get("declared_width"),
            "rendered_height": info.get("declared_height"),
            "original_width": info.get("width"),
            "original_height": info.get("height"),
            "format": info.get("format"),
        }
        if info
        else None
        for info in infos(row)
    ]
    general = {
        "url": row["url"], "warc_filename": row["archive"], "warc_record_offset": row["offset"],
        "warc_record_length": row["length"],
    }  # fmt: skip
    return {
        "images": [info.get("url") for info in infos(row)],
        "texts": texts(row),
        "metadata": json.dumps(metadata, ensure_ascii=False),
        "general_metadata": json.dumps(general, ensure_ascii=False),
    }


def _omnicorpus(row: dict[str, Cell]) -> dict[str, object]:
    known = [info for info in infos(row) if info]
    return {
        "general_metadata": {"url": row["url"], "id": key(row), "domain": [row["domain"]] if row["domain"] else []},
        "images": [info.get("url") for info in infos(row)],
        "texts": texts(row),
        "metadata": [
            {
                "bytes": info.get("bytes"),
                "height": info.get("height"),
                "width": info.get("width"),
                "img_url_sha": hashlib.sha256(str(info.get("url")).encode()).hexdigest(),
                "p_hash": _hash(info.get("phash")),
                "d_hash": _hash(info.get("dhash")),
                "p_hash_dup_count": info.get("p_hash_dup_count"),
            }
            for info in known
        ],
    }


def _curator(row: dict[str, Cell]) -> Iterator[dict[str, object]]:
    own = ("doc_id", "texts", "tags", "images", "image_info")
    metadata = {name: to_json_value(value) for name, value in row.items() if name not in own}
    sample = {"sample_id": key(row)}
    text = json.dumps(metadata, ensure_ascii=False)
    yield {**sample, "position": -1, "modality": "metadata", "content_type": "application/json", "text_content": text}
    for position, (words, blob, info) in enumerate(zip(texts(row), pictures(row), infos(row), strict=True)):
        if words is not None:
            yield {
                **sample,
                "position": position,
                "modality": "text",
                "content_type": "text/plain",
                "text_content": words,
            }
            continue
        source = {"path": info.get("url"), "member": None, "byte_offset": None, "byte_size": None, "frame_index": None}
        yield {
            **sample,
            "position": position,
            "modality": "image",
            "content_type": f"image/{picture_format(info)}" if info.get("format") else None,
            "binary_content": blob,
            "source_ref": json.dumps(source),
        }


def _pairs(row: dict[str, Cell]) -> Iterator[dict[str, object]]:
    before = None
    spoken = spans(row)
    for words, blob, info in zip(texts(row), pictures(row), infos(row), strict=True):
        if words is not None:
            before = words
            continue
        if blob is None:
            continue
        best = best_span(info, spoken)
        found = [("caption", info.get("caption")), ("alt", info.get("alt")), ("text_before", before), ("span", best)]
        for source, candidate in found:
            if isinstance(candidate, str) and candidate.strip():
                yield {
                    "image": {"bytes": blob, "path": picture_name(info)},
                    "text": candidate.strip(),
                    "text_from": source,
                    "caption": info.get("caption"),
                    "alt": info.get("alt"),
                    "span": best,
                    "similarity": cosine(info, "clip_similarity"),
                    "image_url": info.get("url"),
                    "url": row["url"],
                    "lang": row["lang"],
                    "doc_id": key(row),
                }
                break


def _retrieval(row: dict[str, Cell]) -> dict[str, object]:
    """Spans and pictures as parallel lists with nulls; pictures that are assigned to no span are left out."""
    spoken = spans(row)
    before: dict[int, list[tuple[bytes, dict[str, Cell]]]] = {}
    for blob, info in zip(pictures(row), infos(row), strict=True):
        place = matched_span(info, len(spoken))
        if blob is not None and place is not None:
            before.setdefault(place, []).append((blob, info))
    slots: list[tuple[str | None, dict[str, object] | None, float | None]] = []
    for place, words in enumerate(spoken):
        for blob, info in before.get(place, []):
            slots.append((None, {"bytes": blob, "path": picture_name(info)}, cosine(info, "matched_sim")))
        slots.append((words, None, None))
    return {
        "doc_id": key(row),
        "url": row["url"],
        "texts": [text for text, _, _ in slots],
        "images": [image for _, image, _ in slots],
        "similarities": [sim for _, _, sim in slots],
    }


def _text(row: dict[str, Cell]) -> dict[str, object]:
    words = "\n\n".join(text for text in texts(row) if text is not None)
    return {"id": key(row), "url": row["url"], "lang": row["lang"], "licence": row["licence"], "text": words}


def _hash(value: Cell) -> str | None:
    """A 64-bit hash as 16 hex characters, as imagehash writes it."""
    return f"{value & ((1 << 64) - 1):016x}" if isinstance(value, int) else None
