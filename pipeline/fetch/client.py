"""Fetch many URLs in one event loop: `fetch_many`."""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from plait.pipeline.consent import refuses_images, tokens
from plait.pipeline.decode import sniff
from plait.pipeline.fetch.addresses import CheckedResolver, Resolve, check_literal, guarded_socket, networks
from plait.pipeline.fetch.answers import RETRIED_STATUS, Answer, Refusal, refusal_of, retry_after
from plait.pipeline.fetch.body import BodyReader
from plait.pipeline.fetch.hosts import Host, Job, Turns
from plait.pipeline.fetch.optout import OptOut
from plait.pipeline.fetch.origins import Origins, Small
from plait.pipeline.fetch.policy import FetchPolicy, check_policy

WINDOW = 20_000
"""URLs that wait at a time: among so many the hosts whose turn it is are found."""

_HEADERS = {"Accept": "image/avif,image/webp,image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
_MAYBE_IMAGE = ("application/octet-stream", "binary/octet-stream", "application/binary", "application/x-octet-stream")
_NETWORK_ERRORS = (aiohttp.ClientError, OSError, ValueError)  # TimeoutError is an OSError


def _at(url: str, base: URL | None = None) -> URL:
    """A URL that may be asked, without user name and fragment.

    Raises:
        Refusal: it is no URL, or not http or https, or its port is none of the web's.
    """
    try:
        found = URL(url.strip()) if base is None else base.join(URL(url.strip()))
        good = found.scheme in ("http", "https") and bool(found.host)
        port = found.port or 0
    except ValueError as error:
        raise Refusal("fetch_url_invalid", str(error)[:200]) from error
    if not good:
        raise Refusal("fetch_url_invalid", f"scheme {found.scheme!r}" if found.scheme else "no absolute URL")
    if port not in (80, 443) and port < 1024:  # ports of mail, printers and the like understand more than they should
        raise Refusal("fetch_url_invalid", f"port {port}")
    return found.with_user(None).with_fragment(None)


class Fetcher:
    """A fetch in one event loop; a context manager.

    Args:
        policy: limits and manners.
        opt_out: domains and URLs that are never asked.
        resolve: name → addresses; None asks the system.

    Raises:
        ConfigError: the policy cannot be used.
    """

    def __init__(self, policy: FetchPolicy, *, opt_out: OptOut | None = None, resolve: Resolve | None = None):
        self._policy = check_policy(policy)
        self._opt_out = opt_out or OptOut()
        self._allowed = networks(policy.allow_networks)
        self._resolver = CheckedResolver(self._allowed, policy.dns_s, resolve)
        self._origins = Origins(policy, self._small)
        self._bodies = BodyReader(policy.max_bytes, policy.memory)
        self._turns = Turns(
            policy.host_concurrency, 1 / policy.host_rate if policy.host_rate else 0.0, policy.dead_after
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: deque[Answer] = deque()
        self._wake = asyncio.Event()
        self._fault: BaseException | None = None
        self._jitter = random.Random()

    async def __aenter__(self) -> Self:
        """Open the connector."""
        policy = self._policy
        connector = aiohttp.TCPConnector(
            limit=0,  # `Turns` keeps the limits
            resolver=self._resolver,
            use_dns_cache=False,  # the resolver has one that remembers failures too
            socket_factory=guarded_socket(self._allowed),
            ssl=ssl.create_default_context(cafile=policy.ca_file),
            keepalive_timeout=15,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={**_HEADERS, "User-Agent": policy.user_agent},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=policy.connect_s, sock_read=policy.read_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is in flight, close connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()
        await self._resolver.close()

    # One after another, many at once --------------------------------------------------------------------------------

    async def answers(self, urls: Iterable[str]) -> AsyncIterator[Answer]:
        """One answer for each URL, as they come; URLs are taken as there is room.

        Memory: `WINDOW` URLs, ``concurrency`` bodies (see `FetchPolicy.memory`).
        """
        loop = asyncio.get_running_loop()
        source = iter(urls)
        more = True
        while True:
            self._wake.clear()
            if self._fault is not None:
                raise self._fault
            if more:
                more = self._fill(source)
            if len(self._tasks) < self._policy.concurrency:
                for host, job in self._turns.take(loop.time()):
                    self._begin(host, job)
                    if len(self._tasks) >= self._policy.concurrency:
                        break
            while self._done:
                yield self._done.popleft()
            if self._wake.is_set():
                continue
            if not self._tasks and not self._turns.waiting:
                if not more:
                    return
                continue
            due = self._turns.next_time() if len(self._tasks) < self._policy.concurrency else None
            timer = loop.call_at(due, self._wake.set) if due is not None else None
            await self._wake.wait()
            if timer is not None:
                timer.cancel()

    def _fill(self, source: Iterator[str]) -> bool:
        """Take URLs until the window is full; whether there are more."""
        while self._turns.waiting < WINDOW:
            url = next(source, None)
            if url is None:
                return False
            try:
                at = _at(url)
                self._may_ask(at)
            except Refusal as refusal:
                self._done.append(self._refused(Job(url, URL()), refusal))
                continue
            self._turns.add(Job(url, at))
        return True

    def _begin(self, host: Host, job: Job) -> None:
        if host.dead is not None:
            self._turns.done(host)
            self._done.append(self._refused(job, Refusal("fetch_host_down", f"{host.name}: {host.dead}")))
            self._wake.set()
            return
        task = asyncio.get_running_loop().create_task(self._serve(host, job))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()
        self._wake.set()

    # One attempt ----------------------------------------------------------------------------------------------------

    async def _serve(self, host: Host, job: Job) -> None:
        """One attempt of one URL: its answer, or its next attempt, at this host or another."""
        try:
            delay = await self._origins.check(job.at)
            self._turns.met(host, delay, asyncio.get_running_loop().time())
            answer = await self._ask(host, job)
        except Refusal as refusal:
            self._failed(host, job, refusal)
        else:
            self._turns.answered(host)
            if answer is not None:
                self._done.append(answer)
        finally:
            self._turns.done(host)

    def _failed(self, host: Host, job: Job, refusal: Refusal) -> None:
        if refusal.host:
            self._turns.failed(host, refusal.reason)
        else:
            self._turns.answered(host)
        job.failures += 1
        wait = self._policy.backoff_s * 2 ** (job.failures - 1) * self._jitter.uniform(0.5, 1.5)
        now = asyncio.get_running_loop().time()
        if refusal.after_s:
            wait = refusal.after_s
            if wait <= self._policy.wait_max_s:
                self._turns.put_off(host, now + wait)
            else:  # it asks for more patience than we have: leave it alone
                self._turns.leave(host, f"{refusal.reason}, Retry-After {wait:g} s")
        if not refusal.retry or job.failures >= self._policy.attempts or wait > self._policy.wait_max_s:
            self._done.append(self._refused(job, refusal))
        else:
            self._turns.add_later(job, now + wait)

    def _may_ask(self, at: URL) -> None:
        """Raises `Refusal` for what can be refused without a request: opted out, or an address that is not public."""
        host = at.host or ""
        if self._opt_out.lists(str(at), host):
            raise Refusal("opted_out", "on the opt-out list")
        try:
            check_literal(host, self._allowed)
        except OSError as error:
            raise Refusal("fetch_refused_address", str(error)) from error

    async def _ask(self, host: Host, job: Job) -> Answer | None:
        """One request; None where it led to another place, and the job waits there."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        job.attempts += 1
        if not job.asked_us:
            job.asked_us = time.time_ns() // 1000
        first: float | None = None
        state = _Seen()
        try:
            async with asyncio.timeout(self._policy.total_s) as clock:
                async with self._session.get(job.at, allow_redirects=False) as response:
                    first = loop.time() - start
                    state.note(response)
                    self._check_head(response)
                    if (target := _redirect(response)) is not None:
                        self._follow(job, target)
                        return None

                    def put_off(seconds: float) -> None:
                        clock.reschedule((clock.when() or start) + seconds)

                    body, state.bytes = await self._bodies.read(response, put_off)
            _check_image(body)
        except Refusal as refusal:
            raise _Told(refusal, state, first, loop.time() - start) from None
        except _NETWORK_ERRORS as error:
            raise _Told(refusal_of(error), state, first, loop.time() - start) from error
        return Answer(
            url=job.url, reason=None, body=body, sha256=hashlib.sha256(body).digest(), status=state.status,
            bytes=state.bytes, content_type=state.content_type, final_url=str(job.at), redirects=job.redirects,
            attempts=job.attempts, asked_us=job.asked_us, first_byte_s=first, total_s=loop.time() - start, detail=None,
        )  # fmt: skip

    def _check_head(self, response: aiohttp.ClientResponse) -> None:
        """Raises `Refusal` where status or headers say that the body is not to be had."""
        status = response.status
        if status in RETRIED_STATUS:
            after = retry_after(response.headers.get("Retry-After"), time.time())
            raise Refusal("fetch_status", str(status), retry=True, host=True, after_s=after)
        if status >= 400 or status == 204 or (status < 300 and status != 200):
            raise Refusal("fetch_status", str(status))
        if status >= 300:
            if _redirect(response) is None:
                raise Refusal("fetch_status", str(status))
            return
        if self._policy.signals:
            robots = ",".join(response.headers.getall("X-Robots-Tag", ()))
            refused = refuses_images(tokens(robots, response.headers.get("TDM-Reservation")))
            if refused is not None:
                raise Refusal("opted_out", refused)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind and not kind.startswith("image/") and kind not in _MAYBE_IMAGE:
            raise Refusal("fetch_content_type", kind[:100])

    def _follow(self, job: Job, target: str) -> None:
        """Queue a redirected job at the place that it leads to."""
        at = _at(target, job.at)
        here = (*job.seen, str(job.at))
        if str(at) in here:
            raise Refusal("fetch_redirects", f"a loop at {at}"[:200])
        if job.redirects >= self._policy.max_redirects:
            raise Refusal("fetch_redirects", f"more than {self._policy.max_redirects}")
        self._may_ask(at)
        job.redirects += 1
        job.at, job.seen = at, here
        self._turns.add(job, first=True)

    def _refused(self, job: Job, refusal: Refusal) -> Answer:
        told = refusal if isinstance(refusal, _Told) else None
        seen = told.seen if told is not None else _Seen()
        return Answer(
            url=job.url, reason=refusal.reason, body=b"", sha256=None, status=seen.status, bytes=seen.bytes,
            content_type=seen.content_type, final_url=str(job.at) or job.url, redirects=job.redirects,
            attempts=job.attempts, asked_us=job.asked_us or time.time_ns() // 1000,
            first_byte_s=told.first_byte_s if told is not None else None,
            total_s=told.total_s if told is not None else 0.0, detail=refusal.detail or None,
        )  # fmt: skip

    async def _small(self, url: URL, limit: int, redirects: int) -> Small:
        """A robots.txt or its like: up to ``limit`` bytes (and one, to tell), redirects followed."""
        try:
            async with asyncio.timeout(self._policy.total_s):
                for _ in range(redirects + 1):
                    check_literal(url.host or "", self._allowed)
                    async with self._session.get(url, allow_redirects=False) as response:
                        target = _redirect(response)
                        if target is None:
                            return Small(response.status, await _some(response, limit))
                        status, url = response.status, _at(target, url)
                return Small(status, b"")
        except _NETWORK_ERRORS as error:
            raise refusal_of(error) from error


class _Seen:
    """What a response had shown before an attempt ended."""

    __slots__ = ("bytes", "content_type", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.content_type: str | None = None
        self.bytes = 0

    def note(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.content_type = (response.headers.get("Content-Type") or "")[:200] or None


class _Told(Refusal):
    """A refusal with what was seen of the response."""

    def __init__(self, refusal: Refusal, seen: _Seen, first_byte_s: float | None, total_s: float):
        super().__init__(
            refusal.reason, refusal.detail, retry=refusal.retry, host=refusal.host, after_s=refusal.after_s
        )
        self.seen = seen
        self.first_byte_s = first_byte_s
        self.total_s = total_s


def _check_image(body: bytes) -> None:
    """Raises `Refusal` for bytes that do not begin as a picture does; whether they can be decoded is seen later."""
    if sniff(body) is None:
        raise Refusal("fetch_not_image", f"begins with {body[:16]!r}")


def _redirect(response: aiohttp.ClientResponse) -> str | None:
    """Where a redirect leads; None for any other response."""
    if response.status not in (301, 302, 303, 307, 308):
        return None
    return response.headers.get("Location") or None


async def _some(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The beginning of a body, at most a byte more than the limit."""
    parts: list[bytes] = []
    size = 0
    while size <= limit and (part := await response.content.readany()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)[: limit + 1]


async def fetch_many(
    urls: Iterable[str], policy: FetchPolicy, *, opt_out: OptOut | None = None, resolve: Resolve | None = None
) -> AsyncIterator[Answer]:
    """One `Answer` for each URL, in the order in which they end.

    Args:
        urls: each once; URLs of one host side by side or not.
        policy: limits and manners.
        opt_out: domains and URLs that are never asked.
        resolve: name → addresses; None asks the system.

    Raises:
        ConfigError: the policy cannot be used.
    """
    async with Fetcher(policy, opt_out=opt_out, resolve=resolve) as fetcher:
        async for answer in fetcher.answers(urls):
            yield answer
