"""Stages and units: what an engine is asked to run."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from plait.jobs.guard import WATCHDOG_CPU_S
from plait.schemas.receipts import Output, Receipt, identity

if TYPE_CHECKING:
    from plait.jobs.context import Context

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
UnitFunction: TypeAlias = "Callable[[Unit, Context], None]"
StreamFunction: TypeAlias = "Callable[[Iterator[pa.RecordBatch], Unit, Context], None]"

KEYS = (-(1 << 63), 1 << 63)
ORDER = (0, 1 << 63)
ARCHIVES = (0, 1 << 60)  # of `plait.schemas.ids.archive_key`
FAN_OUT_BYTES = 256 << 20
FAN_IN = 512  # files that one task opens at most


@dataclass(frozen=True)
class Stage:
    """One step of the flow, the same for all its units.

    Attributes:
        name: its one name, in receipts, ledger and report.
        function: ``module:function`` of the unit runner, imported in the worker.
        params: settings that the runner reads; they and the version are the stage's fingerprint.
        version: raised when the runner's results change.
        guarded: whether it runs parsers that may hang or crash, so that a second attempt isolates each record.
        watchdog_cpu_s: CPU seconds that a guarded parser may take for one record.
        memory: bytes that a unit may be expected to take, for engines that place by memory.
        threads: CPU threads of a unit that runs a model; 0 for a unit that runs none. Such units go to workers that
            live as long as the stage, so that each loads its model once.
        device: "cuda" for a GPU a worker.
    """

    name: str
    function: str
    params: Mapping[str, Json] = field(default_factory=dict)
    version: int = 1
    guarded: bool = False
    watchdog_cpu_s: int = WATCHDOG_CPU_S
    memory: int = 1 << 30
    threads: int = 0
    device: str = "cpu"

    @property
    def fingerprint(self) -> str:
        """Identity of the stage's code and settings."""
        return identity(self.name, self.version, json.dumps(self.params, sort_keys=True))

    def load(self) -> Callable[..., None]:
        """The runner."""
        module, _, name = self.function.partition(":")
        function: Callable[..., None] = getattr(importlib.import_module(module), name)
        return function


@dataclass(frozen=True)
class Unit:
    """One piece of work: what it reads, and who it is whatever the place of its inputs.

    Attributes:
        inputs: identities of what it reads (an archive's content, a file's SHA-256), never paths.
        label: for people.
        payload: where the runner finds its inputs.
    """

    inputs: tuple[str, ...]
    label: str
    payload: Mapping[str, Json]

    def id(self, stage: Stage) -> str:
        """Name of the unit's receipt."""
        return identity(stage.fingerprint, *self.inputs)


@dataclass(frozen=True)
class Source:
    """Parquet files that enter a shuffle; rows get the column ``side``."""

    files: tuple[Output, ...]
    side: int = 0


@dataclass(frozen=True)
class Listed:
    """Which documents a shuffle keeps, of the archives whose key is in [low, high).

    Attributes:
        file: rows of (archive_key, doc_id), sorted.
        low: first archive key.
        high: last archive key + 1.
    """

    file: Output
    low: int
    high: int


@dataclass(frozen=True)
class Shuffle:
    """A relational step: rows by key range, sorted, given as a stream to the stage's runner.

    The runner sees ``Iterator[RecordBatch]`` in the order of ``order`` (a column's name, "-" before it for descending;
    nulls last). Each part is a unit; a part is a range of ``order[0]``, so results do not depend on their number.

    Attributes:
        only: lists of documents by archive; rows of the sources that are not among them are left out where they are
            read, and do not travel. None of them: all rows are kept.
        space: first and last+1 value of the key.
        cuts: part boundaries must lie on multiples of the key space over ``cuts`` (shards); 0: anywhere.
        planned: bytes that the number of parts is computed from; None: those of the sources. It is kept where small
            files are merged, so that merging changes no part.
    """

    stage: Stage
    sources: tuple[Source, ...]
    columns: pa.Schema
    order: tuple[str, ...]
    only: tuple[Listed, ...] = ()
    space: tuple[int, int] = KEYS
    cuts: int = 0
    planned: int | None = None

    @property
    def size(self) -> int:
        """Bytes that the number of parts is computed from."""
        if self.planned is not None:
            return self.planned
        return sum(output.bytes for source in self.sources for output in source.files)

    def parts(self) -> list[tuple[int, int]]:
        """Key ranges (first, last+1) of the parts, from the bytes of the sources alone."""
        wanted = max(1, -(-self.size // FAN_OUT_BYTES))
        low, high = self.space
        steps = self.cuts or wanted
        wanted = min(wanted, steps)
        edges = [low + -(-(high - low) * (part * steps // wanted) // steps) for part in range(wanted)]
        return list(zip(edges, [*edges[1:], high], strict=True))

    @property
    def fits_one_task(self) -> bool:
        """Whether one task can read and sort it all, so that no engine has to move a row."""
        files = sum(len(source.files) for source in self.sources) + len(self.only)
        return len(self.parts()) == 1 and files <= FAN_IN

    def units(self) -> list[Unit]:
        """One unit a part."""
        files = sorted(f"{source.side}:{output.sha256}" for source in self.sources for output in source.files)
        kept = sorted(listed.file.sha256 for listed in self.only)
        inputs = (identity(*files), identity(*kept), *self.order, identity(str(self.columns)))
        return [
            Unit((*inputs, str(low), str(high)), f"part {number}", {"part": number, "low": low, "high": high})
            for number, (low, high) in enumerate(self.parts())
        ]


Done: TypeAlias = Callable[[Receipt], None]


def tables(receipts: Iterable[Receipt], name: str) -> list[Output]:
    """All files of one table that units wrote."""
    return [output for receipt in receipts for output in receipt.tables(name)]
