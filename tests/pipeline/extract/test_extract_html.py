from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.pipeline.extract import ExtractOptions, Page, extract_html
from plait.schemas.documents import TEXT_TAGS
from plait.schemas.errors import ConfigError, RecordError

URL = "http://example.org/a/page.html"
LONG = "The harbour was rebuilt after the storm of 1901, when the old wooden piers had been carried out to sea by the waves. "
EXTRACTORS = ("blocks", "fast")


def page(body: str, head: str = "", attributes: str = "") -> bytes:
    return (
        f"<!doctype html><html {attributes}><head><meta charset=utf-8>{head}</head><body>{body}</body></html>".encode()
    )


def article(inner: str) -> bytes:
    return page(f"<article><h1>Harbour</h1><p>{LONG * 2}</p>{inner}<p>{LONG[::-1]}</p><p>{LONG.upper()}</p></article>")


def texts(found: Page, tag: str) -> list[str | None]:
    return [n.text for n in found.nodes if n.tag == tag]


def reason(html: bytes, options: ExtractOptions | None = None) -> str:
    with pytest.raises(RecordError) as error:
        extract_html(html, URL, options=options)
    return error.value.reason


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_structure_keeps_its_tags(extractor: str) -> None:
    rows = "".join(f"<tr><td>port {i}</td><td>{i * 7} ships</td></tr>" for i in range(4))
    html = article(
        f"<ul><li>First {LONG}</li><li>Second {LONG}</li></ul><blockquote><p>Quoted. {LONG}</p></blockquote>"
        f"<pre><code>def f(x):\n    return x  # {LONG}\n\n\ny = f(2)</code></pre><p>A table of ports follows. {LONG} Third.</p>"
        f"<table>{rows}</table><p>After the table. {LONG}</p>"
    )
    found = extract_html(html, URL, options=ExtractOptions(extractor=extractor))
    assert {n.tag for n in found.nodes if n.kind == "text"} <= set(TEXT_TAGS)
    assert [t.split()[0] for t in texts(found, "li") if t] == ["First", "Second"]
    assert texts(found, "quote") == [f"Quoted. {LONG}".strip()]
    assert texts(found, "code") == [f"def f(x):\n    return x  # {LONG}\n\n\ny = f(2)"]
    assert texts(found, "table") == ["\n".join(f"port {i}\t{i * 7} ships" for i in range(4))]


def test_lines_of_highlighted_code_stay_lines() -> None:
    lines = "<span class=line><span class=k>cd</span><span> boat</span></span><span class='line x'>make</span>"
    found = extract_html(article(f"<pre><code>{lines}<i>1</i><b>A</b></code></pre>"), URL)
    assert texts(found, "code") == ["cd boat\nmake1A"]


