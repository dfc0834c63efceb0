"""Builds that compare pictures with texts: the recipe's rules, resuming, engines, what is said without a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from plait.filters.recipe import load_recipe
from plait.jobs import Options, audit, build
from plait.jobs.clip import ClipChoice
from plait.jobs.local import LocalEngine
from plait.jobs.progress import Silent
from plait.jobs.store import Store
from plait.loader.export import export
from plait.schemas.errors import ConfigError, UnitError
from plait.schemas.receipts import Receipt
from tests.tiny_clip.corpus import MODEL, write_drawn

pytestmark = pytest.mark.heavy
CHOICE = ClipChoice(str(MODEL), device="cpu")
RECIPE = Path(__file__).parent / "clip.toml"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn"), pages=6)


@pytest.fixture(scope="module")
def corpus(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("local") / "out"
    build([str(archive)], str(out), recipe=str(RECIPE), options=Options(shard_docs=3), clip=CHOICE, workers=2)
    return out


def _rows(corpus: Path) -> list[dict]:
    return [row for path in sorted((corpus / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def _images(row: dict) -> list[dict]:
    return [info for info in row["image_info"] if info is not None]


def test_the_columns_say_which_sentence_a_picture_belongs_to(corpus: Path):
    assert audit(str(corpus)).faults == ()
    rows = _rows(corpus)
    assert len(rows) == 6
    for row in rows:
        texts = [text for text in row["texts"] if text is not None]
        spans = row["clip_spans"]
        images = _images(row)
        assert len({info["matched_span"] for info in images}) == len(images)  # one picture a span
        for info in images:
            matrix = np.array(info["clip_row"])
            span = spans[info["matched_span"]]
            assert span["text"] == info["matched_text_index"]
            assert texts[span["text"]][span["start"] : span["end"]].strip()
            assert len(matrix) == len(spans)
            assert matrix[info["matched_span"]] == pytest.approx(info["matched_sim"])
            assert matrix.max() == pytest.approx(info["clip_similarity"])
            assert [one["sim"] for one in info["clip_top"]] == sorted(matrix.tolist(), reverse=True)[:3]
            assert info["clip_near"] <= info["clip_similarity"]


def test_the_export_is_what_readers_of_mmc4_expect(corpus: Path, tmp_path: Path):
    import zipfile

    export(str(corpus), tmp_path / "mmc4", "mmc4")
    lines = []
    for path in (tmp_path / "mmc4").glob("*.zip"):
        with zipfile.ZipFile(path) as file:
            lines += [json.loads(line) for name in file.namelist() for line in file.read(name).splitlines()]
    rows = {row["url"]: row for row in _rows(corpus)}
    assert len(lines) == len(rows)
    for document in lines:
        row, matrix = rows[document["url"]], np.array(document["similarity_matrix"])
        assert matrix.shape == (len(document["image_info"]), len(document["text_list"]))
        assert len(document["text_list"]) == len(row["clip_spans"])
        places = [info["matched_text_index"] for info in document["image_info"]]
        assert places == sorted(places)  # a reader that puts pictures where their sentences are reads them in order
        for number, info in enumerate(document["image_info"]):
            assert matrix[number, info["matched_text_index"]] == pytest.approx(info["matched_sim"])
        assert sorted(info["matched_sim"] for info in document["image_info"]) == pytest.approx(
            sorted(info["matched_sim"] for info in _images(row))
        )


class _Stop(Silent):
    """Ends the build after the first unit of a stage."""

    def __init__(self, stage: str):
        self._stage = stage

    def unit(self, receipt: Receipt) -> None:
        """Stop at the stage."""
        if receipt.stage == self._stage:
            raise UnitError("stopped by the test")


def test_a_stopped_build_goes_on_and_every_picture_is_embedded_once(corpus: Path, archive: Path, tmp_path: Path):
    out = str(tmp_path / "out")

    def run(watcher: Silent) -> str:
        return build(
            [str(archive)], out, recipe=str(RECIPE), options=Options(shard_docs=3), clip=CHOICE, workers=2,
            watcher=watcher,
        ).fingerprint  # fmt: skip

    with pytest.raises(UnitError, match="stopped"):
        run(_Stop("clip_images"))
    store = Store(out)
    before = {path: store.read(path) for path in store.list("work/receipts/clip_images")}
    assert before
    assert run(Silent()) == json.loads((corpus / "manifest.json").read_text())["fingerprint"]
    after = [Receipt.from_json(store.read(path)) for path in store.list("ledger/receipts/clip_images")]
    assert {path.rsplit("/", 1)[1] for path in before} <= {
        path.rsplit("/", 1)[1] for path in store.list("ledger/receipts/clip_images")
    }
    distinct = {info["image_id"] for row in _rows(Path(out)) for info in _images(row)}
    assert sum(receipt.books.seen["pictures_embedded"] for receipt in after) == len(distinct)


def test_a_recipe_that_needs_a_model_says_how_to_give_one(archive: Path, tmp_path: Path):
    recipe = load_recipe("mmc4").model_copy(update={"missing": "refuse"})
    with pytest.raises(ConfigError, match="image_unrelated: clip_model") as error:
        build([str(archive)], str(tmp_path / "out"), recipe=recipe)
    for way in ("--clip-weights", "hf-hub:", "open_clip_config.json"):
        assert way in str(error.value)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_models_get_workers_by_their_threads(tmp_path: Path):
    engine = LocalEngine(Store(str(tmp_path)), 5)
    sizes = []

    def note(*_: object) -> list[Receipt]:
        sizes.append(engine._size)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_run", note)
        from plait.jobs.work import Stage

        engine.run(Stage("embed", "x:y", threads=2), [], note)
        engine.run(Stage("other", "x:y"), [], note)
    assert sizes == [2, 5]
