"""The explorer in a real browser: by clicking and by keys, with nothing running that a page brought along."""

from __future__ import annotations

import json
import threading
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from plait.filters.recipe import load_recipe
from plait.jobs import build
from plait.jobs.flow import Options
from plait.jobs.viewing import ArchivedPages, open_session
from plait.schemas.errors import ConfigError
from tests.explorer.browser import fits, looks_like, needs_browser, opened, serious
from tests.explorer.hostile import RECIPE, write_archive


@dataclass
class Served:
    url: str
    session: object
    folder: Path

    @property
    def dropped(self) -> dict[str, int]:
        """Documents dropped by reason, as the manifest counts them."""
        found: dict[str, int] = {}
        for line in self.session.corpus.manifest.funnel:
            if line.scope == "document":
                for reason, count in line.dropped.items():
                    found[reason] = found.get(reason, 0) + count
        return found


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A corpus beside its archive: 13 documents kept, some short ones dropped and retained."""
    folder = tmp_path_factory.mktemp("view")
    archive = write_archive(folder)
    (folder / "tried.toml").write_text(RECIPE)
    build(
        [str(archive)],
        str(folder / "corpus"),
        recipe=str(folder / "tried.toml"),
        workers=1,
        options=Options(retain="all"),
    )
    return folder


@pytest.fixture(scope="module")
def served(built, tmp_path_factory) -> Served:
    import uvicorn

    from plait.explorer.view.app import make_app

    patch = pytest.MonkeyPatch()
    patch.setenv("PLAIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    session = open_session(
        str(built / "corpus"), archives=[str(built / "hostile.warc.gz")], marks=str(built / "marks.jsonl"), by="tester"
    )
    server = uvicorn.Server(uvicorn.Config(make_app(session, ["127.0.0.1"]), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}/", session, built)
    server.should_exit = True
    thread.join(10)
    patch.undo()


def until(page, expression: str) -> None:
    """Waits until an expression holds. (The page's policy forbids the driver's own way, which evaluates text.)"""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(30)


def ready(page, served: Served) -> None:
    page.goto(served.url)
    page.wait_for_selector("body[data-ready=true]")
    page.wait_for_selector("#documents .document")


def found(page) -> int:
    until(page, "!document.getElementById('found').textContent.includes('searching')")
    return page.locator("#documents .document").count()


def search(page, **fields: str) -> int:
    """Clears the filters, sets some, and presses the button."""
    page.get_by_role("button", name="Clear").click()
    found(page)
    for name, value in fields.items():
        box = page.locator(f"#f-{name}")
        if box.evaluate("box => box.tagName") == "SELECT":
            box.select_option(value)
        else:
            box.fill(value)
    page.get_by_role("button", name="Search").click()
    return found(page)


@needs_browser
def test_search_and_filters_find_by_clicking(served):
    with opened() as watched:
        page = watched.page
        ready(page, served)
        everything = found(page)
        kept, dropped = search(page, state="kept"), search(page, state="dropped")
        assert kept + dropped == everything
        reasons = {reason: search(page, reason=reason) for reason in served.dropped}
        assert reasons == served.dropped
        assert reasons["too_short"] >= 3
        assert reasons["duplicate_text"] == 1
        assert sum(reasons.values()) == dropped
        assert search(page, domain="hostile.test") == 1
        assert search(page, text="Story 7") == 1
        assert search(page, text="no such words anywhere") == 0
        assert 0 < search(page, score="words", low="50", high="300", state="kept") < kept
        assert search(page, lang="en") > 0
        assert watched.outgoing(served.url) == []
        assert [line for line in watched.console if line.startswith(("error", "warning"))] == []


@needs_browser
def test_document_is_shown_with_its_pictures_and_the_archived_page(served):
    with opened() as watched:
        page = watched.page
        ready(page, served)
        search(page, text="Story 3", state="kept")
        page.locator("#documents .document").first.click()
        page.wait_for_selector("#page img")
        until(page, "[...document.querySelectorAll('#page img')].every(i => i.complete && i.naturalWidth > 0)")
        assert page.locator("#page img").count() == 2
        page.get_by_role("button", name="archived page").click()
        page.wait_for_selector(".blocks li")
        assert page.locator(".blocks li:not(.gone)").count() >= 3
        search(page, reason="too_short")
        page.locator("#documents .document").first.click()
        page.wait_for_selector("#reader .tag.dropped")
        assert "kept where 50 <= words" in page.locator("#reader").inner_text()
        assert page.locator("tr.failed").count() == 1


@needs_browser
def test_hostile_page_runs_nothing_and_requests_nothing(served):
    with opened() as watched:
        page = watched.page
        ready(page, served)
        search(page, domain="hostile.test")
        page.locator("#documents .document").first.click()
        page.wait_for_selector("#page img")
        page.keyboard.press("o")
        page.wait_for_selector(".blocks li")
        page.locator("#original summary").click()
        frame = page.frame_locator("#original iframe")
        frame.locator("p").first.wait_for()
        assert frame.locator("script, img, form, input, iframe, object, style, link, svg, math, [onclick]").count() == 0
        frame.locator("a").first.click()
        assert page.evaluate("window.owned") is None
        assert page.locator("#reader script, #reader [onerror]").count() == 0
        assert watched.outgoing(served.url) == []
        assert page.url == served.url
        page.goto(f"{served.url}page/0")  # not in a frame: the policy alone holds
        assert page.evaluate("window.owned") is None
        assert watched.outgoing(served.url) == []


@needs_browser
def test_sliders_say_what_would_change_and_save_a_recipe_that_does_it(served, tmp_path):
    with opened() as watched:
        page = watched.page
        ready(page, served)
        kept = search(page, state="kept")
        page.get_by_role("tab", name="Thresholds").click()
        page.wait_for_selector("#effect.big")
        line = next(line for line in served.session.corpus.manifest.funnel if "too_short" in line.alone)
        books = f"dropped {line.dropped['too_short']}, alone {line.alone['too_short']}"
        assert line.alone["too_short"] >= 3
        assert page.locator(".slider", has=page.locator("#range-too_short-0")).get_by_text(books).count() == 1
        assert f"{kept} documents kept: 0 more dropped, 0 come back" in page.locator("#effect").inner_text()
        slider = page.locator("#range-too_short-0")
        slider.focus()
        slider.press("Home")  # the lowest threshold: the short ones come back
        until(page, "!document.getElementById('effect').textContent.includes(', 0 come back')")
        assert page.locator("#would-keep .document").count() >= 2
        exact = page.locator("#number-too_short-0")
        exact.fill("200")
        exact.press("Tab")
        until(page, "!document.getElementById('effect').textContent.includes(' 0 more dropped')")
        with page.expect_download() as downloading:
            page.locator("#save").click()
        target = tmp_path / "moved.toml"
        downloading.value.save_as(target)
        assert load_recipe(str(target)).rules[0].keep == "200 <= words <= 100_000"
        assert "50 <= words <= 100_000 before" in tomllib.loads(target.read_text())["rule"][0]["source"]
        assert page.locator("#pictures-gone .document").count() == 0
        wide = page.locator("#number-narrow-0")
        wide.fill("330")
        wide.press("Tab")
        until(page, "document.querySelectorAll('#pictures-gone .document').length > 5")
        until(page, "[...document.querySelectorAll('#pictures-gone img')].every(i => i.complete && i.naturalWidth > 0)")
        assert page.locator("#pictures-gone img").count() >= 8  # 320 to 329 pixels wide
        assert serious(page) == []
        assert fits(page)
        wide.fill("200")
        wide.press("Tab")
        until(page, "document.querySelectorAll('#pictures-back .document').length > 0")
        assert "narrow: value 240" in page.locator("#pictures-back").inner_text()
        with page.expect_download() as downloading:
            page.locator("#save").click()
        downloading.value.save_as(target)
        assert {rule.name: rule.keep for rule in load_recipe(str(target)).rules}["narrow"] == "width >= 200"
        said = page.locator("#effect").inner_text()
        would_keep = int(said.split(" ")[0])
        page.get_by_role("button", name="Put all back").click()
        until(page, "document.getElementById('effect').textContent.includes(' 0 more dropped')")
    again = build(
        [str(served.folder / "hostile.warc.gz")], str(tmp_path / "corpus"), recipe=str(target), workers=1,
    )  # fmt: skip
    assert again.totals.documents == would_keep


@needs_browser
def test_marks_by_keyboard_are_kept_counted_and_exported(served, tmp_path):
    with opened() as watched:
        page = watched.page
        ready(page, served)
        search(page, state="kept")
        page.locator("#filters").get_by_label("documents").blur()
        for number, key in enumerate(("g", "g", "b")):
            page.keyboard.press("j")
            page.wait_for_selector(f"#reader[data-place='{number}']")
            page.keyboard.press(key)
            page.wait_for_selector(f"#documents li:nth-child({number + 1}) .tag")
        search(page, reason="too_short")
        page.locator("#documents .document").first.click()
        page.wait_for_selector("#mark-bad")
        page.locator("#mark-bad").click()
        page.wait_for_selector("#documents .tag.bad")
        page.locator("#documents .document").nth(1).click()
        page.wait_for_selector("#mark-bad[aria-pressed=false]")
        page.locator("#mark-good").click()
        page.wait_for_selector("#documents .tag.good")
        page.get_by_role("tab", name="Marks").click()
        page.wait_for_selector("#precision tbody tr")
        assert "too_short" in page.locator("#precision").inner_text()
        assert "50.0%" in page.locator("#precision").inner_text()
        assert "Agreement of marks and recipe: 60.0%" in page.locator("#agreement").inner_text()
        for name, count in (("good", 3), ("bad", 2)):
            with page.expect_download() as downloading:
                page.locator(f"#export-{name}").click()
            downloading.value.save_as(tmp_path / f"{name}.jsonl")
            lines = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
            assert len(lines) == count
            assert all(line["text"].strip() for line in lines)
        page.get_by_role("tab", name="Documents").click()
        assert search(page, marked="good") == 3
        assert watched.outgoing(served.url) == []
    rows = [json.loads(line) for line in (served.folder / "marks.jsonl").read_text().splitlines()]
    assert {row["by"] for row in rows} == {"tester"}


@needs_browser
@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_explorer_fits_the_window_is_accessible_and_looks_as_it_did(served, size, scheme, tmp_path):
    with opened(size, scheme) as watched:
        page = watched.page
        ready(page, served)
        search(page, text="Story 3", state="kept")
        page.locator("#documents .document").first.click()
        until(page, "document.querySelectorAll('#page img').length === 2")
        until(page, "[...document.querySelectorAll('#page img')].every(i => i.complete)")
        page.evaluate("window.scrollTo(0, 0)")
        assert fits(page)
        assert serious(page) == []
        assert looks_like(page, f"view-{size}-{scheme}", tmp_path) < 12
        page.get_by_role("tab", name="Thresholds").click()
        page.wait_for_selector("#effect.big")
        assert fits(page)
        assert serious(page) == []
        page.get_by_role("tab", name="Marks").click()
        page.wait_for_selector("#agreement p")
        assert fits(page)
        assert serious(page) == []


def test_server_refuses_foreign_names_and_foreign_pages(served):
    import urllib.error
    import urllib.request

    def status(path: str, headers: dict[str, str], body: bytes | None = None) -> int:
        request = urllib.request.Request(served.url + path, body, headers)
        try:
            return urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            return error.code

    assert status("api/about", {}) == 200
    assert status("api/about", {"Host": "evil.test"}) == 400
    assert status("api/mark", {}, b'{"id": "00", "mark": "good"}') == 400
    assert status("api/thresholds", {"X-Plait": "1"}, b'{"changes": {"no_such_rule": {"0": 1}}}') == 400
    assert status("api/documents?score=nothing", {}) == 400
    assert status("api/document/99999", {}) == 400
    assert status("image/0/99", {}) == 404
    for path in ("", "api/about", "view.js", "page/0", "image/0/99"):
        try:
            answer = urllib.request.urlopen(served.url + path)
        except urllib.error.HTTPError as error:
            answer = error
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_whose_archive_is_not_at_hand_are_none(served):
    assert ArchivedPages(()).page("0" * 32, "a.warc.gz", 0, 10, "http://x/") is None
    (archive,) = served.session.originals.archives
    assert ArchivedPages((archive,)).page(archive.id, archive.name, 3, 10, "http://x/").fault


def test_unfinished_and_empty_folders_are_one_clear_sentence(tmp_path):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "build.json").write_text("{}")
    with pytest.raises(ConfigError, match="not finished"):
        open_session(str(tmp_path))
    with pytest.raises(ConfigError, match="no file or folder"):
        open_session(str(tmp_path / "nothing"))
