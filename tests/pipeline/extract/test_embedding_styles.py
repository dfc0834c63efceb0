"""One page for each way of putting a picture on a page: URL, place, alt and caption are all right."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import pytest

from plait.pipeline.extract import ExtractOptions, extract_html

BEFORE = (
    "The harbour was rebuilt after the storm of 1901, when the old wooden piers had been carried out to sea, and it took "
    "the town eleven years to pay for the granite blocks that now stand in their place."
)
AFTER = (
    "Visitors today walk along the same wall that the masons finished in 1912, and on clear mornings the lighthouse can "
    "be seen from the far end, forty kilometres away across the open bay."
)
PAGE = "http://example.org/news/2020/harbour.html"
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8).decode()


@dataclass(frozen=True)
class Style:
    name: str
    html: str
    url: str | tuple[str, ...]
    alt: str | None = "A wall"
    caption: str | None = None
    size: tuple[int | None, int | None] | None = None
    alternative: str | None = None
    head: str = ""
    options: ExtractOptions = field(default_factory=ExtractOptions)
    whole: bool = False  # html is the whole article, paragraphs included


WALL = "http://example.org/i/wall.jpg"
STYLES = [
    Style("plain", '<img src="/i/wall.jpg" alt="A wall">', WALL),
    Style("in a paragraph", '<p><img src="/i/wall.jpg" alt="A wall"></p>', WALL),
    Style("mid-sentence", f'<p>{BEFORE} <img src="/i/wall.jpg" alt="A wall"> {AFTER}</p>', WALL, whole=True),
    Style("figure", '<figure><img src="/i/wall.jpg" alt="A wall"><figcaption>The wall in 1912.</figcaption></figure>', WALL, caption="The wall in 1912."),
    Style("caption above", '<figure><figcaption>The wall in 1912.</figcaption><img src="/i/wall.jpg" alt="A wall"></figure>', WALL, caption="The wall in 1912."),
    Style("caption of paragraphs", '<figure><img src="/i/wall.jpg" alt="A wall"><figcaption><p>The wall.</p><p>Photo: A. Smith</p></figcaption></figure>', WALL, caption="The wall. Photo: A. Smith"),
    Style("wp-caption", '<div class="wp-caption alignnone" style="width: 610px"><img src="/i/wall.jpg" alt="A wall"><p class="wp-caption-text">The wall in 1912.</p></div>', WALL, caption="The wall in 1912."),
    Style("caption class", '<div class="image-block"><div><img src="/i/wall.jpg" alt="A wall"></div><div class="caption">The wall in 1912.</div></div>', WALL, caption="The wall in 1912."),
    Style("thumbcaption", '<div class="thumb"><div class="thumbinner"><a href="/wiki/File:W"><img src="/i/wall.jpg" alt="A wall"></a><div class="thumbcaption">The wall in 1912.</div></div></div>', WALL, caption="The wall in 1912."),
    Style("no extension", '<img src="/media/12345?fmt=auto" alt="A wall">', "http://example.org/media/12345?fmt=auto"),
    Style("svg", '<img src="/i/wall.svg" alt="A wall">', "http://example.org/i/wall.svg"),
    Style("relative", '<img src="../i/wall.jpg" alt="A wall">', "http://example.org/news/i/wall.jpg"),
    Style("relative to folder", '<img src="i/wall.jpg" alt="A wall">', "http://example.org/news/2020/i/wall.jpg"),
    Style("protocol-relative", '<img src="//cdn.example.net/wall.jpg" alt="A wall">', "http://cdn.example.net/wall.jpg"),
    Style("base", '<img src="i/wall.jpg" alt="A wall">', "https://static.example.net/a/i/wall.jpg", head='<base href="https://static.example.net/a/">'),
    Style("relative base", '<img src="i/wall.jpg" alt="A wall">', "http://example.org/b/i/wall.jpg", head='<base href="/b/">'),
    Style("space in URL", '<img src="/i/the wall.jpg" alt="A wall">', "http://example.org/i/the%20wall.jpg"),
    Style("non-ASCII URL", '<img src="/i/mür.jpg" alt="A wall">', "http://example.org/i/m%C3%BCr.jpg"),
    Style("percent-encoded URL", '<img src="/i/m%C3%BCr.jpg" alt="A wall">', "http://example.org/i/m%C3%BCr.jpg"),
    Style("non-ASCII host", '<img src="http://bücher.example/wall.jpg" alt="A wall">', "http://xn--bcher-kva.example/wall.jpg"),
    Style("ampersand in URL", '<img src="/i?id=3&amp;w=800" alt="A wall">', "http://example.org/i?id=3&w=800"),
    Style("commas in URL", '<img src="/w_300,h_200/wall.jpg" alt="A wall">', "http://example.org/w_300,h_200/wall.jpg"),
    Style("commas in srcset", '<img srcset="/w_300,h_200/wall.jpg 300w, /w_1200,h_800/wall.jpg 1200w" alt="A wall">', "http://example.org/w_1200,h_800/wall.jpg"),
    Style("line break in URL", '<img src="/i/\nwall.jpg" alt="A wall">', WALL),
    Style("backslashes", '<img src="\\i\\wall.jpg" alt="A wall">', WALL),
    Style("fragment", '<img src="/i/wall.jpg#x" alt="A wall">', WALL),
    *[
        Style(f"lazy {name}", f'<img src="{BLANK}" {name}="/i/wall.jpg" alt="A wall">', WALL)
        for name in ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-actualsrc", "data-url", "data-echo", "data-hi-res-src", "data-img-src", "data-cfsrc", "data-something")
    ],
    Style("lazy without placeholder", '<img data-src="/i/wall.jpg" class="lazyload" alt="A wall">', WALL),
    Style("lazy extensionless", f'<img src="{BLANK}" data-src="/media/12345" alt="A wall">', "http://example.org/media/12345"),
    Style("lazy srcset", f'<img src="{BLANK}" data-srcset="/i/s.jpg 320w, /i/wall.jpg 1200w" alt="A wall">', WALL),
    Style("width template", f'<img src="{BLANK}" data-src="/i/wall_{{width}}x.jpg" data-widths="[180, 540, 1080, 1296]" alt="A wall">', "http://example.org/i/wall_1080x.jpg"),
    *[Style(f"placeholder {name}", f'<img src="/static/{name}" data-src="/i/wall.jpg" alt="A wall">', WALL) for name in ("blank.gif", "spinner.gif", "1x1.png", "transparent.gif", "lazy-placeholder.png", "loading.svg")],
    Style("srcset only", '<img srcset="/i/wall.jpg" alt="A wall">', WALL),
    Style("srcset widths", '<img src="/i/s.jpg" srcset="/i/s.jpg 320w, /i/wall.jpg 1100w, /i/xl.jpg 3000w" sizes="100vw" alt="A wall">', WALL),
    Style("srcset densities", '<img src="/i/1.jpg" width="400" srcset="/i/1.jpg 1x, /i/wall.jpg 3x" alt="A wall">', WALL, size=(400, None)),
    Style("srcset target width", '<img srcset="/i/wall.jpg 320w, /i/l.jpg 1100w" alt="A wall">', WALL, options=ExtractOptions(target_width=300)),
    Style("srcset without space after comma", '<img srcset="http://example.org/i/s.jpg 320w,http://example.org/i/wall.jpg 1200w" alt="A wall">', WALL),
    Style("picture", '<picture><source srcset="/i/wall.webp 1200w" type="image/webp"><img src="/i/wall.jpg" alt="A wall"></picture>', ("http://example.org/i/wall.webp", WALL)),
    Style("picture of another format", '<picture><source srcset="/i/wall.webp" type="image/webp"><img src="/i/wall.jpg" alt="A wall"></picture>', WALL, alternative="http://example.org/i/wall.webp"),
    Style("picture for phones", '<picture><source srcset="/i/s.jpg 320w" media="(max-width: 600px)"><img src="/i/wall.jpg" width="800" alt="A wall"></picture>', WALL, size=(800, None)),
    Style("lazy of an own kind", f'<img src="{BLANK}" nitro-lazy-src="/i/wall.jpg" alt="A wall">', WALL),
    Style("lazy srcset of an own kind", f'<img src="{BLANK}" nitro-lazy-srcset="/i/s.jpg 320w, /i/wall.jpg 1200w" alt="A wall">', WALL),
    Style("stand-in beside the file", '<figure><div><div><img src="/max/60/wall-of-1912.jpg" width="900" height="600" alt="A wall"></div><img src="/max/1800/wall-of-1912.jpg" width="900" height="600" alt="A wall"></div></figure>', "http://example.org/max/1800/wall-of-1912.jpg", size=(900, 600), alternative="http://example.org/max/60/wall-of-1912.jpg"),
    Style("height of 0", '<img src="/i/wall.jpg" width="640" height="0" alt="A wall">', WALL, size=(640, None)),
    Style("caption far above", '<figure><div><div><div><div><div><img src="/i/wall.jpg" alt="A wall"></div></div></div></div></div><figcaption>The wall in 1912.</figcaption></figure>', WALL, caption="The wall in 1912."),
    Style("picture with placeholder", f'<picture><source srcset="/i/wall.jpg"><img src="{BLANK}" alt="A wall"></picture>', WALL),
    Style("picture lazy sources", f'<picture><source data-srcset="/i/s.jpg 300w, /i/wall.jpg 1200w"><img src="{BLANK}" alt="A wall"></picture>', WALL),
    Style("noscript after placeholder", f'<img src="{BLANK}" class="lazy" alt="A wall"><noscript><img src="/i/wall.jpg" alt="A wall"></noscript>', WALL),
    Style("noscript before placeholder", f'<noscript><img src="/i/wall.jpg" alt="A wall"></noscript><img src="{BLANK}" class="lazy">', WALL),
    Style("noscript beside a lazy picture", '<img data-src="/i/wall.jpg" class="lazy" alt="A wall"><noscript><img src="/i/wall.jpg" alt="A wall"></noscript>', WALL),
    Style("noscript alone", '<div><noscript><img src="/i/wall.jpg" alt="A wall"></noscript></div>', WALL),
    Style("noscript in a figure", f'<figure><div><img src="{BLANK}" alt="A wall"></div><noscript><img src="/i/wall.jpg"></noscript><figcaption>The wall in 1912.</figcaption></figure>', WALL, caption="The wall in 1912."),
    Style("amp-img", '<amp-img src="/i/wall.jpg" width="600" height="400" alt="A wall" layout="responsive"></amp-img>', WALL, size=(600, 400)),
    Style("amp-img with fallback", '<amp-img src="/i/wall.jpg" width="600" height="400" alt="A wall"><noscript><img src="/i/wall.jpg" alt="A wall"></noscript></amp-img>', WALL),
    Style("linked thumbnail", '<a href="/full/wall.jpg"><img src="/i/wall.jpg" alt="A wall"></a>', WALL, alternative="http://example.org/full/wall.jpg"),
    Style("in a list", '<ul><li><img src="/i/wall.jpg" alt="A wall"></li></ul>', WALL),
    Style("in a table", '<table><tr><td><img src="/i/wall.jpg" alt="A wall"></td></tr></table>', WALL),
    Style("in a heading", '<h2><img src="/i/wall.jpg" alt="A wall"> The wall</h2>', WALL),
    Style("in a quote", '<blockquote><img src="/i/wall.jpg" alt="A wall"></blockquote>', WALL),
    Style("in nested divs", '<div><div><div><img src="/i/wall.jpg" alt="A wall"></div></div></div>', WALL),
    Style("data URI", f'<img src="{PNG}" alt="A wall">', PNG),
    Style("css background", '<div style="width:600px;height:300px;background-image:url(\'/i/wall.jpg\')" title="A wall"></div>', WALL, size=(600, 300), options=ExtractOptions(css_backgrounds=True)),
    Style("video poster", '<video poster="/i/wall.jpg" width="640" height="360" title="A wall"><source src="/v.mp4">No video</video>', WALL, size=(640, 360), options=ExtractOptions(video_posters=True)),
    Style("size attributes", '<img src="/i/wall.jpg" width="640" height="480px" alt="A wall">', WALL, size=(640, 480)),
    Style("size in style", '<img src="/i/wall.jpg" width="100%" style="max-width:100%;width:640px;height:480px" alt="A wall">', WALL, size=(640, 480)),
    Style("title for alt", '<img src="/i/wall.jpg" title="A wall">', WALL),
    Style("no alt", '<img src="/i/wall.jpg">', WALL, alt=None),
    Style("upper case", '<IMG SRC="/i/wall.jpg" ALT="A wall">', WALL),
    Style("unquoted", "<img src=/i/wall.jpg alt='A wall'>", WALL),
    Style("tag never closed", '<div><p><b><img src="/i/wall.jpg" alt="A wall">', WALL),
]  # fmt: skip
EXTRACTORS = ("fast", "blocks")


def page(style: Style) -> bytes:
    article = style.html if style.whole else f"<p>{BEFORE}</p>{style.html}<p>{AFTER}</p>"
    return (
        f"<!doctype html><html><head><meta charset=utf-8><title>The harbour</title>{style.head}</head><body>"
        f"<nav><a href=/>Home</a> <a href=/a>News</a></nav><article><h1>The harbour</h1><p>{AFTER} {BEFORE}</p>{article}"
        f"</article><footer>Copyright 2020 Example</footer></body></html>"
    ).encode()


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize("style", STYLES, ids=lambda s: s.name)
def test_picture_is_found_in_its_place(style: Style, extractor: str) -> None:
    from dataclasses import replace

    found = extract_html(page(style), PAGE, options=replace(style.options, extractor=extractor))
    pictures = [n for n in found.nodes if n.kind == "image"]
    assert len(pictures) == 1, [n.url for n in pictures]
    picture = pictures[0]
    assert picture.url in ((style.url,) if isinstance(style.url, str) else style.url)
    assert picture.alt == style.alt
    assert picture.caption == style.caption
    if style.size:
        assert (picture.width, picture.height) == style.size
    if style.alternative:
        assert style.alternative in picture.alternatives
    at = found.nodes.index(picture)
    texts = [n.text or "" for n in found.nodes]
    assert any(t.endswith("in their place.") for t in texts[:at])
    assert any(t.startswith("Visitors") for t in texts[at:])
    if style.caption:
        assert sum(n.tag == "caption" for n in found.nodes) >= 1
        flow = " ".join(t for n, t in zip(found.nodes, texts, strict=True) if n.tag == "caption")
        assert flow == style.caption


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_gallery_keeps_order_and_captions(extractor: str) -> None:
    figures = "".join(f'<figure><img src="/i/{n}.jpg"><figcaption>Picture {n}</figcaption></figure>' for n in range(3))
    style = Style("", f'<div class="gallery">{figures}</div>', "")
    nodes = extract_html(page(style), PAGE, options=ExtractOptions(extractor=extractor)).nodes
    pictures = [(n.url, n.caption) for n in nodes if n.kind == "image"]
    assert pictures == [(f"http://example.org/i/{n}.jpg", f"Picture {n}") for n in range(3)]
    assert [n.text for n in nodes if n.tag == "caption"] == ["Picture 0", "Picture 1", "Picture 2"]


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_hero_above_the_title_is_kept(extractor: str) -> None:
    html = (
        f"<html><body><article><figure><img src='/i/hero.jpg' alt='Hero'></figure><h1>The harbour</h1><p>{BEFORE}</p>"
        f"<p>{AFTER}</p></article></body></html>"
    ).encode()
    nodes = extract_html(html, PAGE, options=ExtractOptions(extractor=extractor)).nodes
    assert nodes[0].url == "http://example.org/i/hero.jpg"
    assert [n.text for n in nodes if n.tag == "p"] == [BEFORE, AFTER]


def test_switched_off_sources_are_not_taken() -> None:
    html = page(Style("", "<div style=\"background:url('/i/b.jpg')\">x</div><video poster='/i/p.jpg'></video>", ""))
    assert not [
        n for n in extract_html(html, PAGE, options=ExtractOptions(extractor="fast")).nodes if n.kind == "image"
    ]


def test_tracking_pixel_and_large_data_uri_are_removed() -> None:
    huge = "data:image/png;base64," + base64.b64encode(bytes(100_000)).decode()
    html = page(Style("", f'<img src="/p.gif" width=1 height=1><img src="{huge}">', ""))
    found = extract_html(html, PAGE, options=ExtractOptions(extractor="fast", data_image_bytes=50_000))
    assert not [n for n in found.nodes if n.kind == "image"]
    assert {r.reason for r in found.removed if r.tag == "img"} == {"tracking_pixel", "image_url_invalid"}
