"""WebDataset shards: Energon's interleaved layout as reproducible tar files, with the index its readers want."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import pyarrow as pa

from plait.pipeline.parquet_shard import HashingSink, Written
from plait.schemas.errors import CorpusError
from plait.schemas.json_rows import Cell, as_list, from_json_value
from plait.schemas.tar_samples import SampleShard


def write_webdataset_shard(batches: Iterable[pa.RecordBatch], file: BinaryIO, index: BinaryIO) -> Written:
    """Writes rows with their images' bytes as a tar file and its `.tar.idx`.

    Times, owners and modes are fixed, so that the same rows give the same bytes. Memory: one batch.

    Args:
        batches: `shard_schema(...)` with bytes, as `plait.pipeline.parquet_shard.row_groups` gives them.
        file: the tar file.
        index: the index: little-endian u64 offsets, one a sample and the end of the last.
    """
    sink = HashingSink(file)
    shard = SampleShard(sink, index)
    rows, images = 0, 0
    keys: list[int] = []
    for batch in batches:
        for row in batch.to_pylist():
            images += shard.add(row)
            rows += 1
            keys = [keys[0] if keys else row["order_key"], row["order_key"]]
    shard.close()
    low, high = (keys[0], keys[1]) if keys else (None, None)
    return Written(rows, images, sink.tell(), sink.hexdigest, low, high)


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
    infos = as_list(row["image_info"])
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
