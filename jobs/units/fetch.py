"""Images that no archive holds: distinct URLs, units that own hosts, answers recorded once, packs."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.jobs.context import Context, Table
from plait.jobs.fetching import opt_out_of, policy_of
from plait.jobs.journal import Bodies, Entry, Journal
from plait.jobs.units.streams import Stream
from plait.jobs.work import Unit
from plait.pipeline.fetch.client import Fetcher
from plait.pipeline.occurrences import record_key
from plait.schemas.documents import TIME
from plait.schemas.errors import UnitError
from plait.schemas.fetched import FETCH_URL, FETCHED
from plait.schemas.ids import text_key
from plait.schemas.images import PACKED
from plait.schemas.urls import host_of

HOST_ORDER = ("key", "image_key")
SOURCE = "http"
"""Stands for the archive's id in the record key of a fetched picture; its offset is the image key."""

UNIT_URLS = 10_000
"""URLs from which on a host is a unit of its own; hosts with fewer share units of about as many."""

ROUND_URLS = 50_000
"""URLs of a unit that are fetched and packed at a time: bounds its memory, about 1 KB each."""


def fetched_key(image_key: int) -> int:
    """Key that a fetched picture and the image nodes that show it share."""
    return record_key(SOURCE, image_key, None)


def fetchable(located: pa.RecordBatch) -> pa.Array:
    """Which of `LOCATED` rows have a URL that can be asked: http or https, in no archive, nobody having opted out."""
    web = pc.match_substring_regex(located.column("image_url"), r"^\s*https?://", ignore_case=True)
    return pc.and_(web, pc.equal(located.column("reason"), "image_not_in_archives"))


def wanted_urls(nodes: pa.RecordBatch, last: int | None) -> pa.RecordBatch:
    """`FETCH_URL` rows of `LOCATED` rows sorted by image key: one for each key, with the URL of its first node.

    Args:
        nodes: image nodes.
        last: the image key of the node before them; None at the beginning.
    """
    rows = []
    columns = (nodes.column(name).to_pylist() for name in ("key", "image_url", "order_key"))
    for key, url, order in zip(*columns, strict=True):
        if key != last:
            rows.append({"key": text_key(host_of(url)), "image_key": key, "url": url, "order_key": order})
        last = key
    return pa.RecordBatch.from_pylist(rows, schema=FETCH_URL)


def group_hosts(stream: Stream, unit: Unit, ctx: Context) -> None:
    """URLs by host → files that are a unit each: "urls" of whole hosts, and "huge" of one host with many."""
    most = int(str(ctx.params.get("unit_urls", UNIT_URLS)))
    with ExitStack() as shared, ExitStack() as alone:
        table: Table | None = None
        own: Table | None = None
        for rows, huge, begins in _hosts(stream, most):
            if huge:
                if begins or own is None:
                    alone.close()
                    own = alone.enter_context(ctx.table("huge", FETCH_URL))
                own.write(rows)
                continue
            if table is None or table.rows + rows.num_rows > most:
                shared.close()
                table = shared.enter_context(ctx.table("urls", FETCH_URL))
            table.write(rows)


def _hosts(stream: Stream, most: int) -> Iterator[tuple[pa.RecordBatch, bool, bool]]:
    """Rows of one host each; of a host with more than ``most`` as they come, marked, the first marked too."""
    held: list[pa.RecordBatch] = []
    size, key, huge = 0, None, False
    for batch in stream:
        keys = batch.column("key").to_numpy()
        edges = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
        for start, end in pairwise(edges):
            if start == end:
                continue
            if int(keys[start]) != key:
                if held:
                    yield pa.concat_batches(held), False, True
                held, size, key, huge = [], 0, int(keys[start]), False
            rows = batch.slice(start, end - start)
            if huge:
                yield rows, True, False
                continue
            held.append(rows)
            size += rows.num_rows
            if size > most:
                yield pa.concat_batches(held), True, True
                held, huge = [], True
    if held:
        yield pa.concat_batches(held), False, True


