"""Publishing: the files around the shards say what the shards hold."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from plait.pipeline.card import card
from plait.pipeline.fingerprint import fingerprint_parquet
from plait.pipeline.publish import write_corpus
from plait.schemas.errors import CorpusError
from plait.schemas.manifest import Manifest, RecipeRecord, RuleRecord, StageBooks, Totals
from plait.schemas.shards import shard_schema

SCHEMA = shard_schema({"words": pa.float64()})
RULE = RuleRecord("mean_word_length", "document", "text", "3 <= mean_word_length | x", "OmniCorpus")
EMPTY = Manifest("0.1.0", RecipeRecord("tiny", "{}", "d", "A test.", (RULE,), ("kenlm:en",)), "", Totals())


def batches(first: int, documents: int) -> list[pa.RecordBatch]:
    made = []
    for number in range(first, first + documents):
        file = io.BytesIO()
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(file, "png")
        data = file.getvalue()
        digest = hashlib.sha256(data).digest()
        infos = [None, {"sha256": digest, "bytes": len(data), "format": "png"}, {"url": "http://x/u"}]
        images = [None, {"bytes": data, "path": f"{digest.hex()}.png"}, None]
        row = {"doc_id": bytes([number]) * 16, "order_key": number, "url": "http://x", "lang": "no", "licence": "CC0"}
        row |= {"texts": ["abc", None, None], "tags": ["p", None, None], "images": images, "image_info": infos}
        made.append(pa.RecordBatch.from_pylist([row], schema=SCHEMA))
    return made


def test_corpus_on_disk_is_what_the_manifest_says(tmp_path):
    wanted = replace(EMPTY, formats=("parquet", "webdataset"))
    made = write_corpus(tmp_path, SCHEMA, [batches(0, 3), batches(3, 2)], wanted)
    assert Manifest.from_json((tmp_path / "manifest.json").read_text()) == made
    assert (made.totals.documents, made.totals.images, made.totals.image_urls, made.totals.text_chars) == (5, 5, 5, 15)
    assert (made.totals.languages, made.totals.licences, made.shards) == ({"no": 5}, {"CC0": 5}, 2)
    listed = pq.read_table(tmp_path / made.lists.shards).to_pylist()
    assert [(row["format"], row["shard"], row["rows"]) for row in listed] == [
        ("parquet", 0, 3), ("parquet", 1, 2), ("webdataset", 0, 3), ("webdataset", 1, 2),
    ]  # fmt: skip
    for row in listed:
        data = (tmp_path / row["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (row["bytes"], row["sha256"])
    assert listed[1]["row_group_rows"] == [1, 1]
    files = [str(tmp_path / row["path"]) for row in listed if row["format"] == "parquet"]
    assert made.totals.shard_bytes == sum(row["bytes"] for row in listed if row["format"] == "parquet")
    assert made.fingerprint == fingerprint_parquet(files)
    info = json.loads((tmp_path / "webdataset/.nv-meta/.info.json").read_text())
    assert info["shard_counts"] == {"shard-00000.tar": 3, "shard-00001.tar": 2}


def test_webdataset_alone_has_the_same_fingerprint(tmp_path):
    made = [
        write_corpus(tmp_path / form, SCHEMA, [batches(0, 4)], replace(EMPTY, formats=(form,)))
        for form in ("parquet", "webdataset")
    ]
    assert made[0].fingerprint == made[1].fingerprint
    assert not (tmp_path / "webdataset" / "data").exists()


def test_manifest_does_not_grow_with_documents_or_shards(tmp_path):
    small = write_corpus(tmp_path / "a", SCHEMA, [batches(0, 1)], EMPTY)
    large = write_corpus(tmp_path / "b", SCHEMA, [batches(n * 10, 10) for n in range(9)], EMPTY)
    assert abs(len(large.to_json()) - len(small.to_json())) < 20


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("{}", "not a plait corpus"), ('{"schema_version": 99}', "schema version 99")],
)
def test_manifest_of_something_else_is_one_clear_error(text, message):
    with pytest.raises(CorpusError, match=message):
        Manifest.from_json(text)


def test_damaged_manifest_is_an_error():
    raw = json.loads(EMPTY.to_json())
    del raw["totals"]
    with pytest.raises(CorpusError, match="damaged"):
        Manifest.from_json(json.dumps(raw))


def test_card_has_front_matter_counts_rules_and_drops():
    books = StageBooks("text", "document", 10, 7, {"mean_word_length": 3})
    totals = Totals(documents=7, images=9, languages={"no": 6, "": 1}, licences={"CC BY|SA": 2})
    text = card(replace(EMPTY, funnel=(books,), totals=totals, scores={"words": "double"}))
    front = yaml.safe_load(text.split("---")[1])
    assert front["language"] == ["no"]
    assert front["configs"][0]["data_files"][0]["path"] == "data/*.parquet"
    assert front["size_categories"] == ["n<1K"]
    assert "| text | documents | 10 | 7 | `mean_word_length` 3 |" in text
    assert "| `mean_word_length` | document | `3 <= mean_word_length \\| x` | OmniCorpus |" in text
    assert "`kenlm:en`" in text.split("Partial recipe")[1]
    assert "| not identified | 1 | 14.3% |" in text
    assert "was **not** masked" in text


def test_books_that_do_not_add_up_are_seen():
    assert StageBooks("text", "document", 10, 7, {"a": 1, "b": 2}).balanced
    assert not StageBooks("text", "document", 10, 8, {"a": 1, "b": 2}).balanced
