"""Publishing: the ledger, the lists, the report, the card, and last of all the manifest that makes a corpus count."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.explorer.dropped import DroppedPictures, Occurrence
from plait.jobs.flow import Flow
from plait.jobs.purging import batches, purge_locators, purge_retained, rewrite
from plait.jobs.runner import peak_rss
from plait.jobs.store import Store
from plait.jobs.suppression import load_suppression
from plait.jobs.survivors import Survivors
from plait.pipeline.fingerprint import Fingerprint
from plait.pipeline.parquet_shard import Written
from plait.pipeline.publish import ShardFile, corpus_files, recipe_record, shard_list
from plait.pipeline.text import score_types
from plait.schemas.fetched import FETCHED
from plait.schemas.ledger import DOCUMENTS, DROP, FETCHED_FOLDER, KNOWN, LOCATORS, NODE_SAMPLE, PAGES
from plait.schemas.manifest import INPUT_LIST, Lists, Manifest, Receipts, Scalar, StageBooks, Totals
from plait.schemas.receipts import RECEIPTS, Output, Receipt

RETAINED = {
    "dropped_documents": DOCUMENTS,
    "pages": PAGES,
    "locators": LOCATORS,
    "redirects": LOCATORS,
    "hops": LOCATORS,
}
"""Tables of `RETAINING` stages that ``retain = "all"`` keeps, and the folders where."""
RETAINING = ("extract", "resolve_revisits", "extract_revisits", "retext", "reopen_locators")
KNOWN_TABLES = {
    "leaders": ("cluster_images", "leaders"),
    "pictures": ("count_similar", "counts"),
    "paragraphs": ("repeated_paragraphs", "counts"),
    "urls": ("locate", "counts"),
    "policies": ("choose_policies", "policies"),
}
"""What a later generation is deduplicated against, beside documents' keys: name -> stage and table."""
READ = ("page", "image", "revisit", "redirect", "policy")  # kinds of records
MOST_LICENCES = 100
MOST_PLACED = 200  # files of image rows that the report looks through for pictures of its examples


def publish(
    store: Store, flow: Flow, shards: Sequence[Receipt], *, missing: Sequence[str], version: str, began: float
) -> Manifest:
    """Write everything around the shards; whatever an earlier, interrupted publication wrote is written again.

    Args:
        store: the corpus' folder.
        flow: the build, done.
        shards: receipts of the assemble stage.
        missing: what the recipe required and the build ran without.
        version: of plait.
        began: when this run of the build began, by the monotonic clock.
    """
    receipts = distinct(receipt for done in flow.receipts.values() for receipt in done)
    books = keep_receipts(store, receipts)
    lists = Lists()
    merge_tables(store, receipts, "drops", DROP, lists.drops)
    merge_tables(store, receipts, "samples", NODE_SAMPLE, lists.node_samples)
    merge_tables(store, receipts, "fetched", FETCHED, FETCHED_FOLDER)
    keep_known(store, flow)
    if flow.options.retain == "all":
        retain(store, flow, receipts)
    files = shard_files(shards)
    manifest = Manifest(
        plait_version=version,
        recipe=recipe_record(flow.recipe, missing),
        fingerprint=_fingerprint(shards),
        totals=totals_of(shards, files, flow.options.formats[0]),
        scores={name: str(kind) for name, kind in sorted(score_types(flow.recipe).items())},
        funnel=tuple(funnel(receipts)),
        options={"images": flow.options.images, "shard_docs": flow.options.shard_docs, "retain": flow.options.retain},
        cost=_cost(receipts, began),
        formats=flow.options.formats,
        shards=len({file.shard for file in files}),
        lists=lists,
        receipts=books,
    )
    around = corpus_files(manifest, shard_list(files), input_list(flow))
    placed = [output.path for receipt in flow.receipts.get("place", []) for output in receipt.tables("images")]
    write_around(store, manifest, around, dropped_pictures(store, placed))
    return manifest


