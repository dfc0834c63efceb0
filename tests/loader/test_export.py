"""Exports, read by those they are written for: every document, every text, every picture's bytes."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zipfile
from itertools import pairwise
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from plait.loader import Corpus
from plait.loader.decode import decode
from plait.loader.export import FORMATS, export
from plait.loader.export_tar import packed
from plait.schemas.errors import ConfigError


@pytest.fixture(scope="module")
def rows(corpus_folder) -> list[dict]:
    return list(Corpus(corpus_folder).rows())


@pytest.fixture(scope="module")
def exported(corpus_folder, tmp_path_factory):
    """Gives the folder of an export, made once."""
    made: dict[str, Path] = {}

    def get(form: str) -> Path:
        if form not in made:
            made[form] = tmp_path_factory.mktemp("export") / form
            export(str(corpus_folder), made[form], form, shard_docs=50)
        return made[form]

    return get


def pictures(row: dict) -> list[bytes]:
    return [image["bytes"] for image in row["images"] if image]


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_exports_are_the_same_every_time_and_refuse_a_full_folder(form, corpus_folder, exported, tmp_path):
    again = tmp_path / "again"
    made = export(str(corpus_folder), again, form, shard_docs=50)
    files = {path.relative_to(again): path.read_bytes() for path in sorted(again.rglob("*")) if path.is_file()}
    assert files == {path: (exported(form) / path).read_bytes() for path in files}
    assert len(made.files) == 3
    with pytest.raises(ConfigError, match="not empty"):
        export(str(corpus_folder), again, form)


def test_unknown_format_is_one_clear_error(corpus_folder, tmp_path):
    with pytest.raises(ConfigError, match="no format 'nope'"):
        export(str(corpus_folder), tmp_path / "x", "nope")


def test_view_can_be_exported(corpus_folder, tmp_path):
    made = export(Corpus(corpus_folder).head(7), tmp_path / "few", "text")
    assert made.samples == 7


def test_webdataset_is_read_by_webdataset(exported, rows):
    shards = sorted(str(path) for path in exported("webdataset").glob("*.tar"))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [row["doc_id"].hex() for row in rows]
    for sample, row in zip(samples, rows, strict=True):
        document = json.loads(sample["json"])
        assert document["texts"] == row["texts"]
        assert [sample[name] for name in document["images"] if name] == pictures(row)


def test_uniform_tar_is_read_by_hugging_face(exported, rows, tmp_path):
    files = sorted(str(path) for path in exported("webdataset-hf").glob("*.tar"))
    loaded = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(loaded) == len(rows)
    for sample, row in zip(loaded, rows, strict=True):
        assert sample["__key__"] == row["doc_id"].hex()
        assert sample["json"]["texts"] == row["texts"]
        assert list(sample["images.mp"]) == pictures(row)
        assert [slot for slot in sample["json"]["images"] if slot is not None] == list(range(len(pictures(row))))


def test_msgpack_is_what_msgpack_reads():
    msgpack = pytest.importorskip("msgpack", reason="needs msgpack")
    for blobs in ([], [b""], [b"a" * 300, b"b" * 70_000]):
        assert msgpack.unpackb(packed(blobs)) == blobs


def test_obelics_lists_are_parallel_with_urls(exported, rows):
    table = [row for path in sorted(exported("obelics").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert len(table) == len(rows)
    for got, row in zip(table, rows, strict=True):
        assert got["texts"] == row["texts"]
        assert [(text is None) != (image is None) for text, image in zip(got["texts"], got["images"], strict=True)]
        metadata = json.loads(got["metadata"])
        assert [item and item["src"] for item in metadata] == got["images"]
        assert json.loads(got["general_metadata"])["url"] == row["url"]


def test_omnicorpus_has_one_metadata_an_image(exported, rows):
    table = [row for path in sorted(exported("omnicorpus").iterdir()) for row in pq.read_table(path).to_pylist()]
    for got, row in zip(table, rows, strict=True):
        assert len(got["metadata"]) == sum(image is not None for image in got["images"])
        assert got["general_metadata"]["id"] == row["doc_id"].hex()


def test_mmc4_pictures_go_with_the_next_text(exported, rows):
    documents = []
    for path in sorted(exported("mmc4").iterdir(), key=lambda path: int(path.name.split("_")[2])):
        with zipfile.ZipFile(path) as archive:
            documents += [json.loads(line) for line in archive.read(archive.namelist()[0]).splitlines()]
    for got, row in zip(documents, rows, strict=True):
        assert got["text_list"] == [text for text in row["texts"] if text]
        assert [base64.b64decode(image["image_base64"]) for image in got["image_info"]] == pictures(row)
        matched = [image["matched_text_index"] for image in got["image_info"]]
        assert matched == list(range(1, len(matched) + 1))  # each picture stands before its text
        matrix = np.array(got["similarity_matrix"])
        assert (matrix.argmax(axis=1) == matched).all() if matched else matrix.size == 0


def test_mint_has_a_page_a_picture_in_order(exported, rows):
    wanted = [row for row in rows if pictures(row)]
    found = []
    for path in sorted(exported("mint").iterdir()):
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        keys = dict.fromkeys(name.partition(".")[0] for name in members)
        found += [(json.loads(members[f"{key}.json"]), Image.open(io.BytesIO(members[f"{key}.tiff"]))) for key in keys]
    assert len(found) == len(wanted)
    for (sample, tiff), row in zip(found, wanted, strict=True):
        names = [name for name in sample["images"] if name]
        assert len(names) == tiff.n_frames == len(sample["image_metadata"]) == len(pictures(row))
        for page, data in enumerate(pictures(row)):
            tiff.seek(page)
            assert (np.asarray(tiff) == decode(data)).all()


def test_curator_has_a_row_an_item_in_reading_order(exported, rows):
    table = [row for path in sorted(exported("curator").iterdir()) for row in pq.read_table(path).to_pylist()]
    wanted = []
    for row in rows:
        key = row["doc_id"].hex()
        wanted.append((key, -1, "metadata", None))
        for slot, text in enumerate(row["texts"]):
            image = row["images"][slot]
            wanted.append((key, slot, "text" if text is not None else "image", text or (image and image["bytes"])))
    got = [
        (row["sample_id"], row["position"], row["modality"],
         None if row["position"] < 0 else row["text_content"] or row["binary_content"])
        for row in table
    ]  # fmt: skip
    assert got == wanted


def test_pairs_open_with_decoded_pictures(exported, rows, tmp_path):
    files = sorted(str(path) for path in exported("pairs").iterdir())
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert len(loaded) == sum(len(pictures(row)) for row in rows)
    assert loaded[0]["image"].size[0] > 30
    assert set(loaded["text_from"]) == {"alt"}


def test_text_reads_no_picture_and_keeps_every_text(exported, rows):
    assert "images" not in FORMATS["text"].columns
    table = [row for path in sorted(exported("text").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert [row["text"] for row in table] == ["\n\n".join(t for t in row["texts"] if t) for row in rows]


READERS = Path(__file__).parents[2] / ".venv-readers/bin/python"  # `make readers` makes it


def read_by(script: str, folder: Path) -> list[str]:
    """Lines that a script of this folder prints, run by the environment of the readers whose pins clash with ours."""
    if not READERS.exists() and "CI" not in os.environ:
        pytest.skip("Energon and MosaicML Streaming have an environment of their own: make readers")
    command = [str(READERS), str(Path(__file__).parent / script), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.heavy
def test_mds_is_read_by_mosaicml_streaming(exported, rows):
    """Texts, slots, pixels, and the bytes of every picture."""
    got = [json.loads(line) for line in read_by("mds_reader.py", exported("mds")) if line.startswith("{")]
    for found, row in zip(got, rows, strict=True):
        assert (found["doc_id"], found["url"], found["texts"]) == (row["doc_id"].hex(), row["url"], row["texts"])
        assert found["slots"] == [image is not None for image in row["images"]]
        images = [Image.open(io.BytesIO(data)).convert("RGBA") for data in pictures(row)]
        assert found["pixels"] == [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        payload = bytes.fromhex(found["payload"])
        assert payload[4 * (len(images) + 2) :] == b"".join(pictures(row))


def test_mds_bytes_are_laid_out_as_its_format_says(exported, rows):
    """The layout, read without the library: u32 count, u32 offsets, config, samples of sizes and bodies."""
    folder = exported("mds")
    index = json.loads((folder / "index.json").read_text())
    assert index["version"] == 2
    at = 0
    for shard in index["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        head = np.frombuffer(data, "<u4", count=shard["samples"] + 2)
        assert head[0] == shard["samples"]
        assert head[-1] == len(data)
        for start, stop in pairwise(head[1:].tolist()):
            sample = data[start:stop]
            sizes = np.frombuffer(sample, "<u4", count=len(shard["column_names"]))
            ends = 4 * len(sizes) + np.cumsum(sizes)
            body = dict(
                zip(shard["column_names"], (sample[e - s : e] for s, e in zip(sizes, ends, strict=True)), strict=True)
            )
            count = int(np.frombuffer(body["images"], "<u4", count=2)[1])
            blobs = body["images"][8 + 4 * count :]
            assert blobs == b"".join(pictures(rows[at]))
            assert json.loads(body["texts"]) == rows[at]["texts"]
            at += 1
    assert at == len(rows)


@pytest.mark.heavy
def test_webdataset_is_read_by_energon(exported, rows):
    lines = read_by("energon_reader.py", exported("webdataset"))
    got = dict(json.loads(line) for line in lines if line.startswith("["))
    assert len(got) == len(rows)
    assert set(got) == {row["doc_id"].hex() for row in rows}
    for row in rows:
        wanted = [
            text if text is not None else hashlib.sha256(image["bytes"]).hexdigest()
            for text, image in zip(row["texts"], row["images"], strict=True)
            if text is not None or image is not None
        ]
        assert got[row["doc_id"].hex()] == wanted
