"""Parquet shards: assembled rows with their images' bytes, in row groups cut by bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plait.pipeline.assemble import Assembled
from plait.schemas.errors import UnitError
from plait.schemas.shards import IMAGE

ReadRange: TypeAlias = Callable[[str, int, int], bytes]
"""(pack, offset, length) -> the bytes."""

ROW_GROUP_BYTES: Final = 32 << 20  # of images and text; loaders hold a few row groups at a time
ROW_GROUP_ROWS: Final = 256  # Hugging Face writes 100 rows a group where there are images
PAGE_BYTES: Final = 1 << 20
LEAF_LIMIT: Final = (1 << 31) - 1  # Arrow's binary arrays have 32-bit offsets

_IMAGE_BYTES = "images.list.element.bytes"


@dataclass(frozen=True)
class Written:
    """A shard file."""

    rows: int
    images: int  # with bytes in the file
    bytes: int  # of the file
    sha256: str  # of the file, hex
    min_order_key: int | None
    max_order_key: int | None
    row_group_rows: tuple[int, ...] = ()


class HashingSink:
    """A file that counts and hashes what is written through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.closed = False
        self._file = file
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Writes and hashes."""
        view = memoryview(data)
        self._digest.update(view)
        self._file.write(view)
        self._bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """Bytes written so far."""
        return self._bytes

    def flush(self) -> None:
        """Flushes the file below."""
        self._file.flush()

    def close(self) -> None:
        """Leaves the file below open: whoever opened it closes it."""
        self.closed = True

    def readable(self) -> bool:
        """No."""
        return False

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """No."""
        return False

    @property
    def hexdigest(self) -> str:
        """SHA-256 of everything written, hex."""
        return self._digest.hexdigest()


def row_groups(assembled: Assembled, read: ReadRange) -> Iterator[pa.RecordBatch]:
    """The rows with their images' bytes, in batches of at most `ROW_GROUP_ROWS` rows and about `ROW_GROUP_BYTES`.

    Memory: one batch. Bytes are read in the order of the rows, so packs sorted like the shard are read forwards.

    Raises:
        UnitError: a pack gave fewer bytes than its range has.
    """
    rows, references = assembled.rows, assembled.references
    row_of = references.column("row").to_numpy()
    size = np.bincount(row_of, weights=references.column("pack_length").to_numpy(), minlength=rows.num_rows)
    first_reference = np.searchsorted(row_of, np.arange(rows.num_rows + 1))
    start = 0
    while start < rows.num_rows:
        stop, held = start, 0.0
        while stop < rows.num_rows and stop - start < ROW_GROUP_ROWS:
            if stop > start and held + size[stop] > ROW_GROUP_BYTES:
                break
            held += size[stop]
            stop += 1
        if held > LEAF_LIMIT:
            raise UnitError(f"one document has {held:.0f} bytes of images: more than a Parquet leaf can hold")
        mine = references.slice(first_reference[start], first_reference[stop] - first_reference[start])
        yield _filled(rows.slice(start, stop - start), start, mine, read)
        start = stop


def _filled(rows: pa.RecordBatch, start: int, references: pa.RecordBatch, read: ReadRange) -> pa.RecordBatch:
    """Some rows with the bytes put into their images."""
    place = rows.schema.get_field_index("images")
    lists = rows.column(place)
    offsets = lists.offsets.to_numpy()
    cells = lists.values.slice(offsets[0], offsets[-1] - offsets[0])
    data: list[bytes | None] = [None] * len(cells)
    row = references.column("row").to_numpy() - start
    slot = references.column("slot").to_numpy()
    ranges = (references.column(name).to_pylist() for name in ("pack", "pack_offset", "pack_length"))
    for cell, pack, offset, length in zip(offsets[row] - offsets[0] + slot, *ranges, strict=True):
        piece = read(pack, offset, length)
        if len(piece) != length:
            raise UnitError(f"a pack gave {len(piece)} bytes at {offset} instead of {length}")
        data[cell] = piece
    filled = pa.StructArray.from_arrays(
        [pa.array(data, pa.binary()), cells.field("path")], fields=list(IMAGE), mask=cells.is_null()
    )
    column = pa.ListArray.from_arrays(pa.array(offsets - offsets[0], pa.int32()), filled)
    return rows.set_column(place, rows.schema.field(place), column)


def write_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO) -> Written:
    """Writes batches as row groups of one Parquet file; the same batches give the same bytes.

    Text is compressed with zstd; image bytes are stored as they are, being compressed already. Pages carry checksums.
    """
    sink = HashingSink(file)
    leaves = _leaves(schema)
    rows, images, groups = 0, 0, []
    keys: list[int] = []
    with pq.ParquetWriter(
        pa.PythonFile(sink, mode="w"),
        schema,
        compression={leaf: "NONE" if leaf == _IMAGE_BYTES else "zstd" for leaf in leaves},
        use_dictionary=[leaf for leaf in leaves if leaf in _REPEATING],
        write_statistics=["doc_id", "order_key", "lang", "domain", "captured"],
        data_page_size=PAGE_BYTES,
        write_page_checksum=True,
        write_batch_size=64,  # a page's size is checked after so many values: images are large
        store_schema=True,
    ) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=max(1, batch.num_rows))
            rows += batch.num_rows
            groups.append(batch.num_rows)
            cells = batch.column("images").flatten()
            images += len(cells) - cells.field("bytes").filter(cells.is_valid()).null_count - cells.null_count
            if batch.num_rows:
                ends = batch.column("order_key").take(pa.array([0, batch.num_rows - 1])).to_pylist()
                keys = [keys[0] if keys else ends[0], ends[1]]
    low, high = (keys[0], keys[1]) if keys else (None, None)
    return Written(rows, images, sink.tell(), sink.hexdigest, low, high, tuple(groups))


def write_parquet_shard(assembled: Assembled, file: BinaryIO, read: ReadRange) -> Written:
    """Writes a shard's rows with their images' bytes.

    Args:
        assembled: what `plait.pipeline.assemble.assemble` gave for the shard.
        file: open for writing; left open.
        read: gives a range of a pack.
    """
    return write_batches(row_groups(assembled, read), assembled.rows.schema, file)


_REPEATING: Final = frozenset(
    {
        "archive",
        "archive_id",
        "domain",
        "lang",
        "licence",
        "site_name",
        "html_lang",
        "tags.list.element",
        "image_info.list.element.format",
        "image_info.list.element.archive",
    }
)
"""Columns with few distinct values, for which a dictionary pays."""


def _leaves(schema: pa.Schema) -> list[str]:
    """Parquet's paths of a schema's leaf columns."""

    def walk(prefix: str, kind: pa.DataType) -> Iterator[str]:
        if pa.types.is_list(kind):
            yield from walk(f"{prefix}.list.element", kind.value_type)
        elif pa.types.is_struct(kind):
            for field in kind:
                yield from walk(f"{prefix}.{field.name}", field.type)
        else:
            yield prefix

    return [leaf for field in schema for leaf in walk(field.name, field.type)]
