"""Commands that look at a corpus, an archive or a page."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from plait.jobs.cli.shared import AsJson, Corpus, app, errors, telling


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check the installation: packages, extras, models, Java, GPU, folders. Exit 1 where plait itself is broken.

    [dim]plait doctor[/dim]
    """
    from plait.jobs.doctor import doctor as run

    found = run()
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in found], indent=1))
    else:
        table = Table("", "what", "found", "needed for", box=None, header_style="bold")
        for check in found:
            colour = {"ok": "green", "missing": "yellow", "broken": "red"}[check.state]
            said = Text(check.found if not check.remedy else f"{check.found}\n→ {check.remedy}")
            table.add_row(Text(check.state, style=colour), Text(check.name), said, Text(check.feature))
        Console().print(table)
    if any(check.state == "broken" for check in found):
        raise typer.Exit(1)


@app.command()
def audit(corpus: Corpus, as_json: AsJson = False) -> None:
    """Add the books of a corpus up from its files; exit 1 where they do not balance.

    [dim]plait audit corpus[/dim]
    """
    from plait.jobs.auditing import audit as run

    with errors():
        found = run(corpus)
        if as_json:
            typer.echo(json.dumps(asdict(found), indent=1))
            raise typer.Exit(1 if found.faults else 0)
        for fault in found.faults:
            typer.echo(f"plait: {fault}", err=True)
        if found.faults:
            raise typer.Exit(1)
        typer.echo(f"The books balance: {found.documents:,} documents, {found.images:,} images.")
        typer.echo(f"fingerprint {found.fingerprint}")


@app.command()
def fingerprint(corpus: Corpus) -> None:
    """Print one hash of the contents of a corpus' shards, computed from the files.

    [dim]plait fingerprint corpus[/dim]
    """
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
    context: typer.Context,
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
    from plait.jobs.viewing import LOOPBACK, open_session, serve

    with errors():
        session = open_session(
            target, archives=archives or (), marks=marks, by=by, recipe=recipe, watcher=telling(context).watcher()
        )
        if host not in LOOPBACK:
            typer.echo(f"Anybody who reaches {host} sees the corpus and can mark it.", err=True)
        serve(session, host, port, browser=browser, told=lambda url: typer.echo(f"{url}  (Ctrl-C ends it)"))