def fetch_hosts(unit: Unit, ctx: Context) -> None:
    """A file of "urls" → packs, an "index" each, and "fetched": the end of every URL.

    Answers are journalled as they come. A later attempt takes over what earlier ones were told and asks for the rest.
    """
    asyncio.run(_fetch_rounds(unit, ctx))


async def _fetch_rounds(unit: Unit, ctx: Context) -> None:
    seen: Counter[str] = Counter()
    folder, attempt = journal_folder(ctx.stage.name, unit.id(ctx.stage)), uuid.uuid4().hex[:8]
    async with Fetcher(policy_of(unit), opt_out=opt_out_of(unit, ctx)) as fetcher:
        with ctx.table("fetched", FETCHED) as fetched:
            for number, rows in enumerate(_rounds(unit, ctx)):
                with Journal(ctx.store, f"{folder}/{number:05d}", attempt) as journal:
                    known = {entry.image_key for entry in journal.entries()}
                    asked = {str(row["url"]): int(row["image_key"]) for row in rows if row["image_key"] not in known}
                    async for answer in fetcher.answers(asked):
                        journal.append(answer, asked[answer.url])
                    seen.update(_pack(ctx, number, rows, journal, fetched))
    ctx.seen(seen)


def journal_folder(stage: str, unit: str) -> str:
    """Where a unit's answers are kept until it is done."""
    return f"work/answers/{stage}/{unit}"


def _rounds(unit: Unit, ctx: Context) -> Iterator[list[dict[str, str | int]]]:
    with ctx.store.open_read(str(unit.payload["urls"])) as file:
        for batch in pq.ParquetFile(file).iter_batches(int(str(ctx.params.get("round_urls", ROUND_URLS)))):
            yield batch.to_pylist()


def _pack(
    ctx: Context, number: int, rows: list[dict[str, str | int]], journal: Journal, fetched: Table
) -> Counter[str]:
    """Write a round's pack, in the order of the shards that want its pictures, and its rows; answers by reason."""
    entries = {entry.image_key: entry for entry in journal.entries()}
    index: list[dict[str, str | int | None]] = []
    seen: Counter[str] = Counter()
    ordered = sorted(rows, key=lambda row: (row["order_key"], row["image_key"]))
    with Bodies(ctx.store) as bodies, ctx.file(f"pack-{number:05d}") as pack:
        for row in ordered:
            key = int(row["image_key"])
            entry = entries.get(key)
            if entry is None:
                raise UnitError(f"{row['url']} was asked for and has no answer")
            reason = entry.row["reason"]
            seen["fetched" if reason is None else str(reason)] += 1
            line: dict[str, str | int | None] = {"archive_id": SOURCE, "offset": key, "reason": _text(reason)}
            if reason is None:
                body = bodies.read(entry)
                line |= {"pack_offset": pack.bytes, "pack_length": len(body)}
                pack.write(body)
            index.append(line)
    path = ctx.written(f"pack-{number:05d}").path
    for line in index:
        if line["reason"] is None:
            line["pack"] = path
    with ctx.table("index", PACKED) as table:
        table.write(pa.RecordBatch.from_pylist(index, schema=PACKED))
    fetched.write(_fetched_batch([entries[int(row["image_key"])] for row in ordered]))
    return seen


def _text(value: str | float | None) -> str | None:
    return None if value is None else str(value)


def _fetched_batch(entries: list[Entry]) -> pa.RecordBatch:
    columns = []
    for field in FETCHED:
        if field.name == "image_key":
            columns.append(pa.array([entry.image_key for entry in entries], pa.int64()))
        elif field.name == "asked":
            columns.append(pa.array([entry.row["asked_us"] for entry in entries], pa.int64()).cast(TIME))
        elif field.name == "sha256":
            digests = [entry.row["sha256"] for entry in entries]
            columns.append(pa.array([None if hex_ is None else bytes.fromhex(str(hex_)) for hex_ in digests]))
        else:
            columns.append(pa.array([entry.row[field.name] for entry in entries], field.type))
    return pa.RecordBatch.from_arrays(
        [column.cast(f.type) for column, f in zip(columns, FETCHED, strict=True)], schema=FETCHED
    )
