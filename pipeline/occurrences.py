"""Image nodes of documents, and where their bytes can be had.

An image URL may have several captures, redirects and revisits in the archives given. For each image node the capture
nearest in time to its page is taken, then the one with the smaller digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.schemas.documents import TIME
from plait.schemas.ids import text_key
from plait.schemas.images import LOCATOR, OCCURRENCE
from plait.schemas.urls import canonical_url

Stream: TypeAlias = Iterator[pa.RecordBatch]
Value: TypeAlias = "str | int | bytes | None"
Row: TypeAlias = dict[str, Value]

CANDIDATES = 4096  # captures of one URL that are remembered, the first in the order of (captured, digest)
BATCH_ROWS = 4096
ABSENT = "image_not_in_archives"


def image_key(url: str) -> int:
    """Key that locators and occurrences of one image URL share."""
    return text_key(canonical_url(url))


def record_key(archive_id: str, offset: int, digest: str | None) -> int:
    """Key of a record of an archive (and of one picture within a page's record: its digest)."""
    return text_key(f"{archive_id}:{offset}:{digest or ''}")


def occurrences(documents: pa.RecordBatch) -> pa.RecordBatch:
    """`OCCURRENCE` rows of documents' image nodes, in the order of the documents and their nodes."""
    lists = documents.column("nodes")
    nodes = lists.flatten()
    parents = lists.value_parent_indices()
    starts = lists.offsets.to_numpy()
    starts = starts - starts[0]
    is_image = pc.equal(nodes.field("kind"), "image").to_numpy(zero_copy_only=False)
    places = np.flatnonzero(is_image)
    parent = parents.to_numpy()[places].astype(np.int64)
    urls = nodes.field("image_url").take(pa.array(places)).to_pylist()
    rows = pa.array(parent)
    return pa.RecordBatch.from_arrays(
        [
            pa.array([image_key(url or "") for url in urls], pa.int64()),
            documents.column("doc_id").take(rows),
            documents.column("order_key").take(rows),
            pa.array((places - starts[parent]).astype(np.int32)),
            pa.array([url or "" for url in urls], pa.string()),
            documents.column("captured").take(rows),
        ],
        schema=OCCURRENCE,
    )


LOCATE_IN = pa.schema(
    [
        *[field for field in OCCURRENCE if field.name == "key"],
        pa.field("side", pa.int32(), nullable=False),  # 0: a locator, 1: an occurrence
        *[field.with_nullable(True) for field in OCCURRENCE if field.name != "key"],
        *[field.with_nullable(True) for field in LOCATOR if field.name not in OCCURRENCE.names],
    ]
)
"""Locators and occurrences by image key; sorted by `LOCATE_ORDER`."""

LOCATE_ORDER = ("key", "side", "captured", "digest", "archive_id", "offset", "order_key", "doc_id", "node")

LOCATED = pa.schema(
    [
        *OCCURRENCE,
        pa.field("archive_id", pa.string()),
        pa.field("archive", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("digest", pa.string()),  # set where the record is a page that carries the picture in a data: URI
        pa.field("image_captured", TIME),
        pa.field("reason", pa.string()),
        pa.field("url_before", pa.int64(), nullable=False),  # documents of earlier generations that show the URL
    ]
)
"""An occurrence with the record that has its bytes, or the reason why none has; key is the image key."""


def locate(stream: Stream, absent: str = ABSENT) -> Stream:
    """`LOCATE_IN` sorted by `LOCATE_ORDER` → `LOCATED`, by key.

    Memory: the captures of one URL, at most `CANDIDATES`.

    Args:
        stream: sorted batches.
        absent: reason of nodes whose URL no locator has.
    """
    key: int | None = None
    url, reason, before = "", absent, 0
    refused: str | None = None
    known: list[Row] = []
    out: list[Row] = []
    for batch in stream:
        flat = batch.set_column(
            batch.schema.get_field_index("captured"), "captured", batch.column("captured").cast(pa.int64())
        )
        for row in flat.to_pylist():
            if row["key"] != key:
                key, known, url, reason, before, refused = row["key"], [], "", absent, 0, None
            if row["side"] == 0:
                if row["kind"] == "counted":
                    before += int(row["offset"] or 0)
                    continue
                if not url:
                    url = canonical_url(row["image_url"])
                if canonical_url(row["image_url"]) != url:
                    continue
                if row["kind"] == "dropped":
                    reason = str(row["digest"])
                elif row["kind"] == "refused" and row["captured"] is None:
                    refused = str(row["digest"])
                elif len(known) < CANDIDATES:
                    known.append(row)
                continue
            same = canonical_url(row["image_url"]) == url
            if same and refused is not None:
                found = _occurrence(row, None, refused)
            else:
                found = _occurrence(row, nearest(known if same else [], row["captured"]), reason if same else absent)
            out.append(found | {"url_before": before})
            if len(out) == BATCH_ROWS:
                yield _located(out)
                out = []
    if out:
        yield _located(out)


def nearest(known: list[Row], when: Value) -> Row | None:
    """The row captured nearest to a time; of equally near ones that with the smaller digest, then archive and offset.

    A time that is not known counts as 1970.
    """
    if not known:
        return None
    moment = when if isinstance(when, int) else 0
    times = np.array([row["captured"] or 0 for row in known], np.int64)
    distance = np.abs(times - moment)
    near = np.flatnonzero(distance == distance.min())
    return min(
        (known[i] for i in near),
        key=lambda row: (str(row["digest"] or ""), str(row["archive_id"] or ""), int(row["offset"] or 0)),
    )


def _occurrence(row: Row, found: Row | None, reason: str) -> Row:
    located = {name: row[name] for name in OCCURRENCE.names}
    if found is None:
        return located | {"reason": reason}
    if found["kind"] == "opted_out":
        return located | {"reason": "opted_out"}
    if found["kind"] == "refused":
        return located | {"reason": found["digest"]}
    inline = found["kind"] == "inline"
    return located | {
        "archive_id": found["archive_id"],
        "archive": found["archive"],
        "offset": found["offset"],
        "length": found["length"],
        "digest": found["digest"] if inline else None,
        "image_captured": found["captured"],
    }


def _located(rows: list[Row]) -> pa.RecordBatch:
    columns = []
    for field in LOCATED:
        values = [row.get(field.name) for row in rows]
        if field.type == TIME:
            columns.append(pa.array(values, pa.int64()).cast(TIME))
        else:
            columns.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=LOCATED)
