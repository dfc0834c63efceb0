"""The command line: a thin layer over functions that notebooks and other programs call."""

from __future__ import annotations

from typing import Annotated

import typer

from plait.jobs.cli import building, generations, layouts, looking, pages
from plait.jobs.cli.shared import app

__all__ = ["app", "building", "generations", "layouts", "looking", "main", "pages"]


@app.callback(invoke_without_command=True)
def version_option(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Weaves web archives into interleaved image-text corpora."""
    if version:
        from plait.jobs.building import plait_version

        typer.echo(plait_version())
        raise typer.Exit


def main() -> None:
    """Entry point of the ``plait`` program."""
    app()
