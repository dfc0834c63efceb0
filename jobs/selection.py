"""Which archives a build takes of those that its inputs name, or which records: crawls by name, samples for a trial."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from plait.jobs.picking import Picked, pick
from plait.pipeline.read.inputs import Archive, expand
from plait.schemas.errors import ConfigError
from plait.schemas.ids import text_key

CRAWL = re.compile(r"cc://(CC-MAIN-[0-9A-Za-z-]+|CC-NEWS/\d{4}/\d{2})(?:/(robotstxt))?/?")
COMMON_CRAWL = "https://data.commoncrawl.org/"  # $PLAIT_COMMON_CRAWL names another place, such as s3://commoncrawl
ASK = 64  # archives asked for their size at once


@dataclass(frozen=True)
class Selection:
    """Inputs, and how many of their archives are taken.

    The choice is by a hash of the archive's name: it looks random, is the same each time, and a smaller sample is part
    of a larger one.

    Attributes:
        inputs: files, globs, folders, URLs, ``cc://CC-MAIN-2026-43`` for a crawl of Common Crawl,
            ``cc://CC-MAIN-2026-43/robotstxt`` for its robots.txt files.
        limit: archives at most, or records of an index.
        sample: share of the archives or records, above 0 and at most 1.
        records: index whose records are taken, instead of whole archives; without inputs its filenames are Common
            Crawl's.
    """

    inputs: tuple[str, ...]
    limit: int | None = None
    sample: float | None = None
    records: str | None = None

    def picked(self) -> Picked | None:
        """The records taken of an index; None where there is none.

        Raises:
            ConfigError: the index or an input is wrong, or no record is taken.
        """
        if self.records is None:
            return None
        self._check()
        if any(text.startswith("cc://") for text in self.inputs):
            raise ConfigError("--records names Common Crawl's files itself: leave cc:// out of the inputs")
        known = expand(self.inputs) if self.inputs else []
        return pick(self.records, self.limit, self.sample, known, _crawl_base())

    def _check(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit must be 1 or more, not {self.limit}")
        if self.sample is not None and not 0 < self.sample <= 1:
            raise ConfigError(f"--sample must be above 0 and at most 1, not {self.sample}")

    def archives(self) -> list[Archive]:
        """The archives, sorted by (name, id).

        Of a crawl only the archives that are taken are asked for their size, 64 at once: 90,000 take some minutes.

        Raises:
            ConfigError: an input is wrong, or the sample is empty.
        """
        self._check()
        crawls = [text for text in self.inputs if text.startswith("cc://")]
        others = [text for text in self.inputs if not text.startswith("cc://")]
        # A crawl's pages and its robots.txt files lie under the same names, in different folders.
        distinct = dict.fromkeys(url for crawl in crawls for url in crawl_urls(crawl))
        urls = [(url.rsplit("/", 1)[-1], url) for url in distinct]
        known = expand(others) if others or not crawls else []
        taken = set(self._taken([*(archive.name for archive in known), *(name for name, _ in urls)]))
        found = [archive for archive in known if archive.name in taken]
        with ThreadPoolExecutor(ASK) as pool:
            asked = [[url] for name, url in urls if name in taken]
            found += [archive for archives in pool.map(expand, asked) for archive in archives]
        return sorted(found, key=lambda archive: (archive.name, archive.id))

    def _taken(self, names: Sequence[str]) -> Sequence[str]:
        if self.limit is None and self.sample is None:
            return names
        share = 1.0 if self.sample is None else self.sample
        taken = [name for name in sorted(set(names), key=_place) if _place(name) < share][: self.limit]
        if not taken:
            raise ConfigError(f"--sample {self.sample} of {len(names)} archives is none of them: ask for more")
        return taken


def _crawl_base() -> str:
    return os.environ.get("PLAIT_COMMON_CRAWL", COMMON_CRAWL).rstrip("/")


def _place(name: str) -> float:
    """Place of an archive among all, uniform in [0, 1)."""
    return (text_key(name) + 2.0**63) / 2.0**64


def crawl_urls(crawl: str) -> list[str]:
    """URLs of a crawl's WARC files, from its path listing.

    Args:
        crawl: ``cc://CC-MAIN-2026-43``; ``cc://CC-MAIN-2026-43/robotstxt`` for its robots.txt files;
            ``cc://CC-NEWS/2026/10`` for a month of the news crawl.

    Raises:
        ConfigError: no such crawl, or its listing does not answer.
    """
    import fsspec

    match = CRAWL.fullmatch(crawl)
    if match is None:
        raise ConfigError(f"{crawl!r} names no crawl: write cc://CC-MAIN-2026-43")
    base = _crawl_base()
    listing = f"{base}/crawl-data/{match[1]}/{match[2] or 'warc'}.paths.gz"
    try:
        with fsspec.open(listing, "rb") as file:
            paths = gzip.decompress(file.read()).decode().split()
    except (OSError, ValueError, ImportError, EOFError, zlib.error) as error:
        raise ConfigError(f"{crawl} has no listing at {listing} ({error}): check its name and the network") from error
    return [f"{base}/{path}" for path in paths]
