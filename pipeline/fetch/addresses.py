"""Addresses that may be asked: checked after resolution, and once more for the very socket that connects.

A page may name any host, and a name may resolve to anything: a router, a database, the metadata service of the cloud
that runs the fetch. Only addresses of the public Internet are asked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

from plait.pipeline.fetch.answers import RefusedAddressError

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Resolve: TypeAlias = Callable[[str], Awaitable[list[str]]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_NEVER: tuple[Network, ...] = (
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's host, in public space
    ipaddress.ip_network("64:ff9b:1::/48"),  # RFC 8215: translation of a local network's choice
    ipaddress.ip_network("fec0::/10"),  # RFC 3879: site-local, deprecated and still routed
)
DNS_TTL_S = 300.0
DNS_FAILURE_TTL_S = 60.0
DNS_NAMES = 20_000
DNS_THREADS = 32


def networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Networks by name, "127.0.0.0/8"."""
    return tuple(ipaddress.ip_network(name) for name in names)


def _embedded(ip: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 address leads to."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found: list[Address] = [part for part in (ip.ipv4_mapped, ip.sixtofour) if part is not None]
    if ip.teredo is not None:
        found += ip.teredo
    if ip in _NAT64:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return found


def is_refused(address: str, allowed: tuple[Network, ...] = ()) -> bool:
    """Whether an IP address must not be asked: private, loopback, link-local, metadata, multicast, reserved.

    Args:
        address: as text, a scope ("%eth0") is ignored.
        allowed: networks that may be asked all the same.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in allowed):
        return False
    inner = _embedded(ip)
    if inner:
        return any(is_refused(str(part), allowed) for part in inner)
    return not ip.is_global or ip.is_multicast or ip.is_reserved or any(ip in network for network in _NEVER)


def check_literal(host: str, allowed: tuple[Network, ...]) -> None:
    """Raises `RefusedAddressError` for a host that is an IP address which must not be asked; names pass."""
    try:
        refused = is_refused(host, allowed)
    except ValueError:
        return
    if refused:
        raise RefusedAddressError(f"{host} is no address of the public Internet")


class CheckedResolver(AbstractResolver):
    """Resolves names, remembers them for a while, and leaves out addresses that must not be asked.

    Args:
        allowed: networks that may be asked all the same.
        timeout_s: for one name.
        resolve: name → addresses; None asks the system, in threads.
    """

    def __init__(self, allowed: tuple[Network, ...], timeout_s: float, resolve: Resolve | None = None):
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._resolve = resolve or self._system
        self._threads = ThreadPoolExecutor(DNS_THREADS, thread_name_prefix="dns") if resolve is None else None
        self._known: OrderedDict[str, asyncio.Future[list[str]]] = OrderedDict()
        self._until: dict[str, float] = {}

    async def _system(self, name: str) -> list[str]:
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        )
        return [str(row[4][0]) for row in rows]

    async def _ask(self, name: str) -> list[str]:
        loop = asyncio.get_running_loop()
        ttl = DNS_TTL_S
        try:
            async with asyncio.timeout(self._timeout_s):
                return list(dict.fromkeys(await self._resolve(name)))
        except (OSError, UnicodeError) as error:
            ttl = DNS_FAILURE_TTL_S
            if isinstance(error, OSError):
                raise
            raise socket.gaierror(socket.EAI_NONAME, f"{name} is no host name") from error
        finally:
            self._until[name] = loop.time() + ttl

    async def addresses(self, name: str) -> list[str]:
        """Addresses of a name that may be asked.

        Raises:
            RefusedAddressError: there are addresses, and none may be asked.
            OSError: the name cannot be resolved.
        """
        answer = self._known.get(name)
        if answer is None or (answer.done() and self._until.get(name, 0.0) < asyncio.get_running_loop().time()):
            answer = asyncio.ensure_future(self._ask(name))  # a task of its own: whoever asked first may give up
            answer.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._known[name] = answer
            self._known.move_to_end(name)
            if len(self._known) > DNS_NAMES:
                self._until.pop(self._known.popitem(last=False)[0], None)
        found = await asyncio.shield(answer)
        good = [address for address in found if not is_refused(address, self._allowed)]
        if found and not good:
            raise RefusedAddressError(f"{name} resolves to {found[0]}, which is no address of the public Internet")
        if not good:
            raise socket.gaierror(socket.EAI_NONAME, f"{name} has no address")
        return good

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """`addresses` as aiohttp wants them."""
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=flags,
            )
            for address in await self.addresses(host)
        ]

    async def close(self) -> None:
        """Let go of the threads; those that wait for a name end by themselves."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def guarded_socket(allowed: tuple[Network, ...]) -> Callable[[tuple[Any, ...]], socket.socket]:
    """A socket factory for aiohttp's connector that refuses the address it is made for, whoever resolved it."""

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, proto, _, place = info
        if is_refused(str(place[0]), allowed):
            raise RefusedAddressError(f"{place[0]} is no address of the public Internet")
        return socket.socket(family, kind, proto)

    return make
