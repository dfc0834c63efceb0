"""Commands that look at a corpus, an archive or a page."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from plait.jobs.cli.shared import Corpus, app, errors


@app.command()
def audit(corpus: Corpus) -> None:
    """Add the books of a corpus up from its files; exit 1 where they do not balance.

    [dim]plait audit corpus[/dim]
    """
    from plait.jobs.auditing import audit as run

    with errors():
        found = run(corpus)
        for fault in found.faults:
            typer.echo(f"plait: {fault}", err=True)
        if found.faults:
            raise typer.Exit(1)
        typer.echo(f"The books balance: {found.documents:,} documents, {found.images:,} images.")
        typer.echo(f"fingerprint {found.fingerprint}")


@app.command()
def fingerprint(corpus: Corpus) -> None:
    """Print one hash of the contents of a corpus' shards, computed from the files."""
    from plait.jobs.auditing import fingerprint_of

    with errors():
        typer.echo(fingerprint_of(corpus))


@app.command()
def inspect(
    path: Annotated[str, typer.Argument(help="An archive, or the folder of a corpus.")],
    doc: Annotated[str | None, typer.Option("--doc", help="Id of a document, or its beginning.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="Records or documents shown.")] = 5,
) -> None:
    """Show an archive, a corpus or one document in the terminal.

    [dim]plait inspect corpus --doc 3f2a[/dim]
    """
    from plait.jobs.inspect_path import inspect_path

    console = Console()
    with errors():
        for part in inspect_path(path, document=doc, limit=limit):
            console.print(part, highlight=False)
