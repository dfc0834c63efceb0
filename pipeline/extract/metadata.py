"""What a page says about itself: title, canonical URL, date, site, author, language, licence, opt-outs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import unescape

from plait.pipeline.extract.byline import is_name, marked_author, marked_date
from plait.pipeline.extract.dates import date_of_url, iso_date
from plait.pipeline.extract.markup import Markup
from plait.pipeline.extract.urls import resolve
from plait.pipeline.extract.vocabulary import attributes

_TAG = re.compile(r"<(meta|link|base)\b([^>]*)>")
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title>")
_LICENCE = re.compile(r"https?://(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/[^\s\"'<>]+", re.IGNORECASE)
_ROBOTS = frozenset(
    {"robots", "googlebot", "googlebot-image", "bingbot", "gptbot", "ccbot", "google-extended", "slurp", "ai"}
)
# Names of metas without their separators, best first.
_PUBLISHED = (
    "articlepublishedtime", "datepublished", "date", "dcdateissued", "dcdate", "dctermscreated", "dctermsdate",
    "pubdate", "publishdate", "parselypubdate", "sailthrudate", "citationpublicationdate", "ogpublishedtime",
    "articlepublished", "datecreated", "dctermsissued", "dcdatecreated", "ogarticlepublishedtime", "ogpublishdate",
    "ogpublicationtime", "published", "publisheddate", "publishedtime", "publishedat", "publicationdate", "datepub",
    "citationdate", "citationonlinedate", "dcissued", "dccreated", "articlecreated", "rnewsdatepublished",
)  # fmt: skip
_SEPARATOR = re.compile("[^a-z]")
_DATED = re.compile("date|publ|creat|issued")
_HOLDS = ("@graph", "mainEntity", "mainEntityOfPage")  # of JSON-LD: what the page is about
_AUTHOR = (
    "author", "article:author", "dc.creator", "dcterms.creator", "byl", "parsely-author", "sailthru.author",
    "citation_author",
)  # fmt: skip
_SITE = ("og:site_name", "application-name", "dc.publisher", "apple-mobile-web-app-title")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Columns of a page that do not depend on its content."""

    title: str | None
    canonical: str | None
    published: str | None
    site_name: str | None
    author: str | None
    html_lang: str | None
    licence: str | None
    robots: tuple[str, ...]
    base: str | None


def _linked_data(blocks: list[str]) -> dict[str, str]:
    """Date, author and headline of a page's JSON-LD; the first article-like object that has them wins."""
    out: dict[str, str] = {}
    queue: list[object] = []
    for block in blocks:
        if len(block) > 500_000 or block.count("{") > 5000:
            continue
        try:
            queue.append(json.loads(block, strict=False))
        except (ValueError, RecursionError):
            continue
    for _ in range(2000):
        if not queue:
            break
        item = queue.pop(0)
        if isinstance(item, list):
            queue.extend(item[:200])
        elif isinstance(item, dict):
            queue.extend(value for key in _HOLDS if isinstance(value := item.get(key), dict | list))
            for key in ("datePublished", "dateCreated", "license"):
                value = item.get(key)
                if isinstance(value, str):
                    out.setdefault(key, value)
            if name := _names(item.get("author")):
                out.setdefault("author", name)
    return out


def _names(author: object) -> str:
    """The names of a JSON-LD author, of several with commas between them; empty where there is none."""
    if isinstance(author, list):
        return ", ".join(filter(None, map(_names, author[:20])))
    if isinstance(author, dict):
        author = author.get("name")
    return unescape(author).strip() if isinstance(author, str) else ""


def _text(value: str | None) -> str | None:
    value = " ".join((value or "").split())
    return value or None


def read_metadata(markup: Markup, page_url: str) -> Metadata:
    """Read a page's ``<head>``, its JSON-LD, and licence links of its body.

    Args:
        markup: the parsed page.
        page_url: its URL.
    """
    meta: dict[str, str] = {}
    robots: dict[str, None] = {}
    canonical = base = licence = None
    for name, raw in _TAG.findall(markup.head):
        if name == "link" and "canonical" not in (folded := raw.lower()) and "license" not in folded:
            continue  # style sheets, icons: most of a head
        found = attributes(raw)
        if name == "base":
            base = base or found.get("href")
        elif name == "link":
            rel = found.get("rel", "").lower().split()
            if "canonical" in rel and canonical is None:
                canonical = found.get("href")
            elif "license" in rel and licence is None:
                licence = found.get("href")
        else:
            key = (found.get("property") or found.get("name") or found.get("itemprop") or "").strip().lower()
            content = found.get("content", "")
            if key in _ROBOTS:
                for token in re.split(r"[,;\s]+", content.lower()):
                    if token:
                        robots[token] = None
            elif key == "tdm-reservation":
                if content.strip() == "1":
                    robots["tdm-reservation"] = None
            elif key and content.strip():
                meta.setdefault(key, content)
    data = _linked_data(markup.data_blocks)
    title_match = _TITLE.search(markup.head)
    title = unescape(title_match[1]) if title_match else None
    start = base_of(page_url, base)
    if canonical is None:
        canonical = meta.get("og:url")
    if licence is None:
        licence = data.get("license") or meta.get("dc.rights") or meta.get("dcterms.license")
        licence = licence if licence and licence.startswith("http") else None
    if licence is None:
        licence = _body_licence(markup)
    author = data.get("author") or next((meta[k] for k in _AUTHOR if k in meta and is_name(meta[k])), None)
    dated = {_SEPARATOR.sub("", key): value for key, value in meta.items() if _DATED.search(key)}
    published = next((day for key in _PUBLISHED if key in dated and (day := iso_date(dated[key]))), None)
    published = published or iso_date(data.get("datePublished") or data.get("dateCreated"))
    html = attributes(markup.html_attributes)
    return Metadata(
        title=_text(title) or _text(meta.get("og:title")),
        canonical=resolve(start, canonical) if canonical else None,
        published=published or marked_date(markup.body) or date_of_url(page_url),
        site_name=next((_text(meta[k]) for k in _SITE if k in meta), None),
        author=_text(author) or _text(marked_author(markup.body)),
        html_lang=_text(html.get("lang") or html.get("xml:lang") or meta.get("content-language")),
        licence=resolve(start, licence) if licence else None,
        robots=tuple(robots),
        base=base,
    )


def base_of(page_url: str, base_href: str | None) -> str:
    """The URL that relative references start from."""
    return (resolve(page_url, base_href) or page_url) if base_href else page_url


def _body_licence(markup: Markup) -> str | None:
    """The link that the body marks as its licence, else the only Creative Commons licence that it links to."""
    if "creativecommons.org/" not in markup.body and 'rel="license' not in markup.body:
        return None  # nearly every page, for a tenth of the time of a look at each piece
    links: dict[str, None] = {}
    for piece in markup.pieces:
        if "creativecommons.org/" in piece or 'rel="license' in piece:
            found = attributes(piece.partition(">")[0].partition(" ")[2])
            href = found.get("href", "")
            if "license" in found.get("rel", "").lower().split() and href:
                return href
            if match := _LICENCE.match(href):
                links[match[0]] = None
    return next(iter(links)) if len(links) == 1 else None
