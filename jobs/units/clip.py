"""CLIP: which pictures need a feature, one feature for each, brought to their documents, compared with their texts."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.filters.clip_scores import AESTHETIC, NEED
from plait.filters.clip_settings import Clip
from plait.filters.image_scores import picture_columns
from plait.filters.recipe import Recipe
from plait.filters.rules import first_failure
from plait.jobs.context import Context, Table
from plait.jobs.settings import load_recipe_param
from plait.jobs.store import Store
from plait.jobs.units.assemble import Packs, whole
from plait.jobs.units.images import IMAGE
from plait.jobs.units.order import ShardFiles, shard_count
from plait.jobs.units.streams import Stream, split
from plait.jobs.work import Json, Unit
from plait.pipeline.aesthetic import AestheticHead, read_aesthetic_head
from plait.pipeline.assemble import ASSEMBLE_IMAGE, PLACED_IMAGE, Mode
from plait.pipeline.clip.documents import compare
from plait.pipeline.clip.features import Classifier, Picture, classified, classifiers, embed
from plait.pipeline.clip.model import ClipModel, ClipRun, ClipSource, model_digest
from plait.pipeline.clip.stored import restore
from plait.pipeline.decode import DecodeLimits
from plait.schemas.clip import CACHED, DOCUMENT_SPANS, FEATURE, PLACED_FEATURE, STORED_CLIP
from plait.schemas.errors import ConfigError

WANTED = pa.schema(
    [
        pa.field("key", pa.int64(), nullable=False),  # key64(image_id)
        *[IMAGE.field(name).with_nullable(False) for name in ("image_id", "pack", "pack_offset", "pack_length")],
    ]
)
"""A picture that needs a feature, once."""
WANTED_ORDER = ("key", "order_key", "doc_id", "node")

PLACE_IN = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("side", pa.int32(), nullable=False),
        *[field.with_nullable(True) for field in FEATURE if field.name != "key"],
        *[field.with_nullable(True) for field in IMAGE if field.name not in ("key", "image_id")],
    ]
)
PLACE_IN_ORDER = ("key", "side", "order_key", "doc_id", "node")
PLACED_ORDER = ("order_key", "doc_id", "node")


# Which pictures ------------------------------------------------------------------------------------------------------


def _wanted(batch: pa.RecordBatch, recipe: Recipe) -> pa.Array:
    """Which rows pass the recipe's rules as far as the picture's own columns tell; only they are worth a feature."""
    facts = picture_columns(batch)
    known = set(facts.schema.names)
    rules = tuple(rule for rule in recipe.rules_at("assemble", "image") if known.issuperset(rule.scores))
    rules = tuple(rule for rule in rules if NEED not in rule.requires and not rule.languages)
    passed = first_failure(rules, facts).rule < 0
    below_cap = batch.column("dup_rank").fill_null(0).to_numpy(zero_copy_only=False) < recipe.images.cap
    return pa.array(passed & below_cap)


def list_wanted(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Images by picture → "wanted", files of at most as many pictures as the settings say, each picture once."""
    recipe = load_recipe_param(ctx)
    most = cast("int", ctx.params["unit_pictures"])
    last: bytes | None = None
    with ExitStack() as stack:
        table: Table | None = None
        for batch in stream:
            kept, _ = split(batch, _wanted(batch, recipe))
            names = kept.column("image_id").to_pylist()
            fresh = [name != before for name, before in zip(names, [last, *names], strict=False)]
            last = names[-1] if names else last
            rows = kept.filter(pa.array(fresh, pa.bool_())).select(WANTED.names)
            start = 0
            while start < rows.num_rows:
                if table is None or table.rows >= most:
                    stack.close()
                    table = stack.enter_context(ctx.table("wanted", WANTED))
                part = rows.slice(start, most - table.rows)
                table.write(part)
                start += part.num_rows


# Features ------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _model(source: ClipSource, run: ClipRun, digest: str) -> ClipModel:
    """The model, loaded once a process."""
    if model_digest(source) != digest:
        raise ConfigError(
            f"the CLIP model {source.model} {source.weights} is another on this machine than on the driver's: "
            "give all machines the same files"
        )
    return ClipModel(source, run)


def _load(unit: Unit, ctx: Context) -> ClipModel:
    run = cast("dict[str, Json]", ctx.params["run"])
    return _model(
        ClipSource(str(unit.payload["model"]), str(unit.payload["weights"])),
        ClipRun(**run),  # type: ignore[arg-type]
        str(ctx.params["digest"]),
    )


