"""Pictures of two corpora side by side: which only one keeps, and how far what models said of them lies apart.

The same build on another device, or in another precision, keeps the same documents and pictures but for those whose
scores lie so near to a threshold that they fall on its other side: this counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SCORES = (
    "nsfw", "clip_similarity", "clip_near", "clip_text_image", "clip_logo", "clip_nsfw", "aesthetic", "matched_sim",
)  # fmt: skip
"""What models say of pictures."""

PICTURE = pa.schema(
    [pa.field("doc_id", pa.binary()), pa.field("image_id", pa.binary()), *[(name, pa.float32()) for name in SCORES]]
)
BATCH_ROWS = 256


@dataclass(frozen=True)
class Pictures:
    """Pictures of the documents that two corpora both have.

    Attributes:
        shared: that both keep.
        only: that only the first keeps, and only the second.
        apart: largest difference of a score of a picture that both keep, for each score that both have.
    """

    shared: int
    only: tuple[int, int]
    apart: dict[str, float]


def picture_rows(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """`PICTURE` of a shard; its pictures' bytes are not read."""
    for batch in file.iter_batches(BATCH_ROWS, columns=["doc_id", "image_info"]):
        infos = batch.column("image_info")
        values, owner = infos.flatten(), np.asarray(infos.value_parent_indices())
        columns = [batch.column("doc_id").take(pa.array(owner)), values.field("image_id")]
        columns += [values.field(name) for name in SCORES]
        rows = pa.RecordBatch.from_arrays(columns, schema=PICTURE)
        yield rows.filter(pc.and_(pc.is_valid(values), pc.is_valid(rows.column("image_id"))))


def compare_pictures(con: duckdb.DuckDBPyConnection) -> Pictures:
    """What there is in the tables ``pictures_a`` and ``pictures_b``, of documents in ``a`` and ``b``."""
    once = "(SELECT DISTINCT ON (doc_id, image_id) * FROM pictures_{0} SEMI JOIN {1} USING (doc_id))"
    first, second = once.format("a", "b"), once.format("b", "a")
    apart = ", ".join(f"max(abs(x.{name} - y.{name}))" for name in SCORES)
    row = con.sql(
        f"SELECT count(*) FILTER (x.image_id IS NOT NULL AND y.image_id IS NOT NULL), "
        f"count(*) FILTER (y.image_id IS NULL), count(*) FILTER (x.image_id IS NULL), {apart} "
        f"FROM {first} x FULL JOIN {second} y ON x.doc_id = y.doc_id AND x.image_id = y.image_id"
    ).fetchall()[0]
    shared, only_first, only_second, *distances = row
    known = {name: float(value) for name, value in zip(SCORES, distances, strict=True) if value is not None}
    return Pictures(int(shared), (int(only_first), int(only_second)), known)
