"""Signs of boilerplate in a short text: phrases and shapes that OmniCorpus' released English rules and mOSCAR remove.

One text in 25 has any. Every chunk (a piece without whitespace) is asked once, when it is first seen, whether a text
with it may have a sign; only the texts with such a chunk are looked at one by one, for all signs at once. Signs are
kept with the lines that bear them, since a recipe asks several times in several passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
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
_DIGIT = re.compile(r"\d")  # in all that follow; cheap to rule out
_WHEN = re.compile(
    rf"{MONTH}\s\d{{1,2}},\s\d{{4}}|\d{{1,2}}\s{MONTH}\s\d{{4}}|\b\d{{1,2}}[:.]\d{{2}}\s*[ap]?\.?m\.?\b"
    r"|\b(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?\b|\b(?:[01]?\d|2[0-3])(?::[0-5]\d)?[ap]\.?m\b"
)
_PHOTO = re.compile(r"\(photo:[a-z,\s]{0,20}\)")
_SITE = ("follow us", "javascript", "copyright", "©")
_NETWORKS = "facebook twitter x whatsapp instagram youtube linkedin pinterest tumblr reddit telegram rss"
_LABELS = frozenset(_NETWORKS.split())
_OPENING, _CLOSING = ("(", "[", "（"), (")", "]", "）")
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


_Test = Callable[[str, str], bool]
_ANY = 1 << 40
_AROUND = " \t\n\u00a0….!:;,-–—>»›→)]}|\"'”’"  # what one sign or another takes off the end of a text
_TRAILING = rf"[{re.escape(_AROUND)}]*$"


def _ends(phrases: tuple[str, ...]) -> str:
    """What the last chunk of a text that ends with one of the phrases matches: a word, or whole the last of several."""
    lasts = dict.fromkeys(f"^{re.escape(p.split(' ')[-1])}" if " " in p else re.escape(p) for p in phrases)
    return f"(?:{'|'.join(lasts)}){_TRAILING}"


class Sign(NamedTuple):
    """A sign, and what the chunks of a text that has it are like.

    A text with the sign has a chunk that matches ``inside`` or ``written``, or two in a row that match ``pair``, or its
    first chunk matches ``first``, or its last chunk matches ``last``, chunks of nothing but `_AROUND` at its end left
    out; texts without the sign may have such chunks too. Patterns are searched for in the chunk, ``written`` in the
    chunk as it is, the others in the chunk in lower case.

    Attributes:
        name: of the score.
        limit: the longest text it is looked for in, in words.
        test: whether a text, given as it is and in lower case, has the sign.
        doc: documentation of the score.
        inside: pattern of a chunk anywhere in the text.
        written: the same, case as written.
        pair: patterns of a chunk and of the one after it.
        first: pattern of the text's first chunk.
        last: pattern of the text's last chunk.
    """

    name: str
    limit: int
    test: _Test
    doc: str
    inside: str = ""
    written: str = ""
    pair: tuple[str, str] = ("", "")
    first: str = ""
    last: str = ""


SIGNS: tuple[Sign, ...] = (
    Sign(
        "link_notice",
        _ANY,
        lambda text, low: "for details on the" in low or "the link is" in low,
        "Speaks of a link elsewhere: 'for details on the', 'the link is'. OmniCorpus.",
        inside="^details$|^link$",
    ),
    Sign(
        "credit_line",
        _ANY,
        lambda text, low: _credit(low),
        "Thanks, photo credits, 'published by', or ends in a bracketed reference. OmniCorpus.",
        inside=r"published|credits|\(cf\.",
        first="^special$",
        last=r"\d\)$",
    ),
    Sign(
        "social_counter",
        _ANY,
        lambda text, low: low.endswith(_COUNTER),
        "Ends in likes, followers, comments… OmniCorpus.",
        last=_ends(_COUNTER),
    ),
    Sign(
        "social_phrase",
        _ANY,
        lambda text, low: low.rstrip(" :").endswith(_SOCIAL_ENDS) or _any(_SOCIAL, low),
        "Ends in references, shares, reviews, copyright…, or names 'most read', 'for more info'… OmniCorpus.",
        pair=("(?:more|most|top)$", "^(?:info|detail|threads|read|viewed|shared|liked|here)"),
        last=_ends(_SOCIAL_ENDS),
    ),
    Sign(
        "call_to_action",
        10,
        lambda text, low: _any(_ACTION, low),
        "At most 10 words with sign in, sign up, read more, item in cart. OmniCorpus.",
        inside="sign-in|sign$|read$|^cart",
    ),
    Sign(
        "site_furniture",
        _ANY,
        lambda text, low: _any(_FURNITURE, text),
        "Header and footer phrases ('Contact Information', 'Sign in', 'YouTube'…), case as written. OmniCorpus, the "
        "general ones of its list.",
        written=r"Services|Google\+|YouTube|Subscribe|(?:Looking|Contact|Read|Call|Want|More|Sign)$"
        r"|^(?:questions\?|Liked|reviews$|Registration|details|#|reading)",
    ),
    Sign(
        "unfinished_teaser",
        _ANY,
        lambda text, low: low.rstrip(_AFTER_MORE).endswith(_MORE),
        "Ends in 'read more', 'continue reading', 'click here'… without a full stop. OmniCorpus.",
        last=_ends(_MORE),
    ),
    Sign(
        "caption_boilerplate",
        7,
        lambda text, low: _any(_CAPTION, low),
        "Fewer than 8 words with download, load, getty, image, photo or source. OmniCorpus, beside an image.",
        inside="|".join(_CAPTION),
    ),
    Sign(
        "advert_label",
        3,
        lambda text, low: low.strip(" :.-–—") in _ADVERT_LABELS,
        "Is nothing but the label of an advert. OmniCorpus.",
        inside="advertisement|sponsored|^[:.–—-]*ad[:.–—-]*$",
    ),
    Sign(
        "things_to_do",
        _ANY,
        lambda text, low: low.startswith("things to do"),
        "Begins with 'Things to do'. OmniCorpus.",
        first="^things$",
    ),
    Sign(
        "phone_number",
        79,
        lambda text, low: ("-" in low or "[" in low) and _PHONE.search(low) is not None,
        "Fewer than 80 words with a North American telephone number, masked or not. OmniCorpus.",
        inside=r"\d{3}-\d{3}-|\(\d{3}\)|\[phone\]",
    ),
    Sign(
        "time_or_date",
        19,
        lambda text, low: _DIGIT.search(low) is not None and _WHEN.search(low) is not None,
        "Fewer than 20 words with a time of day or a written date. OmniCorpus.",
        inside=rf"\d[:.]\d\d|\d[ap]\.?m|^\d\d?,$|^{MONTH}$",
    ),
    Sign(
        "byline",
        9,
        lambda text, low: low.lstrip().startswith("by ") or _PHOTO.search(low) is not None,
        "Fewer than 10 words that begin with 'by' or name a photographer. OmniCorpus.",
        inside=r"\(photo:",
        first="^by$",
    ),
    Sign(
        "bracketed",
        _ANY,
        lambda text, low: text.startswith(_OPENING) and text.endswith(_CLOSING),
        "Stands in brackets as a whole. OmniCorpus removes such a last paragraph.",
    ),
    Sign(
        "reference_entry",
        _ANY,
        lambda text, low: low.startswith("[") and _REFERENCE.match(text) is not None,
        "Begins as an entry of a reference list: [12] and a text with a full stop. OmniCorpus.",
        first=r"^\[\d",
    ),
    Sign(
        "sponsor_or_reference",
        9,
        lambda text, low: "reference" in low or "sponsore" in low,
        "Fewer than 10 words with 'reference' or 'sponsored'. OmniCorpus.",
        inside="reference|sponsore",
    ),
    Sign(
        "site_phrase",
        _ANY,
        lambda text, low: _any(_SITE, low),
        "Says follow us, javascript, copyright or ©. mOSCAR (arXiv 2406.08707, appendix A.4).",
        inside="follow$|javascript|copyright|©",
    ),
    Sign(
        "social_label",
        3,
        lambda text, low: low.strip(" :.!") in _LABELS,
        "Is nothing but the name of a social network. mOSCAR (appendix A.4).",
        inside=f"^[:.!]*(?:{'|'.join(sorted(_LABELS))})[:.!]*$",
    ),
)
_LIMITS = sorted({sign.limit for sign in SIGNS})
_TESTS = {limit: [(1 << b, sign.test) for b, sign in enumerate(SIGNS) if sign.limit >= limit] for limit in _LIMITS}
_SHORT_TEXT = 19  # words; signs of texts that short are not looked for in longer ones

# What a chunk hints at, and what its text does: sets of bits in a uint16.
LONG = 1 << 0  # a sign of texts of any length
SHORT = 1 << 1  # a sign of short texts
FIRST = 1 << 2  # either, where the chunk is the first
LAST = 1 << 3  # either, where the chunk is the last
OPENS = 1 << 4  # begins with a bracket (a text: its first chunk)
CLOSES = 1 << 5  # ends with a bracket (a text: its last chunk)
AROUND = 1 << 6  # nothing but marks that may stand at an end
LEADS = 1 << 7  # a sign of any length, where the chunk after it `FOLLOWS`
FOLLOWS = 1 << 8


def _union(patterns: Iterable[str]) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns if pattern)


_PATTERNS = {
    LONG: _union(sign.inside for sign in SIGNS if sign.limit > _SHORT_TEXT),
    SHORT: _union(sign.inside for sign in SIGNS if sign.limit <= _SHORT_TEXT),
    FIRST: _union(sign.first for sign in SIGNS),
    LAST: _union(sign.last for sign in SIGNS),
    LEADS: _union(sign.pair[0] for sign in SIGNS),
    FOLLOWS: _union(sign.pair[1] for sign in SIGNS),
}
_WRITTEN = _union(sign.written for sign in SIGNS)
_SUSPECT = _union([*_PATTERNS.values(), _WRITTEN.lower()])
_NOTHING_ELSE = f"^[{re.escape(_AROUND)}]+$"


def _matching(chunks: pa.StringArray, pattern: str) -> np.ndarray:
    """Whether every chunk matches a pattern somewhere: bool. The short name of digits is of ASCII only in RE2."""
    return np.asarray(pc.match_substring_regex(chunks, pattern.replace(r"\d", r"\p{Nd}")))


def _lower(chunks: pa.StringArray) -> pa.StringArray:
    """The chunks in lower case, as `str.lower` has it."""
    low = pc.ascii_lower(chunks)
    wide = pc.invert(pc.string_is_ascii(chunks))
    if not pc.any(wide).as_py():
        return low
    return pc.replace_with_mask(low, wide, pa.array([chunk.lower() for chunk in chunks.filter(wide).to_pylist()]))


def chunk_hints(chunks: pa.StringArray) -> np.ndarray:
    """What every chunk hints at: uint16. Cost: about 0.3 µs a chunk."""
    low = _lower(chunks)
    found = np.zeros(len(chunks), np.uint16)
    for bit, edge, marks in ((OPENS, pc.starts_with, _OPENING), (CLOSES, pc.ends_with, _CLOSING)):
        for mark in marks:
            found[np.asarray(edge(chunks, mark))] |= bit
    found[_matching(chunks, _NOTHING_ELSE)] |= AROUND
    suspects = np.flatnonzero(_matching(low, _SUSPECT))
    if len(suspects):
        asked = low.take(pa.array(suspects))
        for bit, pattern in _PATTERNS.items():
            found[suspects[_matching(asked, pattern)]] |= bit
        found[suspects[_matching(chunks.take(pa.array(suspects)), _WRITTEN)]] |= LONG
    return found


def text_hints(hints: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """What every text hints at: uint16, of the bits `LONG`, `SHORT`, `OPENS`, `CLOSES`.

    Args:
        hints: uint16, what every chunk hints at.
        offsets: int64 of length texts + 1; chunks offsets[i] : offsets[i + 1] are text i's.
    """
    found = np.zeros(len(offsets) - 1, np.uint16)
    full = np.flatnonzero(np.diff(offsets))
    if not len(full):
        return found
    first, last = offsets[:-1][full], offsets[1:][full] - 1
    telling = np.maximum.accumulate(np.where((hints & AROUND) == 0, np.arange(len(hints)), 0))
    end = np.maximum(telling[last], first)
    inside = hints & (LONG | SHORT)
    inside[:-1][((hints[:-1] & LEADS) != 0) & ((hints[1:] & FOLLOWS) != 0)] |= LONG
    either = np.where((hints[first] & FIRST) | (hints[end] & LAST), np.uint16(LONG), np.uint16(0))
    edges = (hints[first] & OPENS) | (hints[last] & CLOSES)
    found[full] = np.bitwise_or.reduceat(inside, first) | either | edges
    return found


def _look(text: str) -> int:
    """The signs of one text."""
    low = text.lower()
    words = text.count(" ") + 1
    found = 0
    for flag, test in _TESTS[next(limit for limit in _LIMITS if words <= limit)]:
        if test(text, low):
            found |= flag
    return found


def signs(texts: Sequence[str], hints: np.ndarray) -> np.ndarray:
    """The signs of every text as a set of bits, bit i for the sign at place i of `SIGNS`: int64.

    Args:
        texts: the texts.
        hints: uint16, what every text hints at.

    Cost: a look at one text in ten, about 2 µs.
    """
    found = np.zeros(len(texts), np.int64)
    whole = OPENS | CLOSES
    certain = ((hints & LONG) != 0) | ((hints & whole) == whole)
    for place in np.flatnonzero(certain).tolist():
        found[place] = _look(texts[place])
    for place in np.flatnonzero(~certain & ((hints & SHORT) != 0)).tolist():
        if texts[place].count(" ") < _SHORT_TEXT:
            found[place] = _look(texts[place])
    return found
