"""Thresholds on pictures that move: what the explorer says is what a build with the saved recipe does."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from plait.explorer.view.index import appearing
from plait.explorer.view.mapped import Mapped
from plait.explorer.view.session import Session
from plait.jobs import build
from plait.jobs.flow import Options
from plait.jobs.viewing import open_session
from plait.schemas.errors import ConfigError, CorpusError
from plait.schemas.manifest import Manifest
from tests.archives import WarcBuilder, picture
from tests.jobs.corpora import article

RECIPE = """
name = "pictured"
description = "Rules on pictures to move."
scores = "all"

[images]
cap = 100

[[rule]]
name = "narrow"
scope = "image"
keep = "width >= 310"
source = "of this test"

[[rule]]
name = "shape"
scope = "image"
keep = "200 <= side and long_side <= 500"
source = "of this test"

[[rule]]
name = "often"
scope = "image"
keep = "p_hash_dup_count <= 8"
source = "of this test"

[[rule]]
name = "few_images"
scope = "document"
keep = "images >= 2"
source = "of this test"
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of two or three pictures, 300 to 319 wide; every fourth has a tall one, every fifth a flat one."""
    folder = tmp_path_factory.mktemp("pictured")
    warc = WarcBuilder()
    for seed in range(20):
        shown = [f"/{seed}.jpg", f"/other/{seed}.jpg"]
        shown += ["/tall.jpg"] if seed % 4 == 0 else []
        shown += ["/flat.jpg"] if seed % 5 == 0 else []
        warc.response(f"http://site.test/{seed}", article(seed, shown))
        warc.response(f"http://site.test/{seed}.jpg", picture(300 + seed, 240, seed), "image/jpeg")
        warc.response(f"http://site.test/other/{seed}.jpg", picture(330, 220 + seed, 100 + seed), "image/jpeg")
    warc.response("http://site.test/tall.jpg", picture(320, 600, 500), "image/jpeg")
    warc.response("http://site.test/flat.jpg", picture(320, 100, 501), "image/jpeg")
    return warc.save(folder / "pictured.warc.gz")


def built(archive: Path, folder: Path, recipe: str) -> Manifest:
    (folder / "recipe.toml").write_text(recipe)
    return build(
        [str(archive)], str(folder / "corpus"), recipe=str(folder / "recipe.toml"), workers=1,
        options=Options(retain="all"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def session(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("explored")
    built(archive, folder, RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAIT_CACHE", str(folder / "cache"))
        opened = open_session(str(folder / "corpus"), marks=str(folder / "marks.jsonl"))
        assert len(opened.index)
    return opened


MOVES = {
    "tighter": {"narrow": {0: 315.0}},
    "looser": {"narrow": {0: 305.0}},
    "of a rule on two scores, the first": {"shape": {0: 90.0}},
    "of a rule on two scores, the second": {"shape": {1: 700.0}},
    "pictures and documents": {"narrow": {0: 312.0}, "few_images": {0: 1.0}},
    "documents": {"few_images": {0: 3.0}},
}


@pytest.mark.parametrize("changes", MOVES.values(), ids=MOVES.keys())
def test_what_a_move_would_do_is_what_the_saved_recipe_does(
    session: Session, archive: Path, tmp_path: Path, changes: dict[str, dict[int, float]]
) -> None:
    before = session.corpus.manifest.totals
    said = session.thresholds.change(changes)
    after = built(archive, tmp_path, session.thresholds.recipe_text(changes, "moved")).totals
    assert said.kept == after.documents
    assert said.dropped or said.recovered
    assert before.documents - said.dropped + said.recovered == after.documents


def test_what_comes_back_is_an_upper_bound_where_other_pictures_would_now_go(
    session: Session, archive: Path, tmp_path: Path
) -> None:
    changes = {"narrow": {0: 303.0}, "shape": {0: 235.0}}  # pictures that went with their document have no stored side
    said = session.thresholds.change(changes)
    assert said.kept >= built(archive, tmp_path, session.thresholds.recipe_text(changes, "moved")).totals.documents


def test_pictures_that_change_sides_are_counted_with_examples(session: Session) -> None:
    before = session.corpus.manifest.totals.images
    tighter = session.change({"narrow": {0: 315.0}})["pictures"]
    assert (tighter["dropped"], tighter["recovered"]) == (5, 0)  # 310 to 314 wide
    assert [card["src"] is not None for card in tighter["gone"]] == [True] * 5
    looser = session.change({"narrow": {0: 305.0}})["pictures"]
    assert (looser["dropped"], looser["recovered"]) == (0, 5)
    assert {card["said"].split(", ")[0] for card in looser["back"]} == {
        f"narrow: value {width}" for width in range(305, 310)
    }
    assert before == 20
    assert session.change({"shape": {0: 90.0}})["pictures"]["recovered"] == 4
    assert session.change({"shape": {1: 700.0}})["pictures"]["recovered"] == 5
    assert session.change({})["pictures"]["dropped"] == 0


def test_every_number_of_a_rule_on_pictures_has_a_slider(session: Session) -> None:
    found = session.sliders()
    of_images = {(s["rule"], s["number"], s["score"], s["value"]) for s in found["sliders"] if s["of"] == "image"}
    assert of_images == {
        ("narrow", 0, "width", 310.0), ("shape", 0, "side", 200.0), ("shape", 1, "long_side", 500.0),
        ("often", 0, "p_hash_dup_count", 8.0),
    }  # fmt: skip
    assert found["rules"]["narrow"] == {"keep": "width >= 310", "dropped": 10, "alone": None}
    with pytest.raises(ConfigError, match="no rule 'nothing'"):
        session.change({"nothing": {0: 1.0}})


def test_two_viewers_that_make_an_index_at_once_both_get_a_whole_one(tmp_path):
    target = tmp_path / "index.arrow"
    with appearing(target) as one:
        one.write(b"first")
        with appearing(target) as other:
            other.write(b"second, longer")
        assert target.read_bytes() == b"second, longer"
    assert target.read_bytes() == b"first"
    with pytest.raises(ZeroDivisionError), appearing(target) as broken:
        broken.write(bytes([1 // 0]))
    assert [path.name for path in tmp_path.iterdir()] == ["index.arrow"]


@pytest.mark.parametrize("damage", [b"", b"no Arrow file"], ids=["empty", "text"])
def test_a_damaged_index_is_named(damage, tmp_path):
    (tmp_path / "index.arrow").write_bytes(damage)
    with pytest.raises(CorpusError, match=r"index\.arrow cannot be read .*: remove it"):
        Mapped(tmp_path / "index.arrow")
    pa.ipc.new_file(str(tmp_path / "index.arrow"), pa.schema([("a", pa.int64())])).close()
    assert Mapped(tmp_path / "index.arrow").table.num_rows == 0
