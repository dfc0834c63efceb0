"""Export as MosaicML Streaming's MDS: pictures keep their bytes, documents without one are possible.

Columns: ``doc_id`` and ``url`` (str), ``texts`` (json list with nulls), ``slots`` (json list: whether the slot is a
picture), ``images`` (list[jpeg]: any format Pillow opens), ``meta`` (json, all other columns).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plait.loader.row_cells import key, pictures
from plait.schemas.errors import CorpusError
from plait.schemas.json_rows import Cell, to_json_value

COLUMNS: Final = {
    "doc_id": "str", "images": "list[jpeg]", "meta": "json", "slots": "json", "texts": "json", "url": "str",
}  # fmt: skip
VERSION: Final = 2
LIMIT: Final = (1 << 32) - 1  # offsets have 32 bits


def write_mds(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """One shard: u32 samples, u32 offsets, the columns as JSON, the samples. Held in memory until it is whole.

    Raises:
        CorpusError: the shard is 4 GiB or more: export fewer documents a shard.
    """
    name = f"shard.{number:05d}.mds"
    samples = [_sample(row) for row in rows]
    config = _config()
    text = json.dumps(config, sort_keys=True).encode()
    at = 4 * (len(samples) + 2) + len(text)
    offsets = [at]
    for sample in samples:
        at += len(sample)
        offsets.append(at)
    if at > LIMIT:
        raise CorpusError(
            f"{name} would have {at} bytes, MDS shards have less than 4 GiB: export fewer documents a shard"
        )
    digest = hashlib.sha1(usedforsecurity=False)
    with (folder / name).open("wb") as file:
        for piece in (struct.pack(f"<{len(offsets) + 1}I", len(samples), *offsets), text, *samples):
            digest.update(piece)
            file.write(piece)
    raw = {"basename": name, "bytes": at, "hashes": {"sha1": digest.hexdigest()}}
    entry = {**config, "raw_data": raw, "samples": len(samples), "zip_data": None, "version": VERSION}
    (folder / f".{name}.json").write_text(json.dumps(entry, sort_keys=True))
    return name, len(samples)


def mds_index(folder: Path, counts: dict[str, int]) -> None:
    """`index.json` over all shards."""
    shards = []
    for name in counts:
        part = folder / f".{name}.json"
        shards.append(json.loads(part.read_text()))
        part.unlink()
    (folder / "index.json").write_text(json.dumps({"version": VERSION, "shards": shards}, sort_keys=True))


def _config() -> dict[str, object]:
    return {
        "column_encodings": list(COLUMNS.values()), "column_names": list(COLUMNS),
        "column_sizes": [None] * len(COLUMNS), "compression": None, "format": "mds", "hashes": ["sha1"],
        "size_limit": None,
    }  # fmt: skip


def _sample(row: dict[str, Cell]) -> bytes:
    blobs = pictures(row)
    held = [blob for blob in blobs if blob is not None]
    own = ("doc_id", "url", "texts", "images")
    values = {
        "doc_id": key(row).encode(),
        "images": struct.pack(f"<{len(held) + 2}I", 0, len(held), *map(len, held)) + b"".join(held),
        "meta": _json({name: to_json_value(value) for name, value in row.items() if name not in own}),
        "slots": _json([blob is not None for blob in blobs]),
        "texts": _json(row["texts"]),
        "url": str(row["url"]).encode(),
    }
    parts = [values[name] for name in COLUMNS]
    return struct.pack(f"<{len(parts)}I", *map(len, parts)) + b"".join(parts)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
