"""Title, day and author that pages say in other ways than in their head."""

from __future__ import annotations

import pytest

from plait.pipeline.extract import extract_html
from plait.pipeline.extract.dates import date_of_url, iso_date

URL = "http://example.org/news/harbour"
LONG = "<p>" + "The harbour wall was rebuilt after the storm of that winter, stone by stone, by hand. " * 6 + "</p>"


def found(body: str, head: str = "", url: str = URL) -> tuple[str | None, str | None]:
    page = extract_html(f"<html><head>{head}</head><body>{body}{LONG}</body></html>".encode(), url)
    return page.published, page.author


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2020-05-01T10:00:00Z", "2020-05-01T10:00:00Z"),
        ("2020-05", "2020-05"),
        ("2020/5/1", "2020-05-01"),
        ("20200501", "2020-05-01"),
        ("am 01.05.2020 um 10 Uhr", "2020-05-01"),
        ("May 1st, 2020", "2020-05-01"),
        ("Fri, 1 May 2020 10:00 GMT", "2020-05-01"),
        ("2020 May 1", "2020-05-01"),
        ("0001-01-01T00:00:00", None),
        ("1970-01-01T00:00:00Z", None),
        ("2020-13-45", None),
        ("01/05/2020", None),  # the first of May or the fifth of January
        ("639091521794037676", None),
        ("", None),
        (None, None),
    ],
)
def test_values_that_are_dates(value: str | None, day: str | None) -> None:
    assert iso_date(value) == day


@pytest.mark.parametrize(
    "body",
    [
        '<meta itemprop="datePublished" content="2020-05-01">',
        "<span itemprop=datePublished>1 May 2020</span>",
        '<span class="post-meta entry-date">2020-05-01</span>',
        '<abbr class="published" title="2020-05-01">last Friday</abbr>',
        "<h1>Harbour</h1><time datetime=2020-05-01>last Friday</time>",
        "<header><time datetime=2020-05-01>last Friday</time><h1>Harbour</h1></header>",
    ],
)
def test_day_that_the_body_marks(body: str) -> None:
    assert found(body)[0] == "2020-05-01"


@pytest.mark.parametrize("name", ["published-date", "og:publish_date", "DC.Date.Issued", "publication_date"])
def test_names_of_metas_vary(name: str) -> None:
    assert found("", f"<meta name='{name}' content='2020-05-01'>")[0] == "2020-05-01"


def test_time_far_from_the_heading_is_not_the_pages_own() -> None:
    assert found(f"<h1>Harbour</h1>{LONG * 8}<time datetime=2020-05-01>a comment's</time>")[0] is None


def test_head_comes_before_body_and_url() -> None:
    head = "<meta property=article:published_time content=2021-01-02>"
    assert found("<span itemprop=datePublished>2020-05-01</span>", head, "http://a.org/2019/01/01/x")[0] == "2021-01-02"


def test_day_of_a_posts_address() -> None:
    assert date_of_url("http://a.org/2019/6/30/post.html") == "2019-06-30"
    assert date_of_url("http://a.org/2019-06-30-post") == "2019-06-30"
    assert date_of_url("http://a.org/2019/200/30") is None
    assert found("", url="http://a.org/blog/2019/06/30/post")[0] == "2019-06-30"


@pytest.mark.parametrize(
    "body",
    [
        "<span itemprop=author itemscope><a href=/ann><span itemprop=name>Ann Lee</span></a></span>",
        "<div itemprop=author itemscope><meta itemprop=name content='Ann Lee'></div>",
        "<span itemprop=author>Ann <b>Lee</b></span>",
        "<a rel='nofollow author' href=/ann><img src=ann.jpg>Ann Lee</a>",
    ],
)
def test_author_that_the_body_marks(body: str) -> None:
    assert found(body)[1] == "Ann Lee"


def test_several_marked_authors_are_of_reviews() -> None:
    assert found("<b itemprop=author>Ann Lee</b><b itemprop=author>Bo Chen</b>")[1] is None


@pytest.mark.parametrize("author", ["@bay_news", "http://example.org/ann", "ann@example.org", "223509017"])
def test_handles_addresses_and_numbers_are_no_authors(author: str) -> None:
    assert found("", f"<meta name=author content='{author}'>")[1] is None


def test_linked_data_names_all_authors_of_the_main_entity() -> None:
    data = (
        '{"@type":"WebPage","mainEntity":{"datePublished":"2020-05-01","author":[{"name":"Ann &amp; Co"},"Bo Chen"],'
        '"review":[{"datePublished":"2022-02-02","author":"Someone"}]}}'
    )
    assert found(f'<script type="application/ld+json">{data}</script>') == ("2020-05-01", "Ann & Co, Bo Chen")
