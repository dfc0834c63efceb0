"""Documents that a shuffle keeps, looked up where rows are read: what was dropped does not travel."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.jobs.store import Store
from plait.jobs.work import Listed
from plait.schemas.ids import archive_key

SURVIVOR = pa.schema(
    [pa.field("archive_key", pa.int64(), nullable=False), pa.field("doc_id", pa.binary(), nullable=False)]
)


class Survivors:
    """The lists of a shuffle, as one reading task sees them.

    Of each archive that the task meets, the ids of its survivors are read once (16 bytes each) and kept until it meets
    another: files hold the documents of one archive.

    Args:
        store: of the lists.
        listed: `Shuffle.only`.
    """

    def __init__(self, store: Store, listed: Sequence[Listed]):
        self._store, self._listed = store, listed
        self._archive: str | None = None
        self._ids = pa.array([], pa.binary())

    def of(self, archive_id: str) -> pa.Array:
        """Ids of an archive's survivors."""
        if archive_id != self._archive:
            key = archive_key(archive_id)
            found = [pa.array([], pa.binary())]
            for listed in self._listed:
                if listed.low <= key < listed.high:
                    with self._store.open_read(listed.file.path) as file:
                        table = pq.read_table(file, columns=["doc_id"], filters=[("archive_key", "=", key)])
                    found += table.column("doc_id").cast(pa.binary()).chunks
            self._archive, self._ids = archive_id, pa.concat_arrays(found)
        return self._ids

    def keep(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch (columns ``archive_id`` and ``doc_id``) whose documents are listed."""
        return batch.filter(self._listed_in(batch))

    def leave(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch (the same columns) whose documents are not listed."""
        return batch.filter(pc.invert(self._listed_in(batch)))

    def _listed_in(self, batch: pa.RecordBatch) -> pa.Array:
        archives, ids = batch.column("archive_id"), batch.column("doc_id").cast(pa.binary())
        kept = pa.nulls(batch.num_rows, pa.bool_()).fill_null(False)
        for archive_id in sorted(name for name in archives.unique().to_pylist() if name is not None):
            here = pc.equal(archives, archive_id).fill_null(False)
            kept = pc.or_(kept, pc.and_(here, pc.is_in(ids, self.of(archive_id))))
        return kept
