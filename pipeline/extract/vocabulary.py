"""Facts about HTML: which tags hold text, which are blocks, what words of classes and ids say."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

VOID = frozenset(
    [
        "area",
        "base",
        "basefont",
        "bgsound",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "keygen",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    ]
)
INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "label",
        "mark",
        "nobr",
        "output",
        "q",
        "rb",
        "rp",
        "rt",
        "rtc",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "picture",
    ]
)
# How an element is read; one that is not named is a block, or inline if its name has a hyphen.
KINDS = (
    dict.fromkeys(VOID, "void") | dict.fromkeys(INLINE, "inline") | {"a": "link", "math": "formula", "video": "film"}
)
# Removed with all they hold before anything is read: nothing in them is text or a picture of the page.
DROPPED = ("script", "style", "template", "svg", "iframe", "object", "select", "textarea", "canvas", "audio", "dialog")

# Context bits of an element, inherited by all that it holds.
PRE, HEADING, CAPTION, QUOTE, TABLE, ITEM, NOSCRIPT, HIDDEN = (1 << i for i in range(8))
NAV, FOOTER, HEADER, ASIDE, FORM, UNLIKELY, COMMENT, ARTICLE = (1 << i for i in range(8, 16))
SKIP = 1 << 16  # nothing in it is read
BUTTON = 1 << 17
NOTE = 1 << 18  # ARIA's role for what is parenthetic to the content
# What an element passes on to all that it holds; the other bits say what the element itself looks like, and count only
# where it holds a small share of the page (a body of class "has-sidebar" is no sidebar).
# What names a part of a page's template.
TEMPLATE = NAV | FOOTER | ASIDE | FORM | UNLIKELY | COMMENT | HIDDEN | BUTTON
INHERITED = PRE | HEADING | CAPTION | QUOTE | TABLE | ITEM | NOSCRIPT

TAG_CONTEXT = {
    "pre": PRE, "listing": PRE, "figcaption": CAPTION, "caption": CAPTION, "blockquote": QUOTE, "td": TABLE,
    "th": TABLE, "li": ITEM, "dt": ITEM, "dd": ITEM,
    "noscript": NOSCRIPT, "nav": NAV, "footer": FOOTER,
    "header": HEADER, "aside": ASIDE, "form": FORM, "fieldset": FORM, "button": BUTTON,
    "article": ARTICLE, "main": ARTICLE,
    "h1": HEADING, "h2": HEADING, "h3": HEADING, "h4": HEADING, "h5": HEADING, "h6": HEADING,
}  # fmt: skip

# Words of classes, ids and roles. General vocabulary of page templates; none names a site.
REASON_WORDS = {
    "navigation": """nav navbar navigation menu menubar breadcrumb breadcrumbs pager pagination paginator topbar toolbar
        tabs sitemap skip masthead toc""",
    "footer": "footer foot copyright colophon legal imprint impressum",
    "sidebar": "sidebar side aside rail widget widgets complementary",
    "cookie_banner": "cookie cookies consent gdpr cookiebar onetrust cmp",
    "share_bar": """share sharing social socials sharedaddy addthis addtoany follow tweet facebook twitter pinterest
        whatsapp""",
    "related_links": """related recommend recommended recommendations outbrain taboola trending popular readmore more
        similar promoted teaser upsell crosssell""",
    "advertisement": """ad ads advert adverts advertisement advertorial adsbygoogle banner sponsor sponsored promo
        promotion dfp gpt""",
    "comment": "comment comments disqus respond reply replies",
    "form": """form login signin signup register subscribe subscription newsletter search searchbox modal popup dialog
        overlay lightbox paywall""",
    "metadata": "meta byline author tags taglist categories postmeta timestamp dateline",
}
_WORD_REASON = {word: reason for reason, words in REASON_WORDS.items() for word in words.split()}
_REASONED = frozenset(_WORD_REASON)
# Words end at what is no letter or digit, before a digit that follows a letter, and between "a" and "B".
_WORD = re.compile(r"[0-9]*[A-Z]*[a-z]+|[0-9]*[A-Z]+|[0-9]+")
_NAMES = frozenset({"class", "id", "role", "itemprop", "data-testid", "data-component"})
_OPENINGS = frozenset(f"{space}{name}=" for name in _NAMES for space in ("", " "))
_NAMED = re.compile(rf'(?:^|\s)({"|".join(sorted(_NAMES))})="([^"]*)"')
_ROLES = (
    ('role="navigation"', NAV), ('role="contentinfo"', FOOTER), ('role="banner"', HEADER), ('role="main"', ARTICLE),
    ('role="complementary"', ASIDE), ('role="article"', ARTICLE), ('role="dialog"', UNLIKELY), ('role="note"', NOTE),
)  # fmt: skip
_HIDDEN_ATTRIBUTE = re.compile(r'hidden(?:=""|="hidden"|="true"|\s|$)')
_HIDING_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden")
_CAPTION = re.compile(
    r"(?:^|[\s_-])(?:caption|figcaption|caption-text|thumbcaption|gallerytext|legend|imgdesc|image-description)(?:$|\s)",
    re.IGNORECASE,
)
_RENDERED_MATH = re.compile(
    r'class="[^"]*\b(?:katex-html|MathJax(?:_[A-Za-z]+)?|MJX_Assistive_MathML|mjx-chtml|MathJax_Preview)\b'
)
_ATTRIBUTE = re.compile(r'([^\s"=<>]+)(?:="([^"]*)")?')


def unescaped(serialised: str) -> str:
    """Text of what lexbor serialised: five characters are written as references, and every ampersand is one of them."""
    plain = serialised.replace("&quot;", '"').replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">")
    return plain.replace("&amp;", "&")


_REMEMBERED = 2048  # characters of a tag; a longer one carries its picture with it


def attributes(raw: str) -> Mapping[str, str]:
    """Attributes of a tag as lexbor serialises it (always in double quotes); values unescaped, the first one wins.

    The last few thousand are remembered (some 4 MB): each step that looks at a picture asks again.
    """
    return _attributes(raw) if len(raw) <= _REMEMBERED else _attributes.__wrapped__(raw)


@functools.lru_cache(maxsize=4096)
def _attributes(raw: str) -> Mapping[str, str]:
    pairs = _ATTRIBUTE.findall(raw)
    found = {name.lower(): unescaped(value) if "&" in value else value for name, value in pairs}
    if len(found) < len(pairs):  # a name that stands twice
        found = {}
        for name, value in pairs:
            found.setdefault(name.lower(), unescaped(value))
    return found


def _named_values(raw: str) -> list[str]:
    """Values of the attributes that say what an element is for, in the tag's order.

    Quotes stand around values, so that a split at them is enough, but for broken tags whose names hold one.
    """
    parts = raw.split('"')
    if len(parts) == 3 and parts[0] == "class=":
        return parts[1:2]  # half of all tags
    found: list[str] = []
    values = iter(parts)
    for before, value in zip(values, values, strict=False):
        if before in _OPENINGS:
            found.append(value)
        elif before[-1:] != "=" or " " in before[1:]:
            return [value for _, value in _NAMED.findall(raw)]
    return found


_MEMO_LIMIT = 20_000  # distinct strings kept in each of these: 7 MB of tags, 4 MB of names
_name_memo: dict[str, str] = {}
_flags_memo: dict[str, int] = {}
_reason_memo: dict[str, str] = {}
KNOWN: dict[str, int] = {}
"""Contexts of the tags that were met last, by their attributes; `context_of` adds to it.

