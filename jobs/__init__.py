"""Command line, engines, units and receipts: everything that knows about files, processes and clocks.

`build` and `audit` are what programs and notebooks call; they are loaded when first asked for, so that a worker's start
does not pay for the driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plait.jobs.auditing import Audit, audit
    from plait.jobs.building import build
    from plait.jobs.fetching import Fetching
    from plait.jobs.filling import fill
    from plait.jobs.flow import Options

__all__ = ["Audit", "Fetching", "Options", "audit", "build", "fill"]

_HOMES = {
    "Audit": "auditing", "Fetching": "fetching", "Options": "flow", "audit": "auditing", "build": "building",
    "fill": "filling",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"plait.jobs has no {name!r}")
    return getattr(import_module(f"plait.jobs.{_HOMES[name]}"), name)
