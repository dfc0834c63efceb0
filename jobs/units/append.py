"""What earlier generations of a corpus know, as tables of the build that adds another."""

from __future__ import annotations

import pyarrow.parquet as pq

from plait.dedup.keys import KEYS
from plait.dedup.paragraphs import PARAGRAPH
from plait.jobs.context import Context
from plait.jobs.units.clusters import LEADER
from plait.jobs.units.images import IMAGE
from plait.jobs.work import Unit
from plait.pipeline.policies import POLICY
from plait.schemas.images import LOCATOR

KNOWN_TABLES = {
    "keys": KEYS, "leaders": LEADER, "pictures": IMAGE, "paragraphs": PARAGRAPH, "urls": LOCATOR, "policies": POLICY,
}  # fmt: skip


def reopen_known(unit: Unit, ctx: Context) -> None:
    """A file of the ledger's folder ``known`` → the table of its name."""
    name = str(unit.payload["table"])
    with (
        ctx.store.open_read(str(unit.payload["path"])) as file,
        ctx.table(name, KNOWN_TABLES[name]) as table,
    ):
        for batch in pq.ParquetFile(file).iter_batches():
            table.write(batch)
