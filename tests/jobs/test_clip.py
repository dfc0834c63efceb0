"""Builds that compare pictures with texts: the recipe's rules, resuming, engines, what is said without a model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from scipy.optimize import linear_sum_assignment

from plait.filters.clip_settings import Prompts
from plait.filters.recipe import load_recipe
from plait.jobs import Options, audit, build, clip
from plait.jobs.append import append
from plait.jobs.clip import ClipChoice
from plait.jobs.comparing import compare
from plait.jobs.engines import EngineChoice
from plait.jobs.refilter import refilter
from plait.jobs.store import Store
from plait.loader.export import export
from plait.schemas.errors import ConfigError
from plait.schemas.receipts import Receipt
from tests.jobs.clusters import Saboteur, spark_cluster
from tests.tiny_clip.corpus import MODEL, write_drawn

pytestmark = pytest.mark.heavy
CHOICE = ClipChoice(str(MODEL), device="cpu")
RECIPE = Path(__file__).parent / "clip.toml"


OPTIONS = Options(shard_docs=3)
COUNTED = {"url_dup_count", "sha256_dup_count", "p_hash_dup_count", "archive_id"}
UNIT_PICTURES = 4
EPSILON = 0.02  # of a cosine of the tiny model between fp32 and bf16; 0.011 on 100 drawn scenes and 100 sentences
SMALL_UNITS = (
    f"from plait.jobs import clip; clip.UNIT_PICTURES = {UNIT_PICTURES}; from plait.jobs.cli import main; main()"
)


STRICTER = """
name = "stricter"
description = "Rules on what CLIP said."
extends = "annotate"
missing = "refuse"
[[rule]]
name = "unrelated"
scope = "image"
keep = "clip_similarity >= {threshold!r}"
source = "test"
[[rule]]
name = "others"
scope = "image"
keep = "clip_near >= -1 and clip_rank <= 3 and clip_logo <= 1"
source = "test"
[[rule]]
name = "unmatched"
scope = "document"
keep = "mean_matched_sim >= -1"
source = "test"
"""


@pytest.fixture(scope="module", autouse=True)
def small_units() -> Iterator[None]:
    """Pictures in several units, though there are few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip, "UNIT_PICTURES", UNIT_PICTURES)
        yield


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn"), pages=6)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def corpus(archive: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("local") / "out"
    choice = ClipChoice(str(MODEL), device="cpu", cache=str(cache))
    build([str(archive)], str(out), recipe=str(RECIPE), options=OPTIONS, clip=choice, workers=1)
    return out


