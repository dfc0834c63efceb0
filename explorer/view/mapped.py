"""An Arrow file that is mapped: its pages count as memory only while they are looked at."""

from __future__ import annotations

import mmap
from pathlib import Path

import pyarrow as pa

from plait.schemas.errors import CorpusError


class Mapped:
    """The table of an Arrow file.

    Args:
        path: written by `plait view`.

    Raises:
        CorpusError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.table: pa.Table = pa.ipc.open_file(pa.py_buffer(self._pages)).read_all()
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise CorpusError(f"the explorer's index {path} cannot be read ({error}): remove it") from error

    def let_go(self) -> None:
        """Tell the system that the pages read so far are not needed; whoever looks again has them read again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._pages.madvise(mmap.MADV_DONTNEED)
