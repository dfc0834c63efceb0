"""robots.txt by RFC 9309, tdmrep.json, headers: what a site asks is found out once, and done."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from plait.pipeline.fetch.rules import is_reserved, parse_robots, parse_tdmrep
from tests.pipeline.fetch.servers import JPEG, LOOPBACK, Reply, files, gather, message, serving

TEXT = "text/plain"


def robots(text: str | bytes, status: str = "200 OK") -> bytes:
    return message(text.encode() if isinstance(text, str) else text, status, TEXT)


def answered(paths: dict[str, bytes], wanted: str = "/a/b.jpg", **changes: object) -> tuple[str | None, list[str]]:
    """The reason for which a picture of a site was not fetched, and what the site was asked for."""

    async def run() -> tuple[str | None, list[str]]:
        async with serving(files({wanted: message(JPEG)} | paths)) as server:
            url = server.url + wanted
            found = await gather([url], robots=True, **changes)
            return found[url].reason, server.asked

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("User-agent: *\nDisallow: /a/", "fetch_robots"),
        ("User-agent: *\nDisallow: /a", "fetch_robots"),
        ("User-agent: *\nDisallow: /b", None),
        ("User-agent: *\nDisallow:", None),
        ("", None),
        ("User-agent: PLAIT\nDisallow: /", "fetch_robots"),  # 2.2.1: names of robots know no case
        ("User-agent: plait\nAllow: /\n\nUser-agent: *\nDisallow: /", None),  # our group, and no other
        ("User-agent: other\nDisallow: /\n\nUser-agent: *\nAllow: /", None),
        ("User-agent: other\nUser-agent: plait\nDisallow: /", "fetch_robots"),  # a group of several robots
        ("User-agent: plait\nDisallow: /x\n\nUser-agent: plait\nDisallow: /a", "fetch_robots"),  # 2.2.1: groups join
        ("User-agent: *\nDisallow: /a/\nAllow: /a/b", None),  # 2.2.2: the longest match decides
        ("User-agent: *\nAllow: /a/\nDisallow: /a/b", "fetch_robots"),
        ("User-agent: *\nDisallow: /a/b.jpg\nAllow: /a/b.jpg", None),  # equally long: allowed
        ("User-agent: *\nDisallow: /*.jpg$", "fetch_robots"),  # 2.2.3
        ("User-agent: *\nDisallow: /*.jpg$\nAllow: /a/b.jpg", None),
        ("User-agent: *\nDisallow: /*.jp$", None),
        ("User-agent: *\nDisallow: /a/b.jpg # not this one", "fetch_robots"),
        (
            "User-agent: *\nDisallow: /%61/b.jpg",
            "fetch_robots",
        ),  # 2.2.2: an escape of a plain character
        ("\ufeffUser-agent: *\nDisallow: /", "fetch_robots"),
        ("Disallow: /", None),  # a rule of no group
        ("<html>not found</html>", None),
        ("User-agent: *\r\nDisallow: /\r\n", "fetch_robots"),
        ("user-agent:*\ndisallow:/", "fetch_robots"),
    ],
)
def test_rules_of_robots_txt(text: str, reason: str | None) -> None:
    found, asked = answered({"/robots.txt": robots(text)})
    assert found == reason
    assert asked == (["/robots.txt", "/a/b.jpg"] if reason is None else ["/robots.txt"])


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone"]
)
def test_no_robots_txt_allows_everything(status: str) -> None:
    assert answered({"/robots.txt": robots("User-agent: *\nDisallow: /", status)})[0] is None  # 2.3.1.3


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests"])
def test_a_server_that_cannot_say_is_not_asked(status: str) -> None:
    reason, asked = answered({"/robots.txt": robots("", status)}, attempts=2)
    assert reason == "fetch_robots_unavailable"  # 2.3.1.4
    assert set(asked) == {"/robots.txt"}


def test_a_server_that_could_not_say_is_asked_again() -> None:
    async def reply(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        asked.append(path)
        if path == "/robots.txt":
            writer.write(robots("", "503 Busy") if asked.count(path) == 1 else robots("User-agent: *\nDisallow: /x"))
        else:
            writer.write(message(JPEG))

    asked: list[str] = []

    async def run() -> None:
        async with serving(reply) as server:
            found = await gather([f"{server.url}/a", f"{server.url}/x"], robots=True, attempts=3)
            assert found[f"{server.url}/a"].reason is None
            assert found[f"{server.url}/x"].reason == "fetch_robots"

    asyncio.run(run())
    assert asked == ["/robots.txt", "/robots.txt", "/a"]


def test_no_robots_txt_in_time_means_no_request() -> None:
    async def reply(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        async with serving(reply) as server:
            found = await gather([server.url + "/a"], robots=True, read_s=0.3)
            assert found[server.url + "/a"].reason == "fetch_timeout"
            assert server.asked == ["/robots.txt"]

    asyncio.run(run())


def test_redirects_of_robots_txt_are_followed_to_other_hosts() -> None:
    async def run() -> None:
        async with serving(files({"/rules": robots("User-agent: *\nDisallow: /a/")})) as other:
            moved = {f"/{n}": message(b"", "302 Found", Location=f"/{n + 1}") for n in range(3)}
            moved["/robots.txt"] = message(b"", "301 Moved Permanently", Location="/0")
            moved["/3"] = message(b"", "307 Temporary Redirect", Location=f"{other.url}/rules")  # the fifth hop
            async with serving(files({"/a/x": message(JPEG), "/b/x": message(JPEG)} | moved)) as server:
                found = await gather([server.url + "/a/x", server.url + "/b/x"], robots=True)
                assert found[server.url + "/a/x"].reason == "fetch_robots"
                assert found[server.url + "/b/x"].reason is None

    asyncio.run(run())


def test_endless_redirects_of_robots_txt_count_as_none() -> None:
    loop = {"/robots.txt": message(b"", "302 Found", Location="/robots.txt")}
    assert answered(loop)[0] is None  # 2.3.1.2: as if unavailable


def test_robots_txt_must_not_lead_to_private_addresses() -> None:
    reason, asked = answered({"/robots.txt": message(b"", "302 Found", Location="http://169.254.169.254/robots.txt")})
    assert reason == "fetch_refused_address"
    assert asked == ["/robots.txt"]


def test_only_the_beginning_of_a_huge_robots_txt_counts() -> None:
    filler = "# nothing\n" * 60_000
    assert answered({"/robots.txt": robots(filler[: 500 << 10] + "\nUser-agent: *\nDisallow: /")})[0] == "fetch_robots"
    assert answered({"/robots.txt": robots(filler + "User-agent: *\nDisallow: /")})[0] is None
    cut = parse_robots(b"User-agent: *\nDisallow: /private", len(b"User-agent: *\nDisallow: /p"))
    assert cut.can_fetch("http://site.test/p", "plait")  # half a line is no rule


def test_robots_txt_is_asked_once_for_a_host_and_again_when_it_expires() -> None:
    async def run() -> None:
        for ttl, least, most in ((86400.0, 1, 1), (0.0, 2, 50)):
            paths = {f"/{n}": message(JPEG) for n in range(50)}
            async with serving(files(paths | {"/robots.txt": robots("User-agent: *\nDisallow: /x")})) as server:
                urls = [f"{server.url}/{n}" for n in range(50)]
                found = await gather(urls, robots=True, robots_ttl_s=ttl)
                assert all(answer.reason is None for answer in found.values())
                assert least <= server.asked.count("/robots.txt") <= most

    asyncio.run(run())


def test_a_redirect_obeys_the_robots_txt_of_where_it_leads() -> None:
    async def run() -> None:
        theirs = {"/b": message(JPEG), "/robots.txt": robots("User-agent: *\nDisallow: /b")}
        async with serving(files(theirs)) as other:
            moved = {"/a": message(b"", "302 Found", Location=f"{other.url}/b")}
            async with serving(files(moved)) as server:
                found = await gather([server.url + "/a"], robots=True)
                assert found[server.url + "/a"].reason == "fetch_robots"
                assert other.asked == ["/robots.txt"]

    asyncio.run(run())


def test_crawl_delay_is_kept_or_the_host_is_left_alone() -> None:
    reason, asked = answered({"/robots.txt": robots("User-agent: *\nCrawl-delay: 3600\nDisallow: /x")})
    assert reason == "fetch_robots"
    assert asked == ["/robots.txt"]

    async def run() -> None:
        paths = {f"/{n}": message(JPEG) for n in range(4)} | {"/robots.txt": robots("User-agent: *\nCrawl-delay: 0.2")}
        async with serving(files(paths)) as server:
            found = await gather([f"{server.url}/{n}" for n in range(4)], robots=True)
            starts = sorted(answer.asked_us for answer in found.values())
            assert all(answer.reason is None for answer in found.values())
            assert all((after - before) / 1e6 > 0.15 for before, after in pairwise(starts))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"X_Robots_Tag": "noai"}, "opted_out"),
        ({"X_Robots_Tag": "noindex, noimageai"}, "opted_out"),
        ({"X_Robots_Tag": "otherbot: NoML"}, "opted_out"),
        ({"TDM_Reservation": "1"}, "opted_out"),
        ({"TDM_Reservation": "0"}, None),
        ({"X_Robots_Tag": "noindex"}, None),
    ],
)
def test_headers_that_opt_out(headers: dict[str, str], reason: str | None) -> None:
    assert answered({"/a/b.jpg": message(JPEG, **headers)}, signals=True)[0] == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('[{"location": "/", "tdm-reservation": 1}]', "opted_out"),
        ('[{"location": "/a/*.jpg$", "tdm-reservation": 1}]', "opted_out"),
        ('[{"location": "/a/*.png$", "tdm-reservation": 1}]', None),
        ('[{"location": "/", "tdm-reservation": 1}, {"location": "/a/", "tdm-reservation": 0}]', None),
        ('[{"location": "/a/", "tdm-reservation": 0}, {"location": "/a/", "tdm-reservation": 1}]', "opted_out"),
        ('{"location": "/"}', None),
        ("not json", None),
        ("[" * 100_000, None),
        ('[1, null, {"location": 3}]', None),
    ],
)
def test_tdmrep_of_the_site(body: str, reason: str | None) -> None:
    found, asked = answered({"/.well-known/tdmrep.json": message(body.encode(), kind="application/json")}, signals=True)
    assert found == reason
    assert asked[:2] == ["/robots.txt", "/.well-known/tdmrep.json"]


def test_patterns_of_tdmrep_cost_little_whatever_they_are() -> None:
    rules = parse_tdmrep(('[{"location": "' + "*a" * 5_000 + '*b$", "tdm-reservation": 1}]').encode())
    assert not is_reserved(rules, "/" + "a" * 4_000)
    assert is_reserved(rules, "/" + "a" * 5_000 + "b")


def test_a_site_that_disallows_everything_gets_no_further_request() -> None:
    reason, asked = answered({"/robots.txt": robots("User-agent: *\nDisallow: /")}, signals=True)
    assert reason == "fetch_robots"
    assert asked == ["/robots.txt"]


def test_every_request_says_who_asks() -> None:
    async def run(reply: Reply) -> None:
        async with serving(reply) as server:
            await gather([f"{server.url}/a"], robots=True, signals=True, contact="https://lab.test/crawl")
            assert len(server.headers) == 3
            for headers in server.headers:
                assert headers["user-agent"].startswith("plait/")
                assert "(+https://lab.test/crawl)" in headers["user-agent"]
                assert "mozilla" not in headers["user-agent"].lower()
                assert headers["host"] == f"{LOOPBACK}:{server.port}"

    asyncio.run(run(files({"/a": message(JPEG)})))
