"""Turns at hosts: which URL is asked next, and when.

Every request of a fetch, hops of redirects and retries included, waits in the queue of the host that it goes to, so a
host's limits hold for all of them and a slow host holds up nobody else.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from yarl import URL

HELD_HOSTS = 20_000
"""Hosts from which on those that are idle and well are forgotten."""


@dataclass(slots=True)
class Job:
    """One URL on its way to its end.

    Attributes:
        url: as asked for.
        at: where the next request goes.
        attempts: requests made so far.
        failures: of them, those that ended in a retry.
        redirects: hops followed.
        asked_us: when the first request began; 0 before it.
        seen: places that redirects led through.
    """

    url: str
    at: URL
    attempts: int = 0
    failures: int = 0
    redirects: int = 0
    asked_us: int = 0
    seen: tuple[str, ...] = ()


@dataclass(slots=True)
class Host:
    """A name and port, and how things stand with it.

    Times are those of the event loop's clock, in seconds.
    """

    name: str
    queue: deque[Job] = field(default_factory=deque)
    active: int = 0
    next_start: float = 0.0
    delay: float = 0.0
    failures: int = 0  # in a row
    dead: str | None = None  # why it is asked no more
    known: bool = False  # whether it has said what it asks of robots; until then it is asked one thing at a time
    listed: bool = False


def host_name(url: URL) -> str:
    """Name and port that a URL is asked at: what limits, robots.txt and breakers go by."""
    host = (url.host or "").rstrip(".").lower()
    return host if url.is_default_port() else f"{host}:{url.port}"


class Turns:
    """Queues of hosts.

    Args:
        host_concurrency: requests in flight at one host.
        interval: least seconds between two starts at one host.
        dead_after: failures in a row after which a host is dead.
    """

    def __init__(self, host_concurrency: int, interval: float, dead_after: int):
        self._most = host_concurrency
        self._interval = interval
        self._dead_after = dead_after
        self._hosts: dict[str, Host] = {}
        self._due: list[tuple[float, int, Host]] = []
        self._later: list[tuple[float, int, Job]] = []
        self._serial = itertools.count()
        self.waiting = 0  # jobs in queues, those that wait for a retry included

    def add(self, job: Job, *, first: bool = False) -> None:
        """Queue a job at the host that it goes to next."""
        name = host_name(job.at)
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= HELD_HOSTS and len(self._hosts) % HELD_HOSTS == 0:
                self._forget()
            host = self._hosts[name] = Host(name)
        if first:
            host.queue.appendleft(job)
        else:
            host.queue.append(job)
        self.waiting += 1
        self._offer(host)

    def add_later(self, job: Job, when: float) -> None:
        """Queue a job again when a time has come."""
        heapq.heappush(self._later, (when, next(self._serial), job))
        self.waiting += 1

    def _offer(self, host: Host) -> None:
        most = self._most if host.known else 1
        if host.queue and not host.listed and (host.active < most or host.dead is not None):
            heapq.heappush(self._due, (host.next_start, next(self._serial), host))
            host.listed = True

    def take(self, now: float) -> Iterator[tuple[Host, Job]]:
        """Jobs whose turn it is; each counts as active at its host until `done`."""
        while self._later and self._later[0][0] <= now:
            job = heapq.heappop(self._later)[2]
            self.waiting -= 1
            self.add(job, first=True)
        while self._due and self._due[0][0] <= now:
            host = heapq.heappop(self._due)[2]
            host.listed = False
            if host.next_start > now and host.dead is None:  # it was put off since it was offered
                self._offer(host)
                continue
            job = host.queue.popleft()
            self.waiting -= 1
            host.active += 1
            if host.dead is None:
                host.next_start = now + max(self._interval, host.delay)
            self._offer(host)
            yield host, job

    def next_time(self) -> float | None:
        """When the next job is due, as far as is known now."""
        times = [heap[0][0] for heap in (self._due, self._later) if heap]
        return min(times, default=None)

    def done(self, host: Host) -> None:
        """A job of the host is no longer in flight."""
        host.active -= 1
        self._offer(host)

    def met(self, host: Host, delay: float, now: float) -> None:
        """The host has said what it asks of robots.

        Args:
            host: which.
            delay: seconds between starts that it asks for.
            now: when the first request after that begins.
        """
        if not host.known or delay > host.delay:
            host.known = True
            host.delay = delay
            self.put_off(host, now + delay)
            self._offer(host)

    def _forget(self) -> None:
        """Let go of idle hosts that are well."""
        idle = [
            name for name, host in self._hosts.items()
            if not (host.queue or host.active or host.listed or host.failures or host.delay or host.dead)
        ]  # fmt: skip
        for name in idle:
            del self._hosts[name]

    def answered(self, host: Host) -> None:
        """The host is well."""
        host.failures = 0

    def failed(self, host: Host, reason: str) -> None:
        """The host failed; too often in a row, and it is left alone."""
        host.failures += 1
        if host.failures >= self._dead_after:
            self.leave(host, reason)

    def leave(self, host: Host, reason: str) -> None:
        """Ask the host no more; what is queued for it is due at once, to be refused."""
        if host.dead is not None:
            return
        host.dead = reason
        host.next_start = 0.0
        if host.listed:
            self._due = [entry for entry in self._due if entry[2] is not host]
            heapq.heapify(self._due)
            host.listed = False
        self._offer(host)

    def put_off(self, host: Host, until: float) -> None:
        """Begin nothing at the host before a time."""
        host.next_start = max(host.next_start, until)