@functools.lru_cache(maxsize=1)
def _classifiers(model: ClipModel, settings: str) -> tuple[Classifier, ...]:
    return classifiers(model, Clip.model_validate_json(settings))


def embed_pictures(unit: Unit, ctx: Context) -> None:
    """A file of "wanted" pictures → their "features"; those that the cache holds are taken from there."""
    recipe = load_recipe_param(ctx)
    model = _load(unit, ctx)
    limits = DecodeLimits(
        bytes=recipe.limits.image_bytes, pixels=recipe.limits.image_pixels, frames=recipe.limits.image_frames,
        formats=tuple(recipe.images.formats),
    )  # fmt: skip
    with ctx.store.open_read(str(unit.payload["wanted"])) as file:
        wanted = pq.read_table(file, schema=WANTED).combine_chunks()
    cache = _Cache.of(unit, ctx)
    held = CACHED.empty_table() if cache is None else cache.read(wanted.column("key"), wanted.column("image_id"))
    wanted = wanted.filter(pc.invert(pc.is_in(wanted.column("image_id"), held.column("image_id"))))
    ctx.seen({"pictures_embedded": wanted.num_rows, "pictures_cached": held.num_rows})
    named = _classifiers(model, recipe.clip.model_dump_json())
    packs = Packs(ctx.store)

    def pictures() -> Iterator[Picture]:
        for row in wanted.to_pylist():
            yield Picture(row["key"], row["image_id"], packs.read(row["pack"], row["pack_offset"], row["pack_length"]))

    fresh: list[pa.RecordBatch] = []
    try:
        with ctx.table("features", FEATURE) as table:
            for batch in held.to_batches():
                table.write(classified(batch, model, named))
            for batch in embed(pictures(), model, named, limits):
                table.write(batch)
                fresh.append(batch.filter(batch.column("feature").is_valid()).select(CACHED.names))
    finally:
        packs.close()
    if cache is not None:
        cache.write(pa.Table.from_batches(fresh, schema=CACHED))


class _Cache:
    """Features of earlier builds, by picture: files named by their first and last key.

    A picture that gave no feature is not in them: that depends on a recipe's limits.

    Units hold pictures in the order of their keys, so a unit opens the few files whose range meets its own.
    """

    def __init__(self, store: Store, unit: str):
        self._store = store
        self._unit = unit

    @classmethod
    def of(cls, unit: Unit, ctx: Context) -> _Cache | None:
        folder = unit.payload.get("cache")
        return _Cache(Store(str(folder)), unit.id(ctx.stage)) if folder else None

    def read(self, keys: pa.ChunkedArray, names: pa.ChunkedArray) -> pa.Table:
        """The features there are of these pictures."""
        low, high = pc.min(keys).as_py(), pc.max(keys).as_py()
        found: list[pa.Table] = []
        for path in self._store.list(""):
            first, last, _ = path.rsplit("/", 1)[-1].split("_")
            if _number(last) < low or _number(first) > high:
                continue
            with self._store.open_read(path) as file:
                table = pq.read_table(file, schema=CACHED, filters=[("key", ">=", low), ("key", "<=", high)])
            found.append(table.filter(pc.is_in(table.column("image_id"), names)))
        if not found:
            return CACHED.empty_table()
        rows = pa.concat_tables(found).sort_by([("key", "ascending"), ("image_id", "ascending")])
        ids = rows.column("image_id").to_pylist()
        first_of = [place for place, name in enumerate(ids) if not place or ids[place - 1] != name]
        return rows.take(pa.array(first_of, pa.int64()))

    def write(self, rows: pa.Table) -> None:
        """Add features; a file that is there already is this unit's own, of an attempt that was lost."""
        if not rows.num_rows:
            return
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd", use_dictionary=False)
        keys = rows.column("key")
        name = f"{_text(pc.min(keys).as_py())}_{_text(pc.max(keys).as_py())}_{self._unit}.parquet"
        self._store.put_new(name, sink.getvalue().to_pybytes())


def _text(key: int) -> str:
    return f"{key + (1 << 63):016x}"


def _number(text: str) -> int:
    return int(text, 16) - (1 << 63)


# Documents -----------------------------------------------------------------------------------------------------------


