"""Limits of hosts, waits, retries, breakers: much at once over all, little at each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.pipeline.fetch.addresses import is_refused, networks
from plait.pipeline.fetch.answers import retry_after
from plait.pipeline.fetch.optout import OptOut, read_opt_out
from plait.pipeline.fetch.policy import FetchPolicy, check_policy
from plait.schemas.errors import ConfigError
from tests.pipeline.fetch.servers import JPEG, LOOPBACK, files, gather, message, serving


def test_requests_at_a_host_and_over_all_stay_within_their_limits() -> None:
    active: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def reply(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        for name in (headers["host"], "all"):
            active[name] += 1
            most[name] = max(most[name], active[name])
        for _ in range(20):
            await asyncio.sleep(0)
        for name in (headers["host"], "all"):
            active[name] -= 1
        writer.write(message(JPEG))

    async def run() -> None:
        async with serving(reply) as one, serving(reply) as two, serving(reply) as three:
            urls = [f"{server.url}/{n}" for server in (one, two, three) for n in range(60)]
            found = await gather(urls, host_concurrency=3, concurrency=7)
            assert all(answer.reason is None for answer in found.values())

    asyncio.run(run())
    assert most["all"] == 7
    assert {count for name, count in most.items() if name != "all"} == {3}


def test_starts_at_a_host_keep_its_rate() -> None:
    async def run() -> None:
        async with serving(files({f"/{n}": message(JPEG) for n in range(21)})) as server:
            found = await gather([f"{server.url}/{n}" for n in range(21)], host_rate=50, host_concurrency=8)
            starts = [answer.asked_us for answer in found.values()]
            assert (max(starts) - min(starts)) / 1e6 >= 20 / 50 - 0.01

    asyncio.run(run())


def test_retry_after_puts_the_whole_host_off() -> None:
    asked: list[tuple[float, str]] = []

    async def reply(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        asked.append((time.monotonic(), path))
        first = len(asked) == 1
        writer.write(message(b"", "429 Too Many Requests", Retry_After="1") if first else message(JPEG))

    async def run() -> None:
        async with serving(reply) as server:
            found = await gather([f"{server.url}/{n}" for n in range(4)], host_concurrency=1, attempts=2)
            assert all(answer.reason is None for answer in found.values())
            assert found[f"{server.url}/0"].attempts == 2

    asyncio.run(run())
    assert all(when - asked[0][0] >= 0.95 for when, _ in asked[1:])


def test_a_host_that_asks_for_more_patience_than_we_have_is_left_alone() -> None:
    async def run() -> None:
        async with serving(files({"/0": message(b"", "503 Busy", Retry_After="86400")})) as server:
            urls = [f"{server.url}/{n}" for n in range(10)]
            found = await gather(urls, host_concurrency=1, attempts=3)
            assert server.asked == ["/0"]
            assert found[urls[0]].reason == "fetch_status"
            assert {found[url].reason for url in urls[1:]} == {"fetch_host_down"}

    asyncio.run(run())


def test_what_fails_for_a_moment_is_tried_again_and_what_fails_for_good_is_not() -> None:
    times: Counter[str] = Counter()

    async def reply(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        times[path] += 1
        if path == "/flaky" and times[path] < 3:
            writer.write(message(b"", "503 Busy"))
        elif path == "/reset" and times[path] < 2:
            writer.transport.abort()
        elif path == "/gone":
            writer.write(message(b"", "410 Gone"))
        else:
            writer.write(message(JPEG))

    async def run() -> None:
        async with serving(reply) as server:
            found = await gather([f"{server.url}/{name}" for name in ("flaky", "reset", "gone")], attempts=3)
            assert found[f"{server.url}/flaky"].reason is None
            assert found[f"{server.url}/flaky"].attempts == 3
            assert found[f"{server.url}/reset"].reason is None
            assert found[f"{server.url}/gone"].reason == "fetch_status"
            assert found[f"{server.url}/gone"].status == 410

    asyncio.run(run())
    assert times["/gone"] == 1


def test_a_dead_host_is_asked_no_more_and_holds_nobody_up() -> None:
    async def breaks(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def run() -> None:
        async with serving(breaks) as dead, serving(files({f"/{n}": message(JPEG) for n in range(100)})) as good:
            urls = [f"{dead.url}/{n}" for n in range(1000)] + [f"{good.url}/{n}" for n in range(100)]
            found = await gather(urls, dead_after=6)
            reasons = Counter(answer.reason for answer in found.values())
            assert reasons[None] == 100
            assert reasons["fetch_host_down"] > 980
            assert len(dead.asked) < 40  # those that were under way, and what the HTTP library repeats by itself
            assert "fetch_incomplete" in str(next(a.detail for a in found.values() if a.reason == "fetch_host_down"))

    asyncio.run(run())


def test_large_bodies_wait_for_room_and_that_is_no_fault_of_the_servers() -> None:
    large = JPEG + bytes(2 << 20)

    async def run() -> None:
        async with serving(files({f"/{n}": message(large) for n in range(6)})) as server:
            urls = [f"{server.url}/{n}" for n in range(6)]
            found = await gather(urls, host_concurrency=6, max_bytes=3 << 20, memory=3 << 20)
            assert all(answer.reason is None and answer.body == large for answer in found.values())

    asyncio.run(run())


def test_content_encodings_are_undone_and_hashes_are_of_what_is_kept() -> None:
    import gzip
    import hashlib
    import zlib

    paths = {
        "/gzip": message(gzip.compress(JPEG), Content_Encoding="gzip"),
        "/deflate": message(zlib.compress(JPEG), Content_Encoding="deflate"),
        "/none": message(JPEG, Content_Encoding="identity"),
    }

    async def run() -> None:
        async with serving(files(paths)) as server:
            found = await gather([server.url + path for path in paths])
            for answer in found.values():
                assert answer.body == JPEG
                assert answer.sha256 == hashlib.sha256(JPEG).digest()
            assert found[server.url + "/gzip"].bytes == len(gzip.compress(JPEG))

    asyncio.run(run())


def test_a_name_is_resolved_once_for_all_its_urls() -> None:
    asked: Counter[str] = Counter()

    async def run() -> None:
        from dataclasses import replace

        from plait.pipeline.fetch.client import fetch_many
        from tests.pipeline.fetch.servers import QUICK

        async def resolve(name: str) -> list[str]:
            asked[name] += 1
            if name == "gone.test":
                raise OSError("no such name")
            return [LOOPBACK]

        async with serving(files({f"/{n}": message(JPEG) for n in range(30)})) as server:
            urls = [f"http://{name}.test:{server.port}/{n}" for name in ("a", "gone") for n in range(30)]
            policy = replace(QUICK, host_concurrency=8)
            reasons = Counter([answer.reason async for answer in fetch_many(urls, policy, resolve=resolve)])
            assert reasons == {None: 30, "fetch_dns": 30}

    asyncio.run(run())
    assert asked == {"a.test": 1, "gone.test": 1}


def test_the_order_of_urls_does_not_matter_and_each_has_one_end() -> None:
    async def run() -> None:
        async with serving(files({f"/{n}": message(JPEG) for n in range(0, 300, 2)})) as server:
            urls = [f"{server.url}/{n}" for n in range(300)]
            there = await gather(urls)
            back = await gather(reversed(urls))
            assert {url: answer.reason for url, answer in there.items()} == {
                url: answer.reason for url, answer in back.items()
            }
            assert len(there) == 300

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), (" 0 ", 0.0), ("", None), (None, None), ("soon", None), ("\u00b2", None), ("-1", None),
     ("9" * 40, 1e9), ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, 60.0) == seconds


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("8.8.8.8", False), ("2606:4700::1111", False), ("127.0.0.1", True), ("10.0.0.1", True), ("172.16.0.1", True),
        ("172.32.0.1", False), ("192.168.1.1", True), ("169.254.169.254", True), ("100.64.0.1", True),
        ("100.100.100.200", True), ("168.63.129.16", True), ("0.0.0.0", True), ("255.255.255.255", True),
        ("224.0.0.1", True), ("192.0.2.1", True), ("198.18.0.1", True), ("::", True), ("::1", True), ("fe80::1", True),
        ("fe80::1%eth0", True), ("fd00:ec2::254", True), ("fec0::1", True), ("ff02::1", True),
        ("::ffff:10.0.0.1", True),
        ("::ffff:8.8.8.8", False), ("64:ff9b::a9fe:a9fe", True), ("64:ff9b::808:808", False), ("2002:7f00:1::", True),
        ("2001:db8::1", True), ("64:ff9b:1::1", True),
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_public_internet(address: str, refused: bool) -> None:
    assert is_refused(address) is refused


@given(st.ip_addresses(v=4).filter(lambda ip: ip.is_private))
def test_every_private_address_is_refused_in_every_disguise(ip: object) -> None:
    assert is_refused(str(ip))
    assert is_refused(f"::ffff:{ip}")
    assert not is_refused(str(ip), networks(["0.0.0.0/0"]))


def test_opt_out_lists_cover_subdomains_and_forms_of_a_url() -> None:
    keys = read_opt_out(["# why", "", "Example.org", "*.wild.test", "http://site.test/a.jpg?utm_source=x  "])
    listed = OptOut(keys)
    assert listed.lists("http://example.org/x", "example.org")
    assert listed.lists("http://img.cdn.example.org/x", "img.cdn.example.org")
    assert not listed.lists("http://notexample.org/x", "notexample.org")
    assert listed.lists("http://a.wild.test/x", "a.wild.test")
    assert listed.lists("HTTP://Site.test:80/a.jpg#top", "site.test")
    assert not listed.lists("http://site.test/b.jpg", "site.test")
    assert not OptOut().lists("http://example.org/x", "example.org")
    assert not OptOut(np.zeros(0, np.int64)).lists("http://example.org/x", "example.org")
    with pytest.raises(ConfigError, match="line 2"):
        read_opt_out(["a.test", "not a domain"])


@pytest.mark.parametrize("contact", ["", "me", "nobody@", "http://x y", "a@b.test)\r\nX: y", "ftp://site.test/x"])
def test_a_contact_must_be_an_address(contact: str) -> None:
    with pytest.raises(ConfigError, match="--user-agent-contact"):
        check_policy(FetchPolicy(contact=contact))
