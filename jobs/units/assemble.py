"""The assemble unit: one shard's documents and images, decided and written in the formats asked for."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.context import Context
from plait.jobs.settings import load_recipe_param
from plait.jobs.store import Store
from plait.jobs.work import Unit
from plait.pipeline.assemble import PLACED_IMAGE, Mode, assemble
from plait.pipeline.fingerprint import Fingerprint
from plait.pipeline.parquet_shard import Written, row_groups, write_batches
from plait.pipeline.publish import Tally, shard_path
from plait.pipeline.webdataset_shard import write_webdataset_shard
from plait.schemas.clip import DOCUMENT_SPANS
from plait.schemas.receipts import Output

OPEN_PACKS = 64


class Packs:
    """Ranges of packs; a bounded number of them is open at once."""

    def __init__(self, store: Store):
        self._store = store
        self._files: OrderedDict[str, IO[bytes]] = OrderedDict()

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of a pack."""
        file = self._files.pop(path, None)
        if file is None:
            file = self._store.open_read(path)
            if len(self._files) >= OPEN_PACKS:
                self._files.popitem(last=False)[1].close()
        self._files[path] = file
        file.seek(offset)
        return file.read(length)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            file.close()


def whole(ctx: Context, path: str | None, schema: pa.Schema | None = None) -> pa.RecordBatch:
    """A file's rows as one batch; none where there is no file."""
    if path is None:
        return pa.RecordBatch.from_pylist([], schema=schema)
    with ctx.store.open_read(path) as file:
        table = pq.read_table(file)
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def assemble_shard(unit: Unit, ctx: Context) -> None:
    """A shard's "documents" and "images" → its files in the corpus, its drops, its share of totals and fingerprint."""
    recipe = load_recipe_param(ctx)
    shard = cast("int", unit.payload["shard"])
    images = unit.payload["images"]
    documents = whole(ctx, str(unit.payload["documents"]))
    rows = whole(ctx, None if images is None else str(images), PLACED_IMAGE)
    named = unit.payload.get("spans")
    spans = None if named is None else whole(ctx, str(named), DOCUMENT_SPANS)
    done = assemble(documents, rows, recipe, mode=cast("Mode", ctx.params["images"]), spans=spans)
    ctx.drop(done.drops)
    ctx.alone(done.books.alone)
    ctx.count(
        documents_in=done.books.documents_in, documents_out=done.books.documents_out,
        images_in=done.books.images_in, images_out=done.books.images_out,
    )  # fmt: skip
    formats = cast("list[str]", ctx.params["formats"])
    fingerprint, tally = Fingerprint(), Tally()
    packs = Packs(ctx.store)

    def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            fingerprint.add_batch(batch)
            tally.add(batch)
            yield batch

    try:
        for form in formats:
            with ExitStack() as stack:
                path = shard_path(shard, form)
                batches = row_groups(done, packs.read)
                if form == formats[0]:
                    batches = counted(batches)
                file = stack.enter_context(ctx.store.open_write(path))
                if form == "webdataset":
                    index = stack.enter_context(ctx.file("index", f"{path}.idx"))
                    written = write_webdataset_shard(batches, file, cast("IO[bytes]", index))  # type: ignore[arg-type]
                else:
                    written = write_batches(batches, done.rows.schema, file)  # type: ignore[arg-type]
            note_shard(ctx, shard, form, path, written)
    finally:
        packs.close()
    ctx.facts["fingerprint"] = fingerprint.state()
    ctx.facts["totals"] = json.dumps(asdict(tally.totals(0)), sort_keys=True)


def note_shard(ctx: Context, shard: int, form: str, path: str, written: Written) -> None:
    """The shard's file among the unit's outputs, with what the list of shards says of it."""
    ctx.add_output(Output(form, path, written.rows, written.bytes, written.sha256, shard))
    facts = {
        "images": written.images, "min_order_key": written.min_order_key, "max_order_key": written.max_order_key,
        "row_group_rows": list(written.row_group_rows),
    }  # fmt: skip
    ctx.facts[f"shard_{form}"] = json.dumps(facts, sort_keys=True)
