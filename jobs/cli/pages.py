"""Commands for pages before there is a corpus."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from plait.jobs.cli.shared import app, errors
from plait.schemas.errors import ConfigError


@app.command()
def extract(
    files: Annotated[list[str], typer.Argument(help="HTML files or archives.")],
    base_url: Annotated[str | None, typer.Option("--base-url", help="URL of a bare HTML file.")] = None,
    extractor: Annotated[str, typer.Option("--extractor", help="blocks, fast or trafilatura.")] = "blocks",
) -> None:
    """Print the documents of HTML files and archives, one JSON object a line.

    [dim]plait extract page.html --base-url https://example.org/page.html[/dim]
    """
    from plait.jobs.extract_files import extract_files
    from plait.pipeline.extract import EXTRACTORS, ExtractOptions

    with errors():
        if extractor not in EXTRACTORS:
            raise ConfigError(f"--extractor must be one of {', '.join(EXTRACTORS)}, not {extractor!r}")
        for document, why in extract_files(files, base_url=base_url, options=ExtractOptions(extractor=extractor)):
            if document is None:
                typer.echo(f"plait: no document: {why}", err=True)
            else:
                sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="A static site on disk.")],
    base_url: Annotated[str, typer.Option("--base-url", help="URL that the folder stands for.")],
    out: Annotated[Path, typer.Option("--out", help="The archive to write, .warc.gz or .warc.")] = Path("site.warc.gz"),
) -> None:
    """Pack a folder of HTML pages and pictures into an archive.

    [dim]plait pack site/ --base-url https://example.org/ --out site.warc.gz[/dim]
    """
    from plait.jobs.pack import pack as run

    with errors():
        done = run(folder, base_url, out)
        typer.echo(f"{done.out}: {done.pages:,} pages, {done.images:,} pictures, {done.bytes:,} bytes")
