"""Pictures in packs: measured, looked up in lists, scored by models, encoded again. A unit a pack, a table of scores.

Each step takes the table of the step before it and writes it anew: what a recipe does not ask for costs nothing.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.filters.recipe import Recipe
from plait.jobs.context import Context
from plait.jobs.listings import PICTURE_LISTS, listed_at
from plait.jobs.settings import load_recipe_param
from plait.jobs.suppression import suppression_of
from plait.jobs.work import Json, Stage, Unit
from plait.pipeline.decode import DecodeLimits, inspect_image
from plait.pipeline.images import score_image
from plait.pipeline.nsfw import BATCH, NsfwModel, nsfw_input
from plait.pipeline.occurrences import record_key
from plait.pipeline.reencode import Reencode, reencode
from plait.schemas.errors import RecordError
from plait.schemas.images import PACKED, PICTURE, VERDICT

SCORED = pa.schema(
    [pa.field("key", pa.int64(), nullable=False), *[f for f in PACKED if f.name != "archive_id"], *PICTURE, *VERDICT]
)
"""A record's picture: where its bytes are packed, what is known of it; key is the record's."""

GPU_PROVIDERS = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
ROWS = 1024  # of a table that are held at once
Row: TypeAlias = "dict[str, object]"


def decode_limits(recipe: Recipe) -> DecodeLimits:
    """Decoding's limits as the recipe sets them."""
    return DecodeLimits(
        bytes=recipe.limits.image_bytes, pixels=recipe.limits.image_pixels, frames=recipe.limits.image_frames,
        formats=tuple(recipe.images.formats),
    )  # fmt: skip


def _content(pack: IO[bytes], row: Row) -> bytes:
    pack.seek(cast("int", row["pack_offset"]))
    return pack.read(cast("int", row["pack_length"]))


def score_pack(unit: Unit, ctx: Context) -> None:
    """Each picture of a pack → "scores": decoded under the guard; what cannot be decoded has a reason."""
    recipe = load_recipe_param(ctx)
    limits, fast = decode_limits(recipe), recipe.images.hashes == "fast"
    suppressed = suppression_of(ctx)
    if (spent := unit.payload.get("spent")) is not None:
        ctx.store.remove(str(spent))  # the fetch has its receipt: its answers are in packs now
    with ctx.store.open_read(str(unit.payload["index"])) as file:
        index = pq.read_table(file, schema=PACKED).to_pylist()
    rows: list[Row] = []
    with ctx.store.open_read(str(unit.payload["pack"])) as pack, ctx.table("scores", SCORED) as table:
        for number, row in enumerate(index):
            row["key"] = record_key(row["archive_id"], row["offset"], row["digest"])
            if row["reason"] is None:
                try:
                    data = _content(pack, row)
                    row |= ctx.guard.call(f"{number:08x}", "decoder", score_image, data, limits, fast=fast)
                    if suppressed.lists_sha256(row["sha256"]):
                        row["reason"] = "suppressed"
                except RecordError as error:
                    row |= _verdict(error)
            rows.append(row)
            if len(rows) == ROWS:
                table.write(without_listed(rows, ctx))
                rows = []
        table.write(without_listed(rows, ctx))


def _verdict(error: RecordError) -> Row:
    """Why there is no picture, for the ledger."""
    return {
        "reason": error.reason, "verdict_value": error.value, "verdict_threshold": error.threshold,
        "verdict_detail": error.detail or None,
    }  # fmt: skip


def without_listed(rows: list[Row], ctx: Context) -> pa.RecordBatch:
    """`SCORED` rows; those that a list of the stage's settings names get its reason, the first list's first."""
    batch = pa.RecordBatch.from_pylist(rows, schema=SCORED)
    lists = cast("dict[str, str]", ctx.params.get("lists", {}))
    radius = load_recipe_param(ctx).images.list_radius
    for wanted in PICTURE_LISTS.values():
        if wanted in lists and batch.num_rows:
            found = listed_at(ctx.store.root, lists[wanted], radius).listed(batch)
            fresh = pc.and_(batch.column("reason").is_null(), found.column("listed"))
            for name, value in (("verdict_detail", found.column("listed_by")), ("reason", pa.scalar(wanted))):
                column = pc.if_else(fresh, value, batch.column(name))
                batch = batch.set_column(batch.schema.get_field_index(name), SCORED.field(name), column)
    return batch


