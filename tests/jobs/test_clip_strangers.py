"""The recipe mmc4 on pages that show their own pictures, and on pages that show another page's."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from plait.filters.recipe import load_recipe
from plait.jobs import Options, build
from plait.jobs.clip import ClipChoice
from tests.tiny_clip.corpus import MODEL, write_drawn

pytestmark = [pytest.mark.heavy, pytest.mark.slow]
PAGES, PICTURES = 30, 2


def test_strangers_are_dropped_and_natives_are_kept(tmp_path: Path):
    native = write_drawn(tmp_path, PAGES, PICTURES, seed=21)
    strange = write_drawn(tmp_path, PAGES, PICTURES, strangers=True, seed=22)
    out = tmp_path / "out"
    recipe = load_recipe("mmc4").skipping(["image_nsfw"])  # not what is measured here
    choice = ClipChoice(str(MODEL), device="cpu")
    build([str(native), str(strange)], str(out), recipe=recipe, options=Options(shard_docs=100), clip=choice, workers=2)
    kept = {"drawn.test": 0, "strangers.test": 0}
    for path in (out / "data").glob("*.parquet"):
        for row in pq.read_table(path, columns=["url", "image_info"]).to_pylist():
            kept[row["url"].split("/")[2]] += sum(info is not None for info in row["image_info"])
    shown = PAGES * PICTURES
    assert kept["drawn.test"] >= 0.9 * shown
    assert kept["strangers.test"] <= 0.1 * shown
