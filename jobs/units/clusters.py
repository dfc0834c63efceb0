"""Clusters of pictures: identical ones counted, their perceptual hashes grouped, the groups brought back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.dedup.counts import count_and_rank
from plait.dedup.images import assign, cluster_hashes, degenerate_phash
from plait.jobs.context import Context
from plait.jobs.units.images import ATTACH_IN, IMAGE
from plait.jobs.units.streams import Stream, with_column
from plait.jobs.work import Unit
from plait.schemas.errors import UnitError
from plait.schemas.ids import key64

I64 = npt.NDArray[np.int64]

LEADER = pa.schema([pa.field("phash", pa.int64(), nullable=False)])
"""Representatives of clusters of pictures, in the order in which they became that."""
HASH = pa.schema([pa.field("phash", pa.int64(), nullable=False)])
CLUSTER = pa.schema([pa.field("key", pa.int64(), nullable=False), pa.field("cluster", pa.int64(), nullable=False)])
CLUSTER_IN = pa.schema([*list(ATTACH_IN)[:2], pa.field("cluster", pa.int64()), *list(ATTACH_IN)[2:]])


def count_identical(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Images by picture → "images" with ``sha256_dup_count`` (by perceptual hash), and the distinct "hashes"."""
    last: bytes | None = None
    with ctx.table("images", IMAGE) as images, ctx.table("hashes", HASH) as hashes:
        for batch in count_and_rank(batch.drop_columns(["dup_rank"]) for batch in stream):
            names = batch.column("image_id").to_pylist()
            fresh = pa.array([name != before for name, before in zip(names, [last, *names], strict=False)])
            last = names[-1]
            hashes.write(batch.filter(fresh).select(["phash"]))
            keys = pa.array([hash_key(value) for value in batch.column("phash").to_pylist()], pa.int64())
            counted = with_column(batch, "sha256_dup_count", batch.column("dup_count"))
            images.write(with_column(counted, "key", keys))


def hash_key(phash: int) -> int:
    """Key of a perceptual hash."""
    return key64(phash.to_bytes(8, "little", signed=True))


def cluster(unit: Unit, ctx: Context) -> None:
    """All distinct "hashes" → "clusters": the cluster of each, and new "leaders". Memory: about 100 bytes a hash.

    Clusters of earlier generations stay as they are: a hash within the radius of one of their leaders joins it.
    """
    paths, radius = unit.payload["paths"], unit.payload["radius"]
    if not isinstance(paths, list) or not isinstance(radius, int):
        raise UnitError("the cluster unit has no list of files")
    parts = []
    for path in paths:
        with ctx.store.open_read(str(path)) as file:
            parts.append(np.asarray(pq.read_table(file, schema=HASH).column("phash")))
    values, counts = np.unique(np.concatenate(parts), return_counts=True)
    everyone = np.repeat(values, counts)  # how many pictures have a hash decides who leads
    alone = degenerate_phash(everyone)
    leader, fresh = _leaders(everyone, alone, _stored_leaders(unit, ctx), radius)
    with ctx.table("leaders", LEADER) as table:
        table.write(pa.RecordBatch.from_arrays([pa.array(fresh, pa.int64())], schema=LEADER))
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    useful = ~alone[first]
    keys = [hash_key(int(value)) for value in values[useful]]
    clusters = [hash_key(int(value)) for value in leader[first][useful]]
    with ctx.table("clusters", CLUSTER) as table:
        table.write(
            pa.RecordBatch.from_arrays([pa.array(keys, pa.int64()), pa.array(clusters, pa.int64())], schema=CLUSTER)
        )


def _stored_leaders(unit: Unit, ctx: Context) -> I64:
    """Leaders of earlier generations, in their order."""
    paths = unit.payload.get("leaders")
    found = [np.zeros(0, np.int64)]
    for path in paths if isinstance(paths, list) else ():
        with ctx.store.open_read(str(path)) as file:
            found.append(np.asarray(pq.read_table(file).column("phash")))
    return np.concatenate(found)


def _leaders(hashes: I64, alone: npt.NDArray[np.bool_], stored: I64, radius: int) -> tuple[I64, I64]:
    """The leader of each hash, and the leaders that were none before."""
    known = np.where(alone, -1, assign(hashes, stored, radius))
    leader = hashes.copy()
    leader[known >= 0] = stored[known[known >= 0]]
    rest = known < 0
    leader[rest] = hashes[rest][cluster_hashes(hashes[rest], radius, alone[rest])]
    return leader, np.unique(leader[rest & ~alone])


def attach_clusters(stream: Stream, unit: Unit, ctx: Context) -> None:
    """Clusters (side 0) and images (side 1) by perceptual hash → "images" by cluster.

    Flat and blank pictures, whose hashes say nothing, are in no cluster: their group is the picture itself.
    """
    key, found = None, None
    with ctx.table("images", IMAGE) as images:
        for batch in stream:
            columns = (batch.column(name).to_pylist() for name in ("key", "side", "cluster", "image_id"))
            groups: list[int | None] = []
            for own, side, given, image in zip(*columns, strict=True):
                if side == 0:
                    key, found = own, given
                    groups.append(None)
                else:
                    groups.append(found if own == key else key64(image))
            rows = with_column(batch, "key", pa.array(groups, pa.int64()))
            images.write(rows.filter(pc.equal(rows.column("side"), 1)))
