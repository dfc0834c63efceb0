"""What a unit runner is given: its settings, places to write, books to keep, a guard for parsers."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.guard import Guard
from plait.jobs.store import Store
from plait.jobs.work import Json, Stage, Unit
from plait.schemas.conform import conform
from plait.schemas.ledger import DROP, NODE_SAMPLE
from plait.schemas.receipts import Books, Output

ROW_GROUP_BYTES = 32 << 20
PENDING_BYTES = 8 << 20


class HashedFile(io.RawIOBase):
    """A file being written, with its SHA-256 and size kept on the way."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.digest = hashlib.sha256()
        self.bytes = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        """Write, hash, count."""
        self._file.write(data)
        self.digest.update(data)
        size = memoryview(data).nbytes
        self.bytes += size
        return size


class Table:
    """A Parquet file of one table, written in row groups of bounded bytes."""

    def __init__(self, file: IO[bytes], schema: pa.Schema):
        self.schema = schema
        self.rows = 0
        self._hashed = HashedFile(file)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._hashed, mode="w"),
            schema,
            compression="zstd",
            use_dictionary=False,
            write_statistics=True,
        )
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; columns are taken by name and cast."""
        if not batch.num_rows:
            return
        batch = conform(batch, self.schema)
        self.rows += batch.num_rows
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes >= PENDING_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        table = pa.Table.from_batches(self._pending, schema=self.schema)
        self._pending, size, self._pending_bytes = [], self._pending_bytes, 0
        rows = max(1, table.num_rows * ROW_GROUP_BYTES // max(size, ROW_GROUP_BYTES))
        self._writer.write_table(table, row_group_size=rows)

    def close(self) -> tuple[int, int, str]:
        """Finish the file; rows, bytes, SHA-256."""
        self._flush()
        self._writer.close()
        return self.rows, self._hashed.bytes, self._hashed.digest.hexdigest()


class Context:
    """A unit's surroundings. One attempt of one unit uses it; nothing it wrote counts before the receipt."""

    def __init__(self, stage: Stage, unit: Unit, store: Store, attempt: str, guard: Guard):
        self.stage = stage
        self.store = store
        self.guard = guard
        self._folder = f"work/units/{stage.name}/{unit.id(stage)}-{attempt}"
        self._outputs: list[Output] = []
        self._dropped: dict[str, Counter[str]] = {}
        self._removed: Counter[str] = Counter()
        self._alone: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        generation = stage.params.get("generation")
        self.facts: dict[str, str] = {} if generation is None else {"generation": str(generation)}
        self._open = ExitStack()
        self._lists: dict[str, Table] = {}

    @property
    def params(self) -> Mapping[str, Json]:
        """The stage's settings."""
        return self.stage.params

    # Files ------------------------------------------------------------------------------------------------------

    @contextmanager
    def table(self, name: str, schema: pa.Schema, *, part: int | None = None) -> Iterator[Table]:
        """A Parquet table of this unit's; an empty one leaves no file."""
        number = sum(output.table == name for output in self._outputs)
        path = f"{self._folder}/{name}-{number:05d}.parquet"
        with self.store.open_write(path) as file:
            table = Table(file, schema)
            try:
                yield table
            finally:
                rows, size, digest = table.close()
        if rows:
            self._outputs.append(Output(name, path, rows, size, digest, part))
        else:
            self.store.remove(path)

    def own_path(self, name: str) -> str:
        """Where `file` puts a file of the attempt's own."""
        return f"{self._folder}/{name}"

    @contextmanager
    def file(self, name: str, path: str | None = None) -> Iterator[HashedFile]:
        """Any other file of this unit's: ``path`` in the build's folder, or a name of the attempt's own."""
        path = path or self.own_path(name)
        with self.store.open_write(path) as file:
            hashed = HashedFile(file)
            yield hashed
        self._outputs.append(Output(name, path, 0, hashed.bytes, hashed.digest.hexdigest()))

    def written(self, name: str) -> Output:
        """The last file of a name that this unit has finished."""
        return next(output for output in reversed(self._outputs) if output.table == name)

    def add_output(self, output: Output) -> None:
        """A file that a writer of its own has written."""
        self._outputs.append(output)

    def _list(self, name: str, schema: pa.Schema) -> Table:
        """A table that stays open until the unit ends."""
        if name not in self._lists:
            self._lists[name] = self._open.enter_context(self.table(name, schema))
        return self._lists[name]

    # Books ------------------------------------------------------------------------------------------------------

    def count(self, *, documents_in: int = 0, documents_out: int = 0, images_in: int = 0, images_out: int = 0) -> None:
        """Add to the books."""
        self._counts.update(
            documents_in=documents_in, documents_out=documents_out, images_in=images_in, images_out=images_out
        )

    def drop(self, rows: pa.RecordBatch) -> None:
        """Write drops to the ledger, under this stage's name, and count them by scope and reason."""
        if not rows.num_rows:
            return
        rows = conform(rows, DROP)
        rows = rows.set_column(0, DROP.field("stage"), pa.repeat(pa.scalar(self.stage.name), rows.num_rows))
        pairs = zip(rows["scope"].to_pylist(), rows["reason"].to_pylist(), strict=True)
        for scope, reason in pairs:
            self._dropped.setdefault(scope, Counter())[reason] += 1
        self._list("drops", DROP).write(rows)

    def drop_one(self, scope: str, reason: str, **fields: str | float | bytes | None) -> None:
        """`drop` for a single row; fields are columns of the ledger."""
        row = dict.fromkeys(DROP.names) | {"stage": self.stage.name, "scope": scope, "reason": reason} | fields
        self.drop(pa.RecordBatch.from_pylist([row], schema=DROP))

    def drop_images_of(self, count: int, reason: str = "document_dropped") -> None:
        """Images that go with their documents are counted, not listed: the document's row stands for them."""
        if count:
            self._dropped.setdefault("image", Counter())[reason] += count

    def drop_counts(self, scope: str, counts: Mapping[str, int]) -> None:
        """Drops that are counted and not listed."""
        for reason, count in counts.items():
            if count:
                self._dropped.setdefault(scope, Counter())[reason] += count

    def removed(self, counts: Mapping[str, int]) -> None:
        """Text nodes edited out of documents, by reason."""
        self._removed.update(counts)

    def alone(self, counts: Mapping[str, int]) -> None:
        """Documents that each rule alone would have dropped."""
        self._alone.update(counts)

    def seen(self, counts: Mapping[str, int]) -> None:
        """What else was met: records by type, bytes."""
        self._seen.update(counts)

    def sample(self, rows: pa.RecordBatch) -> None:
        """Examples of removed nodes."""
        if rows.num_rows:
            stage = pa.repeat(pa.scalar(self.stage.name), rows.num_rows)
            self._list("samples", NODE_SAMPLE).write(rows.set_column(0, NODE_SAMPLE.field("stage"), stage))

    def abandon(self, error: BaseException) -> None:
        """Close what is open after a failure; its files are never read."""
        self._open.__exit__(type(error), error, error.__traceback__)

    def finish(self) -> tuple[tuple[Output, ...], Books]:
        """Close the ledger's tables and add up the books."""
        self._open.close()
        books = Books(
            documents_in=self._counts["documents_in"],
            documents_out=self._counts["documents_out"],
            images_in=self._counts["images_in"],
            images_out=self._counts["images_out"],
            dropped={scope: dict(counts) for scope, counts in self._dropped.items()},
            removed=dict(self._removed),
            alone=dict(self._alone),
            seen=dict(self._seen),
        )
        return tuple(self._outputs), books
