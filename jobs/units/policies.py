"""Rules of sites that lie in the archives: of several captures the one that decides, and what it forbids."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.dedup.keys import KEYS
from plait.jobs.context import Context
from plait.jobs.store import Store
from plait.jobs.survivors import SURVIVOR
from plait.jobs.units.streams import Stream, split
from plait.jobs.work import Unit
from plait.pipeline.occurrences import image_key
from plait.pipeline.policies import POLICY, POLICY_IN, Verdict, choose, follow, judged
from plait.pipeline.revisits import batch_of
from plait.schemas.errors import UnitError
from plait.schemas.ids import archive_key, text_key
from plait.schemas.images import LOCATOR
from plait.schemas.ledger import DROP
from plait.schemas.urls import origin_of

BATCH_ROWS = 4096
_SITE = [POLICY.field("key"), POLICY.field("origin")]
_CAPTURE = [field.with_nullable(True) for field in POLICY_IN if field.name not in ("key", "origin", "side")]
_LOOSE = [field.with_nullable(True) for field in KEYS if field.name not in POLICY_IN.names]

PAGE_SITE = pa.schema([*_SITE, *KEYS])
"""A document's keys with its origin."""
RETAINED_SITE = pa.schema([*_SITE, KEYS.field("url"), *SURVIVOR])
"""A page that is retained, with its origin."""
URL_SITE = pa.schema([*_SITE, pa.field("url", pa.string(), nullable=False)])
"""A URL with its origin."""
PAGES_IN = pa.schema([*_SITE, POLICY_IN.field("side"), *_CAPTURE, *_LOOSE])
PAGES_ORDER = ("doc_id", "archive_key")
RETAINED_IN = pa.schema(
    [*_SITE, POLICY_IN.field("side"), *_CAPTURE, *[field.with_nullable(True) for field in list(RETAINED_SITE)[2:]]]
)
URLS_IN = pa.schema([*_SITE, POLICY_IN.field("side"), *_CAPTURE, URL_SITE.field("url").with_nullable(True)])


def reopen_policies(unit: Unit, ctx: Context) -> None:
    """What another corpus knows of sites' rules → "policies"."""
    with (
        Store(str(unit.payload["corpus"])).open_read(str(unit.payload["path"])) as file,
        ctx.table("policies", POLICY) as table,
    ):
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
            table.write(batch)


def follow_policies(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Redirects of sites' rules → "policies" that their targets give, "moved_policies" that lead further."""
    with ctx.table("policies", POLICY) as policies, ctx.table("moved_policies", POLICY) as moved:
        for answers, further in follow(stream):
            if answers:
                policies.write(batch_of(answers, POLICY))
            if further:
                moved.write(batch_of(further, POLICY))


def choose_policies(stream: Stream, unit: Unit, ctx: Context) -> None:
    """All captures of sites' rules → "policies": of each site those that decide."""
    with ctx.table("policies", POLICY) as table:
        for rows in choose(stream):
            if rows:
                table.write(batch_of(rows, POLICY))


def _sited(batch: pa.RecordBatch, urls: list[str | None]) -> pa.RecordBatch:
    """A batch with the columns of its rows' origins."""
    origins = [origin_of(url) if url else "" for url in urls]
    keys = pa.array([text_key(origin) for origin in origins], pa.int64())
    return pa.RecordBatch.from_arrays(
        [keys, pa.array(origins, pa.string()), *batch.columns], names=["key", "origin", *batch.schema.names]
    )


def list_page_sites(unit: Unit, ctx: Context) -> None:
    """A file of documents' keys → "sites"."""
    with ctx.store.open_read(str(unit.payload["path"])) as file, ctx.table("sites", PAGE_SITE) as table:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
            table.write(_sited(batch, batch.column("url").to_pylist()))


def list_retained_sites(unit: Unit, ctx: Context) -> None:
    """A file of pages as they are retained → "sites"."""
    with ctx.store.open_read(str(unit.payload["path"])) as file, ctx.table("sites", RETAINED_SITE) as table:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=["url", "doc_id", "archive_id"]):
            archives = pa.array(
                [archive_key(name or "0") for name in batch.column("archive_id").to_pylist()], pa.int64()
            )
            rows = pa.RecordBatch.from_arrays(
                [archives, batch.column("doc_id"), batch.column("url")], names=["archive_key", "doc_id", "url"]
            )
            table.write(_sited(rows, batch.column("url").to_pylist()))


