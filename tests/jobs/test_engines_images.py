"""Pictures that are fetched, scored, listed and encoded again: the same corpus on every engine."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.jobs import Options, audit, build
from plait.jobs.engines import EngineChoice
from tests.archives import picture
from tests.jobs.sites import MANNERS, site, write_archive

pytestmark = [pytest.mark.heavy, pytest.mark.slow]
RECIPE = """
name = "pictures"
description = "All that a recipe may ask of pictures."
extends = "annotate"
[extract]
extractor = "fast"
[images]
cap = 8
hamming_radius = 4
[images.reencode]
longest_side = 160
format = "webp"
[resources]
bad_images = "bad.txt"
[[rule]]
name = "image_nsfw"
scope = "image"
keep = "nsfw <= 0.99"
source = "test"
"""


def test_ray_and_spark_fetch_and_store_what_the_local_engine_does(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "bad.txt").write_text(hashlib.sha256(picture(320, 240, 100)).hexdigest())
    fingerprints: dict[str, str] = {}
    with site() as server:
        archive = write_archive(tmp_path / "pages.warc.gz", server.server.port)
        for engine in ("local", "ray", "spark"):
            before = Counter(server.pictures)
            out = tmp_path / engine
            done = build(
                [str(archive)], str(out), recipe=str(tmp_path / "recipe.toml"),
                options=Options(images="http", shard_docs=8), fetching=MANNERS, engine=EngineChoice(engine, 2),
            )  # fmt: skip
            fingerprints[engine] = done.fingerprint
            assert set((Counter(server.pictures) - before).values()) == {1}  # each URL was asked once
            assert audit(str(out)).faults == ()
    assert len(set(fingerprints.values())) == 1, fingerprints
    tables = [pq.read_table(path) for path in sorted((tmp_path / "ray/data").glob("*.parquet"))]
    infos = [info for row in pa.concat_tables(tables).to_pylist() for info in row["image_info"] if info]
    assert infos
    assert all(info["stored_format"] == "webp" and 0 <= info["nsfw"] <= 1 for info in infos)
    drops = [pq.read_table(path, columns=["reason"]) for path in (tmp_path / "ray/ledger/drops").glob("*.parquet")]
    reasons = Counter(pa.concat_tables(drops).column("reason").to_pylist())
    assert reasons["listed_bad"] == 1
    assert reasons["image_cap"] == 2 * 4  # of twelve documents that show the shared pictures, eight keep them
