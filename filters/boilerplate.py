"""Signs of boilerplate in a short text: phrases and shapes that OmniCorpus' released English rules and mOSCAR remove.

Every sign is a yes-or-no score of a node. All signs of a text are looked for at once and remembered, since the same
menu lines and labels come again on page after page, and since a recipe asks several times in several passes.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from plait.filters.batch import TextBatch
from plait.filters.score import Score

_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_CREDIT = re.compile(r"published\s*by|all\s*photo\s*credits\s*and\s*copyright")
_CREDIT_END = re.compile(r"\(cf\.[^()]*\)$|\([\w\s&,]+,\s*\d{4,}\)$")
_COUNTER = ("likes", "followers", "subscribes", "share", "comments", "comments:", "dislikes", "comment", "comment.")
_SOCIAL_ENDS = (
    "references", "like", "likes", "share", "shares", "comment", "comments", "review", "reviews", "reviews about",
    "call us at", "email us at", "more images", "users online", "copyright", "subscribe", "subscribes",
)  # fmt: skip
_SOCIAL = (
    "for more info", "for more detail", "top threads", "most read", "most viewed", "most shared", "most liked",
    "more here",
)  # fmt: skip
_ACTION = ("sign-in", "sign in", "sign up", "read more", "item in cart")
_FURNITURE = (
    "Services", "Any questions?", "Like Liked", "Looking for", "Contact Information", "Read More", "Call Us",
    "There are no reviews yet", "Want More", "More information", "Login and Registration", "Google+", "YouTube",
    "Subscribe", "Sign in", "view details", "ID #", "Thank you so much for reading",
)  # fmt: skip
_MORE = (
    "read more", "more words", "read next", "learn more", "see this article", "click here", "continue reading",
    "read full article", "see more", "click to view details", "read the rest", "show more", "continue browsing",
    "read next section", "view full content", "read on", "see remaining", "continue watching", "explore more",
)  # fmt: skip
_AFTER_MORE = " \t\n\u00a0…:;,-–—>»›→)]}|\"'”’"
_CAPTION = ("load", "getty", "image", "photo", "source")  # "download" has "load" in it
_DIGITS = re.compile(r"\d|\[phone\]")
_PHONE = re.compile(r"\d{3}-\d{3}-\d{4}|\(\d{3}\)\s?\d{3}-\d{4}|\[phone\]")
_WHEN = re.compile(
    rf"{_MONTH}\s\d{{1,2}},\s\d{{4}}|\d{{1,2}}\s{_MONTH}\s\d{{4}}|\b\d{{1,2}}[:.]\d{{2}}\s*[ap]?\.?m\.?\b"
    r"|\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?\b|\b(?:[01]?\d|2[0-3])(?::[0-5]\d)?[ap]\.?m\b"
)
_PHOTO = re.compile(r"\(photo:[a-z,\s]{0,20}\)")
_SITE = ("follow us", "javascript", "copyright", "©")
_DATE = re.compile(
    rf"\b\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}\b|\b\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}\b"
    rf"|\b{_MONTH}\.?\s\d{{1,2}}(?:st|nd|rd|th)?,?\s\d{{4}}\b|\b\d{{1,2}}\.?\s{_MONTH}\.?,?\s\d{{4}}\b"
)
_NETWORKS = "facebook twitter x whatsapp instagram youtube linkedin pinterest tumblr reddit telegram rss"
_LABELS = frozenset(_NETWORKS.split())
_REFERENCE = re.compile(r"^\[\d{1,2}\]\s.*\.")


def _any(phrases: tuple[str, ...], text: str) -> bool:
    for phrase in phrases:  # noqa: SIM110 - a generator would cost more than the search
        if phrase in text:
            return True
    return False


def _credit(low: str) -> bool:
    if low.startswith("special thanks") or (low.endswith(")") and _CREDIT_END.search(low) is not None):
        return True
    return ("publish" in low or "credits" in low) and _CREDIT.search(low) is not None


# (name, the longest text it is looked for in, in words, test on the text and its lower-case form, documentation)
_Test = Callable[[str, str], bool]
_ANY = 1 << 40
_SIGNS: tuple[tuple[str, int, _Test, str], ...] = (
    (
        "link_notice",
        _ANY,
        lambda text, low: "for details on the" in low or "the link is" in low,
        "Speaks of a link elsewhere: 'for details on the', 'the link is'. OmniCorpus.",
    ),
    (
        "credit_line",
        _ANY,
        lambda text, low: _credit(low),
        "Thanks, photo credits, 'published by', or ends in a bracketed reference. OmniCorpus.",
    ),
    (
        "social_counter",
        _ANY,
        lambda text, low: low.endswith(_COUNTER),
        "Ends in likes, followers, comments… OmniCorpus.",
    ),
    (
        "social_phrase",
        _ANY,
        lambda text, low: low.rstrip(" :").endswith(_SOCIAL_ENDS) or _any(_SOCIAL, low),
        "Ends in references, shares, reviews, copyright…, or names 'most read', 'for more info'… OmniCorpus.",
    ),
    (
        "call_to_action",
        10,
        lambda text, low: _any(_ACTION, low),
        "At most 10 words with sign in, sign up, read more, item in cart. OmniCorpus.",
    ),
    (
        "site_furniture",
        _ANY,
        lambda text, low: _any(_FURNITURE, text),
        "Header and footer phrases ('Contact Information', 'Sign in', 'YouTube'…), case as written. OmniCorpus, the "
        "general ones of its list.",
    ),
    (
        "unfinished_teaser",
        _ANY,
        lambda text, low: low.rstrip(_AFTER_MORE).endswith(_MORE),
        "Ends in 'read more', 'continue reading', 'click here'… without a full stop. OmniCorpus.",
    ),
    (
        "caption_boilerplate",
        7,
        lambda text, low: _any(_CAPTION, low),
        "Fewer than 8 words with download, load, getty, image, photo or source. OmniCorpus, beside an image.",
    ),
    (
        "advert_label",
        3,
        lambda text, low: low.strip(" :.-–—") in ("advertisement", "advertisements", "sponsored", "sponsored by", "ad"),
        "Is nothing but the label of an advert. OmniCorpus.",
    ),
    ("things_to_do", _ANY, lambda text, low: low.startswith("things to do"), "Begins with 'Things to do'. OmniCorpus."),
    (
        "phone_number",
        79,
        lambda text, low: _DIGITS.search(low) is not None and _PHONE.search(low) is not None,
        "Fewer than 80 words with a North American telephone number, masked or not. OmniCorpus.",
    ),
    (
        "time_or_date",
        19,
        lambda text, low: _DIGITS.search(low) is not None and _WHEN.search(low) is not None,
        "Fewer than 20 words with a time of day or a written date. OmniCorpus.",
    ),
    (
        "byline",
        9,
        lambda text, low: low.lstrip().startswith("by ") or _PHOTO.search(low) is not None,
        "Fewer than 10 words that begin with 'by' or name a photographer. OmniCorpus.",
    ),
    (
        "bracketed",
        _ANY,
        lambda text, low: text[:1] in "([（" and text[-1:] in ")]）",
        "Stands in brackets as a whole. OmniCorpus removes such a last paragraph.",
    ),
    (
        "reference_entry",
        _ANY,
        lambda text, low: low.startswith("[") and _REFERENCE.match(text) is not None,
        "Begins as an entry of a reference list: [12] and a text with a full stop. OmniCorpus.",
    ),
    (
        "sponsor_or_reference",
        9,
        lambda text, low: "reference" in low or "sponsore" in low,
        "Fewer than 10 words with 'reference' or 'sponsored'. OmniCorpus.",
    ),
    (
        "site_phrase",
        _ANY,
        lambda text, low: _any(_SITE, low),
        "Says follow us, javascript, copyright or ©. mOSCAR (arXiv 2406.08707, appendix A.4).",
    ),
    (
        "social_label",
        3,
        lambda text, low: low.strip(" :.!") in _LABELS,
        "Is nothing but the name of a social network. mOSCAR (appendix A.4).",
    ),
)
_LONGEST = 1500  # characters; longer texts are not remembered
_LIMITS = sorted({limit for _, limit, _, _ in _SIGNS})
_TESTS = {limit: [(1 << b, test) for b, (_, most, test, _) in enumerate(_SIGNS) if most >= limit] for limit in _LIMITS}


def _look(text: str) -> int:
    low = text.lower()
    words = text.count(" ") + 1
    found = 0
    for flag, test in _TESTS[next(limit for limit in _LIMITS if words <= limit)]:
        if test(text, low):
            found |= flag
    return found


_remembered = functools.lru_cache(maxsize=16384)(_look)


def _signs(text: TextBatch) -> np.ndarray:
    """The signs of every unit as a set of bits: int64."""
    kept = text.__dict__.get("_signs")
    if kept is None:
        found = (_remembered(unit) if len(unit) <= _LONGEST else _look(unit) for unit in text.texts)
        kept = text.__dict__["_signs"] = np.fromiter(found, np.int64, len(text))
    return np.asarray(kept)


def _sign(bit: int) -> Callable[[TextBatch], np.ndarray]:
    return lambda text: (_signs(text) >> bit) & 1 == 1


def dates(text: TextBatch) -> np.ndarray:
    """Dates in the text. mOSCAR removes nodes with more than one."""
    found = (sum(1 for _ in _DATE.finditer(unit.lower())) if any(map(str.isdigit, unit)) else 0 for unit in text.texts)
    return np.fromiter(found, np.int64, len(text))


def angle_brackets(text: TextBatch) -> np.ndarray:
    """Signs < and > in the text. mOSCAR removes nodes with more than two."""
    return np.fromiter((unit.count("<") + unit.count(">") for unit in text.texts), np.int64, len(text))


def any_curly_bracket(text: TextBatch) -> np.ndarray:
    """Whether the text has a curly bracket of either kind. mOSCAR removes the node."""
    return np.fromiter(("{" in unit or "}" in unit for unit in text.texts), bool, len(text))


def top_char_ratio(text: TextBatch) -> np.ndarray:
    """Share of the most frequent character, spaces left out. mOSCAR removes nodes above 0.33."""
    found = np.full(len(text), np.nan)
    for place, unit in enumerate(text.texts):
        bare = unit.replace(" ", "")
        if bare:
            found[place] = max(Counter(bare).values()) / len(bare)
    return found


SCORES: tuple[Score, ...] = (
    *(Score(name, ("node",), pa.bool_(), doc, text=_sign(bit)) for bit, (name, _, _, doc) in enumerate(_SIGNS)),
    Score("dates", ("node",), pa.int64(), dates.__doc__ or "", text=dates),
    Score("angle_brackets", ("node",), pa.int64(), angle_brackets.__doc__ or "", text=angle_brackets),
    Score("any_curly_bracket", ("node",), pa.bool_(), any_curly_bracket.__doc__ or "", text=any_curly_bracket),
    Score("top_char_ratio", ("node",), pa.float64(), top_char_ratio.__doc__ or "", text=top_char_ratio),
)