The memos hold strings and numbers alone: objects and tuples would be walked by every run of Python's garbage collector.
"""


def _read_name(name: str) -> str:
    """Reason code of the first word of one class or id that has one, or ""; remembered.

    Tags that differ share most of their names.
    """
    words = name.rstrip("0123456789").replace("_", "-").split("-")
    if not ("".join(words).isalpha() and name.isascii() and name.islower()):  # where a split is not enough
        words = _words_of_name(name)
    reason = ""
    if not _REASONED.isdisjoint(words):
        reason = next(_WORD_REASON[word] for word in words if word in _REASONED)
    if len(_name_memo) >= _MEMO_LIMIT:
        _name_memo.clear()
    _name_memo[name] = reason
    return reason


def _words_of_name(name: str) -> list[str]:
    words: list[str] = _WORD.findall(name)
    return words if name.islower() else [word.lower() for word in words]


def words_of(raw: str) -> list[str]:
    """Lower-case words of a tag's class, id and role, split at punctuation, digits and camel case."""
    return _words_of_name(" ".join(_named_values(raw)))


def _first_reason(raw: str) -> str:
    for value in _named_values(raw):
        for name in value.split():
            reason = _name_memo.get(name)
            if reason is None:
                reason = _read_name(name)
            if reason:
                return reason
    return ""


