"""What a site asks of robots: robots.txt by RFC 9309, and W3C's TDMRep file; both from their bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from protego import Protego

from plait.pipeline.fetch.answers import Refusal
from plait.pipeline.fetch.policy import PRODUCT

TDMREP_BYTES = 1 << 20
TDMREP_RULES = 10_000


def parse_robots(body: bytes, limit: int) -> Protego:
    """A robots.txt's rules; what is over the limit is not read, whatever is no rule is passed over."""
    text = body[:limit].decode("utf-8", "replace").removeprefix("\ufeff")
    if len(body) > limit:
        text = text.rpartition("\n")[0]  # half a line must not become another rule
    return Protego.parse(text.replace("\x00", ""))


@dataclass(frozen=True)
class Reservation:
    """One entry of a tdmrep.json: a pattern of paths and whether rights are reserved."""

    location: str
    reserved: bool

    def matches(self, path: str) -> bool:
        """Whether a path (with its query) falls under the pattern; ``*`` and a final ``$`` as in robots.txt.

        Cost is linear in the path whatever the pattern.
        """
        whole = self.location.endswith("$")
        first, *others = self.location.removesuffix("$").split("*")
        if not path.startswith(first):
            return False
        place = len(first)
        if not others:
            return not whole or place == len(path)
        for part in others[:-1]:
            place = path.find(part, place)
            if place < 0:
                return False
            place += len(part)
        last = others[-1]
        if whole:
            return path.endswith(last) and len(path) - len(last) >= place
        return path.find(last, place) >= 0


def parse_tdmrep(body: bytes) -> tuple[Reservation, ...]:
    """The entries of a tdmrep.json; none where it is no such file."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    rules = []
    for entry in found[:TDMREP_RULES] if isinstance(found, list) else ():
        if not isinstance(entry, dict) or not isinstance(entry.get("location"), str):
            continue
        rules.append(Reservation(entry["location"], str(entry.get("tdm-reservation")) in ("1", "True")))
    return tuple(rules)


def is_reserved(rules: tuple[Reservation, ...], path: str) -> bool:
    """Whether text and data mining is reserved for a path: the longest pattern decides, as in RFC 9309.

    Of equally long ones the one that reserves: TDMRep leaves the order open, and consent is not to be guessed.
    """
    matching = [(len(rule.location), rule.reserved) for rule in rules if rule.matches(path)]
    return max(matching, default=(0, False))[1]


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
