"""A queue of record batches that moves to a temporary file when it grows beyond a limit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa


class SpillBuffer:
    """Batches of one schema, read back in the order they came; at most ``limit`` bytes of them in memory.

    Beyond the limit all batches go to an Arrow IPC file that is removed by `clear`, and at the end of a ``with``.

    Args:
        schema: of every batch.
        limit: bytes of Arrow buffers held in memory.
        folder: where the temporary file goes; None is the system's place.
    """

    def __init__(self, schema: pa.Schema, *, limit: int = 64 << 20, folder: Path | None = None):
        self._schema = schema
        self._limit = limit
        self._folder = folder
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._path: Path | None = None
        self._writer: pa.RecordBatchFileWriter | None = None
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    @property
    def spilled(self) -> bool:
        """Whether rows have gone to the file."""
        return self._path is not None

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch at the end; a slice counts as its own rows, not as what it was cut from."""
        self._held.append(batch)
        self._bytes += batch.nbytes
        self.rows += len(batch)
        if self._bytes > self._limit:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            with tempfile.NamedTemporaryFile(
                prefix="plait-spill-", suffix=".arrow", dir=self._folder, delete=False
            ) as file:
                self._path = Path(file.name)
            self._writer = pa.ipc.new_file(str(self._path), self._schema)
        for batch in self._held:
            self._writer.write_batch(batch)
        self._held, self._bytes = [], 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All batches in order. Nothing may be appended until `clear`, once this has read from a file."""
        if self._path is not None:
            self._flush()
            if self._writer is not None:
                self._writer.close()
            with pa.OSFile(str(self._path)) as source, pa.ipc.open_file(source) as reader:
                for place in range(reader.num_record_batches):
                    yield reader.get_batch(place)
        yield from self._held

    def clear(self) -> None:
        """Forget all rows and remove the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        self._held, self._bytes, self.rows = [], 0, 0