def _says_hidden(raw: str) -> bool:
    """Does a tag that holds "hidden" or "none" say that it is not shown? A pattern over all long tags costs 0.1 ms."""
    folded = raw.lower()
    at = folded.find("hidden")
    while at >= 0:  # most stand in "aria-hidden" and the like
        if (at == 0 or folded[at - 1].isspace()) and _HIDDEN_ATTRIBUTE.match(folded, at):
            return True
        at = folded.find("hidden", at + 1)
    return any(_HIDING_STYLE.search(rest.partition('"')[0]) for rest in folded.split('style="')[1:])


def is_rendered_math(raw: str) -> bool:
    """Does a tag hold what a script made of a formula whose source stands beside it?"""
    named = "katex" in raw or "MathJax" in raw or "MJX" in raw or "mjx" in raw
    return named and bool(_RENDERED_MATH.search(raw))


_UNLIKELY = frozenset(
    {"navigation", "footer", "sidebar", "cookie_banner", "share_bar", "related_links", "advertisement", "form"}
)


def context_of(raw: str) -> int:
    """Bits that say how to read what an element holds, by its attributes: `CAPTION`, `SKIP`, `HIDDEN`; remembered."""
    context = HIDDEN if ("hidden" in raw or "none" in raw) and _says_hidden(raw) else 0
    hint = "aption" in raw or "egend" in raw or "gallerytext" in raw or "imgdesc" in raw or "image-desc" in raw
    if hint and any(n in ("class", "id") and _CAPTION.search(v) for n, v in _NAMED.findall(raw)):
        context |= CAPTION
    if ("katex" in raw or "MathJax" in raw or "MJX" in raw or "mjx" in raw) and is_rendered_math(raw):
        context |= SKIP
    if len(KNOWN) >= _MEMO_LIMIT:
        KNOWN.clear()
    KNOWN[raw] = context
    return context


def style_of(raw: str) -> str:
    """Value of a tag's class, as serialised, or ""."""
    at = raw.find('class="')
    return raw[at + 7 : raw.find('"', at + 7)] if at >= 0 else ""


def flags_of(raw: str) -> int:
    """Bits that a tag's attributes say of the element, those of `context_of` aside; remembered."""
    flags = _flags_memo.get(raw)
    return _read_attributes(raw) if flags is None else flags


def reason_of(raw: str) -> str:
    """Reason code that the words of a tag's class, id and role suggest, or ""; remembered."""
    if raw not in _reason_memo:
        _read_attributes(raw)
    return _reason_memo[raw]


def _read_attributes(raw: str) -> int:
    flags = UNLIKELY if "aria-modal" in raw else 0
    if 'role="' in raw:
        for role, bit in _ROLES:
            if role in raw:
                flags |= bit
    reason = _first_reason(raw)
    if reason and ("class=" in raw or "id=" in raw):
        if reason == "comment":
            flags |= COMMENT
        elif reason in _UNLIKELY:
            flags |= UNLIKELY
    if len(_flags_memo) >= _MEMO_LIMIT:
        _flags_memo.clear()
        _reason_memo.clear()
    _flags_memo[raw] = flags
    _reason_memo[raw] = reason
    return flags
