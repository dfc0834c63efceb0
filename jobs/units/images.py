"""Images: where their bytes are, acquired once into packs, scored, ranked, brought to their shards.

Rows move; bytes move twice, from an archive into a pack and from the pack into the shard.
"""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.dedup.counts import count_and_rank
from plait.jobs.context import Context
from plait.jobs.settings import archive_of, load_recipe_param, read_limits, spool_folder
from plait.jobs.units.extract import inline_bytes
from plait.jobs.units.fetch import fetchable, fetched_key, wanted_urls
from plait.jobs.units.order import ShardFiles, shard_count
from plait.jobs.units.streams import Stream, split, with_column
from plait.jobs.work import Unit
from plait.pipeline.assemble import PLACED_IMAGE
from plait.pipeline.occurrences import ABSENT, LOCATED, locate, record_key
from plait.pipeline.read.archive import read_payload
from plait.pipeline.read.inputs import Archive
from plait.pipeline.read.records import Limits, Record
from plait.pipeline.revisits import RESOLVED_PAGE, answered, batch_of, hop
from plait.schemas.errors import RecordError, UnitError
from plait.schemas.fetched import FETCH_URL
from plait.schemas.ids import key64, text_key
from plait.schemas.images import LOCATOR, PACKED, PICTURE, VERDICT

DATA_URI = re.compile(rb"data:image/[a-z0-9.+-]+[^,\"'<>]{0,100},[^\"'<>\s)]+", re.IGNORECASE)

WANTED = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # text_key(archive_id)
        *[LOCATED.field(name) for name in ("archive_id", "offset", "length", "digest", "order_key")],
    ]
)
WANTED_ORDER = ("key", "archive_id", "offset", "digest", "order_key")

IMAGE = pa.schema(
    [
        pa.field("key", pa.int64()),  # what the next step groups by
        *[field for field in LOCATED if field.name not in ("key", "image_captured", "captured", "url_before")],
        pa.field("captured", LOCATED.field("image_captured").type),  # of the image
        pa.field("pack", pa.string()),
        pa.field("pack_offset", pa.int64()),
        pa.field("pack_length", pa.int64()),
        *PICTURE,
        *VERDICT,
        pa.field("url_dup_count", pa.int64()),
        pa.field("sha256_dup_count", pa.int64()),
        pa.field("p_hash_dup_count", pa.int64()),
        pa.field("dup_rank", pa.int64()),
        pa.field("url_dup_rank", pa.int64()),
    ]
)
"""An image node with all that is known of it so far."""
IMAGE_ORDER = ("key", "order_key", "doc_id", "node")
PLACE_ORDER = ("order_key", "doc_id", "node")

_LOOSE = [field.with_nullable(True) for field in IMAGE][1:]  # rows of side 0 have few of them
ATTACH_IN = pa.schema([pa.field("key", pa.int64()), pa.field("side", pa.int32(), nullable=False), *_LOOSE])
ATTACH_ORDER = ("key", "side", "order_key", "doc_id", "node")

STORED_ORDER = -1
"""Order key of a row that stands for a cluster in earlier generations: ``dup_rank`` is in how many documents it is."""


