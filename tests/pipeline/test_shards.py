"""Shards: what is written can be read by those it is written for, and the same rows give the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from plait.pipeline import parquet_shard
from plait.pipeline.assemble import Assembled
from plait.pipeline.fingerprint import Fingerprint, fingerprint_parquet
from plait.pipeline.parquet_shard import row_groups, write_batches, write_parquet_shard
from plait.pipeline.shard_rows import REFERENCE
from plait.pipeline.webdataset_shard import read_webdataset_shard, write_webdataset_shard
from plait.schemas.errors import CorpusError, UnitError
from plait.schemas.ledger import DROP
from plait.schemas.receipts import Books
from plait.schemas.shards import shard_schema

SCHEMA = shard_schema({"words": pa.float64(), "toxic": pa.float32()})


def picture(number: int, kind: str) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (8 + number % 5, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def shard(documents: int = 12) -> tuple[Assembled, bytes]:
    """A shard of documents with 0 to 3 images in JPEG, PNG and WebP, one of them a URL; and the pack they lie in."""
    pack = bytearray()
    rows, references = [], []
    for number in range(documents):
        key = f"{number:032x}"
        texts, tags, images, infos = ["Größe 大 \x00 \U0001f600"], ["p"], [None], [None]
        for slot in range(1, 1 + number % 4):
            kind = ("jpeg", "png", "webp")[slot % 3]
            data = picture(number * 7 + slot, kind)
            digest = hashlib.sha256(data).digest()
            texts.append(None)
            tags.append(None)
            images.append({"bytes": None, "path": f"{digest.hex()}.{kind.replace('jpeg', 'jpg')}"})
            infos.append({"url": "http://x/i", "sha256": digest, "format": kind, "bytes": len(data), "archive": "a"})
            references.append(
                {"row": number, "slot": slot, "pack": "p", "pack_offset": len(pack), "pack_length": len(data)}
            )
            pack += data
        if number % 5 == 0:
            texts, tags, images = [*texts, None], [*tags, None], [*images, None]
            infos.append({"url": "http://x/kept-as-url"})
        row = {
            "doc_id": bytes.fromhex(key),
            "order_key": number * 1000,
            "url": f"http://x/{number}",
            "archive": "a.warc",
        }
        row |= {"texts": texts, "tags": tags, "images": images, "image_info": infos, "lang": "de", "lang_score": 0.1}
        row |= {"words": float("nan") if number == 3 else number / 3, "toxic": None if number == 4 else 0.3}
        row["captured"] = 1_200_000_000_123_456 + number
        rows.append(row)
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    drops = pa.RecordBatch.from_pylist([], schema=DROP)
    return Assembled(batch, pa.RecordBatch.from_pylist(references, schema=REFERENCE), drops, Books()), bytes(pack)


def reader(pack: bytes):
    return lambda _path, offset, length: pack[offset : offset + length]


def written(tmp_path, documents: int = 12):
    assembled, pack = shard(documents)
    path = tmp_path / "shard-00000.parquet"
    with path.open("wb") as file:
        made = write_parquet_shard(assembled, file, reader(pack))
    return path, made


def test_same_rows_give_same_bytes_and_the_hash_is_of_the_file(tmp_path):
    path, made = written(tmp_path)
    (tmp_path / "again").mkdir()
    again, _ = written(tmp_path / "again")
    assert path.read_bytes() == again.read_bytes()
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (made.bytes, made.rows, made.images) == (path.stat().st_size, 12, 18)
    assert (made.min_order_key, made.max_order_key) == (0, 11_000)


def test_datasets_opens_a_shard_with_decoded_images(tmp_path):
    path, _ = written(tmp_path)
    loaded = datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(loaded) == 12
    row = loaded[3]
    assert row["texts"] == ["Größe 大 \x00 \U0001f600", None, None, None]
    assert row["images"][0] is None
    assert [image.format for image in row["images"][1:]] == ["PNG", "WEBP", "JPEG"]
    assert row["images"][1].size == (9, 8 + 22 % 5)


def test_row_groups_are_cut_by_bytes_and_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_shard, "ROW_GROUP_BYTES", 1000)
    path, made = written(tmp_path)
    assert len(made.row_group_rows) > 3
    assert sum(made.row_group_rows) == 12
    monkeypatch.setattr(parquet_shard, "ROW_GROUP_BYTES", 1 << 30)
    monkeypatch.setattr(parquet_shard, "ROW_GROUP_ROWS", 5)
    (tmp_path / "b").mkdir()
    other, made = written(tmp_path / "b")
    assert made.row_group_rows == (5, 5, 2)
    assert repr(pq.read_table(path).to_pylist()) == repr(pq.read_table(other).to_pylist())
    assert fingerprint_parquet([str(path)]) == fingerprint_parquet([str(other)])


def test_image_bytes_are_stored_plain_text_compressed_and_pages_have_checksums(tmp_path):
    path, _ = written(tmp_path)
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    assert columns["images.list.element.bytes"].compression == "UNCOMPRESSED"
    assert "RLE_DICTIONARY" not in columns["images.list.element.bytes"].encodings
    assert columns["texts.list.element"].compression == "ZSTD"
    data = bytearray(path.read_bytes())
    place = data.index(picture(3 * 7 + 3, "jpeg"))
    data[place + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


def test_short_pack_is_an_error_of_the_unit():
    assembled, pack = shard()
    with pytest.raises(UnitError, match="instead of"):
        write_parquet_shard(assembled, io.BytesIO(), reader(pack[:-1]))


def tar_shard(documents: int = 12) -> tuple[bytes, bytes, list[dict]]:
    assembled, pack = shard(documents)
    file, index = io.BytesIO(), io.BytesIO()
    batches = list(row_groups(assembled, reader(pack)))
    write_webdataset_shard(batches, file, index)
    return file.getvalue(), index.getvalue(), [row for batch in batches for row in batch.to_pylist()]


def test_webdataset_reads_samples_back_one_by_one(tmp_path):
    data, _, rows = tar_shard()
    path = tmp_path / "shard-00000.tar"
    path.write_bytes(data)
    samples = list(webdataset.WebDataset(str(path), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [row["doc_id"].hex() for row in rows]
    for sample, row in zip(samples, rows, strict=True):
        meta = json.loads(sample["json"])
        assert meta["texts"] == row["texts"]
        assert {name for name in sample if not name.startswith("__")} == set(meta["members"])
        for field, image in zip(meta["images"], row["images"], strict=True):
            assert (field is None) == (image is None)
            if image is not None:
                assert sample[field] == image["bytes"]


def test_tar_is_plain_ustar_and_the_same_every_time():
    data, index, _ = tar_shard()
    assert (data, index) == tar_shard()[:2]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
    assert {(member.mtime, member.uid, member.mode) for member in members} == {(0, 0, 0o644)}
    assert len(data) % tarfile.RECORDSIZE == 0


def test_index_points_at_every_sample():
    data, index, rows = tar_shard()
    offsets = struct.unpack(f"<{len(index) // 8}Q", index)
    assert len(offsets) == len(rows) + 1
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        firsts = [member.offset for member in tar if member.name.endswith(".json")]
        assert offsets == (*firsts, tar.offset)


def test_way_back_from_a_tar_loses_nothing():
    data, _, rows = tar_shard()
    back = pa.RecordBatch.from_pylist(list(read_webdataset_shard(io.BytesIO(data), SCHEMA)), schema=SCHEMA)
    back.validate(full=True)
    assert repr(back.to_pylist()) == repr(rows)  # repr: a NaN is not equal to itself


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_sample_that_lost_members_is_noticed(share):
    data, index, _ = tar_shard()
    offsets = struct.unpack(f"<{len(index) // 8}Q", index)
    # Cut at a member's start inside a sample: a tar reader sees a clean end.
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        cuts = [member.offset for member in tar if member.offset not in offsets]
    cut = cuts[int(len(cuts) * share)]
    with pytest.raises(CorpusError, match="cut off"):
        list(read_webdataset_shard(io.BytesIO(data[:cut]), SCHEMA))


def test_parquet_and_webdataset_have_one_fingerprint(tmp_path):
    path, _ = written(tmp_path)
    from_tar = Fingerprint()
    for row in read_webdataset_shard(io.BytesIO(tar_shard()[0]), SCHEMA):
        from_tar.add(row)
    assert from_tar.hexdigest() == fingerprint_parquet([str(path)])
    assert from_tar.documents == 12


@pytest.mark.parametrize("change", ["text", "score", "pixels", "order", "lost"])
def test_fingerprint_notices(change):
    def fingerprint(rows: list[dict]) -> str:
        made = Fingerprint()
        made.add_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
        return made.hexdigest()

    _, _, rows = tar_shard()
    before = fingerprint(rows)
    if change == "text":
        rows[2]["texts"][0] += " "
    elif change == "score":
        rows[4]["toxic"] = float("nan")
    elif change == "pixels":
        rows[3]["images"][1]["bytes"] += b"\0"
    elif change == "order":
        rows[7]["order_key"] += 1
    else:
        del rows[5]
    assert fingerprint(rows) != before


def test_fingerprint_ignores_names_of_archives_and_files():
    _, _, rows = tar_shard()
    renamed = [{**row, "archive": "elsewhere.warc"} for row in rows]
    renamed[3]["images"] = [image and {**image, "path": "x.jpg"} for image in rows[3]["images"]]
    renamed[3]["image_info"] = [info and {**info, "archive": "b"} for info in rows[3]["image_info"]]
    prints = []
    for given in (rows, renamed):
        made = Fingerprint()
        made.add_batch(pa.RecordBatch.from_pylist(given, schema=SCHEMA))
        prints.append(made.hexdigest())
    assert prints[0] == prints[1]


def test_fingerprint_refuses_rows_out_of_order():
    _, _, rows = tar_shard()
    made = Fingerprint()
    with pytest.raises(CorpusError, match="out of order"):
        made.add_batch(pa.RecordBatch.from_pylist(rows[::-1], schema=SCHEMA))


def test_empty_shard_has_a_schema():
    file = io.BytesIO()
    made = write_batches([], SCHEMA, file)
    assert (made.rows, made.min_order_key) == (0, None)
    assert pq.read_table(io.BytesIO(file.getvalue())).schema.equals(SCHEMA)
