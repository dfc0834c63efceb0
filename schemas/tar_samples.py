"""Samples in tar files: Energon's interleaved layout, and plain reproducible ustar files to put them in.

A sample is `<key>.json` and one member an image, `<key>.<slot>.<extension>`; the key is the document's id in hex. The
JSON has ``images`` and ``texts`` as parallel lists (an image is named by its member's field), and ``members``, the
sample's full list of fields: tar readers give a truncated sample without a word, this list tells.
"""

from __future__ import annotations

import json
import struct
import tarfile
from collections.abc import Mapping
from typing import Final, Protocol

from plait.schemas.json_rows import Cell, as_bytes, as_list, to_json_value

BLOCK: Final = 512
LAYOUT_VERSION: Final = 1
ENERGON_VERSION: Final = "7.4.1"  # whose layout this is; readers only compare its major number

_OWN: Final = ("texts", "images")


class Sink(Protocol):
    """What a tar file is written to."""

    def write(self, data: bytes, /) -> int:
        """Writes."""


class TarFile:
    """A tar file whose bytes depend on its members alone: ustar, times and owners zero."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.offset = 0

    def add(self, name: str, data: bytes) -> None:
        """Adds a member."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        info.mode = 0o644
        for piece in (info.tobuf(format=tarfile.USTAR_FORMAT), data, bytes(-len(data) % BLOCK)):
            self._sink.write(piece)
            self.offset += len(piece)

    def close(self) -> None:
        """Writes the end; the sink stays open."""
        end = self.offset + 2 * BLOCK
        self._sink.write(bytes(2 * BLOCK + -end % tarfile.RECORDSIZE))


class SampleShard:
    """A tar of samples and its index: a little-endian u64 offset a sample, and the end of the last."""

    def __init__(self, sink: Sink, index: Sink) -> None:
        self._tar = TarFile(sink)
        self._index = index

    def add(self, row: Mapping[str, Cell]) -> int:
        """Adds a row of a shard; gives the number of its pictures."""
        self._index.write(struct.pack("<Q", self._tar.offset))
        members = sample_members(row)
        for name, data in members.items():
            self._tar.add(name, data)
        return len(members) - 1

    def close(self) -> None:
        """Writes the ends; the sinks stay open."""
        self._index.write(struct.pack("<Q", self._tar.offset))
        self._tar.close()


def sample_members(row: Mapping[str, Cell]) -> dict[str, bytes]:
    """A row's tar members by name, the JSON first."""
    key = as_bytes(row["doc_id"]).hex()
    fields: list[str | None] = []
    blobs: dict[str, bytes] = {}
    for slot, image in enumerate(as_list(row["images"])):
        if not isinstance(image, dict) or image["bytes"] is None:
            fields.append(None)
            continue
        path = str(image["path"] or "")
        field = f"{slot}.{path.rpartition('.')[2] or 'bin'}"
        fields.append(field)
        blobs[field] = as_bytes(image["bytes"])
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

import json


def part_filter(part: str) -> bool:
    return True


def sample_loader(raw: dict) -> dict:
    sample = raw["json"]
    if isinstance(sample, bytes):  # auto_decode is off
        sample = json.loads(sample)
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
