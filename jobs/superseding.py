"""`plait append --supersede`: documents of a corpus go where a later capture of their URL has come."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.jobs.dedup_stages import SUPERSEDE
from plait.jobs.engine import Engine
from plait.jobs.flow import Flow
from plait.jobs.progress import Watcher
from plait.jobs.purging import rewrite
from plait.jobs.store import Store
from plait.jobs.suppression import Suppression, kept_path
from plait.jobs.takedown import shard_units
from plait.jobs.work import Json, Stage, tables
from plait.schemas.ledger import KNOWN
from plait.schemas.manifest import Manifest
from plait.schemas.receipts import Receipt

STAGE = REASON = "superseded"
_VERSION = re.compile(r"(?P<base>.+?)(?:[.]s(?P<generation>\d+))?[.]parquet")


def superseded_documents(store: Store, flow: Flow) -> set[bytes]:
    """Ids of the documents that the flow found later captures of; 16 bytes each are in memory."""
    found: set[bytes] = set()
    for output in tables(flow.receipts.get(SUPERSEDE, []), "superseded"):
        with store.open_read(output.path) as file:
            found.update(pq.read_table(file, columns=["doc_id"]).column("doc_id").to_pylist())
    return found


def without_superseded(
    store: Store, before: Manifest, engine: Engine, watcher: Watcher, generation: int, gone: set[bytes]
) -> list[Receipt]:
    """Write the shards that hold any of the documents anew, for a generation; the receipts of those."""
    if not gone:
        return []
    listed = Suppression(b"", np.zeros(0, np.int64)).adding([], [], [], gone)
    kept = kept_path(listed)
    with store.open_write(kept) as file:
        file.write(listed.to_parquet())
    params: dict[str, Json] = {
        "scores": dict(before.scores), "formats": list(before.formats), "generation": generation,
        "suppression": kept, "reason": REASON,
    }  # fmt: skip
    units = shard_units(store, before)
    watcher.stage(STAGE, len(units))
    stage = Stage(STAGE, "plait.jobs.units.takedown:rewrite_shard", params)
    done = [receipt for receipt in engine.run(stage, units, watcher.unit) if receipt.outputs]
    watcher.end(STAGE)
    return done


def forget_superseded(store: Store, generation: int, gone: set[bytes]) -> None:
    """Write the keys that later generations are compared with anew, without those of the documents.

    The files of before stay: they count until this generation's manifest is there.
    """
    if not gone:
        return
    names = pa.array(sorted(gone), pa.binary())

    def without(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.filter(pc.invert(pc.is_in(batch.column("doc_id"), value_set=names)))

    for path in known_files(store, generation - 1):
        if path.startswith(f"{KNOWN}/keys-"):
            rewrite(store, path, f"{_base(path)}.s{generation}.parquet", without)


def known_files(store: Store, generation: int) -> list[str]:
    """Files of what a generation knows: of each the version that was last written anew up to it."""
    latest: dict[str, tuple[int, str]] = {}
    for path in store.list(KNOWN):
        found = _VERSION.fullmatch(path)
        version = int(found["generation"] or 0) if found else 0
        if version <= generation:
            latest[_base(path)] = max(latest.get(_base(path), (-1, "")), (version, path))
    return [path for _, path in latest.values()]


def _base(path: str) -> str:
    found = _VERSION.fullmatch(path)
    return found["base"] if found else path
