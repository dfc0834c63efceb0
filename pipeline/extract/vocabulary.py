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
# Words end at what is no letter or digit, before a digit that follows a letter, and between "a" and "B".
_WORD = re.compile(r"[0-9]*[A-Z]*[a-z]+|[0-9]*[A-Z]+|[0-9]+")
_NAMES = frozenset({"class", "id", "role", "itemprop", "data-testid", "data-component"})
_NAMED = re.compile(rf'(?:^|\s)({"|".join(sorted(_NAMES))})="([^"]*)"')
_ROLES = (
    ('role="navigation"', NAV), ('role="contentinfo"', FOOTER), ('role="banner"', HEADER), ('role="main"', ARTICLE),
    ('role="complementary"', ASIDE), ('role="article"', ARTICLE), ('role="dialog"', UNLIKELY),
)  # fmt: skip
_HIDDEN = re.compile(
    r'(?:^|\s)hidden(?:=""|="hidden"|="true"|\s|$)|style="[^"]*(?:display\s*:\s*none|visibility\s*:\s*hidden)',
    re.IGNORECASE,
)
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
    found: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(raw):
        found.setdefault(name.lower(), unescaped(value) if "&" in value else value)
    return found


def _named_values(raw: str) -> list[tuple[str, str]]:
    """Names and values of the attributes that say what an element is for, in the tag's order.

    Quotes stand around values, so that a split at them is enough, but for broken tags whose names hold one.
    """
    parts = raw.split('"')
    found: list[tuple[str, str]] = []
    for before, value in zip(parts[::2], parts[1::2], strict=False):
        if before[-1:] != "=":
            return _NAMED.findall(raw)
        name = before[:-1].rpartition(" ")[2]
        if name in _NAMES:
            found.append((name, value))
    return found


@functools.lru_cache(maxsize=20_000)
def _words(name: str) -> tuple[str, ...]:
    """Lower-case words of one class or id; tags that differ share most of theirs."""
    return tuple([word.lower() for word in _WORD.findall(name)])


def words_of(raw: str) -> list[str]:
    """Lower-case words of a tag's class, id and role, split at punctuation, digits and camel case."""
    return [word for _, value in _named_values(raw) for name in value.split() for word in _words(name)]


_MEMO_LIMIT = 50_000  # distinct attribute strings kept, about 10 MB
_reason_memo: dict[str, str | None] = {}


@functools.lru_cache(maxsize=20_000)
def _reason(name: str) -> str | None:
    for word in _words(name):
        if reason := _WORD_REASON.get(word):
            return reason
    return None


def reason_of(raw: str) -> str | None:
    """Reason code that the words of a tag's class, id and role suggest, or None; remembered."""
    if raw in _reason_memo:
        return _reason_memo[raw]
    names = (name for _, value in _named_values(raw) for name in value.split())
    reason = next((found for name in names if (found := _reason(name))), None)
    if len(_reason_memo) >= _MEMO_LIMIT:
        _reason_memo.clear()
    _reason_memo[raw] = reason
    return reason


def _says_hidden(raw: str) -> bool:
    """Does a tag say that it is not shown? The pattern is run only where it could match."""
    if "hidden" not in raw and "none" not in raw:
        return False
    if "style=" in raw:
        return bool(_HIDDEN.search(raw))
    folded = raw.lower()
    at = folded.find("hidden")  # most stand in "aria-hidden" and the like
    while at > 0 and not folded[at - 1].isspace():
        at = folded.find("hidden", at + 1)
    return at >= 0 and bool(_HIDDEN.search(raw))


def is_rendered_math(raw: str) -> bool:
    """Does a tag hold what a script made of a formula whose source stands beside it?"""
    named = "katex" in raw or "MathJax" in raw or "MJX" in raw or "mjx" in raw
    return named and bool(_RENDERED_MATH.search(raw))


_UNLIKELY = frozenset(
    {"navigation", "footer", "sidebar", "cookie_banner", "share_bar", "related_links", "advertisement", "form"}
)
_flags_memo: dict[str, int] = {}


def flags_of(raw: str) -> int:
    """Context bits that a tag's attributes give; remembered, since templates repeat them."""
    flags = _flags_memo.get(raw)
    if flags is not None:
        return flags
    flags = 0
    if _says_hidden(raw):
        flags |= HIDDEN
    if "aria-modal" in raw:
        flags |= UNLIKELY
    if 'role="' in raw:
        for role, bit in _ROLES:
            if role in raw:
                flags |= bit
    if "class=" in raw or "id=" in raw:
        hint = "aption" in raw or "egend" in raw or "gallerytext" in raw or "imgdesc" in raw or "image-desc" in raw
        if hint and any(n in ("class", "id") and _CAPTION.search(v) for n, v in _named_values(raw)):
            flags |= CAPTION
        if is_rendered_math(raw):
            flags |= SKIP
        reason = reason_of(raw)
        if reason == "comment":
            flags |= COMMENT
        elif reason in _UNLIKELY:
            flags |= UNLIKELY
    if len(_flags_memo) >= _MEMO_LIMIT:
        _flags_memo.clear()
    _flags_memo[raw] = flags
    return flags
