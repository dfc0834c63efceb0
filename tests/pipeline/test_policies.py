"""Rules of sites that lie in archives: which capture decides, and what it forbids."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, permutations
from pathlib import Path

import brotli
import pyarrow as pa
import pytest

from plait.jobs.scan import nullable
from plait.pipeline.fetch.origins import REDIRECTS
from plait.pipeline.fetch.rules import parse_robots
from plait.pipeline.policies import (
    MOST_LED,
    PIECE_BYTES,
    POLICY_IN,
    POLICY_ORDER,
    ROBOTS,
    TDMREP,
    choose,
    follow,
    judged,
    policy_rows,
)
from plait.pipeline.read import Limits, Loss, expand, read_archive
from plait.pipeline.revisits import Row, batch_of
from plait.schemas.ids import text_key
from plait.schemas.urls import origin_of, site_file
from tests.archives import WarcBuilder, html, payload_digest

SITE = "http://site.test"
NO = b"User-agent: *\nDisallow: /"
YES = b"User-agent: *\nAllow: /"
PLAIN = "text/plain"
KINDS = (ROBOTS, TDMREP)
CAPTURES = nullable(POLICY_IN)
URLS_IN = pa.schema([*CAPTURES, pa.field("url", pa.string())])
Judge = Callable[..., str | None]


def day(number: int) -> str:
    return f"2024-05-{number:02d}T12:00:00Z"


def _place(row: Row) -> list[tuple[bool, str | int]]:
    """Where a row stands in `POLICY_ORDER`: nulls last."""
    found: list[tuple[bool, str | int]] = []
    for name in POLICY_ORDER:
        value = row.get(name.lstrip("-"))
        value = -value if name[0] == "-" and isinstance(value, int) else value
        found.append((value is None, value if isinstance(value, (str, int)) else 0))
    return found


def _sorted(rows: Sequence[Row], schema: pa.Schema, rows_a_batch: int) -> Iterable[pa.RecordBatch]:
    ordered = sorted(rows, key=_place)
    for start in range(0, len(ordered), rows_a_batch):
        yield batch_of(ordered[start : start + rows_a_batch], schema)


def captures(folder: Path, *archives: WarcBuilder) -> tuple[list[Row], list[Row]]:
    """Rows of the captures in archives, and of the redirects among them."""
    found: list[Row] = []
    moved: list[Row] = []
    for number, builder in enumerate(archives):
        (archive,) = expand([str(builder.save(folder / f"{number}.warc.gz"))])
        for record in read_archive(archive, Limits(), spool_dir=str(folder)):
            if not isinstance(record, Loss) and record.kind == "policy":
                rows, asks = policy_rows(record, archive.id)
                found += [row | {"side": 0} for row in rows]
                moved += [asks | {"side": 1}] if asks else []
    return found, moved


def chosen(found: list[Row], moved: list[Row], rows_a_batch: int = 3) -> list[Row]:
    """What is said in the end, as the stages of a build find it out."""
    direct = list(found)
    for _ in range(REDIRECTS if moved else 0):
        further: list[Row] = []
        for answers, again in follow(iter(_sorted(direct + moved, CAPTURES, rows_a_batch))):
            found = found + [row | {"side": 0} for row in answers]
            further += [row | {"side": 1} for row in again]
        moved = further
    rows = [row for rows in choose(iter(_sorted(found, CAPTURES, rows_a_batch))) for row in rows]
    return [row | {"side": 0} for row in rows]


def verdicts(rules: list[Row], urls: Sequence[str], kinds: Sequence[str] = KINDS, rows_a_batch: int = 3) -> list[Row]:
    """Reason and detail of each URL."""
    asked = [{"key": text_key(origin_of(url)), "origin": origin_of(url), "side": 1, "url": url} for url in urls]
    stream = _sorted([*rules, *asked], URLS_IN, rows_a_batch)
    found = {}
    for batch, said in judged(iter(stream), kinds):
        found.update(zip(batch.column("url").to_pylist(), said, strict=True))
    assert set(found) == set(urls)
    return [{"reason": v and v.reason, "detail": v and v.detail} for v in (found[url] for url in urls)]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """The reason for which archives forbid a URL, None for none."""

    def reason(url: str, *archives: WarcBuilder, kinds: Sequence[str] = KINDS) -> object:
        (verdict,) = verdicts(chosen(*captures(tmp_path, *archives)), [url], kinds)
        return verdict["reason"]

    return reason  # type: ignore[return-value]


def robots(body: bytes, *, date: str = day(1), status: str = "200 OK", **more: object) -> WarcBuilder:
    archive = WarcBuilder()
    archive.response(f"{SITE}/robots.txt", body, PLAIN, date=date, status=status, **more)  # type: ignore[arg-type]
    return archive


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("200 OK", "robots_disallowed"),
        ("203 Non-Authoritative Information", "robots_disallowed"),
        ("401 Unauthorized", None),
        ("404 Not Found", None),
        ("429 Too Many Requests", "robots_unavailable"),
        ("503 Service Unavailable", "robots_unavailable"),
        ("999 Request Denied", "robots_unavailable"),
        ("301 Moved Permanently", None),  # to nowhere
    ],
)
def test_the_status_of_a_robots_txt_decides_whether_it_is_read(judge: Judge, status: str, reason: str | None) -> None:
    assert judge(f"{SITE}/a", robots(NO, status=status)) == reason


def test_rules_hold_for_their_origin_alone(tmp_path: Path) -> None:
    rules = chosen(*captures(tmp_path, robots(NO)))
    others = ["https://site.test/a", "http://site.test:8080/a", "http://www.site.test/a", "http://test/a"]
    urls = [f"{SITE}/a", "http://SITE.test:80/a.jpg", "http://user@site.test/b", *others]
    assert [v["reason"] for v in verdicts(rules, urls)] == ["robots_disallowed"] * 3 + [None] * 4
    assert verdicts(rules, [urls[0]])[0]["detail"] == "robots.txt of 2024-05-01"


def test_only_the_file_at_the_top_of_a_site_is_one(tmp_path: Path) -> None:
    named = {f"{SITE}/robots.txt": ROBOTS, "HTTPS://s.test:81/.well-known/tdmrep.json": TDMREP}
    none = ("/a/robots.txt", "/robots.txt?a", "//robots.txt", "/Robots.txt", "/tdmrep.json")
    assert {url: site_file(url) for url in named} == named
    assert [site_file(SITE + path) for path in none] == [None] * len(none)
    assert site_file("ftp://site.test/robots.txt") is None


def test_of_several_captures_the_newest_that_speaks_decides(judge: Judge, tmp_path: Path) -> None:
    equal = "robots_disallowed" if payload_digest(NO) < payload_digest(YES) else None  # the smaller digest decides
    cases = [
        ([(1, NO, "200 OK"), (2, YES, "200 OK")], None),
        ([(1, YES, "200 OK"), (2, NO, "200 OK")], "robots_disallowed"),
        ([(1, NO, "200 OK"), (2, b"", "404 Not Found")], None),
        ([(1, b"", "404 Not Found"), (2, NO, "200 OK")], "robots_disallowed"),
        ([(1, NO, "200 OK"), (2, b"", "503 Busy")], "robots_disallowed"),  # an error says nothing
        ([(1, YES, "200 OK"), (2, b"", "503 Busy")], None),
        ([(1, YES, "200 OK"), (1, NO, "200 OK")], equal),
    ]
    for said, reason in cases:
        made = [robots(body, date=day(number), status=status) for number, body, status in said]
        for order in permutations(made):
            assert judge(f"{SITE}/a", *order) == reason, said


def test_the_same_captures_twice_are_as_good_as_once(tmp_path: Path) -> None:
    long = b"User-agent: *\n" + b"".join(b"Disallow: /x%d\n" % n for n in range(5_000)) + b"Disallow: /a\n"
    assert len(long) > 3 * PIECE_BYTES
    found, moved = captures(tmp_path, robots(long))
    once = chosen(found, moved)
    assert chosen(found * 2, moved) == once
    assert b"".join(row["data"] for row in once) == long  # type: ignore[misc]
    for rows_a_batch in (1, 2, 1000):
        assert chosen(found, moved, rows_a_batch) == once
        said = verdicts(once, [f"{SITE}/a", f"{SITE}/b", f"{SITE}/x4999"], rows_a_batch=rows_a_batch)
        assert [v["reason"] for v in said] == ["robots_disallowed", None, "robots_disallowed"]


def test_a_revisit_says_what_its_payload_says_and_a_304_what_was_before(judge: Judge) -> None:
    both = WarcBuilder()
    both.response(f"{SITE}/robots.txt", NO, PLAIN, date=day(1))
    both.response(f"{SITE}/robots.txt", YES, PLAIN, date=day(2))
    again, unknown, same = WarcBuilder(), WarcBuilder(), WarcBuilder()
    again.revisit(f"{SITE}/robots.txt", NO, date=day(3))
    unknown.revisit(f"{SITE}/robots.txt", b"lost", date=day(3))
    same.response(f"{SITE}/robots.txt", b"", PLAIN, date=day(4), status="304 Not Modified")
    assert judge(f"{SITE}/a", both) is None
    assert judge(f"{SITE}/a", both, again) == "robots_disallowed"
    assert judge(f"{SITE}/a", both, again, robots(YES, date=day(4))) is None
    assert judge(f"{SITE}/a", both, unknown) is None
    assert judge(f"{SITE}/a", both, same) is None
    assert judge(f"{SITE}/a", unknown, same) is None


def test_what_a_revisit_confirms_is_as_new_as_the_revisit(tmp_path: Path) -> None:
    again = WarcBuilder()
    again.revisit(f"{SITE}/robots.txt", NO, date=day(3))
    known = chosen(*captures(tmp_path, robots(NO), again))
    later, moved = captures(tmp_path, robots(YES, date=day(2)))
    assert [v["reason"] for v in verdicts(chosen(known + later, moved), [f"{SITE}/a"])] == ["robots_disallowed"]


def test_redirects_are_followed_five_times_to_other_sites(judge: Judge) -> None:
    for hops, reason in ((1, "robots_disallowed"), (5, "robots_disallowed"), (6, None)):
        chain = WarcBuilder()
        places = [f"{SITE}/robots.txt", *(f"https://h{n}.test/robots.txt" for n in range(hops))]
        for here, there in pairwise(places):
            chain.redirect(here, there)
        target = WarcBuilder()
        target.response(places[-1], NO, PLAIN)
        assert judge(f"{SITE}/a", chain, target) == reason, hops


def test_a_redirect_that_leads_nowhere_says_nothing(judge: Judge) -> None:
    loop, elsewhere, gone = WarcBuilder(), WarcBuilder(), WarcBuilder()
    loop.redirect(f"{SITE}/robots.txt", f"{SITE}/robots.txt", date=day(2))
    elsewhere.redirect(f"{SITE}/robots.txt", "https://site.test/de/robots.txt", date=day(3))
    elsewhere.response("https://site.test/de/robots.txt", YES, PLAIN)
    gone.redirect(f"{SITE}/robots.txt", "https://nowhere.test/robots.txt", date=day(4))
    for archive in (loop, elsewhere, gone):
        assert judge(f"{SITE}/a", archive) is None
        assert judge(f"{SITE}/a", archive, robots(NO)) == "robots_disallowed"  # an older capture decides
        assert judge(f"{SITE}/a", archive, robots(NO), robots(YES, date=day(9))) is None


def test_a_long_body_answers_so_many_redirects_and_a_short_one_all(tmp_path: Path) -> None:
    for filler, last in ((0, None), (PIECE_BYTES, "robots_unavailable")):
        found, moved = captures(tmp_path, robots(YES + b"\n#" + b"x" * filler))
        template = found[0] | {"state": "redirect", "data": None, "target": SITE, "piece": 0}
        for number in range(MOST_LED + 1):
            own = f"http://h{number:04d}.test"
            place = {"key": text_key(own), "origin": own, "offset": number}
            found.append({**template, **place})
            moved.append({**template, "side": 1, "target": own, "offset": number})
        said = verdicts(chosen(found, moved, 1000), [f"http://h{n:04d}.test/a" for n in (0, MOST_LED - 1, MOST_LED)])
        assert [v["reason"] for v in said] == [None, None, last]


@pytest.mark.parametrize(
    ("encoding", "stored"),
    [
        ("gzip", gzip.compress(NO, mtime=0)),
        ("br", brotli.compress(NO)),
        ("identity", NO),
        ("", gzip.compress(NO, mtime=0)),
        ("gzip", NO),
    ],
    ids=["gzip", "br", "identity", "gzip that no header states", "a header that is wrong"],
)
def test_bodies_are_decoded(judge: Judge, encoding: str, stored: bytes) -> None:
    headers = [("Content-Encoding", encoding)] if encoding else []
    assert judge(f"{SITE}/a", robots(stored, headers=headers)) == "robots_disallowed"


def test_chunks_are_joined_and_any_type_is_read(judge: Judge) -> None:
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(NO), NO)
    assert judge(f"{SITE}/a", robots(chunked, headers=[("Transfer-Encoding", "chunked")])) == "robots_disallowed"
    archive = WarcBuilder()
    archive.response(f"{SITE}/robots.txt", NO, "text/html")
    assert judge(f"{SITE}/a", archive) == "robots_disallowed"
    archive = WarcBuilder()
    archive.resource(f"{SITE}/robots.txt", NO, PLAIN)
    assert judge(f"{SITE}/a", archive) == "robots_disallowed"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_of_a_huge_robots_txt_512_kib_count(judge: Judge, packed: bool) -> None:
    limit = 512 << 10
    head = b"User-agent: *\nDisallow: /first\n"
    filler = b"# " + b"x" * (limit - len(head) - 30) + b"\n"
    body = head + filler + b"Disallow: /cut-in-the-middle-of-a-line-that-is-long\n" + b"Disallow: /late\n" * 100_000
    stored = gzip.compress(body, mtime=0) if packed else body
    archive = robots(stored, headers=[("Content-Encoding", "gzip")] if packed else [])
    assert judge(f"{SITE}/first", archive) == "robots_disallowed"
    assert judge(f"{SITE}/late", archive) is None
    assert judge(f"{SITE}/cut-in-the-middle-of-a-line-that-is-long", archive) is None
    assert judge(f"{SITE}/", archive) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00\xff" * 100, b"Disallow: /", html("<p>Not found</p>"), b"User-agent: other\nDisallow: /"],
    ids=["nothing", "noise", "a rule of no group", "a page", "another robot's"],
)
def test_what_states_no_rule_forbids_nothing(judge: Judge, body: bytes) -> None:
    assert judge(f"{SITE}/a", robots(body)) is None


def test_a_body_that_cannot_be_decoded_is_a_loss_and_says_nothing(judge: Judge, tmp_path: Path) -> None:
    broken = robots(b"\x1f\x8b\x08broken", date=day(2), headers=[("Content-Encoding", "gzip")])
    (archive,) = expand([str(broken.save(tmp_path / "broken.warc.gz"))])
    (loss,) = read_archive(archive, Limits(), spool_dir=str(tmp_path))
    assert isinstance(loss, Loss)
    assert loss.reason == "decode_failed"
    assert judge(f"{SITE}/a", broken, robots(NO)) == "robots_disallowed"


@pytest.mark.parametrize(
    ("rule", "path", "forbidden"),
    [
        (b"/%7Euser/", "/~user/a", True),
        (b"/~user/", "/%7Euser/a", True),
        (b"/caf%C3%A9", "/café", True),
        ("/café".encode(), "/caf%c3%a9", True),
        (b"/a%2Fb", "/a/b", False),
        (b"/*.jpg$", "/x/a.jpg", True),
        (b"/*.jpg$", "/x/a.jpg?w=1", False),
        (b"/*?utm_source=", "/a?utm_source=b", True),
        (b"/a b", "/a%20b", True),
    ],
)
def test_percent_encoding_makes_no_difference(judge: Judge, rule: bytes, path: str, forbidden: bool) -> None:
    reason = "robots_disallowed" if forbidden else None
    assert judge(SITE + path, robots(b"User-agent: *\nDisallow: " + rule)) == reason


def test_a_url_that_cannot_be_parsed_is_judged_as_it_stands(judge: Judge) -> None:
    archive = robots(b"User-agent: *\nDisallow: /a\n")
    assert judge(f"{SITE}/a%ZZ\\[", archive) == "robots_disallowed"
    assert judge("http://[::1/a", archive) is None


def tdmrep(text: str, *, status: str = "200 OK", date: str = day(1)) -> WarcBuilder:
    archive = WarcBuilder()
    archive.response(f"{SITE}/.well-known/tdmrep.json", text.encode(), "application/json", status=status, date=date)
    return archive


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[{"location": "/", "tdm-reservation": 1}]', "opted_out"),
        ('[{"location": "/a*", "tdm-reservation": 1}]', "opted_out"),
        ('[{"location": "/", "tdm-reservation": 1}, {"location": "/a/", "tdm-reservation": 0}]', None),
        ('[{"location": "/b/", "tdm-reservation": 1}]', None),
        ('[{"location": "/b.jpg$", "tdm-reservation": 1}]', None),
        ("{not json", None),
        ('[{"location": "/", "tdm-reservation": 1}' + " " * (1 << 20) + "]", None),  # over its limit
    ],
)
def test_a_tdmrep_json_reserves_paths(judge: Judge, text: str, reason: str | None) -> None:
    assert judge(f"{SITE}/a/b.jpg", tdmrep(text)) == reason


def test_an_error_instead_of_a_tdmrep_json_reserves_nothing(judge: Judge) -> None:
    reserving = '[{"location": "/", "tdm-reservation": 1}]'
    for status in ("404 Not Found", "503 Busy", "206 Partial Content"):
        assert judge(f"{SITE}/a", tdmrep(reserving, status=status)) is None
    assert judge(f"{SITE}/a", tdmrep(reserving), tdmrep("", status="503 Busy", date=day(2))) == "opted_out"
    assert judge(f"{SITE}/a", tdmrep(reserving), tdmrep("", status="404 Not Found", date=day(2))) is None


def test_each_file_is_obeyed_only_where_the_recipe_says_so(judge: Judge) -> None:
    both = (robots(NO), tdmrep('[{"location": "/", "tdm-reservation": 1}]'))
    assert judge(f"{SITE}/a", *both) == "robots_disallowed"
    assert judge(f"{SITE}/a", *both, kinds=[TDMREP]) == "opted_out"
    assert judge(f"{SITE}/a", *both, kinds=[]) is None


def test_thousands_of_robots_over_thousands_of_rules_are_cheap() -> None:
    agents = b"".join(b"User-agent: bot%d*\nUSER AGENT  bot%d\n" % (n, n) for n in range(5_000))
    rules = b"".join(b"Disallow: /%d\n" % n for n in range(5_000))
    found = parse_robots(agents + rules + b"User-agent: Plait*\nDisallow: /a\n", 1 << 20)  # 5 * 10^7 rules, if kept
    assert not found.can_fetch(f"{SITE}/a", "plait")
    assert found.can_fetch(f"{SITE}/1", "plait")
