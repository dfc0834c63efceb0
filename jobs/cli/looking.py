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


@app.command()
def view(
    target: Annotated[str, typer.Argument(help="Folder of a corpus, or an archive, which is made into one first.")],
    archives: Annotated[
        list[str] | None, typer.Option("--archives", help="What the corpus was made from: shows pages as they were.")
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", help="For archives: a built-in recipe, or a .toml file.")
    ] = "default",
    marks: Annotated[str, typer.Option("--marks", help="File of marks; marks.jsonl here by default.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who marks; your login by default.")] = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen at; 0 takes a free one.")] = 8765,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Explore a corpus in the browser: documents, what was dropped and why, thresholds that move, marks.

    [dim]plait view corpus --archives crawl/[/dim]
    """
    from plait.jobs.progress import Terminal
    from plait.jobs.viewing import LOOPBACK, open_session, serve

    console = Console()
    with errors():
        session = open_session(
            target, archives=archives or (), marks=marks, by=by, recipe=recipe, watcher=Terminal(console)
        )
        if host not in LOOPBACK:
            console.print(f"Anybody who reaches {host} sees the corpus and can mark it.", style="yellow")
        serve(session, host, port, browser=browser, told=lambda url: typer.echo(f"{url}  (Ctrl-C ends it)"))
