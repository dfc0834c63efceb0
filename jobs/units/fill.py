"""A corpus' shards opened again: documents with their nodes, and the pictures they hold in packs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, cast

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.context import Context
from plait.jobs.store import Store
from plait.jobs.units.pictures import SCORED, without_listed
from plait.jobs.work import Unit
from plait.pipeline.clip.stored import stored_rows
from plait.pipeline.occurrences import image_key, record_key
from plait.pipeline.webdataset_shard import read_webdataset_shard
from plait.schemas.clip import STORED_CLIP
from plait.schemas.documents import NODE, document_schema
from plait.schemas.errors import UnitError
from plait.schemas.images import LOCATOR, PACKED, PICTURE
from plait.schemas.shards import shard_schema

Row: TypeAlias = "dict[str, object]"

BATCH_ROWS = 8


def score_columns(ctx: Context) -> dict[str, pa.DataType]:
    """Score columns of the corpus, from the stage's settings."""
    scores = ctx.params["scores"]
    if not isinstance(scores, dict):
        raise UnitError("the stage does not know the corpus' score columns")
    return {name: pa.type_for_alias(str(kind)) for name, kind in scores.items()}


def reopen_shard(unit: Unit, ctx: Context) -> None:
    """A shard → its "documents", a "pack" of its pictures, and "locators" that lead there.

    What the shard says of a picture is in "scores", and is not measured again: the bytes may have been encoded again.
    The recipe's lists of pictures are asked again, for they may have grown.
    Pictures without hashes, as another corpus' are, have a place in "index", to be measured.

    With the setting ``documents`` false, the documents come from elsewhere: they are neither written nor counted.
    With the setting ``clip``, what CLIP said of them is in "clip".
    """
    scores = score_columns(ctx)
    with_documents = bool(ctx.params.get("documents", True))
    with_clip = bool(ctx.params.get("clip", False))
    schema = document_schema(scores)
    store = Store(str(unit.payload["corpus"]))
    packed: set[tuple[object, ...]] = set()
    located: set[tuple[object, ...]] = set()
    index: list[Row] = []
    known: list[Row] = []
    with (
        ctx.table("documents", schema) as documents,
        ctx.table("locators", LOCATOR) as locators,
        ctx.table("clip", STORED_CLIP) as clip,
        ctx.file("pack") as pack,
    ):
        for rows in _rows(store, unit, shard_schema(scores)):
            found: list[Row] = []
            if with_clip:
                said = [line for row in rows for line in stored_rows(row)]
                clip.write(pa.RecordBatch.from_pylist(said, schema=STORED_CLIP))
            for row in rows:
                for locator, data, info in _pictures(row):
                    record = {name: locator[name] for name in ("archive_id", "offset", "digest")}
                    name = tuple(record.values())
                    if name not in packed:
                        packed.add(name)
                        place = {"pack_offset": pack.bytes, "pack_length": len(data)}
                        if info["phash"] is None:
                            index.append(record | place)
                        else:
                            known.append(_known(record, info) | place)
                        pack.write(data)
                    if (locator["key"], name) not in located:
                        located.add((locator["key"], name))
                        found.append(locator)
            if found:
                locators.write(pa.RecordBatch.from_pylist(found, schema=LOCATOR))
            if with_documents:
                nodes = [_nodes(row) for row in rows]
                images = sum(node["kind"] == "image" for document in nodes for node in document)
                ctx.count(documents_in=len(rows), documents_out=len(rows), images_in=images, images_out=images)
                documents.write(_documents(rows, nodes, schema))
    path = ctx.written("pack").path
    with ctx.table("index", PACKED) as table:
        table.write(pa.RecordBatch.from_pylist([line | {"pack": path} for line in index], schema=PACKED))
    with ctx.table("scores", SCORED) as table:
        table.write(without_listed([line | {"pack": path} for line in known], ctx))


def _known(record: Row, info: Row) -> Row:
    """What a shard says of a picture, as the stages that measure pictures say it."""
    key = record_key(str(record["archive_id"]), cast("int", record["offset"]), cast("str", record["digest"]))
    return {"key": key, "offset": record["offset"], "digest": record["digest"]} | {
        field.name: info[field.name] for field in PICTURE
    }


def _rows(store: Store, unit: Unit, schema: pa.Schema) -> Iterator[list[Row]]:
    """Rows of a shard, some at a time; memory is theirs."""
    path, form = str(unit.payload["path"]), str(unit.payload["format"])
    with store.open_read(path) as file:
        if form == "parquet":
            for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
                yield batch.to_pylist()
            return
        for row in read_webdataset_shard(file, schema):  # type: ignore[arg-type]
            yield [cast("Row", row)]


def _lists(row: Row) -> Iterator[tuple[str | None, str | None, Row | None, Row | None]]:
    names = ("texts", "tags", "images", "image_info")
    columns = [cast("list[str | Row | None]", row[name]) for name in names]
    for text, tag, image, info in zip(*columns, strict=True):
        yield cast("str | None", text), cast("str | None", tag), cast("Row | None", image), cast("Row | None", info)


def _nodes(row: Row) -> list[Row]:
    """A document's nodes, as extraction had them."""
    nodes: list[Row] = []
    for text, tag, _, info in _lists(row):
        if info is None:
            nodes.append({"kind": "text", "tag": tag, "text": text})
        else:
            nodes.append(
                {"kind": "image", "image_url": info["url"], "alt": info["alt"], "caption": info["caption"],
                 "width": info["declared_width"], "height": info["declared_height"]}
            )  # fmt: skip
    return nodes


def _pictures(row: Row) -> Iterator[tuple[Row, bytes, Row]]:
    """A locator for each picture of a document that the shard holds, the bytes, and what the shard says of it.

    They are located as a page's inline pictures are, by their digest: an archive's record may have held several.
    """
    for _, _, image, info in _lists(row):
        if info is None or image is None or image.get("bytes") is None:
            continue
        data = cast("bytes", image["bytes"])
        digest = "sha256:" + cast("bytes", info["sha256"]).hex()
        archive = str(info["archive"] or "")
        yield {
            "key": image_key(str(info["url"])), "image_url": info["url"], "captured": info["captured"],
            "archive_id": f"shard:{archive}", "archive": archive, "offset": info["offset"] or 0,
            "length": info["length"] or 0, "kind": "inline", "digest": digest,
        }, data, info  # fmt: skip


def _documents(rows: list[Row], nodes: list[list[Row]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        pa.array(nodes, pa.list_(NODE))
        if field.name == "nodes"
        else pa.array([row[field.name] for row in rows], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