def renewed(
    store: Store, before: Manifest, generation: int, receipts: Sequence[Receipt], shards: Sequence[Receipt],
    lists: Lists, *, verb: str, version: str, began: float,
) -> tuple[Manifest, pa.Table]:  # fmt: skip
    """The manifest of a corpus' next generation, and its list of shards; its receipts are kept in the ledger.

    Args:
        store: the corpus' folder.
        before: the manifest of the generation before.
        generation: number of the next.
        receipts: of all units that made the corpus, in all generations.
        shards: of these, those that wrote the shards that count.
        lists: the ledger of the generation.
        verb: what made it, named with the time that it took.
        version: of plait.
        began: when it began, by the monotonic clock.
    """
    files = shard_files(shards)
    manifest = replace(
        before,
        plait_version=version,
        fingerprint=_fingerprint(shards),
        totals=totals_of(shards, files, before.formats[0]),
        funnel=tuple(funnel(receipts)),
        cost={**before.cost, f"wall_s.{verb}_{generation}": round(time.monotonic() - began, 3)},
        shards=len({file.shard for file in files}),
        lists=lists,
        receipts=keep_receipts(store, receipts),
        generation=generation,
    )
    return manifest, shard_list(files)


def _fingerprint(shards: Sequence[Receipt]) -> str:
    fingerprint = Fingerprint()
    for receipt in shards:
        fingerprint.merge(receipt.facts["fingerprint"])
    return fingerprint.hexdigest()


def write_around(
    store: Store, manifest: Manifest, around: Mapping[str, bytes], pictures: DroppedPictures | None = None
) -> None:
    """Write the files around the shards and the report; the last of them, the manifest, makes the corpus count."""
    last = list(around)[-1]
    for path, data in around.items():
        if path != last:
            with store.open_write(path) as file:
                file.write(data)
    write_report(store, manifest, pictures)
    with store.open_write(last) as file:
        file.write(around[last])


def distinct(receipts: Iterable[Receipt]) -> list[Receipt]:
    """Each unit once, by stage and identity."""
    return list({(receipt.stage, receipt.unit): receipt for receipt in receipts}.values())


def keep_receipts(store: Store, receipts: Sequence[Receipt]) -> Receipts:
    """Copy the receipts into the ledger; their number, and a digest over all of them."""
    total = hashlib.sha256()
    for receipt in sorted(receipts, key=lambda receipt: (receipt.stage, receipt.unit)):
        data = receipt.to_json()
        with store.open_write(f"{RECEIPTS}/{receipt.stage}/{receipt.unit}.json") as file:
            file.write(data)
        total.update(hashlib.sha256(data).digest())
    return Receipts(len(receipts), total.hexdigest())


