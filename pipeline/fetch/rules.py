"""What a site asks of robots: robots.txt by RFC 9309, and W3C's TDMRep file; both from their bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from protego import Protego

from plait.pipeline.fetch.policy import PRODUCT

TDMREP_BYTES = 1 << 20
TDMREP_RULES = 10_000
_OTHER = "-"  # stands for every robot that is not us
_AGENT = re.compile(r"\s*user(?:-|\s+)?agent(?:\s*:|\s)\s*([^#]*)", re.IGNORECASE)


def parse_robots(body: bytes, limit: int) -> Protego:
    """A robots.txt's rules; what is over the limit is not read, whatever is no rule is passed over."""
    text = body[:limit].decode("utf-8", "replace").removeprefix("\ufeff")
    if len(body) > limit:
        text = text.rpartition("\n")[0]  # half a line must not become another rule
    return Protego.parse("\n".join(map(_our_agents, text.replace("\x00", "").splitlines())))


def _our_agents(line: str) -> str:
    """A line of a robots.txt, the robots that it names as one if they are not us.

    Protego keeps rules for each of them: ten thousand names over as many rules would be 10^8 rules.
    """
    found = _AGENT.match(line)
    if found is None:
        return line
    name = found[1].strip().lower()
    if not name or name == "*":
        return line
    name = name.replace("*", "")
    return f"User-agent: {name if name and PRODUCT.startswith(name) else _OTHER}"


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
