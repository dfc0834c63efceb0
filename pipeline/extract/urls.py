"""URLs as a browser resolves them."""

from __future__ import annotations

import functools
import re
from urllib.parse import urljoin, urlsplit, urlunsplit

_STRIP = "".join(map(chr, range(0x21)))  # C0 controls and space (URL Standard, basic parser)
_CONTROL = re.compile(r"[\t\n\r]")
_UNSAFE = re.compile(r"[^\x21\x23-\x3b\x3d\x3f-\x5d\x5f\x61-\x7a\x7c\x7e]")  # what a path or query must not hold raw
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*:")
# What would come out of resolution as it went in: nothing to escape, no fragment, and, where it has no "/.", no dot
# segments; the second pattern looks for those too, at each slash, and takes five times as long.
_NO_DOTS = re.compile(r"https?://[a-z0-9.\-]+/[\w\-~!$&'()*+,;=:@%./]*(?:\?[\w\-.~!$&'()*+,;=:@/%?]*)?", re.ASCII)
_PLAIN = re.compile(
    r"https?://[a-z0-9.\-]+/(?!\.)(?:[\w\-~!$&'()*+,;=:@%.]|/(?!\.))*(?:\?[\w\-.~!$&'()*+,;=:@/%?]*)?", re.ASCII
)
# A path from the root, likewise: it only lacks scheme and host.
_PLAIN_PATH = re.compile(r"/(?![./])(?:[\w\-~!$&'()*+,=:@%.]|/(?!\.))*(?:\?[\w\-.~!$&'()*+,;=:@/%?]+)?", re.ASCII)
_PORT = {"http": "80", "https": "443"}


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace"))


def _host(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host.lower()


def resolve(base: str, reference: str) -> str | None:
    """Absolute http or https URL of a reference, without its fragment, or None if it is something else.

    Tabs and line ends are removed, backslashes become slashes, spaces and non-ASCII characters are percent-encoded as
    UTF-8, the host becomes ASCII (IDNA). What is already percent-encoded stays as it is.
    """
    if _NO_DOTS.fullmatch(reference) and "/." not in reference:
        return reference  # nearly every picture
    reference = _CONTROL.sub("", reference.strip(_STRIP))
    if not reference or reference.startswith("#"):
        return None
    if _PLAIN.fullmatch(reference):
        return reference  # already as it would come out below
    if _PLAIN_PATH.fullmatch(reference) and (origin := _origin(base)):
        return origin + reference[1:]
    return _join(base, reference)


@functools.lru_cache(maxsize=64)
def _origin(base: str) -> str | None:
    """What a path from the root follows, with its slash, or None if the base is no web address."""
    return _join(base, "/")


def _join(base: str, reference: str) -> str | None:
    scheme = _SCHEME.match(reference)
    if scheme and scheme[0].lower() not in {"http:", "https:"}:
        return None
    if "\\" in reference:
        path, mark, query = reference.partition("?")
        reference = path.replace("\\", "/") + mark + query
    try:
        parts = urlsplit(urljoin(base, reference))
        if "/." in parts.path:  # urljoin leaves the dot segments of an absolute reference
            parts = urlsplit(
                urljoin(f"{parts.scheme}://{parts.netloc}/", parts._replace(scheme="", netloc="").geturl())
            )
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORT or not host or " " in host:
        return None
    host = _host(host)
    if ":" in host:
        host = f"[{host}]"
    if port is not None and str(port) != _PORT[parts.scheme]:
        host = f"{host}:{port}"
    user = parts.netloc.rpartition("@")[0]
    if user:
        host = f"{_UNSAFE.sub(_escape, user)}@{host}"
    path, query = parts.path or "/", parts.query
    return urlunsplit((parts.scheme, host, _UNSAFE.sub(_escape, path), _UNSAFE.sub(_escape, query), ""))
