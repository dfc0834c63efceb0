"""The gate: pages with gold text and pictures, scored against floors pinned in benchmarks/extraction_floors.toml."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
EVERY = 40  # of 1,497 pages: 38


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extraction_benchmark", ROOT / "benchmarks" / "extraction.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("extractor", ["blocks", "fast"])
def test_slice_of_wcxb_stays_above_its_floors(shared_data: Path, benchmark: ModuleType, extractor: str) -> None:
    shared = shared_data.parent
    if not (shared / "tools" / "score_wcxb.py").exists():
        pytest.skip("the scorers are not beside the data")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        found = benchmark.score_wcxb(shared, benchmark.plain(extractor), EVERY)
    finally:
        sys.setrecursionlimit(limit)
    floors = tomllib.loads((ROOT / "benchmarks" / "extraction_floors.toml").read_text("utf-8"))[f"{extractor}-slice"][
        "wcxb"
    ]
    assert floors
    assert {k: found[k] for k, least in floors.items() if found[k] < least} == {}


@pytest.mark.parametrize("extractor", ["blocks", "fast"])
@pytest.mark.parametrize("name", ["readability", "iot-21lang", "oi-wiki-zh"])
def test_gold_pages_stay_above_their_floors(
    shared_data: Path, benchmark: ModuleType, name: str, extractor: str
) -> None:
    shared = shared_data.parent
    if not (shared / "tools" / "score_extraction.py").exists():
        pytest.skip("the scorers are not beside the data")
    extract = benchmark.plain(extractor)
    found = (
        benchmark.score_readability(shared, extract)
        if name == "readability"
        else benchmark.score_gold(shared, name, extract)
    )
    floors = tomllib.loads((ROOT / "benchmarks" / "extraction_floors.toml").read_text("utf-8"))[extractor][name]
    assert floors
    assert {k: found[k] for k, least in floors.items() if found[k] < least} == {}
