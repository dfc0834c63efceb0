"""What sites ask of robots, as archives recorded it: robots.txt and tdmrep.json of an origin, and what they forbid.

A capture of such a file speaks for its origin (scheme, host, port). Of several the newest decides; of equally new ones
that with the smaller digest, then archive and offset. By HTTP status:

- 2xx: the body is read (of a tdmrep.json only that of a 200);
- 4xx but 429: there are no rules;
- a redirect says what the newest capture of its target says; where none is there, it says nothing;
- a revisit says what the capture with its digest says, a 304 what the capture before it says;
- anything else (5xx, 429) says nothing. Where no capture of a robots.txt says more, everything is forbidden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from protego import Protego
from yarl import URL

from plait.pipeline.fetch.policy import PRODUCT, ROBOTS_BYTES
from plait.pipeline.fetch.rules import TDMREP_BYTES, Reservation, is_reserved, parse_robots, parse_tdmrep
from plait.pipeline.read.records import Record
from plait.pipeline.revisits import Row, rows_of
from plait.schemas.documents import TIME
from plait.schemas.ids import text_key
from plait.schemas.urls import origin_of, site_file

Stream: TypeAlias = Iterator[pa.RecordBatch]

ROBOTS, TDMREP = "robots.txt", "tdmrep.json"
PIECE_BYTES = 16 << 10  # of a body in one row, so that a batch of rows is of bounded bytes
MOST_LED = 1000  # redirects to one origin that a body of several pieces answers: they are copied to each

POLICY = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # text_key(origin)
        pa.field("origin", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # ROBOTS or TDMREP
        pa.field("state", pa.string(), nullable=False),  # "body", "none", "error", "revisit", "redirect"
        pa.field("captured", TIME),
        pa.field("digest", pa.string()),  # of the payload, as the archive states it
        pa.field("archive_id", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("piece", pa.int32(), nullable=False),
        pa.field("data", pa.binary()),  # a piece of the body
        pa.field("target", pa.string()),  # redirect: origin that it leads to, null where that is no such file
    ]
)
"""What a capture of a robots.txt or a tdmrep.json says; a row a piece of its body."""

POLICY_IN = pa.schema(
    [POLICY.field(0), POLICY.field(1), pa.field("side", pa.int32(), nullable=False), *list(POLICY)[2:]]
)
"""Captures (side 0), and what is asked of their origin (side 1): redirects that lead there (``target``: whence)."""

POLICY_ORDER = (
    "key", "origin", "side", "kind", "-captured", "digest", "archive_id", "offset", "piece", "state", "target",
)  # fmt: skip


def policy_rows(record: Record, archive_id: str) -> tuple[list[Row], Row | None]:
    """`POLICY` rows of a capture; and of a redirect that can be followed the row that asks its target (side 1)."""
    kind, origin = site_file(record.url), origin_of(record.url)
    if kind is None or not origin:
        return [], None
    target = record.target if record.target is not None and site_file(record.target) == kind else None
    head: Row = {
        "key": text_key(origin), "origin": origin, "kind": kind, "state": _state(record, kind),
        "captured": record.captured, "digest": record.digest, "archive_id": archive_id, "offset": record.offset,
        "target": None if target is None else origin_of(target),
    }  # fmt: skip
    if head["state"] != "body":
        asks = {**head, **_place(str(head["target"])), "piece": 0, "target": origin} if head["target"] else None
        return [head | {"piece": 0, "data": None}], asks
    body = record.payload or b""
    if kind == TDMREP and len(body) > TDMREP_BYTES:
        return [head | {"state": "none", "piece": 0, "data": None}], None
    # A byte more than counts of a robots.txt says that there was more: half a line must not become another rule.
    return _in_pieces(head, body[: ROBOTS_BYTES + 1] if kind == ROBOTS else body), None


def _place(origin: str) -> Row:
    return {"key": text_key(origin), "origin": origin}


def _in_pieces(head: Row, body: bytes) -> list[Row]:
    starts = range(0, max(len(body), 1), PIECE_BYTES)
    return [head | {"piece": n, "data": body[start : start + PIECE_BYTES]} for n, start in enumerate(starts)]


def _state(record: Record, kind: str) -> str:
    status = record.status
    if status == 304:
        return "revisit"
    if 300 <= status < 400:
        return "redirect"
    if 200 <= status < 300:
        if record.warc_type == "revisit":
            return "revisit"
        return "body" if kind == ROBOTS or status == 200 else "none"
    return "none" if 400 <= status < 500 and status != 429 else "error"


@dataclass
class Said:
    """What an origin's captures say in the end: a capture's first row, its body, and since when it is known."""

    row: Row
    captured: int | None
    parts: list[bytes]

    @property
    def body(self) -> bytes:
        """Bytes of the body."""
        return b"".join(self.parts)


class _Choice:
    """The capture that decides, of those of one file of one origin, newest first; memory is that of two bodies."""

    def __init__(self, follows: bool):
        self._follows = follows  # whether a redirect is an answer
        self._open: tuple[object, ...] | None = None
        self._piece = -1
        self._decided = False
        self._wanted: str | None = None  # digest that a revisit asks for
        self._confirmed: int | None = None  # when a revisit said that what it asks for still holds
        self.found: Said | None = None
        self.error: Row | None = None

    def add(self, row: Row) -> None:
        capture = tuple(row[name] for name in ("captured", "digest", "archive_id", "offset", "state"))
        if capture == self._open:
            if self.found is not None and row["piece"] != self._piece:  # the same archive's rows may come twice
                self.found.parts.append(_bytes(row))
                self._piece = int(row["piece"] or 0)
            return
        self._open = None
        state = row["state"]
        if self._decided or (state == "redirect" and not self._follows):
            return
        if state == "error":
            self.error = self.error or row
        elif state == "revisit":
            if self.found is None and self._confirmed is None:
                self._confirmed, self._wanted = _time(row), None if row["digest"] is None else str(row["digest"])
        else:
            self._decided = self._wanted is None or row["digest"] == self._wanted
            if self._decided or self.found is None:
                since = self._confirmed if self._decided and self._confirmed is not None else _time(row)
                self.found = Said(row, since, [_bytes(row)])
                self._open, self._piece = capture, int(row["piece"] or 0)

    @property
    def said(self) -> Said | None:
        if self.found is None and self.error is not None:
            return Said(self.error, _time(self.error), [])
        return self.found


def _bytes(row: Row) -> bytes:
    data = row["data"]
    return data if isinstance(data, bytes) else b""


def _time(row: Row) -> int | None:
    captured = row["captured"]
    return captured if isinstance(captured, int) else None


class Site:
    """What the captures of one origin say."""

    def __init__(self, origin: str, *, follows: bool = False):
        self.origin = origin
        self._choices = {kind: _Choice(follows) for kind in (ROBOTS, TDMREP)}

    def add(self, row: Row) -> None:
        """A row of `POLICY`, in its order."""
        self._choices[str(row["kind"])].add(row)

    def said(self, kind: str) -> Said | None:
        """What is said in the end; None where nothing is known."""
        return self._choices[kind].said

    def rows(self) -> list[Row]:
        """What is said in the end, as `POLICY` rows."""
        found = [said for kind in (ROBOTS, TDMREP) if (said := self.said(kind)) is not None]
        return [row for said in found for row in _told(said, {"captured": said.captured})]


def _told(said: Said, changes: Row) -> list[Row]:
    """What is said, as rows of another capture or of another origin."""
    head = {name: said.row[name] for name in POLICY.names} | {"target": None, "piece": 0, "data": None} | changes
    return _in_pieces(head, said.body) if head["state"] == "body" else [head]


def follow(stream: Stream) -> Iterator[tuple[list[Row], list[Row]]]:
    """`POLICY_IN` sorted by `POLICY_ORDER` → what redirected captures say, and redirects that lead further.

    A body of more than a piece answers `MOST_LED` redirects, the newest; to others it counts as an error.
    """
    site = Site("")
    led: Counter[str] = Counter()
    for batch in stream:
        answers: list[Row] = []
        further: list[Row] = []
        for row in rows_of(batch):
            if row["origin"] != site.origin:
                site, led = Site(str(row["origin"]), follows=True), Counter()
            if row["side"] == 0:
                site.add(row)
                continue
            kind, said = str(row["kind"]), site.said(str(row["kind"]))
            if said is None:
                continue
            led[kind] += 1
            if said.row["state"] == "redirect":
                if said.row["target"]:
                    further.append(row | _place(str(said.row["target"])))
                continue
            own = _place(str(row["target"])) | {name: row[name] for name in ("captured", "archive_id", "offset")}
            if len(said.parts) > 1 and led[kind] > MOST_LED:
                own["state"] = "error"
            answers += _told(said, own)
        yield answers, further


def choose(stream: Stream) -> Iterator[list[Row]]:
    """`POLICY_IN` sorted by `POLICY_ORDER` → of each origin what is said in the end."""
    site = Site("")
    for batch in stream:
        chosen: list[Row] = []
        for row in rows_of(batch):
            if row["origin"] != site.origin:
                chosen += site.rows()
                site = Site(str(row["origin"]))
            site.add(row)
        yield chosen
    yield site.rows()


@dataclass(frozen=True)
class Verdict:
    """Why a URL must not be used: a reason code, and the file that says so."""

    reason: str
    detail: str


class Rules:
    """What an origin forbids.

    Args:
        site: what its captures say.
        kinds: files that are obeyed.
    """

    def __init__(self, site: Site, kinds: Sequence[str]):
        robots = site.said(ROBOTS) if ROBOTS in kinds else None
        tdmrep = site.said(TDMREP) if TDMREP in kinds else None
        self._unknown: Verdict | None = None
        self._robots: Protego | None = None
        self._reserved: tuple[Reservation, ...] = ()
        self._robots_detail, self._tdmrep_detail = _detail(ROBOTS, robots), _detail(TDMREP, tdmrep)
        if robots is not None and robots.row["state"] == "error":
            self._unknown = Verdict("robots_unavailable", self._robots_detail)
        elif robots is not None and robots.row["state"] == "body":
            self._robots = parse_robots(robots.body, ROBOTS_BYTES)
        if tdmrep is not None and tdmrep.row["state"] == "body":
            self._reserved = parse_tdmrep(tdmrep.body)

    def verdict(self, url: str) -> Verdict | None:
        """Why a URL of the origin must not be used; None where nothing speaks against it."""
        if self._unknown is not None:
            return self._unknown
        if self._robots is None and not self._reserved:
            return None
        asked, path = _as_asked(url)
        if self._robots is not None and not self._robots.can_fetch(asked, PRODUCT):
            return Verdict("robots_disallowed", self._robots_detail)
        if is_reserved(self._reserved, path):
            return Verdict("opted_out", self._tdmrep_detail)
        return None


def _as_asked(url: str) -> tuple[str, str]:
    """A URL and its path with the query, percent-encoded as a fetch would ask for them."""
    try:
        at = URL(url)
        return str(at), at.raw_path_qs
    except ValueError:
        return url, "/" + url.partition("://")[2].partition("/")[2]


def _detail(kind: str, said: Said | None) -> str:
    if said is None or said.captured is None:
        return kind
    return f"{kind} of {datetime.fromtimestamp(said.captured / 1e6, UTC):%Y-%m-%d}"


def judged(
    stream: Stream, kinds: Sequence[str], column: str = "url"
) -> Iterator[tuple[pa.RecordBatch, list[Verdict | None]]]:
    """Captures (side 0) and what is judged by its URL (side 1), sorted by `POLICY_ORDER` → side 1 with verdicts.

    Memory: the rules of one origin.

    Args:
        stream: `POLICY_IN` and the columns of what is judged.
        kinds: files that are obeyed, `ROBOTS` or `TDMREP`.
        column: of the URL.
    """
    site, fresh = Site(""), True
    rules = Rules(site, ())
    for batch in stream:
        verdicts: list[Verdict | None] = []
        known = [name for name in POLICY_IN.names if name in batch.schema.names]
        for row in rows_of(batch.select([*known, column])):
            if row["origin"] != site.origin:
                site, fresh = Site(str(row["origin"])), True
            if row["side"] == 0:
                site.add(row)
                continue
            if fresh:
                rules, fresh = Rules(site, kinds), False
            verdicts.append(rules.verdict(str(row[column])))
        if verdicts:
            yield batch.filter(pc.equal(batch.column("side"), 1)), verdicts
