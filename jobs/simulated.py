"""Units that do nothing, to measure what an engine itself takes."""

from __future__ import annotations

from plait.jobs.context import Context
from plait.jobs.work import Unit


def nothing(unit: Unit, ctx: Context) -> None:
    """Finish at once."""