def place_features(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Features (side 0) and images (side 1) by picture → "placed": the features of images that want them."""
    recipe = load_recipe_param(ctx)
    known = pa.RecordBatch.from_pylist([], schema=PLACE_IN)
    with ctx.table("placed", PLACED_FEATURE) as placed:
        for batch in stream:
            features, rows = split(batch, pc.equal(batch.column("side"), 0))
            known = pa.concat_batches([known, features])
            if rows.num_rows and known.num_rows:
                rows, _ = split(rows, _wanted(rows, recipe))
                place = pc.index_in(rows.column("image_id"), value_set=known.column("image_id"))
                here = place.is_valid()
                rows, place = rows.filter(here), place.filter(here)
                columns = [
                    rows.column(field.name) if field.name in PLACED_ORDER else known.column(field.name).take(place)
                    for field in PLACED_FEATURE
                ]
                placed.write(pa.RecordBatch.from_arrays(columns, schema=PLACED_FEATURE))
            # Rows of the next batch may need the last one's feature, and those of its key.
            last = known.column("key")[-1] if known.num_rows else None
            known = known.filter(pc.equal(known.column("key"), last)) if last is not None else known


def place(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Features in the corpus' order → "features" by shard."""
    files = ShardFiles(ctx, "features", PLACED_FEATURE, shard_count(ctx))
    for batch in stream:
        files.write(batch)
    files.close()


def aesthetic_identity(recipe: Recipe) -> dict[str, Json]:
    """The aesthetic head by its digest, where a rule of the recipe reads its score."""
    path = recipe.resources.aesthetic_model
    if path is None or not any(AESTHETIC in needs for needs in recipe.requirements().values()):
        return {}
    return {"aesthetic": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


@functools.lru_cache(maxsize=1)
def _head(path: str | None, digest: str) -> AestheticHead | None:
    """The head that the stage's settings ask for by its digest, loaded once a process."""
    if path is None or digest == "None":
        return None
    if hashlib.sha256(Path(path).read_bytes()).hexdigest() != digest:
        raise ConfigError(f"the aesthetic head {path} is another on this machine than on the driver's")
    return read_aesthetic_head(path)


def match_shard(unit: Unit, ctx: Context) -> None:
    """A shard's documents, images and features → its "images" with what CLIP says of them, and "spans"."""
    recipe = load_recipe_param(ctx)
    documents = whole(ctx, str(unit.payload["documents"]))
    rows = whole(ctx, str(unit.payload["images"]), PLACED_IMAGE)
    features = whole(ctx, str(unit.payload["features"]), PLACED_FEATURE)
    images, spans = compare(
        documents, rows, features, _load(unit, ctx), recipe, mode=cast("Mode", ctx.params["images"]),
        head=_head(recipe.resources.aesthetic_model, str(ctx.params.get("aesthetic"))),
    )  # fmt: skip
    with ctx.table("images", ASSEMBLE_IMAGE) as table:
        table.write(images)
    with ctx.table("spans", DOCUMENT_SPANS) as table:
        table.write(spans)
    ctx.seen(
        {
            "spans": int(np.sum(pc.list_value_length(spans.column("clip_spans")).fill_null(0).to_numpy())),
            "spans_cut": int(pc.sum(spans.column("clip_spans_cut")).as_py() or 0),
            "tokens_cut": int(pc.sum(spans.column("clip_tokens_cut")).as_py() or 0),
        }
    )


def place_stored(stream: Stream, unit: Unit, ctx: Context) -> None:
    """What a corpus says of its pictures, in the new corpus' order → "stored" by shard."""
    files = ShardFiles(ctx, "stored", STORED_CLIP, shard_count(ctx))
    for batch in stream:
        files.write(batch)
    files.close()


def restore_shard(unit: Unit, ctx: Context) -> None:
    """A shard's documents, images and what the corpus says of them → its "images" and "spans"."""
    images, spans = restore(
        whole(ctx, str(unit.payload["documents"])), whole(ctx, str(unit.payload["images"]), PLACED_IMAGE),
        whole(ctx, str(unit.payload["stored"]), STORED_CLIP), load_recipe_param(ctx),
        mode=cast("Mode", ctx.params["images"]),
    )  # fmt: skip
    with ctx.table("images", ASSEMBLE_IMAGE) as table:
        table.write(images)
    with ctx.table("spans", DOCUMENT_SPANS) as table:
        table.write(spans)
