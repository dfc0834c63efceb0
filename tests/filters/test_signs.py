"""Searches over a whole batch find what a look at every text by itself finds: signs of boilerplate, personal data."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.filters.chunks import utf8
from plait.filters.hints import signs
from plait.filters.pii import masked, masked_all
from plait.filters.signs import SIGNS
from plait.filters.vocabulary import Vocabulary

PIECES = [
    "Read more", "read next", "Call us at", "(212) 555-0123", "212-555-0123", "٣٤٥-٣٤٥-٣٤٥٦", "[PHONE]", "10:30 am",
    "9am", "Mar 3, 2020", "12 mar 2020", "By ", "by\u00a0", "(photo: Jane)", "image", "Photo", "download", "source",
    "Sign in", "SIGN UP", "YouTube", "Like Liked", "likes", "comments:", "Share", "copyright", "©", "references",
    "Reviews about", "published\u2003by", "Published By", "All photo credits and copyright", "special thanks",
    "(Smith & Co, 2004)", "(cf. Foo)", "the link is", "things to do", "Advertisement", "ad", "sponsored", "[12] ", "[",
    "]", "（", "）", "follow us", "Facebook", "javascript", "x", "ſource", "İmage", " ", "\n", "\t", "\u2029", "\x1c",
    ".", ":", "-", "–", "→", "”", "word", "of the", "me@x.org", "8.8.8.8", "127.0.0.1", "2001:4860:4860::8888", "::1",
    "+49 30 1234567", "138 0013 8000", "5\u00a0555\u00a0555",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=24).map("".join)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_signs_are_those_of_each_text_by_itself(texts: list[str]):
    alone = []
    for text in texts:
        low, words = text.lower(), text.count(" ") + 1
        alone.append(sum(1 << bit for bit, s in enumerate(SIGNS) if words <= s.limit and s.test(text, low)))
    assert signs(texts, Vocabulary().words(utf8(texts)).hints).tolist() == alone


def test_every_sign_is_found_in_a_text_that_has_it():
    bearers = {
        "link_notice": "For details on the talks", "credit_line": "Photo published by us",
        "social_counter": "12 likes", "social_phrase": "Most read", "call_to_action": "Sign up",
        "site_furniture": "Contact Information", "unfinished_teaser": "Continue reading →",
        "caption_boilerplate": "Getty", "advert_label": "Advertisement:", "things_to_do": "Things to do here",
        "phone_number": "212-555-0123", "time_or_date": "at 10:30", "byline": "By Ann",
        "bracketed": "(all of it\nis)", "reference_entry": "[3] A. Author.", "sponsor_or_reference": "Sponsored post",
        "site_phrase": "© us", "social_label": "Reddit",
    }  # fmt: skip
    texts = list(bearers.values())
    found = signs(texts, Vocabulary().words(utf8(texts)).hints).tolist()
    for bit, (name, value) in enumerate(zip(bearers, found, strict=True)):
        assert SIGNS[bit].name == name
        assert value >> bit & 1, name


@settings(deadline=None)
@given(st.lists(st.none() | TEXTS, max_size=6))
def test_masking_a_batch_is_masking_each_text(texts: list[str | None]):
    wanted = [masked(text) if text else text for text in texts]
    found, changed = masked_all(pa.array(texts, pa.string()))
    assert found.to_pylist() == wanted
    assert changed == sum(a != b for a, b in zip(texts, wanted, strict=True))
