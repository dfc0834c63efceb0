"""Signs of boilerplate in a short text: phrases and shapes that OmniCorpus' released English rules and mOSCAR remove.

One text in 25 has any: a search over a whole batch finds the texts that may have one, and only those are looked at one
by one, for all signs at once. Signs are kept with the lines that bear them, since a recipe asks several times in
several passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
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
_ADVERT_LABELS = ("advertisement", "advertisements", "sponsored", "sponsored by", "ad")
_CAPTION = ("load", "getty", "image", "photo", "source")  # "download" has "load" in it
_PHONE = re.compile(r"\d{3}-\d{3}-\d{4}|\(\d{3}\)\s?\d{3}-\d{4}|\[phone\]")
_WHEN = re.compile(
    rf"{MONTH}\s\d{{1,2}},\s\d{{4}}|\d{{1,2}}\s{MONTH}\s\d{{4}}|\b\d{{1,2}}[:.]\d{{2}}\s*[ap]?\.?m\.?\b"
    r"|\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?\b|\b(?:[01]?\d|2[0-3])(?::[0-5]\d)?[ap]\.?m\b"
)
_PHOTO = re.compile(r"\(photo:[a-z,\s]{0,20}\)")
_SITE = ("follow us", "javascript", "copyright", "©")
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


def _either(phrases: tuple[str, ...] | list[str]) -> str:
    return "|".join(map(re.escape, phrases))


_Test = Callable[[str, str], bool]
_ANY = 1 << 40
_DIGIT, _SPACE = r"\p{Nd}", r"[\s\p{Z}\x{b}\x{1c}-\x{1f}\x{85}]"  # as Python's re knows them
_TRAILING = r"[ \t\n\x{a0}…:;,\-–—>»›→)\]}|\"'”’]*$"  # `_AFTER_MORE`


class Sign(NamedTuple):
    """A sign, and how its bearers are found among many texts.

    Attributes:
        name: of the score.
        limit: the longest text it is looked for in, in words.
        hint: pattern (RE2) that the lower-case form of every text with the sign matches; others may match it too.
        test: whether a text, given as it is and in lower case, has the sign.
        doc: documentation of the score.
    """

    name: str
    limit: int
    hint: str
    test: _Test
    doc: str


SIGNS: tuple[Sign, ...] = (
    Sign(
        "link_notice",
        _ANY,
        "for details on the|the link is",
        lambda text, low: "for details on the" in low or "the link is" in low,
        "Speaks of a link elsewhere: 'for details on the', 'the link is'. OmniCorpus.",
    ),
    Sign(
        "credit_line",
        _ANY,
        rf"^special thanks|published{_SPACE}*by|all{_SPACE}*photo|cf\.[^()]*\)$|,{_SPACE}*{_DIGIT}+\)$",
        lambda text, low: _credit(low),
        "Thanks, photo credits, 'published by', or ends in a bracketed reference. OmniCorpus.",
    ),
    Sign(
        "social_counter",
        _ANY,
        f"(?:{_either(_COUNTER)})$",
        lambda text, low: low.endswith(_COUNTER),
        "Ends in likes, followers, comments… OmniCorpus.",
    ),
    Sign(
        "social_phrase",
        _ANY,
        f"(?:{_either(_SOCIAL_ENDS)})[ :]*$|{_either(_SOCIAL)}",
        lambda text, low: low.rstrip(" :").endswith(_SOCIAL_ENDS) or _any(_SOCIAL, low),
        "Ends in references, shares, reviews, copyright…, or names 'most read', 'for more info'… OmniCorpus.",
    ),
    Sign(
        "call_to_action",
        10,
        _either(_ACTION),
        lambda text, low: _any(_ACTION, low),
        "At most 10 words with sign in, sign up, read more, item in cart. OmniCorpus.",
    ),
    Sign(
        "site_furniture",
        _ANY,
        _either([phrase.lower() for phrase in _FURNITURE]),
        lambda text, low: _any(_FURNITURE, text),
        "Header and footer phrases ('Contact Information', 'Sign in', 'YouTube'…), case as written. OmniCorpus, the "
        "general ones of its list.",
    ),
    Sign(
        "unfinished_teaser",
        _ANY,
        f"(?:{_either(_MORE)}){_TRAILING}",
        lambda text, low: low.rstrip(_AFTER_MORE).endswith(_MORE),
        "Ends in 'read more', 'continue reading', 'click here'… without a full stop. OmniCorpus.",
    ),
    Sign(
        "caption_boilerplate",
        7,
        _either(_CAPTION),
        lambda text, low: _any(_CAPTION, low),
        "Fewer than 8 words with download, load, getty, image, photo or source. OmniCorpus, beside an image.",
    ),
    Sign(
        "advert_label",
        3,
        f"(?:{_either(_ADVERT_LABELS)})[ :.\\-–—]*$",
        lambda text, low: low.strip(" :.-–—") in _ADVERT_LABELS,
        "Is nothing but the label of an advert. OmniCorpus.",
    ),
    Sign(
        "things_to_do",
        _ANY,
        "^things to do",
        lambda text, low: low.startswith("things to do"),
        "Begins with 'Things to do'. OmniCorpus.",
    ),
    Sign(
        "phone_number",
        79,
        rf"{_DIGIT}{{3}}-{_DIGIT}{{3}}-|\({_DIGIT}{{3}}\)|\[phone\]",
        lambda text, low: _PHONE.search(low) is not None,
        "Fewer than 80 words with a North American telephone number, masked or not. OmniCorpus.",
    ),
    Sign(
        "time_or_date",
        19,
        rf"{_DIGIT}[:.]{_DIGIT}{{2}}|{_DIGIT}[ap]\.?m|{_DIGIT}{_SPACE}{MONTH}{_SPACE}|{MONTH}{_SPACE}{_DIGIT}",
        lambda text, low: _WHEN.search(low) is not None,
        "Fewer than 20 words with a time of day or a written date. OmniCorpus.",
    ),
    Sign(
        "byline",
        9,
        rf"^{_SPACE}*by |\(photo:",
        lambda text, low: low.lstrip().startswith("by ") or _PHOTO.search(low) is not None,
        "Fewer than 10 words that begin with 'by' or name a photographer. OmniCorpus.",
    ),
    Sign(
        "bracketed",
        _ANY,
        r"^[(\[（](?s:.*)[)\]）]$",
        lambda text, low: text.startswith(("(", "[", "（")) and text.endswith((")", "]", "）")),
        "Stands in brackets as a whole. OmniCorpus removes such a last paragraph.",
    ),
    Sign(
        "reference_entry",
        _ANY,
        rf"^\[{_DIGIT}",
        lambda text, low: low.startswith("[") and _REFERENCE.match(text) is not None,
        "Begins as an entry of a reference list: [12] and a text with a full stop. OmniCorpus.",
    ),
    Sign(
        "sponsor_or_reference",
        9,
        "reference|sponsore",
        lambda text, low: "reference" in low or "sponsore" in low,
        "Fewer than 10 words with 'reference' or 'sponsored'. OmniCorpus.",
    ),
    Sign(
        "site_phrase",
        _ANY,
        _either(_SITE),
        lambda text, low: _any(_SITE, low),
        "Says follow us, javascript, copyright or ©. mOSCAR (arXiv 2406.08707, appendix A.4).",
    ),
    Sign(
        "social_label",
        3,
        f"(?:{_either(sorted(_LABELS))})[ :.!]*$",
        lambda text, low: low.strip(" :.!") in _LABELS,
        "Is nothing but the name of a social network. mOSCAR (appendix A.4).",
    ),
)
_LIMITS = sorted({sign.limit for sign in SIGNS})
_TESTS = {limit: [(1 << b, sign.test) for b, sign in enumerate(SIGNS) if sign.limit >= limit] for limit in _LIMITS}

_SHORT = 19  # words; signs of texts that short are not searched for in longer ones
_HINT = "|".join(f"(?:{sign.hint})" for sign in SIGNS if sign.limit > _SHORT)
_SHORT_HINT = "|".join(f"(?:{sign.hint})" for sign in SIGNS if sign.limit <= _SHORT)


def _look(text: str) -> int:
    """The signs of one text."""
    low = text.lower()
    words = text.count(" ") + 1
    found = 0
    for flag, test in _TESTS[next(limit for limit in _LIMITS if words <= limit)]:
        if test(text, low):
            found |= flag
    return found


def signs(texts: Sequence[str]) -> np.ndarray:
    """The signs of every text as a set of bits, bit i for the sign at place i of `SIGNS`: int64.

    Cost: one search over all texts and one over the short ones, some 5 ns a character; and a look at one text in ten.
    """
    low = pa.array([text.lower() for text in texts], pa.string())
    hinted = pc.match_substring_regex(low, _HINT).to_numpy(zero_copy_only=False)
    spaces = np.fromiter((text.count(" ") for text in texts), np.int64, len(texts))
    short = np.flatnonzero((spaces < _SHORT) & ~hinted)
    hits = pc.match_substring_regex(low.take(pa.array(short)), _SHORT_HINT)
    found = np.zeros(len(texts), np.int64)
    for place in [*np.flatnonzero(hinted).tolist(), *short[hits.to_numpy(zero_copy_only=False)].tolist()]:
        found[place] = _look(texts[place])
    return found