def _rows(corpus: Path) -> list[dict]:
    return [row for path in sorted((corpus / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def _images(row: dict) -> list[dict]:
    return [info for info in row["image_info"] if info is not None]


def _fingerprint(corpus: Path) -> str:
    return json.loads((corpus / "manifest.json").read_text())["fingerprint"]


def _embedded(corpus: Path) -> list[Receipt]:
    store = Store(str(corpus))
    return [Receipt.from_json(store.read(path)) for path in store.list("ledger/receipts/clip_images")]


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


def test_pairs_and_retrieval_order_say_what_the_columns_say(corpus: Path, tmp_path: Path):
    rows = _rows(corpus)
    spoken = {
        row["url"]: [
            [text for text in row["texts"] if text is not None][span["text"]][span["start"] : span["end"]]
            for span in row["clip_spans"]
        ]
        for row in rows
    }
    for view in ("pairs", "retrieval"):
        export(str(corpus), tmp_path / view, view)
    found = [one for path in (tmp_path / "retrieval").glob("*.parquet") for one in pq.read_table(path).to_pylist()]
    assert len(found) == len(rows)
    for row in rows:
        view = next(one for one in found if one["url"] == row["url"])
        assert [text for text in view["texts"] if text is not None] == spoken[row["url"]]
        wanted = sorted((info["matched_span"], info["sha256"], info["matched_sim"]) for info in _images(row))
        words = 0
        seen = []
        for text, image, sim in zip(view["texts"], view["images"], view["similarities"], strict=True):
            words += text is not None
            if image is not None:
                seen.append((words, bytes.fromhex(image["path"].split(".")[0]), pytest.approx(sim)))
        assert seen == wanted
    pairs = [one for path in (tmp_path / "pairs").glob("*.parquet") for one in pq.read_table(path).to_pylist()]
    assert len(pairs) == sum(len(_images(row)) for row in rows)
    infos = {(row["url"], info["url"]): info for row in rows for info in _images(row)}
    for pair in pairs:
        info = infos[pair["url"], pair["image_url"]]
        assert pair["span"] == spoken[pair["url"]][int(np.argmax(info["clip_row"]))]
        assert pair["similarity"] == pytest.approx(info["clip_similarity"])
        assert (pair["alt"], pair["text"]) == ("drawing", "drawing")


def _kill_in_a_unit(out: Path, running: subprocess.Popen[bytes]) -> bool:
    """Kill the driver and its workers while an attempt at a unit of pictures has no receipt."""
    begun, recorded = ((out / "work" / kind / "clip_images") for kind in ("units", "receipts"))
    if len(list(begun.glob("*"))) <= len(list(recorded.glob("*"))):
        return False
    os.killpg(running.pid, signal.SIGKILL)
    return True


def _kill(out: Path, running: subprocess.Popen[bytes]) -> None:
    os.killpg(running.pid, signal.SIGKILL)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_unit_every_picture_has_one_recorded_feature(
    corpus: Path, archive: Path, tmp_path: Path
):
    out, workers, stages = tmp_path / "out", 2, {"clip_images": _kill_in_a_unit, "clip_match": _kill}
    command = [sys.executable, "-c", SMALL_UNITS, "build", str(archive), "--out", str(out), "--recipe", str(RECIPE)]
    command += ["--shard-docs", "3", "--clip-model", str(MODEL), "--device", "cpu", "--workers", str(workers)]
    begun: set[str] = set()  # attempts at units of pictures
    for stage, harm in stages.items():
        running = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        with Saboteur(Store(str(out)), f"work/receipts/{stage}", partial(harm, out, running)):
            assert running.wait(300) == -signal.SIGKILL, stage
        begun |= {path.name for path in (out / "work/units/clip_images").glob("*")}
    recorded = {path.stem for path in (out / "work/receipts/clip_images").glob("*.json")}
    subprocess.run(command, check=True, capture_output=True)
    assert _fingerprint(out) == _fingerprint(corpus)
    receipts = _embedded(out)
    assert recorded == {receipt.unit for receipt in receipts}
    distinct = {info["image_id"] for row in _rows(out) for info in _images(row)}
    assert sum(receipt.books.seen["pictures_embedded"] for receipt in receipts) == len(distinct) == 18
    counted = {f"{receipt.unit}-{receipt.attempt}" for receipt in receipts}
    assert len(begun - counted) <= workers  # the units in hand at the first kill; the second cost no feature
    assert audit(str(out)).faults == ()


def test_a_second_recipe_takes_features_from_the_cache(corpus: Path, archive: Path, cache: Path, tmp_path: Path):
    recipe = load_recipe(str(RECIPE))
    logo = Prompts(yes=recipe.clip.logo.no, no=recipe.clip.logo.yes)
    changed = recipe.clip.model_copy(update={"spans": "paragraph", "logo": logo})
    recipe = recipe.model_copy(update={"clip": changed})
    out = tmp_path / "out"
    choice = ClipChoice(str(MODEL), device="cpu", cache=str(cache))
    build([str(archive)], str(out), recipe=recipe, options=OPTIONS, clip=choice, workers=1)
    assert sum(receipt.books.seen["pictures_embedded"] for receipt in _embedded(corpus)) == 18
    assert [receipt.books.seen["pictures_embedded"] for receipt in _embedded(out)] == [0] * 5
    before = {info["image_id"]: info for row in _rows(corpus) for info in _images(row)}
    after = {info["image_id"]: info for row in _rows(out) for info in _images(row)}
    assert before.keys() == after.keys()
    for name, info in after.items():
        assert info["clip_nsfw"] == before[name]["clip_nsfw"]
        assert info["clip_logo"] == pytest.approx(1 - before[name]["clip_logo"], abs=1e-6)
    assert all(len(row["clip_spans"]) == sum(text is not None for text in row["texts"]) for row in _rows(out))


def test_refilter_moves_rules_on_stored_scores_without_a_model(corpus: Path, tmp_path: Path):
    before = {row["url"]: row for row in _rows(corpus)}
    best = sorted(info["clip_similarity"] for row in before.values() for info in _images(row))
    threshold = float(np.mean(best[5:7]))
    path = tmp_path / "stricter.toml"
    path.write_text(STRICTER.format(threshold=threshold))
    out = tmp_path / "out"
    done = refilter(str(corpus), str(out), recipe=str(path), workers=1)
    assert audit(str(out)).faults == ()
    assert not done.recipe.partial
    rows = _rows(out)
    assert sum(len(_images(row)) for row in rows) == 18 - 6
    for row in rows:
        was = before[row["url"]]
        assert row["clip_spans"] == was["clip_spans"]
        left = [info for info in _images(was) if info["clip_similarity"] >= threshold]
        now = _images(row)
        assert [info["image_id"] for info in now] == [info["image_id"] for info in left]
        matrix = np.array([info["clip_row"] for info in left])
        wanted = linear_sum_assignment(matrix, maximize=True)[1]
        assert [info["matched_span"] for info in now] == wanted.tolist()
        for info, old, cosines in zip(now, left, matrix, strict=True):
            assert info["matched_sim"] == cosines[info["matched_span"]]
            assert info["matched_text_index"] == row["clip_spans"][info["matched_span"]]["text"]
            same = set(info) - {"matched_span", "matched_sim", "matched_text_index"} - COUNTED
            assert {name: info[name] for name in same} == {name: old[name] for name in same}
    path.write_text(path.read_text() + '[clip]\nspans = "paragraph"\n')  # scores are of sentences
    pictures = compare(str(corpus), str(out)).pictures
    assert (pictures.shared, pictures.only) == (12, (6, 0))
    assert pictures.apart["clip_similarity"] == 0
    with pytest.raises(ConfigError, match="unrelated: clip_model"):
        refilter(str(corpus), str(tmp_path / "other"), recipe=str(path), workers=1)


@pytest.mark.slow
def test_a_crawl_that_is_added_is_compared_by_the_corpus_own_model(corpus: Path, tmp_path: Path):
    more = write_drawn(tmp_path, pages=2, strangers=True, seed=9)  # on a host of their own
    longer = Path(shutil.copytree(corpus, tmp_path / "longer"))
    with pytest.raises(ConfigError, match="--clip-model FOLDER"):
        append(str(longer), [str(more)])
    other = Path(shutil.copytree(MODEL, tmp_path / "other"))
    config = other / "open_clip_config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(ConfigError, match="another CLIP model"):
        append(str(longer), [str(more)], clip=ClipChoice(str(other), device="cpu"))
    append(str(longer), [str(more)], clip=CHOICE, workers=1)
    assert audit(str(longer)).faults == ()
    rows = _rows(longer)
    assert len(rows) > 6
    assert all(info["matched_sim"] is not None for row in rows for info in _images(row))


@pytest.mark.slow
@pytest.mark.parametrize(("device", "precision"), [("cpu", "bf16"), ("cuda", "fp32"), ("cuda", "bf16")])
def test_on_another_device_ids_are_equal_and_scores_lie_within_two_hundredths(
    corpus: Path, archive: Path, tmp_path: Path, device: str, precision: str
):
    """Where there is no GPU, bfloat16, other threads and another batch stand in for another device."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here")
    recipe = load_recipe(str(RECIPE))
    changed = recipe.clip.model_copy(update={"precision": precision, "threads": 2, "batch": 32})
    out = tmp_path / "out"
    recipe = recipe.model_copy(update={"clip": changed})
    choice = ClipChoice(str(MODEL), device=device)
    build([str(archive)], str(out), recipe=recipe, options=OPTIONS, clip=choice, workers=1)
    found = compare(str(corpus), str(out))
    assert (found.shared, found.edited, found.pictures.shared, found.pictures.only) == (6, 0, 18, (0, 0))
    assert 0 < found.pictures.apart["clip_similarity"] < EPSILON
    scores = [
        {(row["doc_id"], info["image_id"]): info["clip_similarity"] for row in _rows(side) for info in _images(row)}
        for side in (corpus, out)
    ]
    assert scores[0].keys() == scores[1].keys()
    near = sum(abs(score - 0.15) < EPSILON for score in scores[0].values())
    assert sum((scores[0][name] >= 0.15) != (scores[1][name] >= 0.15) for name in scores[0]) <= near


def _kill_own(wanted: Callable[[psutil.Process], bool]) -> bool:
    """Kill one of the processes that this one has started, of those that are wanted; whether there was one."""
    for process in psutil.Process().children(recursive=True):
        try:
            if wanted(process):
                process.kill()
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def _is_actor(process: psutil.Process) -> bool:
    return " ".join(process.cmdline()).startswith("ray::ModelWorker")


@pytest.mark.slow
def test_ray_gives_the_same_corpus_with_a_models_actor_killed(corpus: Path, archive: Path, tmp_path: Path):
    out = tmp_path / "out"
    harm = Saboteur(Store(str(out)), "work/receipts/clip_images", lambda: _kill_own(_is_actor))
    with harm:
        build([str(archive)], str(out), recipe=str(RECIPE), options=OPTIONS, clip=CHOICE, engine=EngineChoice("ray", 2))
    assert harm.acted
    assert _fingerprint(out) == _fingerprint(corpus)
    assert sum(receipt.books.seen["pictures_embedded"] for receipt in _embedded(out)) == 18


def _is_python_worker(process: psutil.Process) -> bool:
    parent = process.parent()
    return parent is not None and all("pyspark.daemon" in " ".join(one.cmdline()) for one in (process, parent))


@pytest.mark.slow
def test_a_spark_cluster_gives_the_same_corpus_with_a_python_worker_killed(corpus: Path, archive: Path, tmp_path: Path):
    from plait.jobs.spark_engine import start_session

    out = tmp_path / "out"
    harm = Saboteur(Store(str(out)), "work/receipts/clip_images", lambda: _kill_own(_is_python_worker))
    with spark_cluster(tmp_path / "spark", workers=1, cores=2) as master:
        session = start_session(master, None, {"spark.executor.memory": "1g"})
        try:
            choice = EngineChoice("spark", spark_session=session)
            with harm:
                build([str(archive)], str(out), recipe=str(RECIPE), options=OPTIONS, clip=CHOICE, engine=choice)
        finally:
            session.stop()
    assert harm.acted
    assert _fingerprint(out) == _fingerprint(corpus)
    assert sum(receipt.books.seen["pictures_embedded"] for receipt in _embedded(out)) == 18


def test_a_recipe_that_needs_a_model_says_how_to_give_one(archive: Path, tmp_path: Path):
    recipe = load_recipe("mmc4").model_copy(update={"missing": "refuse"})
    with pytest.raises(ConfigError, match="image_unrelated: clip_model") as error:
        build([str(archive)], str(tmp_path / "out"), recipe=recipe)
    for way in ("--clip-weights", "hf-hub:", "open_clip_config.json"):
        assert way in str(error.value)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