def merge_tables(
    store: Store, receipts: Sequence[Receipt], table: str, schema: pa.Schema, folder: str, suffix: str = ""
) -> None:
    """One file a stage of all its units' rows, named by the stage and a suffix."""
    by_stage: dict[str, list[Output]] = {}
    for receipt in receipts:
        by_stage.setdefault(receipt.stage, []).extend(receipt.tables(table))
    for stage, outputs in by_stage.items():
        if not outputs:
            continue
        with (
            store.open_write(f"{folder}/{stage}{suffix}.parquet") as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for output in sorted(outputs, key=lambda output: output.path):
                with store.open_read(output.path) as rows:
                    for batch in pq.ParquetFile(rows).iter_batches():
                        writer.write_batch(batch)


def keep_known(store: Store, flow: Flow) -> None:
    """Copy into the ledger what a later generation is deduplicated against: keys and signatures, clusters, counts."""
    known = {
        name: [output for receipt in flow.receipts.get(stage, []) for output in receipt.tables(table)]
        for name, (stage, table) in KNOWN_TABLES.items()
    }
    for name, outputs in {"keys": flow.survivors, **known}.items():
        for number, output in enumerate(outputs):
            copy_file(store, output.path, f"{KNOWN}/{name}-g{flow.generation}-{number:05d}.parquet")


def copy_file(store: Store, path: str, target: str) -> None:
    """Copy a file of a corpus' folder within it."""
    with store.open_read(path) as source, store.open_write(target) as file:
        while block := source.read(1 << 20):
            file.write(block)


def retain(store: Store, flow: Flow, receipts: Sequence[Receipt]) -> None:
    """Copy into the ledger what another recipe may begin with: pages, places of pictures, dropped documents.

    What is suppressed is left out of it, and so are pages that their sites' rules forbid.
    """
    forbidden = Survivors(store, flow.forbidden)
    for target, output in retained_files(receipts).items():
        of_pages = target.startswith((f"{PAGES}/", f"{DOCUMENTS}/"))
        if flow.forbidden and of_pages and _lists_any(store, output.path, forbidden):
            rewrite(store, output.path, target, forbidden.leave)
        else:
            copy_file(store, output.path, target)
    if flow.suppression is not None:
        listed = load_suppression(store, flow.suppression)
        purge_locators(store, listed)
        purge_retained(store, listed, set())


def retained_files(receipts: Sequence[Receipt]) -> dict[str, Output]:
    """Files in the ledger that ``retain = "all"`` keeps, and the outputs of which they are copies."""
    return {
        f"{folder}/{table}-{receipt.unit}-{number:05d}.parquet": output
        for receipt in receipts
        if receipt.stage in RETAINING
        for table, folder in RETAINED.items()
        for number, output in enumerate(receipt.tables(table))
    }


def _lists_any(store: Store, path: str, listed: Survivors) -> bool:
    """Whether any archive of a file's documents has a listed one."""
    names = {name for batch in batches(store, path, ["archive_id"]) for name in batch.column(0).unique().to_pylist()}
    return any(len(listed.of(name)) for name in sorted(filter(None, names)))


def shard_files(shards: Sequence[Receipt]) -> list[ShardFile]:
    """Files of shards, from the receipts of those who wrote them."""
    files = []
    for receipt in shards:
        for output in receipt.outputs:
            facts = receipt.facts.get(f"shard_{output.table}")
            if facts is None or output.part is None:
                continue
            known = json.loads(facts)
            known["row_group_rows"] = tuple(known["row_group_rows"])
            written = Written(rows=output.rows, bytes=output.bytes, sha256=output.sha256, **known)
            files.append(ShardFile(output.part, output.table, output.path, written))
    return files


def totals_of(shards: Sequence[Receipt], files: Sequence[ShardFile], reference: str) -> Totals:
    """Totals of a corpus, from its shards' receipts and files; the bytes are those of the reference format."""
    sums: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    for receipt in shards:
        part = json.loads(receipt.facts["totals"])
        languages.update(part.pop("languages"))
        licences.update(part.pop("licences"))
        sums.update(part)
    sums["shard_bytes"] = sum(file.written.bytes for file in files if file.format == reference)
    frequent = sorted(licences.items(), key=lambda item: (-item[1], item[0]))[:MOST_LICENCES]
    totals = Totals(**{name: int(count) for name, count in sums.items()})  # type: ignore[arg-type]
    return replace(totals, languages=dict(sorted(languages.items())), licences=dict(frequent))


def input_list(flow: Flow) -> pa.Table:
    """Every archive, with what reading it met."""
    if flow.inputs is not None:
        return flow.inputs
    seen: dict[str, Mapping[str, int]] = {}
    for archive, receipt in zip(flow.archives, flow.receipts.get("extract", []), strict=True):
        seen[archive.id] = receipt.books.seen
    rows = []
    for archive in sorted(flow.archives, key=lambda archive: archive.id):
        counts = seen[archive.id]
        records = sum(count for name, count in counts.items() if name != "archive_bytes")
        rows.append(
            {
                "archive_id": archive.id,
                "archive": archive.name,
                "bytes": archive.bytes,
                "records": records,
                "pages": counts.get("read_page", 0),
                "images": counts.get("read_image", 0),
            }
        )
    return pa.Table.from_pylist(rows, schema=INPUT_LIST)


def funnel(receipts: Sequence[Receipt]) -> list[StageBooks]:
    """Documents, images and records in and out of every stage that keeps books, in the order of the flow."""
    lines: dict[tuple[str, str], list[Receipt]] = {}
    for receipt in receipts:
        books = receipt.books
        if books.documents_in or books.images_in:
            lines.setdefault((receipt.stage, "document"), []).append(receipt)
            lines.setdefault((receipt.stage, "image"), []).append(receipt)
        if books.dropped.get("record") or books.seen.get("archive_bytes"):
            lines.setdefault((receipt.stage, "record"), []).append(receipt)
    return [_line(stage, scope, done) for (stage, scope), done in lines.items()]


def _line(stage: str, scope: str, receipts: Sequence[Receipt]) -> StageBooks:
    dropped: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    entered = left = 0
    for receipt in receipts:
        books = receipt.books
        dropped.update(books.dropped.get(scope, {}))
        if scope == "document":
            entered, left = entered + books.documents_in, left + books.documents_out
            alone.update(books.alone)
        elif scope == "image":
            entered, left = entered + books.images_in, left + books.images_out
        else:
            left += sum(books.seen.get(f"read_{kind}", 0) for kind in READ)
    if scope == "record":
        entered = left + sum(dropped.values())
    return StageBooks(stage, scope, entered, left, dict(sorted(dropped.items())), dict(sorted(alone.items())))


def _cost(receipts: Sequence[Receipt], began: float) -> dict[str, Scalar]:
    """What the build took; stages by CPU seconds."""
    cpu: Counter[str] = Counter()
    for receipt in receipts:
        cpu[receipt.stage] += receipt.cost.cpu_s  # type: ignore[assignment]
    cost: dict[str, Scalar] = {f"cpu_s.{stage}": round(seconds, 3) for stage, seconds in cpu.items()}
    cost["cpu_s"] = round(sum(cpu.values()), 3)
    cost["wall_s"] = round(time.monotonic() - began, 3)
    cost["peak_rss"] = max([peak_rss(), *(receipt.cost.peak_rss for receipt in receipts)])
    return cost


def write_report(store: Store, manifest: Manifest, pictures: DroppedPictures | None) -> None:
    """The report beside the shards."""
    from plait.explorer.report import report

    with store.open_write("report.html") as file:
        file.write(report(store.root, manifest, pictures).encode())


def dropped_pictures(store: Store, placed: Sequence[str]) -> DroppedPictures:
    """Reads dropped pictures from the packs of a build that is about to end.

    Args:
        store: the corpus' folder.
        placed: files of image rows, `ASSEMBLE_IMAGE` and more; `MOST_PLACED` of them are looked at.
    """

    def read(asked: Iterable[Occurrence]) -> dict[Occurrence, tuple[pa.RecordBatch, bytes]]:
        wanted = set(asked)
        ids = pa.array(sorted({doc_id for doc_id, _ in wanted}), pa.binary())
        found: dict[Occurrence, tuple[pa.RecordBatch, bytes]] = {}
        for path in placed[:MOST_PLACED]:
            with store.open_read(path) as file:
                for batch in pq.ParquetFile(file).iter_batches():
                    rows = batch.filter(pc.is_in(batch.column("doc_id"), ids))
                    keys = zip(rows.column("doc_id").to_pylist(), rows.column("node").to_pylist(), strict=True)
                    for place, key in enumerate(keys):
                        if key in wanted and (data := _packed(store, rows.slice(place, 1))):
                            found[key] = rows.slice(place, 1), data
        return found

    return read


def _packed(store: Store, row: pa.RecordBatch) -> bytes:
    """Bytes of a picture in its pack; none where it was never acquired, or is not fit to be looked at."""
    known = row.select(["pack", "pack_offset", "pack_length", "reason"]).to_pylist()[0]
    if known["pack"] is None or known["reason"] is not None:
        return b""
    with store.open_read(known["pack"]) as file:
        file.seek(known["pack_offset"])
        return file.read(known["pack_length"])
