"""WebDataset shards: Energon's interleaved layout as reproducible tar files, with the index its readers want.

A sample is `<key>.json` and one member an image, `<key>.<slot>.<extension>`; the key is the document's id in hex. The
JSON has ``images`` and ``texts`` as parallel lists (an image is named by its member's field), and ``members``, the
sample's full list of fields: tar readers give a truncated sample without a word, this list tells.
"""

from __future__ import annotations

import json
import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, Final

import pyarrow as pa

from plait.pipeline.json_rows import Cell, from_json_value, to_json_value
from plait.pipeline.parquet_shard import HashingSink, Written
from plait.schemas.errors import CorpusError

BLOCK: Final = 512
LAYOUT_VERSION: Final = 1
ENERGON_VERSION: Final = "7.4.1"  # whose layout this is; readers only compare its major number

_OWN: Final = ("texts", "images")


def write_webdataset_shard(batches: Iterable[pa.RecordBatch], file: BinaryIO, index: BinaryIO) -> Written:
    """Writes rows with their images' bytes as a tar file and its `.tar.idx`.

    Times, owners and modes are fixed, so that the same rows give the same bytes. Memory: one batch.

    Args:
        batches: `shard_schema(...)` with bytes, as `plait.pipeline.parquet_shard.row_groups` gives them.
        file: the tar file.
        index: the index: little-endian u64 offsets, one a sample and the end of the last.
    """
    sink = HashingSink(file)
    rows, images = 0, 0
    keys: list[int] = []
    for batch in batches:
        for row in batch.to_pylist():
            index.write(struct.pack("<Q", sink.tell()))
            members = sample_members(row)
            for name, data in members.items():
                _add(sink, name, data)
            rows += 1
            images += len(members) - 1
            keys = [keys[0] if keys else row["order_key"], row["order_key"]]
    index.write(struct.pack("<Q", sink.tell()))
    end = sink.tell() + 2 * BLOCK
    sink.write(bytes(2 * BLOCK + -end % tarfile.RECORDSIZE))
    low, high = (keys[0], keys[1]) if keys else (None, None)
    return Written(rows, images, sink.tell(), sink.hexdigest, low, high)


def sample_members(row: Mapping[str, Cell]) -> dict[str, bytes]:
    """A row's tar members by name, the JSON first."""
    key = _bytes(row["doc_id"]).hex()
    fields: list[str | None] = []
    blobs: dict[str, bytes] = {}
    for slot, image in enumerate(_list(row["images"])):
        if not isinstance(image, dict) or image["bytes"] is None:
            fields.append(None)
            continue
        path = str(image["path"] or "")
        field = f"{slot}.{path.rpartition('.')[2] or 'bin'}"
        fields.append(field)
        blobs[field] = _bytes(image["bytes"])
    rest = {name: to_json_value(value) for name, value in row.items() if name not in _OWN}
    sample = {
        "texts": to_json_value(row["texts"]),
        "images": fields,
        "members": ["json", *blobs],
        "layout_version": LAYOUT_VERSION,
        **rest,
    }
    text = json.dumps(sample, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return {
        f"{key}.json": text.encode("utf-8", "surrogatepass"),
        **{f"{key}.{field}": data for field, data in blobs.items()},
    }


def read_webdataset_shard(file: BinaryIO, schema: pa.Schema) -> Iterator[dict[str, Cell]]:
    """The rows of a tar shard, one by one, as ``to_pylist`` of the Parquet shard gives them (image paths apart).

    Raises:
        CorpusError: the file is truncated or damaged: a sample lacks members that its own list names.
    """
    held: dict[str, bytes] = {}
    key = ""
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                stem, _, field = member.name.partition(".")
                if stem != key and held:
                    yield _row(key, held, schema)
                    held = {}
                key = stem
                content = tar.extractfile(member)
                held[field] = content.read() if content else b""
    except tarfile.TarError as error:
        raise CorpusError(f"the tar shard is damaged after sample {key}: {error}") from error
    if held:
        yield _row(key, held, schema)


def _row(key: str, members: Mapping[str, bytes], schema: pa.Schema) -> dict[str, Cell]:
    try:
        sample = json.loads(members["json"])
        wanted = sample["members"]
    except (KeyError, ValueError) as error:
        raise CorpusError(f"sample {key} of the tar shard has no readable JSON: {error!r}") from error
    missing = sorted(set(wanted) - set(members))
    if missing:
        raise CorpusError(f"sample {key} of the tar shard lacks its members {', '.join(missing)}: the file is cut off")
    row: dict[str, Cell] = {
        field.name: from_json_value(sample.get(field.name), field.type) for field in schema if field.name != "images"
    }
    infos = _list(row["image_info"])
    images: list[Cell] = []
    for field, info in zip(sample["images"], infos, strict=True):
        if field is None:
            images.append(None)
            continue
        digest = info["sha256"] if isinstance(info, dict) else None
        name = digest.hex() if isinstance(digest, bytes) else key
        images.append({"bytes": members[field], "path": f"{name}.{field.rpartition('.')[2]}"})
    row["images"] = images
    return {field.name: row[field.name] for field in schema}


def energon_files(shards: Mapping[str, int]) -> dict[str, str]:
    """The files that Energon wants beside the shards, by path relative to the folder of the shards.

    Args:
        shards: file name of each tar in order -> its samples.
    """
    info = {"energon_version": ENERGON_VERSION, "shard_counts": dict(shards)}
    split = ["split_parts:", "  train:", *[f"  - {name}" for name in shards], "  val: []", "  test: []", "exclude: []"]
    return {
        ".nv-meta/.info.json": json.dumps(info, indent=1) + "\n",
        ".nv-meta/split.yaml": "\n".join(split) + "\n",
        ".nv-meta/dataset.yaml": (
            "sample_type:\n  __module__: megatron.energon\n  __class__: InterleavedSample\n"
            "part_filter: sample_loader.py:part_filter\nsample_loader: sample_loader.py:sample_loader\n"
        ),
        ".nv-meta/sample_loader.py": _SAMPLE_LOADER,
    }


_SAMPLE_LOADER: Final = '''"""Energon's view of a plait corpus: texts and images of a document in reading order."""


def part_filter(part: str) -> bool:
    return True


def sample_loader(raw: dict) -> dict:
    sample = raw["json"]
    missing = [name for name in sample["members"] if name != "json" and name not in raw]
    if missing:
        raise ValueError(f"sample {raw['__key__']} lacks {missing}: the shard is cut off")
    sequence = []
    for text, image in zip(sample["texts"], sample["images"]):
        if image is not None:
            sequence.append(raw[image])
        elif text is not None:
            sequence.append(text)
    return {"__key__": raw["__key__"], "sequence": sequence}
'''


def _add(sink: HashingSink, name: str, data: bytes) -> None:
    """One tar member: ustar, times and owners zero."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    sink.write(info.tobuf(format=tarfile.USTAR_FORMAT))
    sink.write(data)
    sink.write(bytes(-len(data) % BLOCK))


def _bytes(value: Cell) -> bytes:
    if not isinstance(value, bytes):
        raise CorpusError(f"expected bytes in a row, found {type(value).__name__}")
    return value


def _list(value: Cell) -> list[Cell]:
    if not isinstance(value, list):
        raise CorpusError(f"expected a list in a row, found {type(value).__name__}")
    return value