def _scored(unit: Unit, ctx: Context) -> Iterator[list[Row]]:
    """Rows of the step before, some at a time."""
    with ctx.store.open_read(str(unit.payload["scores"])) as file:
        for batch in pq.ParquetFile(file).iter_batches(ROWS):
            yield batch.to_pylist()


def nsfw_identity(recipe: Recipe) -> dict[str, Json]:
    """What a score depends on beside the picture: execution provider, the model's file by its digest."""
    named = recipe.resources.nsfw_model
    digest = None if named is None else hashlib.sha256(Path(named).read_bytes()).hexdigest()
    return {"provider": recipe.images.nsfw_provider, "model": digest}


def on_device(stage: Stage, provider: str) -> Stage:
    """The stage with what its units need to run the model: a GPU each where the provider is one of NVIDIA's.

    On the CPU the model (23 MB, one thread) is loaded by whichever worker is there, and kept.
    """
    if provider not in GPU_PROVIDERS:
        return stage
    return replace(stage, threads=1, device="cuda", memory=2 << 30)


@functools.lru_cache(maxsize=1)
def nsfw_model(provider: str, path: str | None) -> NsfwModel:
    """The model of this process."""
    return NsfwModel(provider, model=None if path is None else Path(path))


def score_nsfw(unit: Unit, ctx: Context) -> None:
    """The table "scores" anew with ``nsfw``: equal bytes are asked for once, what gives no RGB pixels stays null."""
    recipe = load_recipe_param(ctx)
    limits = decode_limits(recipe)
    model = nsfw_model(str(ctx.params["provider"]), recipe.resources.nsfw_model)
    known: dict[bytes, float] = {}
    number = 0
    with ctx.store.open_read(str(unit.payload["pack"])) as pack, ctx.table("scores", SCORED) as table:
        for rows in _scored(unit, ctx):
            digests: list[bytes] = []
            inputs: list[np.ndarray] = []
            for row in rows:
                number += 1
                digest = cast("bytes", row["sha256"])
                if row["reason"] is not None or digest in known or digest in digests:
                    continue
                try:
                    made = ctx.guard.call(f"{number:08x}", "decoder", nsfw_input, _content(pack, row), limits)
                except RecordError:
                    continue
                digests.append(digest)
                inputs.append(made)
                if len(inputs) == BATCH:
                    known.update(zip(digests, model.run(np.stack(inputs)).tolist(), strict=True))
                    digests, inputs = [], []
            if inputs:
                known.update(zip(digests, model.run(np.stack(inputs)).tolist(), strict=True))
            for row in rows:
                row["nsfw"] = known.get(cast("bytes", row["sha256"])) if row["reason"] is None else None
            table.write(pa.RecordBatch.from_pylist(rows, schema=SCORED))


def encode_pack(unit: Unit, ctx: Context) -> None:
    """The pictures of a pack as the recipe wants them stored → a "pack", and the table "scores" that leads there."""
    recipe = load_recipe_param(ctx)
    limits, wanted = decode_limits(recipe), recipe.images.reencode
    policy = None if wanted is None else Reencode(**wanted.model_dump())
    path = ctx.own_path("pack")
    number = 0
    with (
        ctx.store.open_read(str(unit.payload["pack"])) as pack,
        ctx.file("pack") as target,
        ctx.table("scores", SCORED) as table,
    ):
        for rows in _scored(unit, ctx):
            for row in rows:
                number += 1
                if row["reason"] is not None:
                    continue
                data = _content(pack, row)
                try:
                    stored = ctx.guard.call(f"{number:08x}", "decoder", reencode, data, policy, limits)
                except RecordError as error:
                    row |= _verdict(error)
                    continue
                if stored != data:
                    info = inspect_image(stored)
                    size: Row = {"stored_width": info.width, "stored_height": info.height}
                    row |= {"stored_format": info.format, **size}
                row |= {"pack": path, "pack_offset": target.bytes, "pack_length": len(stored)}
                target.write(stored)
            table.write(pa.RecordBatch.from_pylist(rows, schema=SCORED))
