"""How to fetch: limits, patience, manners. One value decides it all."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from plait.schemas.errors import ConfigError
from plait.schemas.version import plait_version

PRODUCT = "plait"
"""The product token that robots.txt groups name."""

ROBOTS_BYTES = 512 << 10
"""Bytes of a robots.txt that are read: RFC 9309 (2.5) wants at least 500 KiB."""

_CONTACT = re.compile(r"(https?://[^\s()<>\"]{4,200}|[^\s()<>@\"]{1,64}@[^\s()<>@\"]+\.[^\s()<>@\"]+)")
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class FetchPolicy:
    """Limits and manners of a fetch.

    A host is a name and a port; all limits of a host hold within one event loop, so one unit must own it.

    Attributes:
        contact: a page or mail address of whoever runs the fetch, sent with every request.
        concurrency: requests in flight, of all hosts.
        host_concurrency: requests in flight at one host.
        host_rate: requests a second begun at one host, 0 for no limit; a robots.txt's crawl delay lowers it.
        dns_s: seconds for a name to resolve.
        connect_s: seconds for a connection, TLS included.
        read_s: seconds without a byte.
        total_s: seconds for one request, from its start to the last byte.
        attempts: of one URL, the first included.
        backoff_s: wait before the second attempt; doubled for each further one, times 0.5 to 1.5 at random.
        wait_max_s: longest Retry-After that is waited for.
        max_redirects: hops of one URL.
        max_bytes: of a body, as sent and decoded.
        memory: bytes of bodies over 1 MiB that are held at once, beside ``concurrency`` MiB of small ones.
        dead_after: failures in a row after which a host is asked no more.
        robots: whether robots.txt is obeyed.
        signals: whether X-Robots-Tag (noai, noimageai, noml), TDM-Reservation and tdmrep.json are obeyed.
        robots_bytes: of a robots.txt that are read; RFC 9309 wants at least 500 KiB.
        robots_ttl_s: seconds that a robots.txt is held; RFC 9309 wants at most a day.
        crawl_delay_max_s: a host that asks for a longer delay is not asked at all.
        allow_networks: private networks that may be asked all the same; for tests.
        ca_file: certificates to trust instead of the system's; for tests and inner networks.
    """

    contact: str
    concurrency: int = 128
    host_concurrency: int = 4
    host_rate: float = 10.0
    dns_s: float = 10.0
    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 60.0
    attempts: int = 3
    backoff_s: float = 1.0
    wait_max_s: float = 60.0
    max_redirects: int = 5
    max_bytes: int = 32 << 20
    memory: int = 512 << 20
    dead_after: int = 8
    robots: bool = True
    signals: bool = True
    robots_bytes: int = ROBOTS_BYTES
    robots_ttl_s: float = 86400.0
    crawl_delay_max_s: float = 30.0
    allow_networks: tuple[str, ...] = ()
    ca_file: str | None = None

    @property
    def user_agent(self) -> str:
        """Who asks: plait, its version, and where to complain."""
        return f"{PRODUCT}/{plait_version()} (+{self.contact})"


def check_policy(policy: FetchPolicy) -> FetchPolicy:
    """The policy, if it can be used.

    Raises:
        ConfigError: the contact is missing or no address, or a limit makes no sense.
    """
    if not _CONTACT.fullmatch(policy.contact):
        given = f", not {policy.contact!r}" if policy.contact else ""
        raise ConfigError(
            "fetching images needs --user-agent-contact: a web page or e-mail address where the owners of servers "
            f"reach you{given}"
        )
    check_limits(policy.concurrency, policy.host_concurrency, policy.host_rate)
    for network in policy.allow_networks:
        ipaddress.ip_network(network)
    return policy


def check_limits(concurrency: int, host_concurrency: int, host_rate: float) -> None:
    """Check the numbers of a policy, whether or not anything is to be fetched.

    Raises:
        ConfigError: one of them makes no sense.
    """
    for option, value, least in (
        ("--fetch-concurrency", concurrency, 1),
        ("--host-concurrency", host_concurrency, 1),
        ("--host-rate", host_rate, 0),
    ):
        if not value >= least:  # nor is NaN
            raise ConfigError(f"{option} must be {least} or more, not {value}")
