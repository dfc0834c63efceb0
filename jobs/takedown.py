"""`plait takedown` and `plait gc`: what must go goes, from shards, ledger and report, and stays away."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.jobs.auditing import open_manifest, shard_receipts
from plait.jobs.engines import EngineChoice
from plait.jobs.progress import Silent, Watcher
from plait.jobs.publish import (
    distinct,
    renewed,
    write_around,
)
from plait.jobs.purging import batches, purge_fetched, purge_keys, purge_locators, purge_retained, rewrite
from plait.jobs.store import Store
from plait.jobs.suppression import KEY_BYTES, SUPPRESSED, Suppression, kept_path, load_suppression, read_list
from plait.jobs.wholeness import ledger_list, need_whole, read_receipts
from plait.jobs.work import Json, Stage, Unit
from plait.pipeline.publish import corpus_files
from plait.schemas.errors import ConfigError
from plait.schemas.ledger import DROP
from plait.schemas.manifest import Lists, Manifest
from plait.schemas.receipts import Receipt
from plait.schemas.version import plait_version

STAGE = "takedown"
KEPT = "work/suppressed.parquet"
NAMELESS = ("doc_id", "node", "url", "archive", "offset", "detail")
"""Columns of the ledger that say which document or picture a row is of."""


@dataclass(frozen=True)
class Takedown:
    """What a takedown did.

    Attributes:
        documents: taken out of the shards.
        images: taken out of the shards, those of documents that went included.
        shards: written anew.
        manifest: of the new generation.
    """

    documents: int
    images: int
    shards: int
    manifest: Manifest


def takedown(
    corpus: str,
    *,
    urls: str = "",
    domains: str = "",
    hashes: str = "",
    workers: int | None = None,
    watcher: Watcher | None = None,
) -> Takedown:
    """Take documents and pictures out of a corpus, for good: a new generation of it.

    Shards that hold any of them are written anew, the ledger forgets their names (its counts stay), the report and the
    card are made again, and `ledger/suppressed.parquet` lists them by keyed hashes. The old files stay until `collect`.
    Stopped, it is finished by the same call.

    Args:
        corpus: path or fsspec URL of the folder.
        urls: file of URLs of pages or pictures, one a line; "" for none.
        domains: file of domains, their subdomains included.
        hashes: file of SHA-256 of pictures, hex.
        workers: processes; None is one a core.
        watcher: is told of progress.

    Raises:
        ConfigError: there is no corpus, or a list is wrong or all of them are empty; nothing was changed.
        CorpusError: files of the corpus are missing; nothing was changed.
    """
    began = time.monotonic()
    entries = read_list(urls, "urls"), read_list(domains, "domains"), read_list(hashes, "hashes")
    if not any(entries):
        raise ConfigError("nothing to take down: give --urls, --domains or --hashes with at least one entry")
    store = Store(corpus)
    manifest = open_manifest(store)
    need_whole(store, manifest)
    listed = _known(store).adding(*entries)
    with store.open_write(KEPT) as file:
        file.write(listed.to_parquet())
    kept = kept_path(listed)
    with store.open_write(kept) as file:
        file.write(listed.to_parquet())
    generation = manifest.generation + 1
    params: dict[str, Json] = {
        "scores": dict(manifest.scores), "formats": list(manifest.formats), "generation": generation,
        "suppression": kept,
    }  # fmt: skip
    stage = Stage(STAGE, "plait.jobs.units.takedown:rewrite_shard", params)
    units = shard_units(store, manifest)
    watcher = watcher or Silent()
    engine = EngineChoice("local", workers).open(store)
    try:
        watcher.stage(stage.name, len(units))
        done = [receipt for receipt in engine.run(stage, units, watcher.unit) if receipt.outputs]
        watcher.end(stage.name)
    finally:
        engine.close()
    after = _publish(store, manifest, generation, done, listed, began)
    store.remove("work")
    books = [receipt.books for receipt in done]
    return Takedown(
        sum(book.documents_in - book.documents_out for book in books),
        sum(book.images_in - book.images_out for book in books),
        len(done),
        after,
    )


def _known(store: Store) -> Suppression:
    """What was taken down before; a list without entries, with the key of this call where it was stopped before."""
    if store.exists(SUPPRESSED):
        return load_suppression(store, SUPPRESSED)
    key = load_suppression(store, KEPT).key if store.exists(KEPT) else secrets.token_bytes(KEY_BYTES)
    return Suppression(key, np.zeros(0, np.int64))


def shard_units(store: Store, manifest: Manifest) -> list[Unit]:
    """A unit for each shard of a corpus, by its file of the first format."""
    shards = ledger_list(store, manifest.lists.shards, ["shard", "format", "path", "sha256"]).to_pylist()
    units = []
    for shard in shards:
        if shard["format"] == manifest.formats[0]:
            payload: dict[str, Json] = {name: shard[name] for name in ("shard", "format", "path")}
            units.append(Unit((shard["sha256"], str(shard["shard"])), f"shard {shard['shard']}", payload))
    return units


def _publish(
    store: Store, before: Manifest, generation: int, done: list[Receipt], listed: Suppression, began: float
) -> Manifest:
    """The new generation's lists, ledger, report and card; the manifest comes last."""
    receipts = distinct([*read_receipts(store), *done])
    lists = Lists(
        shards=f"ledger/shards-g{generation}.parquet", inputs=before.lists.inputs,
        drops=f"ledger/drops-g{generation}", node_samples=f"ledger/nodes-g{generation}",
    )  # fmt: skip
    documents, pictures = _gone(store, done)
    named = listed.adding(pictures, [], [])  # a picture's bytes may be listed and its URL not: the ledger forgets both
    _purge_ledger(store, before.lists, lists, named, documents)
    purge_fetched(store, named)
    purge_locators(store, named)
    purge_retained(store, named, documents)
    purge_keys(store, named, documents)
    _write_drops(store, lists.drops, done)
    with store.open_write(SUPPRESSED) as file:
        file.write(listed.to_parquet())
    manifest, shards = renewed(
        store, before, generation, receipts, shard_receipts(receipts), lists,
        verb="takedown", version=plait_version(), began=began,
    )  # fmt: skip
    around = corpus_files(manifest, shards, ledger_list(store, before.lists.inputs))
    write_around(store, manifest, around)
    return manifest


