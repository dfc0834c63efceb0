"""Index files of archives: where their records are. Columnar ones of Common Crawl (Parquet), and CDXJ."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import IO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.pipeline.read.inputs import is_url
from plait.schemas.errors import ConfigError

POINTER = pa.schema(
    [
        pa.field("filename", pa.string(), nullable=False),  # of the archive, as the index has it
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),  # of the record as it is stored
    ]
)
COLUMNAR = ("warc_filename", "warc_record_offset", "warc_record_length")  # Common Crawl's cc-index table
BATCH_ROWS = 65_536


def read_index(path: str) -> Iterator[pa.RecordBatch]:
    """Rows of `POINTER`, in the index's order. Memory holds one batch.

    Args:
        path: of a Parquet file with Common Crawl's columns, or of CDXJ lines, gzipped or not; a path or fsspec URL.

    Raises:
        ConfigError: there is no such file, or it is neither.
    """
    import fsspec

    try:
        with fsspec.open(path if is_url(path) else f"file://{path}", "rb") as file:
            head = file.read(4)
            file.seek(0)
            yield from _columnar(path, file) if head == b"PAR1" else _lines(path, file, head)
    except (OSError, ValueError, ImportError, EOFError, zlib.error) as error:
        raise ConfigError(f"--records {path} cannot be read ({error}): name a Parquet or CDXJ index") from error


def _columnar(path: str, file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    parquet = pq.ParquetFile(file)
    absent = [name for name in COLUMNAR if name not in parquet.schema_arrow.names]
    if absent:
        raise ConfigError(f"--records {path} has no column {', '.join(absent)}, as Common Crawl's index has them")
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=list(COLUMNAR)):
        columns = [batch.column(name) for name in COLUMNAR]
        yield _checked(path, pa.RecordBatch.from_arrays(columns, names=POINTER.names))


def _lines(path: str, file: IO[bytes], head: bytes) -> Iterator[pa.RecordBatch]:
    opened = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if head[:2] == b"\x1f\x8b" else file
    rows: list[dict[str, object]] = []
    for number, line in enumerate(io.TextIOWrapper(opened, "utf-8", errors="replace"), 1):
        if not line.strip() or line.startswith("!"):  # pywb's remarks on an index
            continue
        brace = line.find("{")
        try:
            entry = json.loads(line[brace:]) if brace >= 0 else {}
            rows.append({"filename": entry["filename"], "offset": int(entry["offset"]), "length": int(entry["length"])})
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"line {number} of --records {path} names no filename, offset and length: it is no CDXJ index"
            ) from None
        if len(rows) == BATCH_ROWS:
            yield _checked(path, pa.RecordBatch.from_pylist(rows))
            rows = []
    if rows:
        yield _checked(path, pa.RecordBatch.from_pylist(rows))


def _checked(path: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with `POINTER`'s types; every row points somewhere."""
    arrays = [batch.column(field.name).cast(field.type) for field in POINTER]
    if (
        any(array.null_count for array in arrays)
        or pc.any(pc.less(arrays[1], 0)).as_py()
        or (pc.any(pc.less_equal(arrays[2], 0)).as_py())
    ):
        raise ConfigError(f"--records {path} has rows without a filename, an offset and a length")
    return pa.RecordBatch.from_arrays(arrays, schema=POINTER)
