"""Scores of a page's address: blocked domains and URLs, flagged words, and the address itself."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pyarrow as pa

from plait.filters.score import Score
from plait.filters.wordlists import load
from plait.schemas.errors import ConfigError
from plait.schemas.urls import canonical_url, domain, unquoted

_RUN = re.compile(r"[^\W_]+")


@functools.lru_cache(maxsize=8)
def blocked(path: str, urls: bool) -> frozenset[str]:
    """The entries of a block list, one a line, ``#`` for comments: registered domains, or URLs in canonical form.

    Raises:
        ConfigError: where the file cannot be read.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the block list {path} cannot be read: {error}") from error
    entries = (line.split("#", 1)[0].strip() if not urls else line.strip() for line in lines)
    return frozenset(canonical_url(entry) if urls else entry.lower() for entry in entries if entry)


@functools.cache
def _flagged() -> tuple[frozenset[str], frozenset[str], frozenset[str], re.Pattern[str]]:
    listed = load("url_words")
    subwords = sorted((w for w in listed["banned_subwords"] if len(w) > 3), key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(word.replace(" ", "")) for word in subwords))
    single = frozenset(word for word in listed["banned_words"] if word.isalnum())
    return single, frozenset(listed["soft_banned_words"]), frozenset(subwords), pattern


def url_flags(url: str) -> tuple[int, int]:
    """Flagged words in a URL: surely flagged ones (as a word, or inside one), and those flagged only in company.

    RefinedWeb and FineWeb drop a page with one of the first kind or two of the second (datatrove's URL filter).
    """
    text = unquoted(url).lower()
    hard, soft, _, pattern = _flagged()
    words = _RUN.findall(text)
    certain = sum(word in hard for word in words) + len(pattern.findall("".join(words)))
    return certain, sum(word in soft for word in words)


_STRING, _BOOL, _INT = pa.string(), pa.bool_(), pa.int64()
SCORES: tuple[Score, ...] = (
    Score("url", ("document",), _STRING, "Address of the page.", stored=False),
    Score("domain", ("document",), _STRING, "Registered domain of the page.", stored=False),
    Score("html_lang", ("document",), _STRING, "Language that the page declares, as written.", stored=False),
    Score("licence", ("document",), _STRING, "Licence that the page names, null where it names none.", stored=False),
    Score("url_flagged_words", ("document",), _INT, "Surely flagged words in the page's address (FineWeb: 0)."),
    Score(
        "url_soft_flagged_words",
        ("document",),
        _INT,
        "Words flagged in company only, in the address (FineWeb: below 2).",
    ),
    Score(
        "blocked_domain",
        ("document",),
        _BOOL,
        "Whether the page's domain is in the recipe's blocked_domains.",
        stored=False,
    ),
    Score(
        "blocked_url", ("document",), _BOOL, "Whether the page's address is in the recipe's blocked_urls.", stored=False
    ),
)
NAMES = frozenset(score.name for score in SCORES)


def compute_page(name: str, pages: pa.RecordBatch, blocked_domains: str | None, blocked_urls: str | None) -> pa.Array:
    """One of the scores above, for every page of a batch.

    Args:
        name: of `NAMES`.
        pages: `plait.schemas.documents.PAGE`.
        blocked_domains: path of the list of domains, null where the recipe has none.
        blocked_urls: path of the list of URLs, null where the recipe has none.
    """
    if name in pages.schema.names:
        return pages.column(name)
    urls = pages.column("url").to_pylist()
    if name == "blocked_domain":
        if blocked_domains is None:
            return pa.nulls(len(urls), _BOOL)
        listed = blocked(blocked_domains, urls=False)
        return pa.array([domain(url) in listed for url in urls], _BOOL)
    if name == "blocked_url":
        if blocked_urls is None:
            return pa.nulls(len(urls), _BOOL)
        listed = blocked(blocked_urls, urls=True)
        return pa.array([canonical_url(url) in listed for url in urls], _BOOL)
    place = 0 if name == "url_flagged_words" else 1
    return pa.array([url_flags(url)[place] for url in urls], _INT)
