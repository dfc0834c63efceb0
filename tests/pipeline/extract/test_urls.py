from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.pipeline.extract.image_source import best_candidate, data_image_size, is_placeholder, parse_srcset
from plait.pipeline.extract.urls import resolve

BASE = "https://example.org/a/b/page.html?x=1"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("i.jpg", "https://example.org/a/b/i.jpg"),
        ("./i.jpg", "https://example.org/a/b/i.jpg"),
        ("../i.jpg", "https://example.org/a/i.jpg"),
        ("../../../i.jpg", "https://example.org/i.jpg"),
        ("/i.jpg", "https://example.org/i.jpg"),
        ("//cdn.example/i.jpg", "https://cdn.example/i.jpg"),
        ("?v=2", "https://example.org/a/b/page.html?v=2"),
        ("HTTP://Example.ORG:80/i.jpg", "http://example.org/i.jpg"),
        ("https://example.org:443/i.jpg", "https://example.org/i.jpg"),
        ("https://example.org:8443/i.jpg", "https://example.org:8443/i.jpg"),
        ("https://example.org/a/../i.jpg", "https://example.org/i.jpg"),
        ("https://example.org", "https://example.org/"),
        ("  /i.jpg \n", "https://example.org/i.jpg"),
        ("/a b.jpg", "https://example.org/a%20b.jpg"),
        ("/a%20b.jpg", "https://example.org/a%20b.jpg"),
        ("/é.jpg?q=é", "https://example.org/%C3%A9.jpg?q=%C3%A9"),
        ("/a.jpg#frag", "https://example.org/a.jpg"),
        ("https://user:pw@example.org/i.jpg", "https://user:pw@example.org/i.jpg"),
        ("http://[::1]:8080/i.jpg", "http://[::1]:8080/i.jpg"),
    ],
)
def test_reference_resolves_as_in_a_browser(reference: str, expected: str) -> None:
    assert resolve(BASE, reference) == expected


@pytest.mark.parametrize(
    "reference",
    [
        "",
        " ",
        "#top",
        "javascript:void(0)",
        "mailto:a@b.c",
        "ftp://a/b.jpg",
        "http://",
        "http://[bad/",
        "http://a:99999/",
        "about:blank",
        "blob:http://a/b",
    ],
)
def test_what_is_no_web_address_resolves_to_nothing(reference: str) -> None:
    assert resolve(BASE, reference) is None


@given(st.text(max_size=60), st.sampled_from([BASE, "http://h/", "http://fakehost/test/page.html"]))
def test_whatever_resolves_is_absolute_ascii_and_stable(reference: str, base: str) -> None:
    found = resolve(base, reference)
    if found is not None:
        assert found.isascii() and " " not in found and "#" not in found
        assert urlsplit(found).scheme in ("http", "https") and urlsplit(found).hostname
        assert resolve(base, found) == found


def test_srcset_is_split_as_the_standard_says() -> None:
    found = parse_srcset(" /w_3,h_2/a.jpg 300w ,/b.jpg 1.5x, data:image/gif;base64,AA== 2x,/c.jpg")
    assert [(c.url, c.width, c.density) for c in found] == [
        ("/w_3,h_2/a.jpg", 300, 0.0),
        ("/b.jpg", 0, 1.5),
        ("data:image/gif;base64,AA==", 0, 2.0),
        ("/c.jpg", 0, 0.0),
    ]


@given(st.text(alphabet="/ab,. 123wx\n:h", max_size=80))
def test_any_srcset_parses(value: str) -> None:
    for candidate in parse_srcset(value):
        assert candidate.url and " " not in candidate.url


def test_best_candidate_by_target_width() -> None:
    found = parse_srcset("a 300w, b 800w, c 1600w")
    best = [best_candidate(found, width, None) for width in (1, 300, 301, 1000, 5000)]
    assert [c.url if c else None for c in best] == ["a", "a", "b", "c", "c"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/img/blank.gif", True), ("/img/spacer.gif", True), ("/img/loading-spinner.svg", True), ("/1x1.png", True),
        ("data:image/gif;base64,AA==", True), ("/lazy-load.png?v=1", True), ("about:blank", True),
        ("/img/blankenberge.jpg", False), ("/img/clearing-in-the-wood.jpg", False), ("/photos/space.jpg", False),
        ("/download-loading-dock.jpg", False), ("/pixel-art/cat.png", False), ("/media/12345", False),
    ],
)  # fmt: skip
def test_placeholders_are_told_from_pictures(url: str, expected: bool) -> None:
    assert is_placeholder(url) is expected


def test_size_of_data_images() -> None:
    assert data_image_size("data:image/png;base64,AAAA") == 3
    assert data_image_size("data:image/svg+xml,%3Csvg/%3E") == 6
    assert data_image_size("data:image/png;base64,*") == -1
    assert data_image_size("data:text/html,x") == -1
