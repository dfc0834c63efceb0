"""Builds of archives that hold robots.txt and tdmrep.json: what they forbid is in no corpus, and in the ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.jobs import Options, audit, build
from plait.jobs.append import append
from plait.jobs.auditing import open_manifest
from plait.jobs.refilter import refilter
from plait.jobs.store import Store
from plait.schemas.errors import ConfigError
from tests.archives import WarcBuilder, html, picture
from tests.jobs.corpora import article, prose

PLAIN = "text/plain"
SETTINGS = Options(images="urls", retain="all", shard_docs=4)
RECIPE = Path(__file__).parent / "plain.toml"
KEPT = ["http://late.test/3", "http://site.test/open", "http://site.test/open/5"]
OFF = "\n[consent]\nrobots_txt = false\ntdmrep = false\n"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two archives: rules of sites, and pages of these sites with more rules before and after them."""
    folder = tmp_path_factory.mktemp("sites")
    rules, pages = WarcBuilder(info=True), WarcBuilder(info=True)
    rules.response("http://site.test/robots.txt", b"User-agent: *\nDisallow: /private/", PLAIN)
    rules.response("http://late.test/robots.txt", b"User-agent: *\nDisallow: /", PLAIN, date="2024-01-01T00:00:00Z")
    rules.redirect("http://cdn.test/robots.txt", "https://www.cdn.test/robots.txt")
    rules.response("https://www.cdn.test/robots.txt", b"User-agent: plait\nDisallow: /no/", PLAIN)
    reserved = b'[{"location": "/reserved/", "tdm-reservation": 1}]'
    rules.response("http://site.test/.well-known/tdmrep.json", reserved, "application/json")
    pages.response("http://busy.test/robots.txt", b"", PLAIN, status="503 Service Unavailable")
    shown = [
        "http://cdn.test/yes.jpg",
        "http://cdn.test/no/a.jpg",
        "http://moved.test/moved.jpg",
        "http://cdn.test/no/c.jpg",
    ]
    shown += ["http://elsewhere.test/d.jpg", "http://site.test/reserved/e.jpg"]
    places = ("site.test/open", "site.test/private/1", "site.test/reserved/2", "late.test/3", "busy.test/4")
    for number, place in enumerate(places):
        pages.response(f"http://{place}", article(number, shown))
    pages.revisit("http://site.test/open/5", article(4, shown))  # the page of a site of which nothing is known
    pages.revisit("http://site.test/private/6", article(0, shown))
    for seed, name in enumerate(("yes.jpg", "no/a.jpg", "no/moved.jpg")):
        pages.response(f"http://cdn.test/{name}", picture(320, 240, seed), "image/jpeg")
    pages.redirect("http://moved.test/moved.jpg", "http://cdn.test/no/moved.jpg")
    pages.response("http://late.test/robots.txt", b"User-agent: *\nDisallow:", PLAIN, date="2024-06-01T00:00:00Z")
    return [str(rules.save(folder / "rules.warc.gz")), str(pages.save(folder / "pages.warc.gz"))]


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A recipe that obeys the rules of sites, as all do that say nothing of them, and one that does not."""
    off = tmp_path_factory.mktemp("recipe") / "off.toml"
    off.write_text(RECIPE.read_text() + OFF)
    return str(RECIPE), str(off)


@pytest.fixture(scope="module")
def corpus(archives: list[str], recipes: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("on") / "corpus"
    build(archives[::-1], str(out), recipe=recipes[0], workers=1, options=SETTINGS)
    return out


def _rows(corpus: Path) -> dict[str, dict[str, object]]:
    listed = pq.read_table(corpus / open_manifest(Store(str(corpus))).lists.shards)["path"].to_pylist()
    return {row["url"]: row for path in listed for row in pq.read_table(corpus / path).to_pylist()}


def _drops(corpus: Path, scope: str) -> dict[str, str]:
    folder = corpus / open_manifest(Store(str(corpus))).lists.drops
    table = pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet")))
    return {row["url"]: row["reason"] for row in table.to_pylist() if row["scope"] == scope}


def test_what_a_site_forbids_is_dropped_and_counted(corpus: Path) -> None:
    rows = _rows(corpus)
    assert sorted(rows) == KEPT
    for row in rows.values():
        infos = [info for info in row["image_info"] if info]  # type: ignore[attr-defined]
        assert [info["url"] for info in infos] == ["http://cdn.test/yes.jpg", "http://elsewhere.test/d.jpg"]
        assert [info["sha256"] is not None for info in infos] == [True, False]
    assert _drops(corpus, "document") == {
        "http://site.test/private/1": "robots_disallowed",
        "http://site.test/reserved/2": "opted_out",
        "http://busy.test/4": "robots_unavailable",
        "http://site.test/private/6": "robots_disallowed",
    }
    assert _drops(corpus, "image") == {
        "http://cdn.test/no/a.jpg": "robots_disallowed",  # whose bytes the archive has
        "http://moved.test/moved.jpg": "robots_disallowed",  # which leads to a forbidden one
        "http://cdn.test/no/c.jpg": "robots_disallowed",  # which no archive has
        "http://site.test/reserved/e.jpg": "opted_out",
    }
    funnel = open_manifest(Store(str(corpus))).funnel
    [line] = [line for line in funnel if (line.stage, line.scope) == ("judge_pages", "document")]
    assert line.dropped == {"opted_out": 1, "robots_disallowed": 2, "robots_unavailable": 1}
    assert audit(str(corpus)).faults == ()
    assert "or of which they hold only errors: 12 here" in " ".join((corpus / "README.md").read_text().split())


def test_what_a_site_forbids_is_not_retained(corpus: Path) -> None:
    tables = [pq.read_table(path) for path in (corpus / "ledger/pages").iterdir()]
    assert sorted(pa.concat_tables(tables)["url"].to_pylist()) == KEPT


def test_a_recipe_can_pass_the_rules_over_and_refilter_obey_them(
    corpus: Path, archives: list[str], recipes: tuple[str, str], tmp_path: Path
) -> None:
    (on, off), free = recipes, str(tmp_path / "free")
    done = build(archives, free, recipe=off, workers=1, options=SETTINGS)
    assert done.totals.documents == 5  # the revisits repeat two of them
    assert not any("robots" in reason for line in done.funnel for reason in line.dropped)
    assert not any(line.stage == "judge_pages" for line in done.funnel)
    obeyed = refilter(free, str(tmp_path / "obeyed"), recipe=on, archives=archives, workers=1)
    assert obeyed.fingerprint == open_manifest(Store(str(corpus))).fingerprint
    assert _drops(tmp_path / "obeyed", "document") == _drops(corpus, "document")
    with pytest.raises(ConfigError, match=r"consent\.robots_txt = true"):
        refilter(str(corpus), str(tmp_path / "loose"), recipe=off, workers=1)


def test_rules_hold_for_later_crawls_until_newer_ones_come(corpus: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    later = WarcBuilder()
    for number, place in enumerate(("site.test/private/7", "site.test/open/8", "late.test/9")):
        shown = f"<img src='http://cdn.test/no/z.jpg'><img src='/{number}.jpg'>"
        body = f"<article><p>{prose(50 + number)}</p>{shown}</article>"
        later.response(f"http://{place}", html(body), date="2024-07-01T00:00:00Z")
    later.response("http://late.test/robots.txt", b"User-agent: *\nDisallow: /", PLAIN, date="2024-08-01T00:00:00Z")
    append(str(out), [str(later.save(tmp_path / "later.warc.gz"))], workers=1)
    assert sorted(_rows(out)) == [*KEPT, "http://site.test/open/8"]
    assert _drops(out, "document").items() >= {
        ("http://site.test/private/7", "robots_disallowed"), ("http://late.test/9", "robots_disallowed"),
    }  # fmt: skip
    assert _drops(out, "image")["http://cdn.test/no/z.jpg"] == "robots_disallowed"
    assert audit(str(out)).faults == ()
