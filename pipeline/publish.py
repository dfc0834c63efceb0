"""Publish: what stands around the shards: their list, totals, manifest, dataset card, and Energon's metadata.

Everything here is made from receipts, from shards or from both; a driver writes the files, the manifest last.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.pipeline.card import card
from plait.pipeline.fingerprint import Fingerprint
from plait.pipeline.parquet_shard import Written, write_batches
from plait.pipeline.webdataset_shard import write_webdataset_shard
from plait.schemas.manifest import (
    INPUT_LIST,
    MANIFEST_NAME,
    SHARD_LIST,
    Manifest,
    RecipeRecord,
    RuleRecord,
    Totals,
)
from plait.schemas.tar_samples import energon_files

if TYPE_CHECKING:
    from plait.filters.recipe import Recipe

MOST_LICENCES: Final = 100


@dataclass(frozen=True)
class ShardFile:
    """One file of a shard."""

    shard: int
    format: str  # "parquet" or "webdataset"
    path: str  # relative to the corpus
    written: Written


def shard_path(shard: int, form: str) -> str:
    """Place of a shard's file in the corpus."""
    return f"data/shard-{shard:05d}.parquet" if form == "parquet" else f"webdataset/shard-{shard:05d}.tar"


def shard_list(files: Iterable[ShardFile]) -> pa.Table:
    """`SHARD_LIST` of files, sorted by (format, shard)."""
    rows = [
        {
            "shard": file.shard,
            "format": file.format,
            "path": file.path,
            "rows": file.written.rows,
            "images": file.written.images,
            "bytes": file.written.bytes,
            "sha256": file.written.sha256,
            "min_order_key": file.written.min_order_key,
            "max_order_key": file.written.max_order_key,
            "row_group_rows": list(file.written.row_group_rows) if file.format == "parquet" else None,
        }
        for file in sorted(files, key=lambda file: (file.format, file.shard))
    ]
    return pa.Table.from_pylist(rows, schema=SHARD_LIST)


class Tally:
    """Totals of rows, added up batch by batch."""

    def __init__(self) -> None:
        self._totals = Totals()
        self._languages: Counter[str] = Counter()
        self._licences: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds rows of `shard_schema`; the columns ``images`` (its bytes) and ``image_info`` need not be filled."""
        texts = batch.column("texts").flatten()
        infos = batch.column("image_info").flatten()
        images = batch.column("images").flatten()
        with_bytes = np.asarray(images.is_valid())
        sizes = infos.field("bytes").fill_null(0).to_numpy(zero_copy_only=False)
        now = self._totals
        self._totals = replace(
            now,
            documents=now.documents + batch.num_rows,
            images=now.images + int(with_bytes.sum()),
            image_urls=now.image_urls + int(np.asarray(infos.is_valid()).sum() - with_bytes.sum()),
            texts=now.texts + len(texts) - texts.null_count,
            text_chars=now.text_chars + int(pc.sum(pc.utf8_length(texts)).as_py() or 0),
            image_bytes=now.image_bytes + int(sizes[with_bytes].sum()),
        )
        self._languages.update(language or "" for language in batch.column("lang").to_pylist())
        self._licences.update(found for found in batch.column("licence").to_pylist() if found)

    def totals(self, shard_bytes: int) -> Totals:
        """What was added, with the bytes of the reference format's files."""
        licences = sorted(self._licences.items(), key=lambda item: (-item[1], item[0]))[:MOST_LICENCES]
        languages = dict(sorted(self._languages.items()))
        return replace(self._totals, shard_bytes=shard_bytes, languages=languages, licences=dict(licences))


def recipe_record(recipe: Recipe, missing: Sequence[str] = ()) -> RecipeRecord:
    """The recipe as the manifest keeps it."""
    text = recipe.model_dump_json()
    rules = tuple(
        RuleRecord(rule.name, rule.scope, rule.stage, rule.keep or rule.edit, rule.source) for rule in recipe.rules
    )
    digest = hashlib.sha256(text.encode()).hexdigest()
    return RecipeRecord(recipe.name, text, digest, recipe.description, rules, tuple(missing))


def corpus_files(manifest: Manifest, shards: pa.Table, inputs: pa.Table) -> dict[str, bytes]:
    """The files around the shards, by path relative to the corpus; the manifest comes last, and makes the corpus count.

    Args:
        manifest: the root.
        shards: `SHARD_LIST`.
        inputs: `INPUT_LIST`.
    """
    files = {
        manifest.lists.shards: _parquet(shards.cast(SHARD_LIST)),
        manifest.lists.inputs: _parquet(inputs.cast(INPUT_LIST)),
        "README.md": card(manifest).encode(),
    }
    tars = [row for row in shards.to_pylist() if row["format"] == "webdataset"]
    if tars:
        counts = {row["path"].removeprefix("webdataset/"): row["rows"] for row in tars}
        files |= {f"webdataset/{path}": text.encode() for path, text in energon_files(counts).items()}
    return {**files, MANIFEST_NAME: manifest.to_json().encode()}


def write_corpus(
    folder: Path,
    schema: pa.Schema,
    shards: Iterable[Iterable[pa.RecordBatch]],
    manifest: Manifest,
    *,
    inputs: pa.Table | None = None,
) -> Manifest:
    """Writes a corpus from rows that are ready, one iterable of batches a shard: what imports and small tools need.

    Args:
        folder: of the corpus; made where it is not there.
        schema: `shard_schema(...)`.
        shards: batches of rows with their images' bytes; over all shards sorted by (order_key, doc_id). A batch
            becomes a row group.
        manifest: recipe, options, scores and formats; totals, fingerprint and number of shards are filled in.
        inputs: `INPUT_LIST`.

    Returns:
        The manifest as it was written.
    """
    fingerprint, tally = Fingerprint(), Tally()
    files: list[ShardFile] = []
    count = 0
    for count, batches in enumerate(shards, 1):
        files += _write_shard(folder, count - 1, schema, batches, manifest.formats, fingerprint, tally)
    reference = manifest.formats[0]
    done = replace(
        manifest,
        shards=count,
        fingerprint=fingerprint.hexdigest(),
        totals=tally.totals(sum(file.written.bytes for file in files if file.format == reference)),
    )
    listed = shard_list(files)
    for path, data in corpus_files(done, listed, inputs or INPUT_LIST.empty_table()).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return done


def _write_shard(
    folder: Path,
    shard: int,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    formats: Sequence[str],
    fingerprint: Fingerprint,
    tally: Tally,
) -> list[ShardFile]:
    """One shard in each format, from one pass over its batches where it is Parquet alone."""
    held = list(batches) if len(formats) > 1 else batches
    files = []
    for form in formats:
        path = shard_path(shard, form)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        counted = _counted(held, fingerprint, tally) if form == formats[0] else held
        with ExitStack() as stack:
            file = stack.enter_context(target.open("wb"))
            if form == "parquet":
                written = write_batches(counted, schema, file)
            else:
                index = stack.enter_context(target.with_name(f"{target.name}.idx").open("wb"))
                written = write_webdataset_shard(counted, file, index)
        files.append(ShardFile(shard, form, path, written))
    return files


def _counted(batches: Iterable[pa.RecordBatch], fingerprint: Fingerprint, tally: Tally) -> Iterable[pa.RecordBatch]:
    for batch in batches:
        fingerprint.add_batch(batch)
        tally.add(batch)
        yield batch


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()
