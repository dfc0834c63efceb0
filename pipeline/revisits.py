"""Revisits and redirects: records without a payload of their own, joined to the payload that answers for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import pyarrow as pa

from plait.pipeline.occurrences import image_key, nearest
from plait.schemas.documents import TIME
from plait.schemas.ids import text_key
from plait.schemas.images import LOCATOR
from plait.schemas.urls import canonical_url

Stream: TypeAlias = Iterator[pa.RecordBatch]
Row: TypeAlias = dict[str, "str | int | bytes | None"]

CANDIDATES = 4096  # payloads of one key that are remembered

ANSWER = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),
        pa.field("side", pa.int32(), nullable=False),  # 0: a payload, 1: a revisit that asks for one
        pa.field("kind", pa.string()),  # payload: "page" or "image"
        pa.field("url", pa.string(), nullable=False),
        pa.field("captured", TIME),
        pa.field("archive_id", pa.string(), nullable=False),
        pa.field("archive", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("digest", pa.string()),
    ]
)
"""Payloads and revisits by digest, or by URL and time; sorted by `ANSWER_ORDER`."""

ANSWER_ORDER = ("key", "side", "captured", "digest", "archive_id", "offset")

RESOLVED_PAGE = pa.schema(
    [
        pa.field("url", pa.string(), nullable=False),  # of the revisit
        pa.field("captured", TIME),  # of the revisit
        pa.field("archive_id", pa.string(), nullable=False),  # of the payload
        pa.field("archive", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
    ]
)
"""A revisit of a page with the record that has its payload."""


def digest_key(digest: str) -> int:
    """Key of a payload digest."""
    return text_key(f"digest:{digest}")


def visit_key(url: str, captured: int) -> int:
    """Key of a URL at a time, to the second: what a revisit refers to where it states no digest."""
    return text_key(f"visit:{canonical_url(url)}@{captured // 1_000_000}")


def rows_of(batch: pa.RecordBatch) -> list[Row]:
    """Rows of a batch with times as integers (microseconds)."""
    place = batch.schema.get_field_index("captured")
    rows: list[Row] = batch.set_column(place, "captured", batch.column("captured").cast(pa.int64())).to_pylist()
    return rows


def batch_of(rows: list[Row], schema: pa.Schema) -> pa.RecordBatch:
    """Rows with times as integers (microseconds) as a batch."""
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        columns.append(pa.array(values, pa.int64()).cast(TIME) if field.type == TIME else pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def answered(stream: Stream) -> Iterator[tuple[list[Row], list[Row], list[Row]]]:
    """`ANSWER` sorted by `ANSWER_ORDER` → image locators, page revisits (`RESOLVED_PAGE`), unanswered revisits.

    A revisit is answered by the payload nearest to it in time. Memory: at most `CANDIDATES` payloads of one
    digest.
    """
    key: int | None = None
    known: list[Row] = []
    for batch in stream:
        locators: list[Row] = []
        pages: list[Row] = []
        lost: list[Row] = []
        for row in rows_of(batch):
            if row["key"] != key:
                key, known = row["key"], []  # type: ignore[assignment]
            if row["side"] == 0:
                if len(known) < CANDIDATES:
                    known.append(row)
                continue
            found = nearest(known, row["captured"])
            if found is None:
                lost.append(row)
                continue
            place = {name: found[name] for name in ("archive_id", "archive", "offset", "length")}
            if found["kind"] == "page":
                pages.append({"url": row["url"], "captured": row["captured"], **place})
            else:
                url = str(row["url"])
                locators.append(
                    {"key": image_key(url), "image_url": url, "captured": row["captured"], "kind": "payload",
                     "digest": found["digest"], **place}
                )  # fmt: skip
        yield locators, pages, lost


HOP_IN = pa.schema(
    [pa.field("key", pa.int64(), nullable=False), pa.field("side", pa.int32(), nullable=False)]
    + [field for field in LOCATOR if field.name != "key"]
)
"""Locators (side 0, by their URL) and redirects (side 1, by their target); sorted by `HOP_ORDER`."""

HOP_ORDER = ("key", "side", "captured", "digest", "archive_id", "offset", "image_url")


def hop(stream: Stream) -> Iterator[tuple[list[Row], list[Row]]]:
    """`HOP_IN` sorted by `HOP_ORDER` → locators of redirected URLs, and redirects that lead to redirects.

    What leads to a URL that its site's rules forbid is refused for the same reason.
    """
    key: int | None = None
    payloads: list[Row] = []
    hops: list[Row] = []
    refused: Row | None = None
    for batch in stream:
        locators: list[Row] = []
        further: list[Row] = []
        for row in rows_of(batch):
            if row["key"] != key:
                key, payloads, hops, refused = row["key"], [], [], None  # type: ignore[assignment]
            if row["side"] == 0:
                if row["kind"] == "refused":
                    refused = row
                    continue
                known = hops if row["kind"] == "redirect" else payloads
                if len(known) < CANDIDATES:
                    known.append(row)
                continue
            source = str(row["image_url"])
            own = {"image_url": source, "captured": row["captured"]}
            found = refused or nearest(payloads, row["captured"])
            if found is not None:
                locators.append({**found, **own, "key": image_key(source)})
                continue
            found = nearest(hops, row["captured"])
            if found is not None and found["target"]:
                target = str(found["target"])
                further.append({**row, **own, "key": image_key(target), "target": target})
        yield locators, further
