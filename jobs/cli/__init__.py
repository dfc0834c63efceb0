"""The command line: a thin layer over functions that notebooks and other programs call."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from plait.jobs.cli import building, choosing, generations, layouts, looking, pages
from plait.jobs.cli.shared import EXIT_CODES, Telling, app, errors

__all__ = ["app", "building", "choosing", "generations", "layouts", "looking", "main", "pages"]


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def common_options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors are said.")] = False,
    log_file: Annotated[
        Path | None, typer.Option("--log-file", help="File that progress and summaries are added to, with times.")
    ] = None,
) -> None:
    """Weaves web archives into interleaved image-text corpora."""
    with errors():
        context.obj = Telling.opened(quiet=quiet, log_file=log_file)
    if version:
        from plait.schemas.version import plait_version

        typer.echo(plait_version())
        raise typer.Exit


def main() -> None:
    """Entry point of the ``plait`` program.

    It ends the process itself, once all is said and every exit function has run. Where the interpreter is torn down
    while a thread of Arrow lets go of a file of ours, the process aborts with its work done: exit code 134 in 4 of 100
    runs of ``plait gc`` (Python 3.11, pyarrow 26).
    """
    try:
        app()
    except SystemExit as ended:
        code = ended.code
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # its reader has gone, or it is closed
                stream.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
