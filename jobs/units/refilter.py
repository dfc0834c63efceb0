"""A corpus under another recipe: what it retained goes through the text stage, its pictures are found again."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.jobs.context import Context
from plait.jobs.store import Store
from plait.jobs.units.text import TextRuns
from plait.jobs.work import Unit
from plait.pipeline.occurrences import image_key
from plait.schemas.documents import PAGE
from plait.schemas.images import LOCATOR

BATCH_ROWS = 256
HELD_ELSEWHERE = ("document_dropped", "images_off", "image_cap", "duplicate_in_document")
"""Why an image may have been dropped although its picture stands in a shard, or could."""
TABLES = ("locators", "redirects", "hops")


def _store(unit: Unit, ctx: Context) -> Store:
    """Where a unit's file is: in another corpus, or in this build's folder."""
    corpus = unit.payload["corpus"]
    return ctx.store if corpus is None else Store(str(corpus))


def retext(unit: Unit, ctx: Context) -> None:
    """Retained pages, or documents of shards with their scores → "documents" and "keys"."""
    runs = TextRuns(ctx)
    replayed = bool(ctx.params["edits"])
    with _store(unit, ctx).open_read(str(unit.payload["path"])) as file:
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
            names = [name for name in batch.schema.names if name not in PAGE.names]
            known: dict[str, pa.Array] | None = {name: batch.column(name) for name in names}
            runs.score(batch.select(PAGE.names), known if known and not replayed else _language(known))
    runs.close()


def _language(known: dict[str, pa.Array] | None) -> dict[str, pa.Array] | None:
    """Of what is known of documents whose text is edited again, the language alone."""
    return {name: column for name, column in known.items() if name in ("lang", "lang_score")} if known else None


def reopen_locators(unit: Unit, ctx: Context) -> None:
    """A retained file of locators → the same table of this build."""
    table = str(unit.payload["table"])
    with _store(unit, ctx).open_read(str(unit.payload["path"])) as file, ctx.table(table, LOCATOR) as out:
        for batch in pq.ParquetFile(file).iter_batches():
            out.write(batch)


def locate_dropped(unit: Unit, ctx: Context) -> None:
    """Images in a file of the ledger's drops → "locators" that say why they cannot be had."""
    with _store(unit, ctx).open_read(str(unit.payload["path"])) as file, ctx.table("locators", LOCATOR) as table:
        for batch in pq.ParquetFile(file).iter_batches(columns=["scope", "reason", "url"]):
            image = pc.and_(pc.equal(batch["scope"], "image"), pc.is_valid(batch["url"]))
            told = pc.invert(pc.is_in(batch["reason"], pa.array(HELD_ELSEWHERE)))
            rows = batch.filter(pc.and_(image, told)).to_pylist()
            table.write(
                pa.RecordBatch.from_pylist(
                    [
                        {
                            "key": image_key(row["url"]), "image_url": row["url"], "captured": None, "archive_id": "",
                            "archive": "", "offset": 0, "length": 0, "kind": "dropped", "digest": row["reason"],
                        }
                        for row in rows
                    ],
                    schema=LOCATOR,
                )
            )  # fmt: skip
