"""Masking of personal data: what goes, what must stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.filters.pii import masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to Jane.Doe+x@mail.example.co.uk.", "write to [EMAIL]."),
        ("mailto:a_b@c-d.org", "[EMAIL]"),
        ("邮箱：zhang@example.cn，谢谢", "邮箱：[EMAIL]，谢谢"),
        ("call +49 30 1234567 now", "call [PHONE] now"),
        ("+1 (415) 555-2671", "[PHONE]"),
        ("tel. (030) 123 4567", "tel. [PHONE]"),
        ("212-555-0187", "[PHONE]"),
        ("1.212.555.0187", "[PHONE]"),
        ("电话 13800138000", "电话 [PHONE]"),
        ("138 0013 8000", "[PHONE]"),
        ("0044 20 7946 0958", "[PHONE]"),
        ("from 93.184.216.34 at noon", "from [IP] at noon"),
        ("2001:4860:4860::8888 answered", "[IP] answered"),
    ],
)
def test_personal_data_goes(text: str, expected: str):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "on 2024-05-17 at 12:30:45",
        "version 1.2.3.4000", "192.168.0.1 and 127.0.0.1", "ISBN 978-3-16-148410-0",
        "chapter 3.2.1.4", "1,234,567.89 EUR", "pi is 3.14159265358979", "between 1914-1918 and 1939-1945",
        "@mention and user@host", "see RFC 2822, section 3.4.1", "time 10:20:30:40", "order 20231104123456", "a@b",
        "C++ std::vector::iterator", "1 000 000 000 people", "17/05/2024 18:00",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_stays(text: str):
    assert masked(text) == text


@given(st.text(alphabet="0123456789 .-+()@:abcXYZ/", max_size=60))
def test_masking_twice_changes_nothing_more(text: str):
    once = masked(text)
    assert masked(once) == once
