"""A stage that says which process ran a unit, and which GPU that process sees."""

from __future__ import annotations

import os

from plait.jobs.context import Context
from plait.jobs.work import Unit

_LOADED: list[str] = []  # what a model would be: kept by the process that loaded it


def run(unit: Unit, ctx: Context) -> None:
    if not _LOADED:
        _LOADED.append("model")
        ctx.seen({"loads": 1})
    ctx.facts |= {"process": str(os.getpid()), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