def _empty_images(batch: pa.RecordBatch, given: dict[str, pa.Array]) -> pa.RecordBatch:
    """`IMAGE` rows from the columns that a batch has, others null."""
    columns = []
    for field in IMAGE:
        if field.name in given:
            columns.append(given[field.name].cast(field.type))
        elif batch.schema.get_field_index(field.name) >= 0:
            columns.append(batch.column(field.name).cast(field.type))
        else:
            columns.append(pa.nulls(batch.num_rows, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=IMAGE)


def resolve_revisits(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Payloads and revisits → "locators" of revisited images, "revisited" pages to be read again, and losses."""
    with ctx.table("locators", LOCATOR) as locators, ctx.table("revisited", RESOLVED_PAGE) as pages:
        for images, documents, lost in answered(stream):
            if images:
                locators.write(batch_of(images, LOCATOR))
            if documents:
                pages.write(batch_of(documents, RESOLVED_PAGE))
                ctx.seen(Counter("archive_" + str(row["archive_id"]) for row in documents))
            for row in lost:
                ctx.drop_one(
                    "record", "revisit_unresolved", url=str(row["url"]), archive=str(row["archive"]),
                    offset=int(row["offset"] or 0),
                )  # fmt: skip


def follow_redirects(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Redirects and what their targets give → "locators" of the redirected URLs, "redirects" that lead further."""
    with ctx.table("locators", LOCATOR) as locators, ctx.table("redirects", LOCATOR) as further:
        for found, rest in hop(stream):
            if found:
                locators.write(batch_of(found, LOCATOR))
            if rest:
                further.write(batch_of(rest, LOCATOR))


def locate_images(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Image nodes → "images" whose record is known (by record), "missing" ones, and the "wanted" records.

    Where the build fetches, nodes that no archive answers are "images" too, and their distinct URLs "urls". Each URL's
    number of documents is in "counts", for generations to come: by its key, so that nothing need be said of it.
    """
    fetches = bool(ctx.params.get("fetch"))
    last: int | None = None
    counted: int | None = None
    with (
        ctx.table("images", IMAGE) as images,
        ctx.table("missing", IMAGE) as missing,
        ctx.table("counts", LOCATOR) as counts,
        ctx.table("wanted", WANTED) as wanted,
        ctx.table("urls", FETCH_URL) as urls,
    ):
        for batch in count_and_rank(locate(stream, str(ctx.params.get("absent", ABSENT)))):
            keys = batch.column("key").to_pylist()
            fresh = [key != old for key, old in zip(keys, [counted, *keys], strict=False)]
            counts.write(_url_counts(batch.filter(pa.array(fresh))))
            counted = keys[-1]
            found, lost = split(batch, batch.column("reason").is_null())
            if fetches:
                asked, lost = split(lost, fetchable(lost))
                if asked.num_rows:
                    urls.write(wanted_urls(asked, last))
                    last = asked.column("key")[-1].as_py()
                    images.write(_asked_images(asked))
            if lost.num_rows:
                nothing = pa.nulls(lost.num_rows, pa.int64())
                given = {"key": nothing, "captured": lost.column("image_captured"), **_by_url(lost)}
                missing.write(_empty_images(lost, given))
            if not found.num_rows:
                continue
            names = (found.column(name).to_pylist() for name in ("archive_id", "offset", "digest"))
            keys = pa.array([record_key(*record) for record in zip(*names, strict=True)], pa.int64())
            given = {"key": keys, "captured": found.column("image_captured"), **_by_url(found)}
            images.write(_empty_images(found, given))
            archives = pa.array([text_key(name) for name in found.column("archive_id").to_pylist()], pa.int64())
            wanted.write(with_column(found, "key", archives))


def _by_url(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    """Counts and ranks of rows counted by URL, under their own names; documents of earlier generations come first."""
    before = rows.column("url_before")
    return {
        "url_dup_count": pc.add(rows.column("dup_count"), before),
        "url_dup_rank": pc.add(rows.column("dup_rank"), before),
        "dup_rank": pa.nulls(rows.num_rows, pa.int64()),
    }


def _url_counts(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The first row of each URL as the locator that later generations count with."""
    size = rows.num_rows
    given = {
        "key": rows.column("key"), "image_url": pa.repeat("", size), "archive_id": pa.repeat("", size),
        "archive": pa.repeat("", size), "offset": rows.column("dup_count"), "length": pa.repeat(pa.scalar(0), size),
        "kind": pa.repeat("counted", size),
    }  # fmt: skip
    columns = [given[field.name] if field.name in given else pa.nulls(size, field.type) for field in LOCATOR]
    return pa.RecordBatch.from_arrays(columns, schema=LOCATOR)


def _asked_images(rows: pa.RecordBatch) -> pa.RecordBatch:
    """`IMAGE` rows of nodes whose URLs are fetched: by the key of what will be fetched."""
    keys = pa.array([fetched_key(key) for key in rows.column("key").to_pylist()], pa.int64())
    given = {"key": keys, "captured": pa.nulls(rows.num_rows, pa.int64()), **_by_url(rows)}
    return _empty_images(rows, given | {"reason": pa.nulls(rows.num_rows, pa.string())})


def list_wanted(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Records that documents want, each once with the first document's place; counts by archive are in the receipt."""
    last: tuple[str, int, str | None] | None = None
    with ctx.table("wanted", WANTED) as table:
        for batch in stream:
            columns = (batch.column(name).to_pylist() for name in ("archive_id", "offset", "digest"))
            fresh = []
            for record in zip(*columns, strict=True):
                fresh.append(record != last)
                last = record
            kept = batch.filter(pa.array(fresh))
            table.write(kept)
            counts = pc.value_counts(kept.column("archive_id")).to_pylist()
            ctx.seen({f"archive_{entry['values']}": entry["counts"] for entry in counts})


def acquire(unit: Unit, ctx: Context) -> None:
    """The wanted records of one archive → one pack, in the order of the shards that want them, and its "index"."""
    archive = archive_of(unit)
    paths = unit.payload["paths"]
    if not isinstance(paths, list):
        raise UnitError("the acquire unit has no list of files")
    tables = []
    for path in paths:
        with ctx.store.open_read(str(path)) as file:
            tables.append(pq.read_table(file, filters=[("archive_id", "=", archive.id)]))
    wanted = pa.concat_tables(tables).sort_by([("order_key", "ascending"), ("offset", "ascending")])
    limits, spool = read_limits(load_recipe_param(ctx)), spool_folder(ctx)
    rows: list[dict[str, str | int | bytes | None]] = []
    with ctx.file("pack") as pack:
        columns = [wanted.column(name).to_pylist() for name in ("offset", "length", "digest")]
        for offset, length, digest in zip(*columns, strict=True):
            row: dict[str, str | int | bytes | None] = {"archive_id": archive.id, "offset": offset, "digest": digest}
            try:
                data = _payload(archive, offset, length, digest, limits, spool)
            except RecordError as error:
                rows.append(row | {"reason": error.reason})
                continue
            rows.append(row | {"pack_offset": pack.bytes, "pack_length": len(data)})
            pack.write(data)
    path = ctx.written("pack").path
    for row in rows:
        if "pack_length" in row:
            row["pack"] = path
    with ctx.table("index", PACKED) as table:
        table.write(pa.RecordBatch.from_pylist(rows, schema=PACKED))


def _payload(archive: Archive, offset: int, length: int, digest: str | None, limits: Limits, spool: str) -> bytes:
    """Bytes of a record's picture, or of the ``data:`` picture with a digest in a page's record."""
    record: Record = read_payload(archive, offset, length, limits, spool_dir=spool)
    if record.payload is None:
        raise RecordError("image_unreadable", "the record has no payload")
    if digest is None:
        return record.payload
    import hashlib

    for match in DATA_URI.finditer(record.payload):
        data = inline_bytes(match[0].decode("ascii", "replace").replace("&amp;", "&"))
        if "sha256:" + hashlib.sha256(data).hexdigest() == digest:
            return data
    raise RecordError("image_unreadable", "the page's record does not hold the data: image again")


_FROM_SCORES = ("reason", "pack", "pack_offset", "pack_length", *[field.name for field in (*PICTURE, *VERDICT)])


def attach_scores(stream: Stream, unit: Unit, ctx: Context) -> None:
    """`ATTACH_IN` sorted by `ATTACH_ORDER` → "images" with scores (by picture), "missing" ones with their reasons."""

    def attached() -> Stream:
        known = pa.RecordBatch.from_pylist([], schema=ATTACH_IN)
        for batch in stream:
            # The scores that rows of this batch may need: its own, and the last one of the batches before.
            scores, rows = split(batch, pc.equal(batch.column("side"), 0))
            known = pa.concat_batches([known, scores])
            if rows.num_rows:
                place = pc.index_in(rows.column("key"), known.column("key"))
                columns = []
                for field in ATTACH_IN:
                    if field.name in _FROM_SCORES:
                        columns.append(known.column(field.name).take(place))
                    else:
                        columns.append(rows.column(field.name))
                yield pa.RecordBatch.from_arrays(columns, schema=ATTACH_IN)
            known = known.slice(max(0, known.num_rows - 1))

    with ctx.table("images", IMAGE) as images, ctx.table("missing", IMAGE) as missing:
        for batch in attached():
            scored, lost = split(batch, pc.and_(batch.column("reason").is_null(), batch.column("image_id").is_valid()))
            if lost.num_rows:
                reasons = pc.coalesce(lost.column("reason"), pa.scalar("image_unreadable"))
                missing.write(
                    with_column(with_column(lost, "reason", reasons), "key", pa.nulls(lost.num_rows, pa.int64()))
                )
            if scored.num_rows:
                keys = pa.array([key64(name) for name in scored.column("image_id").to_pylist()], pa.int64())
                images.write(with_column(scored, "key", keys))


def rank(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Images by cluster → "images" (by picture) with ``p_hash_dup_count`` and ``dup_rank``, and "counts" to go on from.

    Documents of earlier generations come first: their number is added to both.
    """
    before: dict[int, int] = {}  # of the keys that are open

    def arriving() -> Stream:
        for batch in stream:
            stored = pc.equal(batch.column("order_key"), STORED_ORDER)
            rows = batch.filter(stored)
            pairs = zip(rows.column("key").to_pylist(), rows.column("dup_rank").to_pylist(), strict=True)
            for key, documents in pairs:
                before[key] = before.get(key, 0) + documents
            yield batch.filter(pc.invert(stored)).drop_columns(["dup_rank"])

    with ctx.table("images", IMAGE) as images, ctx.table("counts", IMAGE) as counts:
        last: int | None = None
        for batch in count_and_rank(arriving()):
            keys = batch.column("key").to_pylist()
            base = pa.array([before.get(key, 0) for key in keys], pa.int64())
            ranked = with_column(batch, "dup_rank", pc.add(batch.column("dup_rank"), base))
            ranked = with_column(ranked, "p_hash_dup_count", pc.add(batch.column("dup_count"), base))
            pictures = pa.array([key64(name) for name in batch.column("image_id").to_pylist()], pa.int64())
            images.write(with_column(ranked, "key", pictures))
            fresh = [key is not None and key != old for key, old in zip(keys, [last, *keys], strict=False)]
            counts.write(_stored_counts(batch.filter(pa.array(fresh))))
            last = keys[-1]
            before = {} if last is None else {key: count for key, count in before.items() if key >= last}


def _stored_counts(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The first row of each cluster as the row that later generations count with: no picture, no document."""
    size = rows.num_rows
    given = {
        "key": rows.column("key"), "order_key": pa.array([STORED_ORDER] * size, pa.int64()),
        "doc_id": pa.array([b""] * size, pa.binary()), "node": pa.array([0] * size, pa.int32()),
        "image_url": pa.array([""] * size, pa.string()), "dup_rank": rows.column("dup_count"),
    }  # fmt: skip
    empty = pa.RecordBatch.from_arrays([rows.column("key")], names=["key"])
    return _empty_images(empty, given)


def place(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Images in the corpus' order → "images" by shard."""
    files = ShardFiles(ctx, "images", pa.schema([*PLACED_IMAGE, IMAGE.field("order_key")]), shard_count(ctx))
    for batch in stream:
        files.write(batch)
    files.close()
