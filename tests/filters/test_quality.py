"""The quality classifier: trained on two piles, it tells them apart, and says so when it cannot be trained."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.filters.quality import quality, read_texts, train
from plait.filters.recipe import load_recipe
from plait.pipeline.text import apply_text
from plait.schemas.documents import PAGE
from plait.schemas.errors import ConfigError

GOOD_WORDS = (
    "the study shows that water in the lake was measured over years and compared with earlier results by science"
)
BAD_WORDS = "buy cheap now click here best price deal offer free shipping order today limited sale discount win"
GOOD, BAD = GOOD_WORDS.split(), BAD_WORDS.split()


def pile(words: list[str], count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(words, k=40)) + "." for _ in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    (folder / "good.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in pile(GOOD, 200, 1)), "utf-8"
    )
    (folder / "bad.txt").write_text("\n".join(pile(BAD, 300, 2)), "utf-8")
    report = train(folder / "good.jsonl", folder / "bad.txt", folder / "model.bin")
    assert (report.good, report.bad) == (200, 300)
    assert report.accuracy > 0.95
    assert report.auc > 0.95
    return folder / "model.bin"


def test_good_scores_above_bad(model: Path):
    good = quality(pile(GOOD, 20, 3), str(model))
    bad = quality(pile(BAD, 20, 4), str(model))
    assert good.min() > 0.5 > bad.max()
    assert np.isnan(quality([""], str(model))[0])


def test_training_twice_gives_the_same_scores(model: Path, tmp_path: Path):
    train(model.parent / "good.jsonl", model.parent / "bad.txt", tmp_path / "again.bin")
    texts = pile(GOOD, 5, 5) + pile(BAD, 5, 6)
    assert quality(texts, str(model)).tolist() == quality(texts, str(tmp_path / "again.bin")).tolist()


def test_its_score_is_a_column_and_a_threshold_in_a_recipe(model: Path, tmp_path: Path):
    (tmp_path / "mine.toml").write_text(
        "name = 'mine'\ndescription = 'x'\n[resources]\nquality_model = '" + str(model) + "'\n"
        "[[rule]]\nname = 'poor'\nscope = 'document'\nkeep = 'quality >= 0.5'\nsource = 'test'\n",
        "utf-8",
    )
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert recipe.requirements() == {"poor": ("quality_model",)}
    rows = []
    for number, text in enumerate([pile(GOOD, 1, 7)[0], pile(BAD, 1, 8)[0]]):
        row: dict[str, object] = dict.fromkeys(PAGE.names)
        row.update(
            doc_id=bytes([number]) * 16, order_key=0, url="http://x.com/", nodes=[{"kind": "text", "text": text}]
        )
        rows.append(row)
    result = apply_text(pa.RecordBatch.from_pylist(rows, schema=PAGE), recipe)
    assert result.dropped["reason"].to_pylist() == ["poor"]
    assert result.kept["quality"][0].as_py() > 0.5


def test_too_few_documents_and_unreadable_files_are_config_errors(model: Path, tmp_path: Path):
    (tmp_path / "few.txt").write_text("one\ntwo\n", "utf-8")
    with pytest.raises(ConfigError, match="at least 20"):
        train(tmp_path / "few.txt", model.parent / "bad.txt", tmp_path / "m.bin")
    (tmp_path / "broken.jsonl").write_text('{"txt": 3}\n', "utf-8")
    with pytest.raises(ConfigError, match="text"):
        list(read_texts(tmp_path / "broken.jsonl"))
    with pytest.raises(ConfigError):
        list(read_texts(tmp_path / "absent.txt"))
    (tmp_path / "no.bin").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="no fastText model"):
        quality(["x"], str(tmp_path / "no.bin"))


def test_parquet_of_a_corpus_can_be_a_pile(tmp_path: Path):
    pq.write_table(pa.table({"texts": [["a", None, "b"], ["c"]]}), tmp_path / "shard.parquet")
    assert list(read_texts(tmp_path / "shard.parquet")) == ["a\nb", "c"]
