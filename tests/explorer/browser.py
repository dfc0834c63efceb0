"""A real browser for tests: Debian's Chromium, which reports what it says and asks for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
REFERENCES = Path(__file__).parent / "screenshots"


@dataclass
class Watched:
    """A page with what it said on its console and what it asked for."""

    page: object
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def outgoing(self, base: str) -> list[str]:
        """Requests to anywhere else."""
        return [url for url in self.requests if not url.startswith((base, "data:", "blob:", "about:"))]


@contextmanager
def opened(size: str = "desktop", scheme: str = "light") -> Iterator[Watched]:
    """A page in a browser with an empty profile."""
    from playwright.sync_api import sync_playwright

    width, height = SIZES[size]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        page = context.new_page()
        page.set_default_timeout(20_000)
        watched = Watched(page)
        page.on("console", lambda message: watched.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: watched.console.append(f"error: {error}"))
        context.on("request", lambda request: watched.requests.append(request.url))
        try:
            yield watched
        finally:
            browser.close()


def serious(page) -> list[str]:
    """Serious and critical issues that axe finds."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{issue['id']}: {node['html'][:150]} {node.get('failureSummary', '')[:200]}"
        for issue in found
        if issue["impact"] in ("serious", "critical")
        for node in issue["nodes"]
    ]


def fits(page) -> bool:
    """Whether nothing is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def looks_like(page, name: str, folder: Path) -> float:
    """How far the window's picture is from the reference of that name: mean difference of grey, 0 to 255, at 80 x 80.

    Letters are drawn differently from machine to machine; layout and colours are what the difference sees. Without a
    reference the picture becomes it.
    """
    REFERENCES.mkdir(exist_ok=True)
    taken, reference = folder / f"{name}.png", REFERENCES / f"{name}.png"
    page.screenshot(path=str(taken))
    if not reference.exists():
        Image.open(taken).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(reference, optimize=True)
    small = [Image.open(path).convert("L").resize((80, 80), Image.Resampling.BOX) for path in (taken, reference)]
    return float(ImageStat.Stat(ImageChops.difference(*small)).mean[0])
