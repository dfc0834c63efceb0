"""A list of domains and URLs that asked not to be used, as sorted keys: 8 bytes an entry, whatever their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from plait.schemas.errors import ConfigError
from plait.schemas.ids import text_key
from plait.schemas.urls import canonical_url, host_of


def _key(line: str) -> int:
    if "://" in line:
        return text_key("url:" + canonical_url(line))
    if "/" in line or " " in line:
        raise ValueError(line)
    return text_key("domain:" + host_of("http://" + line.removeprefix("*.").strip(".")))


def read_opt_out(lines: Iterable[str], name: str = "the opt-out list") -> npt.NDArray[np.int64]:
    """Sorted keys of a list's entries.

    Args:
        lines: a domain ("example.org", its subdomains included) or a URL each; empty lines and ``#`` comments pass.
        name: of the file, for errors.

    Raises:
        ConfigError: a line is neither.
    """
    keys = []
    for number, raw in enumerate(lines, 1):
        line = raw.partition("#")[0].strip() if "://" not in raw else raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            keys.append(_key(line))
        except ValueError:
            raise ConfigError(f"{name}, line {number}: {line[:80]!r} is neither a domain nor a URL") from None
    return np.unique(np.array(keys, np.int64))


def _candidates(url: str, host: str) -> Iterator[int]:
    labels = host.lower().strip(".").split(".")
    for start in range(len(labels)):
        yield text_key("domain:" + ".".join(labels[start:]))
    yield text_key("url:" + canonical_url(url))


class OptOut:
    """Membership in a list of `read_opt_out`."""

    def __init__(self, keys: npt.NDArray[np.int64] | None = None):
        self._keys = np.zeros(0, np.int64) if keys is None else keys

    def __bool__(self) -> bool:
        """Whether anything is listed."""
        return bool(len(self._keys))

    def lists(self, url: str | None, host: str | None = None) -> bool:
        """Whether a URL, its host (the URL's own where none is given), or a domain above the host is on the list."""
        if not url or not len(self._keys):
            return False
        wanted = np.fromiter(_candidates(url, host_of(url) if host is None else host), np.int64)
        places = np.searchsorted(self._keys, wanted)
        return bool((self._keys[np.minimum(places, len(self._keys) - 1)] == wanted).any())
