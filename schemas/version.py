"""The version of plait that runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def plait_version() -> str:
    """Version of the installed package."""
    try:
        return version("plait")
    except PackageNotFoundError:
        return "unknown"
