"""URLs: the form two captures of one page share, and the registered domain."""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

import tldextract

_SITE_FILE = {"robots.txt": "robots.txt", ".well-known/tdmrep.json": "tdmrep.json"}
_SITE_FILES = ("/robots.txt", "/.well-known/tdmrep.json")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
_TRACKING = re.compile(r"^(utm_[a-z]+|gclid|fbclid|msclkid|mc_cid|mc_eid|yclid|igshid)=", re.IGNORECASE)
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# The snapshot of the public suffix list that tldextract ships: no network, the same list for one lock file.
_suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


_PLAIN_IN_PATH = _UNRESERVED | frozenset("!$&'()*+,;=:@")


def _escape(part: str, plain: frozenset[str]) -> str:
    """Percent-encoding in one form: the ``plain`` characters as themselves, the rest as upper-case escapes."""

    def fix(match: re.Match[str]) -> str:
        char = chr(int(match[0][1:], 16))
        return char if char in plain else match[0].upper()

    part = _ESCAPED.sub(fix, part)
    if part.isascii() and " " not in part:
        return part
    data = part.encode("utf-8", "surrogatepass")
    return "".join(chr(b) if b in _SAFE or b == 0x25 else f"%{b:02X}" for b in data)


@functools.lru_cache(maxsize=65536)
def canonical_url(url: str) -> str:
    """The form of a URL that two captures of one page share.

    Scheme and host in lower case, host in IDNA, no default port, no fragment, no empty query, percent-encoding in one
    form (in a path, also for ``&``, ``,`` and their like, which mean nothing there), tracking parameters (``utm_*``,
    ``gclid``, ``fbclid``…) removed; everything else untouched, since the order of parameters and a trailing slash can
    matter. A URL that cannot be parsed is returned stripped.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return url
    if not parts.scheme or not host:
        return url
    scheme = parts.scheme.lower()
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = host.lower()
    if ":" in host:
        host = f"[{host}]"
    suffix = f":{port}" if port is not None else ""
    if suffix == _DEFAULT_PORT.get(scheme):
        suffix = ""
    query = "&".join(p for p in parts.query.split("&") if p and not _TRACKING.match(p)) if parts.query else ""
    return urlunsplit(
        (scheme, host + suffix, _escape(parts.path, _PLAIN_IN_PATH) or "/", _escape(query, _UNRESERVED), "")
    )


@functools.lru_cache(maxsize=65536)
def domain(url: str) -> str:
    """Registered domain (public suffix plus one label) of a URL, its host where there is none, "" where no host is."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
    if not host:
        return ""
    return _suffixes(host).top_domain_under_public_suffix or host


def host_of(url: str) -> str:
    """The host that a URL names, in lower case and IDNA; "" where it names none."""
    try:
        return (urlsplit(canonical_url(url)).hostname or "").rstrip(".")
    except ValueError:
        return ""


def origin_of(url: str) -> str:
    """Scheme, host and port of a web URL, which a robots.txt speaks for (RFC 9309, 2.3); "" for any other."""
    try:
        parts = urlsplit(canonical_url(url))
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in _DEFAULT_PORT and parts.netloc else ""


def site_file(url: str) -> str | None:
    """Which of the files in which a site states its rules a URL names: "robots.txt", "tdmrep.json" or none."""
    if not url.endswith(_SITE_FILES) or not url[:8].lower().startswith(("http://", "https://")):
        return None
    path = url.partition("://")[2].partition("/")[2]
    return _SITE_FILE.get(path)


def unquoted(url: str) -> str:
    """A URL's text with percent-escapes decoded as UTF-8 where they are, for matching words in it."""
    return unquote_to_bytes(url).decode("utf-8", "replace")
