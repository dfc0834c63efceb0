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
_REASONED = frozenset(_WORD_REASON)
# Words end at what is no letter or digit, before a digit that follows a letter, and between "a" and "B".
_WORD = re.compile(r"[0-9]*[A-Z]*[a-z]+|[0-9]*[A-Z]+|[0-9]+")
_NAMES = frozenset({"class", "id", "role", "itemprop", "data-testid", "data-component"})
_NAMED = re.compile(rf'(?:^|\s)({"|".join(sorted(_NAMES))})="([^"]*)"')
_ROLES = (
    ('role="navigation"', NAV), ('role="contentinfo"', FOOTER), ('role="banner"', HEADER), ('role="main"', ARTICLE),
    ('role="complementary"', ASIDE), ('role="article"', ARTICLE), ('role="dialog"', UNLIKELY),
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
    for before, value in zip(parts[::2], parts[1::2], strict=False):
        if before[-1:] != "=":
            return [value for _, value in _NAMED.findall(raw)]
        if before[before.rfind(" ") + 1 : -1] in _NAMES:
            found.append(value)
    return found


_MEMO_LIMIT = 20_000  # distinct strings kept in each: 7 MB of tags, 8 MB of names
_name_memo: dict[str, tuple[list[str], str | None]] = {}
KNOWN: dict[str, Marks] = {}
"""Marks of the tags that were met last, by their attributes; `marks_of` adds to it."""


def _read_name(name: str) -> tuple[list[str], str | None]:
    """Lower-case words of one class or id, and the reason code of the first that has one; remembered.

    Tags that differ share most of their names.
    """
    words: list[str] = _WORD.findall(name)
    if not name.islower():
        words = [word.lower() for word in words]
    reason = None
    if not _REASONED.isdisjoint(words):
        reason = next(_WORD_REASON[word] for word in words if word in _REASONED)
    if len(_name_memo) >= _MEMO_LIMIT:
        _name_memo.clear()
    _name_memo[name] = words, reason
    return words, reason


def words_of(raw: str) -> list[str]:
    """Lower-case words of a tag's class, id and role, split at punctuation, digits and camel case."""
    names = [name for value in _named_values(raw) for name in value.split()]
    return [word for name in names for word in (_name_memo.get(name) or _read_name(name))[0]]


def _first_reason(raw: str) -> str | None:
    for value in _named_values(raw):
        for name in value.split():
            if reason := (_name_memo.get(name) or _read_name(name))[1]:
                return reason
    return None


def _says_hidden(raw: str) -> bool:
    """Does a tag say that it is not shown? Looks only where it could, since one pattern over long tags costs 0.1 ms."""
    if "hidden" not in raw and "none" not in raw:
        return False
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


class Marks:
    """What a tag's attributes say of the element.

    Attributes:
        context: bits that say how to read what it holds: `CAPTION`, `SKIP`, `HIDDEN`.
        style: value of its class, as serialised, or "".
    """

    __slots__ = ("_flags", "_raw", "_reason", "context", "style")

    def __init__(self, raw: str) -> None:
        self.context = HIDDEN if _says_hidden(raw) else 0
        hint = "aption" in raw or "egend" in raw or "gallerytext" in raw or "imgdesc" in raw or "image-desc" in raw
        if hint and any(n in ("class", "id") and _CAPTION.search(v) for n, v in _NAMED.findall(raw)):
            self.context |= CAPTION
        if is_rendered_math(raw):
            self.context |= SKIP
        at = raw.find('class="')
        self.style = raw[at + 7 : raw.find('"', at + 7)] if at >= 0 else ""
        self._raw = raw
        self._flags = -1  # words are looked at when they are asked for: a third of all elements hold nothing
        self._reason: str | None = None

    @property
    def flags(self) -> int:
        """The bits of `context`, and those that say what part of a page it is."""
        if self._flags < 0:
            self._read()
        return self._flags

    @property
    def reason(self) -> str | None:
        """Reason code that the words of its class, id and role suggest, or None."""
        if self._flags < 0:
            self._read()
        return self._reason

    def _read(self) -> None:
        raw, flags = self._raw, self.context
        if "aria-modal" in raw:
            flags |= UNLIKELY
        if 'role="' in raw:
            for role, bit in _ROLES:
                if role in raw:
                    flags |= bit
        self._reason = _first_reason(raw)
        if "class=" in raw or "id=" in raw:
            if self._reason == "comment":
                flags |= COMMENT
            elif self._reason in _UNLIKELY:
                flags |= UNLIKELY
        self._flags = flags


def marks_of(raw: str) -> Marks:
    """Marks of a tag; remembered, since templates repeat them."""
    found = KNOWN.get(raw)
    if found is None:
        if len(KNOWN) >= _MEMO_LIMIT:
            KNOWN.clear()
        found = KNOWN[raw] = Marks(raw)
    return found