def _gone(store: Store, done: list[Receipt]) -> tuple[set[bytes], set[str]]:
    """Ids of the documents that went out of the shards, and URLs of pictures that went from others."""
    documents: set[bytes] = set()
    pictures: set[str] = set()
    for receipt in done:
        for output in receipt.tables("gone"):
            with store.open_read(output.path) as file:
                table = pq.read_table(file)
            documents.update(table.column("doc_id").drop_null().to_pylist())
            pictures.update(table.column("image_url").drop_null().to_pylist())
    return documents, pictures


def _purge_ledger(store: Store, old: Lists, new: Lists, listed: Suppression, documents: set[bytes]) -> None:
    """Copies of the ledger: drops of what is listed keep their reason and lose their names, samples of it go.

    Args:
        store: the corpus.
        old: where the ledger is.
        new: where its copies go.
        listed: what goes.
        documents: ids of documents that went; those of dropped documents that are listed are added.
    """
    for path in store.list(old.drops):
        for batch in batches(store, path):
            for row in batch.select(["scope", "doc_id", "url"]).to_pylist():
                if row["scope"] == "document" and row["doc_id"] is not None and listed.lists_url(row["url"]):
                    documents.add(row["doc_id"])
    names = {document.hex() for document in documents}

    def nameless(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = batch.select(["doc_id", "url", "detail"]).to_pylist()
        named = pa.array(
            [
                not (listed.lists_url(row["url"]) or row["doc_id"] in documents or _told(row["detail"], listed, names))
                for row in rows
            ],
            pa.bool_(),
        )
        for name in NAMELESS:
            shown = pc.if_else(named, batch.column(name), pa.scalar(None, batch.schema.field(name).type))
            batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), shown)
        return batch

    def without(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = batch.select(["doc_id", "image_url"]).to_pylist()
        kept = [not (listed.lists_url(row["image_url"]) or row["doc_id"] in documents) for row in rows]
        return batch.filter(pa.array(kept, pa.bool_()))

    for path in store.list(old.drops):
        rewrite(store, path, new.drops + path.removeprefix(old.drops), nameless)
    for path in store.list(old.node_samples):
        rewrite(store, path, new.node_samples + path.removeprefix(old.node_samples), without)


def _told(detail: str | None, listed: Suppression, names: set[str]) -> bool:
    """Whether a drop's detail names what goes: duplicates say which document was kept."""
    return detail is not None and (detail in names or ("://" in detail and listed.lists_url(detail)))


def _write(store: Store, path: str, table: pa.Table) -> None:
    with store.open_write(path) as file:
        pq.write_table(table, file, compression="zstd")


def _write_drops(store: Store, folder: str, done: list[Receipt]) -> None:
    """What this takedown dropped, beside what earlier ones did."""
    path = f"{folder}/{STAGE}.parquet"
    tables = []
    if store.exists(path):
        with store.open_read(path) as file:
            tables.append(pq.read_table(file, schema=DROP))
    for receipt in done:
        for output in receipt.tables("drops"):
            with store.open_read(output.path) as file:
                tables.append(pq.read_table(file, schema=DROP))
    if tables:
        _write(store, path, pa.concat_tables(tables))


def collect(corpus: str) -> tuple[int, int]:
    """Remove files that the present generation does not need, and what killed writers left: `plait gc`.

    Nothing else may be at work in the folder.

    Returns:
        Number of files removed, and their bytes.

    Raises:
        ConfigError: there is no corpus.
    """
    store = Store(corpus)
    manifest = open_manifest(store)
    needed = set(ledger_list(store, manifest.lists.shards, ["path"]).column("path").to_pylist())
    needed |= {f"{path}.idx" for path in needed}
    lists = (manifest.lists.shards, manifest.lists.inputs, manifest.lists.drops, manifest.lists.node_samples)
    gone = [path for path in (*store.list("data"), *store.list("webdataset")) if _is_shard(path) and path not in needed]
    for path in store.list("ledger"):
        top = "/".join(path.split("/")[:2])
        stem = top.removeprefix("ledger/").removesuffix(".parquet").partition("-g")[0]
        if stem in ("shards", "inputs", "drops", "nodes") and top not in lists:
            gone.append(path)
    gone += store.list("work") + store.unfinished()
    size = sum(store.size(path) for path in gone)
    for path in gone:
        store.remove(path)
    return len(gone), size


def _is_shard(path: str) -> bool:
    return path.rpartition("/")[2].startswith("shard-") and path.endswith((".parquet", ".tar", ".tar.idx"))
