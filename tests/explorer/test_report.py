"""The report: one file that needs nothing else, shows what there is, and hides what must not be shown."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from plait.explorer.charts import histogram
from plait.explorer.report import report
from plait.pipeline.publish import write_corpus
from plait.schemas.ledger import DROP, NODE_SAMPLE
from plait.schemas.manifest import Manifest, RecipeRecord, RuleRecord, StageBooks, Totals
from plait.schemas.shards import shard_schema
from tests.explorer.browser import fits, looks_like, needs_browser, opened, serious

SCHEMA = shard_schema({"words": pa.float64()})
RULES = (
    RuleRecord("too_few_words", "document", "text", "words >= 12", "OBELICS"),
    RuleRecord("too_many_marks", "document", "text", "marks < 0.3", "C4"),
    RuleRecord("mask", "node", "text", "no_lorem_ipsum", "an edit has a name, no condition"),
)


def batch(documents: int) -> pa.RecordBatch:
    rows = []
    for number in range(documents):
        file = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 255, (300, 400, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, "jpeg")
        data = file.getvalue()
        info = {"sha256": hashlib.sha256(data).digest(), "bytes": len(data), "width": 400, "height": 300}
        row = {"doc_id": bytes([number]) * 16, "order_key": number, "url": f"http://x/{number}", "domain": "x.example"}
        row |= {"lang": "de", "title": "<script>alert(1)</script>", "words": float(10 + number)}
        row |= {"texts": ["Write to someone@example.org.", None], "tags": ["p", None]}
        rows.append({**row, "images": [None, {"bytes": data, "path": "a.jpg"}], "image_info": [None, info]})
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("corpus")
    funnel = (
        StageBooks(
            "extract",
            "document",
            100,
            60,
            {"too_few_words": 25, "nsfw_picture": 15},
            {"too_few_words": 31, "too_many_marks": 7},
        ),
        StageBooks("assemble", "document", 60, 30, {"no_image_left": 30}),
        StageBooks("assemble", "image", 90, 45, {"image_too_small": 45}),
    )
    empty = Manifest(
        "0.1.0", RecipeRecord("tiny", "{}", "d", "A test.", RULES, ("kenlm:en",)), "", Totals(),
        scores={"words": "double"}, funnel=funnel, cost={"cpu_s": 3.5, "cpu_s.extract": 2.5, "cpu_s.assemble": 1.0},
    )  # fmt: skip
    manifest = write_corpus(folder, SCHEMA, [[batch(30)]], empty)
    common = {"stage": "extract", "scope": "document"}
    drops = [
        {**common, "reason": "too_few_words", "value": float(n), "threshold": "words >= 12", "url": f"http://short/{n}"}
        for n in range(50)
    ]
    drops.append({**common, "reason": "nsfw_picture", "url": "http://never-shown.example"})
    drops.append({**common, "reason": "parser_crashed", "url": "http://x", "detail": "call +49 30 1234567 now"})
    (folder / "ledger/drops").mkdir()
    pq.write_table(pa.Table.from_pylist(drops, schema=DROP), folder / "ledger/drops/extract.parquet")
    (folder / "ledger/nodes").mkdir()
    nodes = [{"stage": "extract", "reason": "cookie_notice", "tag": "p", "text": "We use <b>cookies</b>."}]
    pq.write_table(pa.Table.from_pylist(nodes, schema=NODE_SAMPLE), folder / "ledger/nodes/extract.parquet")
    return folder, manifest


class Page(HTMLParser):
    """Tags and attributes of a page; fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "br", "img", "path", "use", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.stack.pop() == tag


def test_page_is_well_formed_and_refers_to_nothing_outside(corpus):
    page = Page(report(str(corpus[0]), corpus[1]))
    assert page.stack == []
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "link", "iframe", "object"}
    for tag, attributes in page.seen:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href"):
                assert (value or "").startswith(("data:image/webp;base64,", "#")), (tag, name, value)
            assert not name.startswith("on")
    identifiers = [attributes["id"] for _, attributes in page.seen if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_same_corpus_gives_the_same_report(corpus):
    assert report(str(corpus[0]), corpus[1]) == report(str(corpus[0]), corpus[1])


def test_what_pages_say_is_escaped_and_personal_data_masked(corpus):
    text = report(str(corpus[0]), corpus[1])
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "someone@example.org" not in text
    assert "[EMAIL]" in text
    assert "1234567" not in text
    assert "We use &lt;b&gt;cookies" in text


def test_safety_drops_are_counted_and_never_shown(corpus):
    text = report(str(corpus[0]), corpus[1])
    assert "never-shown" not in text
    assert re.search(r"nsfw_picture</code> 15 ", text)


def test_examples_are_few_with_value_and_condition(corpus):
    text = report(str(corpus[0]), corpus[1])
    assert len(set(re.findall(r"http://short/\d+", text))) == 5
    assert "words &gt;= 12" in text
    assert "Thresholds of rules: 12." in text


def test_every_rule_says_what_it_alone_would_have_dropped(corpus):
    text = report(str(corpus[0]), corpus[1])
    assert re.search(r"too_few_words</code> 25 <small>25.0%, alone 31</small>", text)
    assert re.search(r"too_many_marks</code> 0 <small>0.0%, alone 7</small>", text)  # others came first every time
    assert re.search(r"nsfw_picture</code> 15 <small>15.0%</small>", text)  # no rule of the recipe
    assert "documents at extract; alone it would have dropped 31" in text
    recipe = text[text.index('id="recipe"') :]
    cells = r'{}</code>.*?data-name="dropped">([^<]*)</td><td class="n" data-name="alone">([^<]*)<'
    found = {
        name: re.search(cells.format(name), recipe).groups() for name in ("too_few_words", "too_many_marks", "mask")
    }
    assert found == {"too_few_words": ("25", "31"), "too_many_marks": ("0", "7"), "mask": ("–", "–")}


def test_partial_recipe_is_said(corpus):
    assert "The build ran without <code>kenlm:en</code>" in report(str(corpus[0]), corpus[1])
    whole = replace(corpus[1], recipe=replace(corpus[1].recipe, missing=()))
    assert "Partial recipe" not in report(str(corpus[0]), whole)


def test_shares_of_the_funnel_multiply(corpus):
    text = report(str(corpus[0]), corpus[1])
    assert "60.00%" in text
    assert "30.00%" in text


def test_empty_corpus_has_a_report(tmp_path):
    empty = Manifest("0.1.0", RecipeRecord("tiny", "{}", "d"), "", Totals())
    manifest = write_corpus(tmp_path, SCHEMA, [], empty)
    assert "Nothing was dropped" in report(str(tmp_path), manifest)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [1e-3, 1.0, 1e6], [float("nan"), float("inf"), 1.0]])
def test_histogram_of_any_values(values):
    assert histogram("score", np.array(values, float), [0.5]).startswith("<svg")


@needs_browser
@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_opens_from_disk_in_a_browser(corpus, size, scheme, tmp_path):
    target = tmp_path / "report.html"
    target.write_text(report(str(corpus[0]), corpus[1]), "utf-8")
    with opened(size, scheme) as watched:
        page = watched.page
        page.goto(target.as_uri())
        page.locator("details").first.locator("summary").click()
        assert watched.console == []
        assert watched.outgoing(target.as_uri()) == []
        assert fits(page)
        assert serious(page) == []
        page.evaluate("window.scrollTo(0, 0)")
        assert looks_like(page, f"report-{size}-{scheme}", tmp_path) < 12
