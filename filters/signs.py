"""Signs of boilerplate in a short text: phrases and shapes that OmniCorpus' released English rules and mOSCAR remove.

One text in 25 has any. Every chunk (a piece without whitespace) is asked once, when it is first seen, which signs a
text with it may have (`plait.filters.hints`); only the texts with such a chunk are looked at one by one, for
those signs. Signs are kept with the lines that bear them, since a recipe asks several times in several passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

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
OPENING, CLOSING = ("(", "[", "（"), (")", "]", "）")
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
ANY = 1 << 40  # words: texts of any length
AROUND = " \t\n\u00a0….!:;,-–—>»›→)]}|\"'”’"  # what one sign or another takes off the end of a text
_TRAILING = rf"[{re.escape(AROUND)}]*$"


def _ends(phrases: tuple[str, ...]) -> str:
    """What the last chunk of a text that ends with one of the phrases matches: a word, or whole the last of several."""
    lasts = dict.fromkeys(f"^{re.escape(p.split(' ')[-1])}" if " " in p else re.escape(p) for p in phrases)
    return f"(?:{'|'.join(lasts)}){_TRAILING}"


class Sign(NamedTuple):
    """A sign, and what the chunks of a text that has it are like.

    A text with the sign has a chunk that matches ``inside`` or ``written``, or two in a row that match ``pair``, or its
    first chunk matches ``first``, or its last chunk matches ``last``, chunks of nothing but `AROUND` at its end left
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
        brackets: its first chunk begins with one and its last chunk ends with one.
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
    brackets: bool = False


SIGNS: tuple[Sign, ...] = (
    Sign(
        "link_notice",
        ANY,
        lambda text, low: "for details on the" in low or "the link is" in low,
        "Speaks of a link elsewhere: 'for details on the', 'the link is'. OmniCorpus.",
        inside="^details$|^link$",
    ),
    Sign(
        "credit_line",
        ANY,
        lambda text, low: _credit(low),
        "Thanks, photo credits, 'published by', or ends in a bracketed reference. OmniCorpus.",
        inside=r"published|credits|\(cf\.",
        first="^special$",
        last=r"\d\)$",
    ),
    Sign(
        "social_counter",
        ANY,
        lambda text, low: low.endswith(_COUNTER),
        "Ends in likes, followers, comments… OmniCorpus.",
        last=_ends(_COUNTER),
    ),
    Sign(
        "social_phrase",
        ANY,
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
        ANY,
        lambda text, low: _any(_FURNITURE, text),
        "Header and footer phrases ('Contact Information', 'Sign in', 'YouTube'…), case as written. OmniCorpus, the "
        "general ones of its list.",
        written=r"Services|Google\+|YouTube|Subscribe|(?:Looking|Contact|Read|Call|Want|More|Sign)$"
        r"|^(?:questions\?|Liked|reviews$|Registration|details|#|reading)",
    ),
    Sign(
        "unfinished_teaser",
        ANY,
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
        ANY,
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
        ANY,
        lambda text, low: text.startswith(OPENING) and text.endswith(CLOSING),
        "Stands in brackets as a whole. OmniCorpus removes such a last paragraph.",
        brackets=True,
    ),
    Sign(
        "reference_entry",
        ANY,
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
        ANY,
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
