"""`--records`: a build of the records that an index lists, and of nothing else in their archives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.context import Context
from plait.jobs.index_files import POINTER, read_index
from plait.jobs.sorted_rows import connection, streamed
from plait.jobs.store import Store
from plait.jobs.work import Json, Unit
from plait.pipeline.read.inputs import Archive, is_url
from plait.pipeline.read.picked import Range
from plait.schemas.errors import ConfigError, UnitError
from plait.schemas.ids import text_key

RANGES = "work/records.parquet"
ROW_GROUP = 16_384  # ranges: what a unit reads to find its own
BATCH_ROWS = 65_536
_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # SplitMix64 (Steele et al., 2014)


@dataclass(frozen=True)
class Picked:
    """Records of an index that a build takes.

    Attributes:
        index: path or URL of the index.
        limit: records at most.
        sample: share of the records, above 0 and at most 1.
        archives: that hold them, sorted by (name, id).
        filenames: archive's id → its name in the index.
        digests: archive's id → identity of its ranges.
    """

    index: str
    limit: int | None
    sample: float | None
    archives: tuple[Archive, ...]
    filenames: Mapping[str, str]
    digests: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Identity of all ranges of all archives, whatever file lists them."""
        total = hashlib.sha256()
        for archive in sorted(self.digests):
            total.update(f"{archive}:{self.digests[archive]}\n".encode())
        return total.hexdigest()[:32]

    def keep(self, store: Store) -> None:
        """Put the ranges, sorted by archive and place, where units find their own."""
        if store.exists(RANGES):
            return
        with store.open_write(RANGES) as file, pq.ParquetWriter(file, POINTER, compression="zstd") as writer:
            for batch in sorted_ranges(self.index, self.limit, self.sample):
                writer.write_batch(batch, row_group_size=ROW_GROUP)

    def payload(self, archive: Archive) -> dict[str, Json]:
        """What the unit of an archive is told."""
        return {"ranges": RANGES, "filename": self.filenames[archive.id]}


def ranges_of(unit: Unit, ctx: Context) -> list[Range] | None:
    """The ranges that a unit reads; None: all of its archive."""
    path = unit.payload.get("ranges")
    if path is None:
        return None
    with ctx.store.open_read(str(path)) as file:
        found = pq.read_table(file, filters=[("filename", "=", unit.payload["filename"])])
    if not found.num_rows:
        raise UnitError(f"no range of {unit.label} is listed")
    return list(zip(found.column("offset").to_pylist(), found.column("length").to_pylist(), strict=True))


def pick(index: str, limit: int | None, sample: float | None, known: Sequence[Archive], base: str) -> Picked:
    """Choose records, and find their archives.

    Args:
        index: path or URL of a Parquet or CDXJ index.
        limit: records at most.
        sample: share of the records. Both choose by a hash of (filename, offset): the choice looks random, is the same
            each time, and a smaller one is part of a larger.
        known: archives to find filenames among, by their last part, and by the whole where that is shared; none:
            filenames are below ``base``.
        base: URL or path.

    Raises:
        ConfigError: the index cannot be read, no record of it is taken, or a filename is not among the archives
            or may be any of several.
    """
    by_name: dict[str, list[Archive]] = {}
    for archive in known:
        by_name.setdefault(archive.name, []).append(archive)
    archives: list[Archive] = []
    filenames: dict[str, str] = {}
    digests: dict[str, str] = {}
    for filename, end, digest in _runs(sorted_ranges(index, limit, sample)):
        name = filename.rsplit("/", 1)[-1]
        if known and name not in by_name:
            raise ConfigError(f"--records {index} lists {filename}, which is not among the inputs: name it too")
        archive = _among(by_name[name], filename, index) if known else _unseen(filename, name, end, base)
        if archive.id in filenames:
            raise ConfigError(f"--records {index} lists {filenames[archive.id]} and {filename}, which are one archive")
        archives.append(archive)
        filenames[archive.id], digests[archive.id] = filename, digest
    if not archives:
        raise ConfigError(f"--records {index}: no record is taken; ask for more with --sample or --limit")
    found = sorted(archives, key=lambda archive: (archive.name, archive.id))
    return Picked(index, limit, sample, tuple(found), filenames, digests)


def _among(found: Sequence[Archive], filename: str, index: str) -> Archive:
    """The archive of these, which have one name, that an index means: of several, its path tells.

    Raises:
        ConfigError: several of them may be meant.
    """
    ends = [archive for archive in found if f"/{archive.uri}".endswith(f"/{filename}")]
    meant = found if len(found) == 1 else ends
    if len(meant) != 1:
        places = ", ".join(sorted(archive.uri for archive in found))
        raise ConfigError(
            f"--records {index} lists {filename}, which may be any of {places}: give one of them as input"
        )
    return meant[0]


def _unseen(filename: str, name: str, end: int, base: str) -> Archive:
    """An archive known by its name alone: nobody asks for its size, which is at least where its last range ends."""
    place = filename if is_url(filename) or filename.startswith(os.sep) else f"{base.rstrip('/')}/{filename}"
    return Archive(hashlib.sha256(f"picked\0{filename}".encode()).hexdigest()[:32], name, place, None, end)


def _runs(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, int, str]]:
    """Of each archive in sorted ranges: its filename, where its last range ends, the identity of its ranges."""
    current, end, total = "", 0, hashlib.sha256()
    for batch in batches:
        names = batch.column("filename").to_pylist()
        places = np.stack([np.asarray(batch.column("offset")), np.asarray(batch.column("length"))], axis=1)
        edges = [0, *(place for place in range(1, len(names)) if names[place] != names[place - 1]), len(names)]
        for low, high in pairwise(edges):
            if names[low] != current:
                if current:
                    yield current, end, total.hexdigest()[:32]
                current, end, total = names[low], 0, hashlib.sha256()
            end = max(end, int(places[low:high].sum(axis=1).max()))
            total.update(places[low:high].astype("<i8").tobytes())
    if current:
        yield current, end, total.hexdigest()[:32]


def sorted_ranges(index: str, limit: int | None, sample: float | None) -> Iterator[pa.RecordBatch]:
    """The records taken of an index, each once, as `POINTER` sorted by (filename, offset); DuckDB sorts, and spills."""
    placed = pa.schema([*POINTER, pa.field("place", pa.float64())])
    batches = (
        pa.RecordBatch.from_arrays([*batch.columns, pa.array(_places(batch))], schema=placed)
        for batch in read_index(index)
    )
    taken = 'SELECT filename, "offset", max(length) AS length, min(place) AS place FROM listed'
    taken += f' WHERE place < {1.0 if sample is None else sample!r} GROUP BY filename, "offset"'
    if limit is not None:
        taken += f' ORDER BY place, filename, "offset" LIMIT {limit}'
    with connection() as con, streamed(con, "listed", placed, batches):
        rows = con.sql(f'SELECT filename, "offset", length FROM ({taken}) ORDER BY filename, "offset"')
        for batch in rows.to_arrow_reader(BATCH_ROWS):
            yield batch.cast(POINTER)


def _places(batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """Place of each record among all, uniform in [0, 1): a mix of its archive's hash and its offset."""
    names = batch.column("filename").dictionary_encode()
    keys = np.array([text_key(name) for name in names.dictionary.to_pylist()], np.int64).astype(np.uint64)
    with np.errstate(over="ignore"):
        mixed = keys[np.asarray(names.indices)] + np.asarray(batch.column("offset")).astype(np.uint64) * np.uint64(
            _GOLDEN
        )
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX_1)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX_2)
    places: npt.NDArray[np.float64] = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    return places
