"""The two things an engine does; nothing in `pipeline/` knows which one runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from plait.jobs.work import Shuffle, Stage, Unit
from plait.schemas.receipts import Receipt

Progress: TypeAlias = Callable[[Receipt], None]


class Engine(Protocol):
    """Runs units and relational steps; results are receipts, in the order of the units asked for."""

    def run(self, stage: Stage, units: Sequence[Unit], progress: Progress) -> list[Receipt]:
        """Run independent units, each once, retrying those whose process was lost.

        Raises:
            UnitError: a unit failed more often than the engine retries.
        """

    def shuffle(self, shuffle: Shuffle, progress: Progress) -> list[Receipt]:
        """Sort rows by key across all sources and give each part to the stage's runner as a stream."""

    def close(self) -> None:
        """Let go of processes."""