def test_whitespace_is_what_a_reader_sees() -> None:
    found = extract_html(article(f"<p>  one\n\t two&nbsp;three<br>  four <b>f</b>ive so\xadft {LONG}</p>"), URL)
    assert any((t or "").startswith("one two three\nfour five soft") for t in texts(found, "p"))


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<span>Scarpa</span><span>Drago LV</span>", "Scarpa Drago LV"),
        ("Call\n<span><b>url_for()</b></span>", "Call url_for()"),
        ("<span>2h 36m</span><b><i>PG-13</i></b><a href=/x>2025</a>", "2h 36m PG-13 2025"),
        ("<b>(15)</b><span>Reviews</span>", "(15) Reviews"),
        ("<b>W</b><i>hale</i> <span>un</span><span>likely</span>", "Whale unlikely"),
        ("<span>T</span><span>HE</span> whale", "THE whale"),
        ("<i>H</i><sub>2</sub><i>O</i>, 10<sup>3</sup>", "H2O, 103"),
        ("<span>東京</span><span>3</span><span>区</span>", "東京3区"),
    ],
)
def test_words_that_only_a_style_sheet_keeps_apart_are_apart(html: str, expected: str) -> None:
    found = extract_html(article(f"<p>{html} {LONG}</p>"), URL)
    assert any((t or "").startswith(f"{expected} The harbour") for t in texts(found, "p"))


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<math alttext='x^2'><mi>x</mi></math>", "$x^2$"),
        (
            "<math><semantics><mi>x</mi><annotation encoding='application/x-tex'>\\frac{a}{b}</annotation></semantics></math>",
            "$\\frac{a}{b}$",
        ),
        ("<math><mi>x</mi></math>", "<math><mi>x</mi></math>"),
        ("<script type='math/tex'>a < b</script>", "$a < b$"),
        ("<script type='math/tex; mode=display'>a+b</script>", "$$a+b$$"),
        (
            "<span class='katex'><span class='katex-mathml'><math><semantics><mi>x</mi><annotation encoding='application/x-tex'>x</annotation></semantics></math></span><span class='katex-html' aria-hidden='true'>x</span></span>",
            "$x$",
        ),
        ("$$\\int_0^1 x\\,dx$$", "$$\\int_0^1 x\\,dx$$"),
    ],
)
def test_formulas_stay_source(html: str, expected: str) -> None:
    found = extract_html(article(f"<p>Formula {html} ends here. {LONG}</p>"), URL)
    assert any(f"Formula {expected} ends here." in (t or "") for t in texts(found, "p"))


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("港口在风暴之后重建，因为旧的木制码头已经被海水冲走，这个城市用了十一年才还清了债务。人们现在可以沿着石墙散步。" * 3, "ltr"),
        ("港は嵐のあとに再建されました。古い木の桟橋は海に流され、町は石の代金を払うのに十一年かかりました。" * 3, "ltr"),
        ("ท่าเรือถูกสร้างขึ้นใหม่หลังจากพายุเมื่อท่าเรือไม้เก่าถูกพัดออกไปในทะเล เมืองใช้เวลาสิบเอ็ดปี" * 3, "ltr"),
        ("أعيد بناء الميناء بعد العاصفة عندما جرفت الأمواج الأرصفة الخشبية القديمة، واستغرق الأمر أحد عشر عاما. " * 3, "rtl"),
        ("הנמל נבנה מחדש אחרי הסערה, כאשר הרציפים הישנים מעץ נסחפו אל הים, והעיר שילמה על האבן במשך שנים. " * 3, "rtl"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_other_scripts_are_content_too(text: str, direction: str, extractor: str) -> None:
    html = page(
        f"<nav><a href=/>x</a><a href=/b>y</a></nav><main dir={direction}><p>{text}</p><img src=/i.jpg><p>{text} 2</p></main>"
        "<footer><a href=/c>z</a></footer>"
    )
    found = extract_html(html, URL, options=ExtractOptions(extractor=extractor))
    assert [n.kind for n in found.nodes] == ["text", "image", "text"]
    assert found.nodes[0].text == text.strip()


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_template_is_removed_with_its_reason(extractor: str) -> None:
    html = page(
        f"<nav class=menu><ul>{''.join(f'<li><a href=/{i}>Item {i}</a></li>' for i in range(8))}</ul></nav>"
        f"<div class='cookie-banner'>We use cookies to make this site better for you. Accept all of them.</div>"
        f"<article><h1>Harbour</h1>{''.join(f'<p>{i} {LONG * 2}</p>' for i in range(8))}</article>"
        "<aside class=sidebar><ul><li><a href=/x>Another story</a></li></ul></aside><footer>Copyright 2020 Example</footer>"
    )
    found = extract_html(html, URL, options=ExtractOptions(extractor=extractor))
    kept = " ".join(n.text or "" for n in found.nodes)
    assert "Item 3" not in kept and "cookies" not in kept and "Copyright" not in kept and "Another story" not in kept
    assert kept.count("The harbour was rebuilt") == 16
    assert {"navigation", "cookie_banner", "footer", "sidebar"} <= {r.reason for r in found.removed}


def test_a_shell_that_a_script_would_fill_is_no_document() -> None:
    menu = "".join(f"<li><a href='/{name}'>{name}</a></li>" for name in ("Orders", "Account", "Wish list", "Messages"))
    links = "".join(f"<li><a href='/{name}'>{name}</a></li>" for name in ("Help", "Terms of use", "Privacy policy"))
    shell = f"""<header class="site-header"><nav class="top-nav"><ul>{menu}</ul></nav>
      <form class="search-form"><button>Search</button></form></header><div id="root"></div>
      <footer class="site-footer"><ul class="footer-links">{links}</ul><p>© 2026 All rights reserved</p></footer>"""
    assert reason(page(shell)) == "no_content"
    picture = "<figure><img src='/harbour.jpg' width=900 height=600><figcaption>The harbour</figcaption></figure>"
    shown = shell.replace('<div id="root">', f'<div id="root">{picture}')
    assert [n.kind for n in extract_html(page(shown), URL).nodes if n.kind == "image"] == ["image"]
    assert texts(extract_html(page("<p>Closed on Mondays.</p>"), URL), "p") == ["Closed on Mondays."]


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_refrain_is_kept_and_copies_are_not(extractor: str) -> None:
    refrain = f"Refrain: {LONG * 2}"
    html = article(
        f"<div><p>{refrain}</p><p>{LONG} one.</p><p>{refrain}</p><p style='display:none'>{refrain}</p></div>"
        f"<div class=phone><p>{refrain}</p></div>"
    )
    kept = [n.text for n in extract_html(html, URL, options=ExtractOptions(extractor=extractor)).nodes]
    assert kept.count(refrain.strip()) == 2


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_what_every_card_says_is_kept_on_every_card(extractor: str) -> None:
    cards = "".join(
        f"<li class=card><h3>Boat {i}</h3><p>{LONG} No. {i}</p><div class=ship>Free shipping within Europe</div></li>"
        for i in range(5)
    )
    found = extract_html(page(f"<main><ul>{cards}</ul></main>"), URL, options=ExtractOptions(extractor=extractor))
    assert " ".join(n.text or "" for n in found.nodes).count("Free shipping") == 5


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_page_of_logos_keeps_them_and_not_the_sites_own(extractor: str) -> None:
    lines = "".join(
        f"<img src=_images/{name}_logo.png alt={name}><p>The {name} one, {name}_logo.png, is 1561 pixels wide and 438 high.</p>"
        for name in ("large", "plain", "powered", "tiny", "grey")
    )
    html = page(
        "<div class=header><div class=logo><a href=/><img src=_static/site_logo.png alt=logo></a></div>"
        "<a href=/help>Help contents</a> || <a href=/index>Reference index</a></div>"
        f"<div class=body role=main><section><h2>Logos</h2><p>These logos are available for use in your own projects. "
        f"Please put them up wherever you see fit. {LONG}</p><div class='fullwidth container'>{lines}</div>"
        "<p>There is a higher resolution layered image available <a href=/hi>here</a>.</p></section></div>"
        "<div class=footer>Copyright 2000-2020</div>"
    )
    found = extract_html(html, URL, options=ExtractOptions(extractor=extractor))
    kept = [n.url for n in found.nodes if n.kind == "image"]
    assert kept == [
        f"http://example.org/a/_images/{name}_logo.png" for name in ("large", "plain", "powered", "tiny", "grey")
    ]


def test_a_table_between_paragraphs_is_kept_whole() -> None:
    rows = "".join(
        f"<tr><th>{name}</th><td><a href=/{name}>{name}</a></td><td>{i * 7}</td></tr>"
        for i, name in enumerate(("Auckland", "Hamilton", "Tauranga", "Napier", "Dunedin"))
    )
    body = "".join(f"<p>{i} {LONG * 2}</p>" for i in range(4))
    found = extract_html(page(f"<main>{body}<table>{rows}</table>{body.upper()}</main>"), URL)
    kept = " ".join(t or "" for t in (n.text for n in found.nodes)).split()
    assert {"Auckland", "Hamilton", "Tauranga", "Napier", "Dunedin", "28"} <= set(kept)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_note_that_only_points_elsewhere_is_dropped(extractor: str) -> None:
    html = article(
        "<div role=note>Main article: <a href=/h>History of the harbour</a></div>"
        f"<p>{LONG} one</p><div role=note>Note well: {LONG * 2}</div>"
    )
    kept = " ".join(n.text or "" for n in extract_html(html, URL, options=ExtractOptions(extractor=extractor)).nodes)
    assert "Main article" not in kept and "Note well" in kept


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_a_frame_closed_like_an_empty_tag_does_not_swallow_the_page(extractor: str) -> None:
    frame = (
        '<noscript><iframe src="https://tags.example/ns.html" height="0" width="0" style="display:none"/></noscript>'
    )
    html = page(f"{frame}<article><h1>Harbour</h1>{''.join(f'<p>{i} {LONG * 2}</p>' for i in range(5))}</article>")
    found = extract_html(html, URL, options=ExtractOptions(extractor=extractor))
    assert sum("The harbour was rebuilt" in (n.text or "") for n in found.nodes) == 5


def test_the_hundredth_paragraph_is_worth_the_first() -> None:
    body = "".join(f"<p>{i} {LONG * 2}</p><div class=ad-slot>Advertisement</div>" for i in range(120))
    nodes = extract_html(page(f"<main><div class=post>{body}</div></main>"), URL).nodes
    assert sum("The harbour was rebuilt" in (n.text or "") for n in nodes) == 120


def test_forum_in_noscript_is_read() -> None:
    posts = "".join(f"<div class=post><p>Reply {i}: {LONG}</p></div>" for i in range(9))
    found = extract_html(page(f"<div id=app>Loading</div><noscript><h1>Topic</h1>{posts}</noscript>"), URL)
    assert sum("Reply" in (n.text or "") for n in found.nodes) == 9


def test_metadata_and_opt_outs() -> None:
    head = (
        "<title> The   harbour </title><link rel=canonical href=/c><meta property=og:site_name content='Bay News'>"
        "<meta name=author content='A. Smith'><meta property=article:published_time content='2020-05-01T10:00:00Z'>"
        "<meta name=robots content='NOINDEX, noai'><meta name=robots content=noimageai><meta name=tdm-reservation content=1>"
        "<link rel=license href='https://creativecommons.org/licenses/by/4.0/'>"
    )
    found = extract_html(page(f"<p>{LONG}</p>", head, "lang=en-GB"), URL)
    assert (found.title, found.canonical, found.site_name, found.author) == (
        "The harbour", "http://example.org/c", "Bay News", "A. Smith",
    )  # fmt: skip
    assert (found.published, found.html_lang) == ("2020-05-01T10:00:00Z", "en-GB")
    assert found.licence == "https://creativecommons.org/licenses/by/4.0/"
    assert found.robots == ("noindex", "noai", "noimageai", "tdm-reservation")


def test_date_and_author_of_linked_data() -> None:
    script = '<script type="application/ld+json">{"@graph":[{"@type":"Article","datePublished":"2021-02-03","author":[{"name":"B. Jones"}]}]}</script>'
    found = extract_html(page(f"{script}<p>{LONG}</p>"), URL)
    assert (found.published, found.author) == ("2021-02-03", "B. Jones")


def test_licence_of_the_body_counts_only_where_it_is_the_only_one() -> None:
    link = '<a href="https://creativecommons.org/licenses/{}/4.0/">licence</a>'
    assert (
        extract_html(page(f"<p>{LONG}{link.format('by')}</p>"), URL).licence
        == "https://creativecommons.org/licenses/by/4.0/"
    )
    assert extract_html(page(f"<p>{LONG}{link.format('by')}{link.format('by-nc')}</p>"), URL).licence is None


def test_limits_drop_with_their_reason() -> None:
    assert reason(b"x" * 100, ExtractOptions(max_bytes=99)) == "record_too_large"
    assert reason(page("<p>x</p>" * 50), ExtractOptions(max_nodes=20)) == "too_many_nodes"
    assert reason(page("<div>" * 100 + LONG), ExtractOptions(max_depth=50)) == "too_deep"
    assert reason(page("<div>" * 60_000 + LONG)) == "too_deep"
    assert reason(b"") == "no_content"
    assert reason(page("<script>var x = 'text'</script>")) == "no_content"


def test_gate_needs_a_picture_that_could_survive() -> None:
    gate = ExtractOptions(require_image=True, min_side=150, banned_words=("logo",))
    assert reason(page(f"<p>{LONG}</p>"), gate) == "no_image"
    assert reason(page(f"<p>{LONG}</p><img src=/a.jpg width=100 height=300>"), gate) == "no_image"
    assert reason(page(f"<p>{LONG}</p><img src=/site-LOGO.png>"), gate) == "no_image"
    assert extract_html(page(f"<p>{LONG}</p><img src=/a.jpg>"), URL, options=gate).nodes


def test_unknown_extractor_is_the_users_error() -> None:
    with pytest.raises(ConfigError, match="blocks, fast, trafilatura"):
        extract_html(b"<p>x</p>", URL, options=ExtractOptions(extractor="x"))


def test_trafilatura_gives_the_same_kind_of_nodes() -> None:
    found = extract_html(
        article("<figure><img src='/i/wall.jpg' alt='Wall'></figure>"),
        URL,
        options=ExtractOptions(extractor="trafilatura"),
    )
    assert any(LONG.strip() in (n.text or "") for n in found.nodes)
    assert [n.url for n in found.nodes if n.kind == "image"] == ["http://example.org/i/wall.jpg"]


FRAGMENTS = st.sampled_from(
    ["<p>", "</p>", "<div class=nav>", "</div>", "<ul><li>", "<img src=a.jpg>", "<img srcset='b 1x,,c 2x'>", "<noscript>", "</noscript>",
     "<table><tr><td>", "</table>", "<figure>", "<figcaption>", "</figure>", "<br>", "<pre>", "<math>", "</math>", "<a href=x.png>", "</a>",
     "<picture><source srcset=q>", "<h1>", "<svg>", "<xmp>", "<plaintext>", "<!--", "-->", "<![CDATA[", "<select>", "<base href=//x/>", "&lt;b&gt;",
     "one two three. ", "港口在风暴之后重建。", "&#0;&amp;amp;", "<video poster=v>", "<body hidden>", "<html lang=x>", "<span style='display:none'>", "\x00", "<"]
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(st.binary(max_size=400), st.lists(FRAGMENTS, max_size=40).map(lambda x: "".join(x).encode())),
    st.sampled_from(EXTRACTORS),
)
def test_any_bytes_give_a_page_or_a_reason(html: bytes, extractor: str) -> None:
    try:
        found = extract_html(html, URL, options=ExtractOptions(extractor=extractor))
    except RecordError as error:
        assert error.reason in {"no_content", "too_deep"}
        return
    assert found.nodes
    for node in found.nodes:
        if node.kind == "text":
            assert node.tag in TEXT_TAGS and node.text and node.text.strip()
        else:
            assert node.url and node.url.startswith(("http://", "https://", "data:image/"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["p", "li", "td", "h2", "blockquote", "img", "figure", "pre", "div"]), min_size=3, max_size=25
    ),
    st.sampled_from(EXTRACTORS),
)
def test_order_is_document_order_and_nothing_comes_twice(tags: list[str], extractor: str) -> None:
    parts = []
    for i, tag in enumerate(tags):
        if tag == "img":
            parts.append(f"<img src=/{i}.jpg>")
        elif tag == "figure":
            parts.append(f"<figure><img src=/{i}.jpg><figcaption>mark{i}x {LONG}</figcaption></figure>")
        elif tag == "td":
            parts.append(f"<table><tr><td>mark{i}x {LONG}</td></tr></table>")
        else:
            parts.append(f"<{tag}>mark{i}x {LONG}</{tag}>")
    found = extract_html(page(f"<main>{''.join(parts)}</main>"), URL, options=ExtractOptions(extractor=extractor))
    order = []
    for node in found.nodes:
        if node.kind == "image":
            order.append((int((node.url or "").rsplit("/", 1)[1].split(".")[0]), 0))
        else:
            marks = [int(w[4:-1]) for w in (node.text or "").split() if w.startswith("mark")]
            order += [(m, 1) for m in marks]
    assert order == sorted(order)
    assert len(order) == len(set(order))


@pytest.mark.parametrize("extractor", ["blocks", "fast"])
def test_last_heading_goes_with_its_section(extractor: str) -> None:
    links = "".join(f"<li><a href=/{i}>Another story of the coast, number {i}</a></li>" for i in range(9))
    story = f"<h1>Harbour</h1><p>{LONG}</p><h2>After the storm</h2><p>{LONG}</p>"
    found = extract_html(
        page(f"<main>{story}<h2>Related stories</h2></main><aside class=related><ul>{links}</ul></aside>"),
        URL,
        options=ExtractOptions(extractor=extractor),
    )
    texts = [n.text for n in found.nodes]
    assert "After the storm" in texts
    assert "Related stories" not in texts
    assert "Related stories" in [n.text for n in found.removed]
