"""`plait audit`: adds the books of a corpus up from its files, and says what does not balance."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.publish import funnel
from plait.jobs.store import Store
from plait.jobs.wholeness import generation_of, ledger_faults, ledger_list
from plait.pipeline.fingerprint import Fingerprint
from plait.pipeline.webdataset_shard import read_webdataset_shard
from plait.schemas.errors import ConfigError, CorpusError
from plait.schemas.manifest import MANIFEST_NAME, Manifest
from plait.schemas.receipts import RECEIPTS, Receipt
from plait.schemas.shards import stored_schema

FLOW = (
    ("extract", "extract_revisits", "retext"),
    ("judge_pages",),
    ("dedup_captures",),
    ("dedup_url",),
    ("dedup_text",),
    ("dedup_image_sets",),
    ("dedup_near",),
    ("order",),
    ("drop_paragraphs",),
    ("assemble",),
)
UNLISTED = frozenset({"document_dropped", "opted_out"})  # images: the document's row in the ledger stands for them
BATCH_ROWS = 64


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        faults: one sentence each; none means that the books balance.
        documents: in the shards, counted.
        images: in the shards, counted.
        fingerprint: of the shards, computed.
    """

    faults: tuple[str, ...]
    documents: int
    images: int
    fingerprint: str


def open_manifest(store: Store) -> Manifest:
    """The manifest of a corpus.

    Raises:
        ConfigError: there is no corpus.
        CorpusError: its manifest is damaged.
    """
    try:
        text = store.read(MANIFEST_NAME).decode()
    except (FileNotFoundError, NotADirectoryError) as error:
        unfinished = store.exists("ledger/build.json")
        hint = (
            "its build is not finished: run the same plait build again" if unfinished else "is this a corpus' folder?"
        )
        raise ConfigError(f"{store.root} has no {MANIFEST_NAME}; {hint}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"the manifest is damaged: {error}") from error
    return Manifest.from_json(text)


def audit(corpus: str) -> Audit:
    """Add up a corpus: receipts, ledger, shards, hashes, fingerprint. Reads every byte of it once or twice.

    Args:
        corpus: path or fsspec URL of the folder.

    Raises:
        ConfigError: there is no corpus.
    """
    store = Store(corpus)
    faults: list[str] = []
    try:
        manifest = open_manifest(store)
    except CorpusError as error:
        return Audit((str(error),), 0, 0, "")
    receipts = _receipts(store, manifest, faults)
    _books(receipts, faults)
    _funnel(receipts, manifest, faults)
    _ledger(store, manifest, receipts, faults)
    faults.extend(ledger_faults(store, manifest, receipts))
    fingerprint = _shards(store, manifest, receipts, faults)
    return Audit(tuple(faults), fingerprint.documents, fingerprint.images, fingerprint.hexdigest())


def _receipts(store: Store, manifest: Manifest, faults: list[str]) -> list[Receipt]:
    total = hashlib.sha256()
    receipts = []
    for path in store.list(RECEIPTS):
        data = store.read(path)
        try:
            receipt = Receipt.from_json(data)
        except (ValueError, KeyError, TypeError) as error:
            faults.append(f"the receipt {path} is damaged: {error!r}")
            continue
        if generation_of(receipt) > manifest.generation:
            continue  # of one that was begun and is not finished: this one stands as it was
        total.update(hashlib.sha256(data).digest())
        receipts.append(receipt)
    if len(receipts) != manifest.receipts.count:
        faults.append(f"there are {len(receipts)} receipts, the manifest counts {manifest.receipts.count}")
    elif total.hexdigest() != manifest.receipts.digest:
        faults.append("the receipts are not those that the manifest was made from (their digest differs)")
    return receipts


def shard_receipts(receipts: Sequence[Receipt]) -> list[Receipt]:
    """The receipts of who wrote each shard last, each once: assembly, import, or a later generation that takes away."""
    last: dict[int, tuple[int, Receipt]] = {}
    for receipt in receipts:
        parts = {output.part for output in receipt.outputs if output.part is not None}
        if receipt.stage not in ("assemble", "takedown", "superseded", "import") or not parts:
            continue
        generation = int(receipt.facts.get("generation", "0"))
        for part in parts:
            if part not in last or last[part][0] < generation:
                last[part] = (generation, receipt)
    return list({(last[part][1].stage, last[part][1].unit): last[part][1] for part in sorted(last)}.values())


def _books(receipts: Sequence[Receipt], faults: list[str]) -> None:
    """Every unit, and every stage with the one before it: in = out + dropped."""
    faults.extend(
        f"the books of {receipt.stage}, {receipt.label}, do not balance"
        for receipt in receipts
        if not receipt.books.balanced()
    )
    generations = sorted({receipt.facts.get("generation", "0") for receipt in receipts})
    for generation in generations:
        _chain([receipt for receipt in receipts if receipt.facts.get("generation", "0") == generation], faults)


def _chain(receipts: Sequence[Receipt], faults: list[str]) -> None:
    """What left each stage of a generation's flow entered the next."""
    before: tuple[str, int, int] | None = None
    for stages in FLOW:
        done = [receipt for receipt in receipts if receipt.stage in stages]
        if not done:
            continue
        name = " and ".join(stage for stage in stages if any(receipt.stage == stage for receipt in done))
        entered = sum(receipt.books.documents_in for receipt in done), sum(receipt.books.images_in for receipt in done)
        left = sum(receipt.books.documents_out for receipt in done), sum(receipt.books.images_out for receipt in done)
        if before is not None:
            for what, out, into in zip(("documents", "images"), before[1:], entered, strict=True):
                if out != into:
                    faults.append(f"{out} {what} left {before[0]}, {into} entered {name}")
        before = (name, *left)


def _funnel(receipts: Sequence[Receipt], manifest: Manifest, faults: list[str]) -> None:
    counted = {(line.stage, line.scope): line for line in funnel(receipts)}
    stated = {(line.stage, line.scope): line for line in manifest.funnel}
    faults.extend(
        f"the manifest's funnel at {stage} ({scope}s) is not what the receipts add up to"
        for stage, scope in sorted(counted.keys() | stated.keys())
        if counted.get((stage, scope)) != stated.get((stage, scope))
    )


def _ledger(store: Store, manifest: Manifest, receipts: Sequence[Receipt], faults: list[str]) -> None:
    """Rows of the ledger by stage, scope and reason against the receipts' counts."""
    stated: Counter[tuple[str, str, str]] = Counter()
    for receipt in receipts:
        for scope, reasons in receipt.books.dropped.items():
            for reason, count in reasons.items():
                stated[receipt.stage, scope, reason] += count
    listed: Counter[tuple[str, str, str]] = Counter()
    for path in store.list(manifest.lists.drops):
        try:
            with store.open_read(path) as file:
                table = pq.read_table(file, columns=["stage", "scope", "reason"])
        except (pa.ArrowException, OSError) as error:
            faults.append(f"{path} cannot be read: {error}")
            continue
        for row in table.group_by(["stage", "scope", "reason"]).aggregate([([], "count_all")]).to_pylist():
            listed[row["stage"], row["scope"], row["reason"]] += row["count_all"]
    with_rows = {receipt.stage for receipt in receipts if receipt.tables("drops")}
    for key in sorted(stated.keys() | listed.keys()):
        stage, scope, reason = key
        if stated[key] == listed[key]:
            continue
        if scope == "image" and not listed[key] and (stage != "assemble" or stage not in with_rows):
            continue  # counted at the text stages, not listed
        faults.append(
            f"{stage}: the receipts count {stated[key]} {scope}s dropped as {reason}, the ledger lists {listed[key]}"
        )


def _shards(store: Store, manifest: Manifest, receipts: Sequence[Receipt], faults: list[str]) -> Fingerprint:
    """Hashes, rows and images of the shards; the fingerprint of what they hold."""
    fingerprint = Fingerprint()
    schema = stored_schema(manifest.scores)
    try:
        with store.open_read(manifest.lists.shards) as file:
            shards = pq.read_table(file).to_pylist()
    except (pa.ArrowException, OSError) as error:
        faults.append(f"the list of shards cannot be read: {error}")
        return fingerprint
    made = {output.path: output for receipt in shard_receipts(receipts) for output in receipt.outputs}
    images = 0
    generations = 0
    for shard, begins in _in_order(shards):
        generations += begins
        if begins:
            fingerprint.restart()
        path = shard["path"]
        output = made.get(path)
        if output is None or output.sha256 != shard["sha256"]:
            faults.append(f"no receipt stands for {path} as the list of shards has it")
        if not store.exists(path):
            faults.append(f"{path} is missing")
            continue
        if store.size(path) != shard["bytes"] or store.sha256(path) != shard["sha256"]:
            faults.append(f"{path} is not what was written: its bytes differ from the list of shards")
        if shard["format"] != manifest.formats[0]:
            continue
        before = fingerprint.documents
        try:
            for batch in _rows(store, path, shard["format"], schema):
                fingerprint.add_batch(batch)
                infos = batch.column("image_info").flatten()
                images += len(infos) - infos.null_count
        except (pa.ArrowException, OSError, CorpusError, ValueError) as error:
            faults.append(f"{path} cannot be read: {error}")
            continue
        if fingerprint.documents - before != shard["rows"]:
            faults.append(f"{path} has {fingerprint.documents - before} documents, the list says {shard['rows']}")
    formats = len(manifest.formats)
    if generations > formats * (manifest.generation + 1):
        faults.append("shards stand out of order: a generation's are sorted by order_key")
    _against(receipts, manifest, fingerprint, images, faults)
    return fingerprint


def _in_order(shards: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Shards as listed, and whether their order keys begin anew: another format, or a later generation."""
    last: tuple[str, int] | None = None
    for shard in shards:
        low, high = shard["min_order_key"], shard["max_order_key"]
        begins = last is None or last[0] != shard["format"] or (low is not None and int(low) < last[1])
        yield shard, begins
        before = 0 if begins or last is None else last[1]
        last = (shard["format"], before if high is None else int(high))


def _against(
    receipts: Sequence[Receipt], manifest: Manifest, fingerprint: Fingerprint, images: int, faults: list[str]
) -> None:
    """What was counted in the shards against what left the last stage."""
    done = [receipt.books for receipt in shard_receipts(receipts)]
    documents_out, images_out = sum(books.documents_out for books in done), sum(books.images_out for books in done)
    if fingerprint.documents != documents_out:
        faults.append(f"{documents_out} documents left assemble, the shards hold {fingerprint.documents}")
    if images != images_out:
        faults.append(f"{images_out} images left assemble, the shards hold {images}")
    totals = manifest.totals
    if (fingerprint.documents, images) != (totals.documents, totals.images + totals.image_urls):
        faults.append("the manifest's totals are not what the shards hold")
    if fingerprint.hexdigest() != manifest.fingerprint:
        faults.append("the fingerprint of the shards is not the manifest's")


def _rows(store: Store, path: str, form: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with store.open_read(path) as file:
        if form == "parquet":
            yield from pq.ParquetFile(file, page_checksum_verification=True).iter_batches(BATCH_ROWS)
        else:
            for row in read_webdataset_shard(file, schema):  # type: ignore[arg-type]
                yield pa.RecordBatch.from_pylist([row], schema=schema)


def fingerprint_of(corpus: str) -> str:
    """One hash of the shards' contents, computed from the files.

    Raises:
        ConfigError: there is no corpus.
        CorpusError: a shard cannot be read.
    """
    store = Store(corpus)
    manifest = open_manifest(store)
    schema = stored_schema(manifest.scores)
    fingerprint = Fingerprint()
    for shard, begins in _in_order(ledger_list(store, manifest.lists.shards).to_pylist()):
        if shard["format"] != manifest.formats[0]:
            continue
        if begins:
            fingerprint.restart()
        try:
            for batch in _rows(store, shard["path"], shard["format"], schema):
                fingerprint.add_batch(batch)
        except (pa.ArrowException, OSError) as error:
            raise CorpusError(f"{shard['path']} cannot be read: {error}") from error
    return fingerprint.hexdigest()