def judge_retained(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Pages by site → "forbidden": those that must not be retained."""
    with ctx.table("forbidden", SURVIVOR) as table:
        for rows, verdicts in judged(stream, _kinds(ctx)):
            table.write(rows.filter(pa.array([verdict is not None for verdict in verdicts])))


def list_url_sites(unit: Unit, ctx: Context) -> None:
    """A column of URLs of a file → "sites", each URL once in some thousand rows."""
    column = str(unit.payload["column"])
    with ctx.store.open_read(str(unit.payload["path"])) as file, ctx.table("sites", URL_SITE) as table:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=[column]):
            urls = pc.drop_null(batch.column(column).unique())
            rows = _sited(pa.RecordBatch.from_arrays([urls], names=["url"]), urls.to_pylist())
            table.write(rows.filter(pc.not_equal(rows.column("origin"), "")))


def _kinds(ctx: Context) -> list[str]:
    kinds = ctx.params["kinds"]
    if not isinstance(kinds, list):
        raise UnitError("the stage does not know which rules of sites are obeyed")
    return [str(kind) for kind in kinds]


def judge_pages(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Documents by site → "keys" of those that their sites' rules allow; the others go to the ledger."""
    with ctx.table("keys", KEYS) as table:
        for rows, verdicts in judged(stream, _kinds(ctx)):
            kept, lost = split(rows, pa.array([verdict is None for verdict in verdicts]))
            ctx.count(documents_in=rows.num_rows, images_in=_images(rows))
            ctx.count(documents_out=kept.num_rows, images_out=_images(kept))
            if lost.num_rows:
                ctx.drop(_drops(ctx.stage.name, lost, [verdict for verdict in verdicts if verdict is not None]))
                ctx.drop_images_of(_images(lost))
            if kept.num_rows:
                table.write(kept)


def _images(rows: pa.RecordBatch) -> int:
    return int(pc.sum(rows.column("images")).as_py() or 0)


def _drops(stage: str, rows: pa.RecordBatch, verdicts: list[Verdict]) -> pa.RecordBatch:
    count = rows.num_rows
    columns = {name: pa.nulls(count, DROP.field(name).type) for name in DROP.names} | {
        "stage": pa.array([stage] * count, pa.string()),
        "scope": pa.array(["document"] * count, pa.string()),
        "reason": pa.array([verdict.reason for verdict in verdicts], pa.string()),
        "doc_id": rows.column("doc_id"),
        "url": rows.column("url"),
        "detail": pa.array([verdict.detail for verdict in verdicts], pa.string()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in DROP.names], schema=DROP)


def judge_urls(stream: Stream, unit: Unit, ctx: Context) -> None:
    """URLs by site → "refused": a locator for each that its site's rules forbid."""
    with ctx.table("refused", LOCATOR) as table:
        for rows in _refused(stream, _kinds(ctx)):
            table.write(pa.RecordBatch.from_pylist(rows, schema=LOCATOR))


def _refused(stream: Stream, kinds: list[str]) -> Iterator[list[dict[str, object]]]:
    last: str | None = None
    for rows, verdicts in judged(stream, kinds):
        found: list[dict[str, object]] = []
        for url, verdict in zip(rows.column("url").to_pylist(), verdicts, strict=True):
            if verdict is not None and url != last:
                found.append(
                    {"key": image_key(url), "image_url": url, "archive_id": "", "archive": "", "offset": 0, "length": 0,
                     "kind": "refused", "digest": verdict.reason}
                )  # fmt: skip
            last = url
        if found:
            yield found
