"""robots.txt and tdmrep.json of the origins met, asked for once and held for a while."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from protego import Protego
from yarl import URL

from plait.pipeline.fetch.answers import Refusal
from plait.pipeline.fetch.policy import PRODUCT, FetchPolicy
from plait.pipeline.fetch.rules import TDMREP_BYTES, Reservation, is_reserved, parse_robots, parse_tdmrep

HELD_BYTES = 32 << 20  # of the files that held rules were read from
HELD_ORIGINS = 20_000
REDIRECTS = 5  # RFC 9309, 2.3.1.2
RETRY_S = 5.0  # a robots.txt that could not be had is not asked for again before


@dataclass(frozen=True)
class Small:
    """A small file that was asked for: HTTP status and body (cut at the limit asked for, plus a byte)."""

    status: int
    body: bytes


Get: TypeAlias = Callable[[URL, int, int], Awaitable[Small]]
"""(url, bytes at most, redirects at most) → the file; `Refusal` where no server answers."""


@dataclass
class SiteRules:
    """What one origin asks.

    Attributes:
        robots: its robots.txt; None allows everything (there is none).
        reservations: of its tdmrep.json; None as long as it was not asked for.
        size: bytes that they were read from.
        expires: when they must be asked for again, by the event loop's clock.
    """

    robots: Protego | None
    reservations: tuple[Reservation, ...] | None = None
    size: int = 0
    expires: float = 0.0

    def crawl_delay(self) -> float:
        """Seconds between requests that robots.txt asks for."""
        if self.robots is None:
            return 0.0
        return float(self.robots.crawl_delay(PRODUCT) or 0.0)

    def check_robots(self, url: str) -> None:
        """Raises `Refusal` where robots.txt disallows a URL."""
        if self.robots is not None and not self.robots.can_fetch(url, PRODUCT):
            raise Refusal("fetch_robots", "robots.txt disallows it")

    def check_reservations(self, path: str) -> None:
        """Raises `Refusal` where tdmrep.json reserves a path."""
        if self.reservations and is_reserved(self.reservations, path):
            raise Refusal("opted_out", "tdmrep.json")


class Origins:
    """Rules of origins (scheme, host, port).

    Args:
        policy: what is obeyed, and for how long rules are held.
        get: asks for a small file.
    """

    def __init__(self, policy: FetchPolicy, get: Get):
        self._policy = policy
        self._get = get
        self._held: OrderedDict[str, SiteRules] = OrderedDict()
        self._bytes = 0
        self._failed: dict[str, tuple[float, Refusal]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def check(self, url: URL) -> float:
        """Asks what the URL's origin wants, if it is not known, and obeys.

        Returns:
            Seconds between requests that the origin asks for.

        Raises:
            Refusal: the URL is disallowed or reserved, or the origin's wishes cannot be had.
        """
        if not (self._policy.robots or self._policy.signals):
            return 0.0
        origin = str(url.origin())
        rules = self._held.get(origin)
        now = asyncio.get_running_loop().time()
        if rules is None or rules.expires < now or (rules.reservations is None and self._policy.signals):
            # Whoever comes first asks, the others wait; where asking fails they share the failure.
            lock = self._locks.setdefault(origin, asyncio.Lock())
            async with lock:
                rules = await self._load(url, origin)
            if not lock.locked():
                self._locks.pop(origin, None)
        rules.check_robots(str(url))
        rules.check_reservations(url.raw_path_qs)
        delay = rules.crawl_delay()
        if delay > self._policy.crawl_delay_max_s:
            raise Refusal("fetch_robots", f"robots.txt asks for {delay:g} s between requests")
        return delay

    async def _load(self, url: URL, origin: str) -> SiteRules:
        loop = asyncio.get_running_loop()
        until, failure = self._failed.get(origin, (0.0, None))
        if failure is not None and until > loop.time():
            raise Refusal(failure.reason, failure.detail, retry=failure.retry, host=True, after_s=failure.after_s)
        rules = self._held.get(origin)
        if rules is None or rules.expires < loop.time():
            try:
                rules = await self._robots(url)
            except Refusal as refusal:
                self._failed[origin] = (loop.time() + min(RETRY_S, self._policy.backoff_s), refusal)
                raise
            self._failed.pop(origin, None)
            rules.expires = loop.time() + self._policy.robots_ttl_s
            self._hold(origin, rules)
        if rules.reservations is None and self._policy.signals:
            rules.check_robots(str(url))  # a site that wants no requests gets none for its tdmrep.json either
            await self._tdmrep(url, rules)
        return rules

    async def _robots(self, url: URL) -> SiteRules:
        """RFC 9309: 2xx is read, 4xx means that there are no rules, anything else that nothing may be asked."""
        if not self._policy.robots:
            return SiteRules(None)
        limit = self._policy.robots_bytes
        found = await self._get(url.origin().with_path("/robots.txt"), limit, REDIRECTS)
        if 200 <= found.status < 300:
            return SiteRules(parse_robots(found.body, limit), size=len(found.body))
        if 400 <= found.status < 500 and found.status != 429:  # 429 is a server that is too busy to say
            return SiteRules(None)
        if 300 <= found.status < 400:  # more redirects than are followed: as if there were none (2.3.1.2)
            return SiteRules(None)
        raise Refusal("fetch_robots_unavailable", f"robots.txt: status {found.status}", retry=True, host=True)

    async def _tdmrep(self, url: URL, rules: SiteRules) -> None:
        """Most sites have no such file; one that cannot be had reserves nothing."""
        rules.reservations = ()
        try:
            found = await self._get(url.origin().with_path("/.well-known/tdmrep.json"), TDMREP_BYTES, REDIRECTS)
        except Refusal:
            return
        if found.status == 200 and len(found.body) <= TDMREP_BYTES:
            rules.reservations = parse_tdmrep(found.body)
            rules.size += len(found.body)
            self._bytes += len(found.body)

    def _hold(self, origin: str, rules: SiteRules) -> None:
        old = self._held.pop(origin, None)
        self._bytes += rules.size - (old.size if old is not None else 0)
        self._held[origin] = rules
        while len(self._held) > 1 and (self._bytes > HELD_BYTES or len(self._held) > HELD_ORIGINS):
            self._bytes -= self._held.popitem(last=False)[1].size
