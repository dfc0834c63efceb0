"""The form that two captures of one page, or two mentions of one image, share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.schemas.urls import canonical_url, domain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP://Example.COM:80/a", "http://example.com/a"),
        ("https://example.com:443", "https://example.com/"),
        ("http://example.com/a#part", "http://example.com/a"),
        ("http://example.com/a%7euser", "http://example.com/~user".replace("/~", "/a~")),
        ("http://example.com/a,b&c.jpg", "http://example.com/a%2Cb%26c.jpg"),
        ("http://example.com/ü b", "http://example.com/%C3%BC%20b"),
        ("http://example.com/?utm_source=x&id=3", "http://example.com/?id=3"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
    ],
)
def test_same_page(one: str, other: str) -> None:
    assert canonical_url(one) == canonical_url(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://example.com/a", "https://example.com/a"),
        ("http://example.com/a", "http://example.com/a/"),
        ("http://example.com/?a=1&b=2", "http://example.com/?b=2&a=1"),
        ("http://example.com/?a=1%26b=2", "http://example.com/?a=1&b=2"),
        ("http://example.com/a%2Fb", "http://example.com/a/b"),
        ("http://example.com/A", "http://example.com/a"),
    ],
)
def test_not_the_same_page(one: str, other: str) -> None:
    assert canonical_url(one) != canonical_url(other)


@given(st.text(max_size=60))
def test_canonical_form_of_a_canonical_form_is_itself(text: str) -> None:
    once = canonical_url("http://example.com/" + text)
    assert canonical_url(once) == once
    assert canonical_url(text) == canonical_url(text)


def test_domain_is_the_registered_one() -> None:
    assert domain("http://www.news.example.co.uk/x") == "example.co.uk"
    assert domain("http://127.0.0.1:8000/") == "127.0.0.1"
    assert domain("nonsense") == ""
