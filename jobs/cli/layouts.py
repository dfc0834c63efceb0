"""Commands that take a corpus to other layouts, and other corpora to ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from plait.jobs.cli.shared import AsJson, Corpus, app, errors
from plait.schemas.errors import ConfigError

STOPPED = "Nothing was written: the same command begins anew."


@app.command()
def export(
    corpus: Corpus,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="webdataset, webdataset-hf, mds, obelics, omnicorpus, mmc4, mint, curator, pairs, retrieval or text.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="A folder that is not there yet, or is empty.")],
    shard_docs: Annotated[int, typer.Option("--shard-docs", help="Documents a file.")] = 1000,
    sample: Annotated[int | None, typer.Option("--sample", help="So many documents, drawn at random.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write a corpus in the layout that another loader or filter reads; the same corpus gives the same bytes.

    [dim]plait export corpus --format mds --out corpus-mds[/dim]
    """
    from plait.jobs.progress import counting
    from plait.jobs.readable import size
    from plait.loader import Corpus as Opened
    from plait.loader.export import FORMATS
    from plait.loader.export import export as run

    with errors(stopped=STOPPED):
        opened = Opened(corpus)
        if sample is not None:
            if sample < 1:
                raise ConfigError(f"--sample must be 1 or more, not {sample}")
            opened = opened.sample(sample, seed)
        with counting(Console(stderr=True), "export", len(opened)) as watch:
            done = run(opened, out, form, shard_docs=shard_docs, watch=watch)
        if as_json:
            typer.echo(json.dumps({"samples": done.samples, "files": done.files, "bytes": done.bytes}))
            return
        typer.echo(
            f"{out}: {done.samples:,} samples of {len(opened):,} documents in {len(done.files):,} files, "
            f"{size(done.bytes)}, for {FORMATS[form].readers}"
        )


@app.command("import")
def import_(
    files: Annotated[list[str], typer.Argument(help="Files, globs or folders: Parquet, or .jsonl, .gz, .zip of MMC4.")],
    form: Annotated[str, typer.Option("--format", help="obelics, omnicorpus, mmc4 or curator.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the corpus: not there yet, or empty.")],
    shard_docs: Annotated[int, typer.Option("--shard-docs", help="Documents a shard.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Make a corpus of another corpus' files; pictures that they have as URLs alone are fetched by plait fill.

    [dim]plait import obelics/*.parquet --format obelics --out corpus[/dim]
    """
    from plait.jobs.importing import import_files
    from plait.jobs.progress import counting
    from plait.jobs.summary import facts

    with errors(stopped=STOPPED):
        with counting(Console(stderr=True), "import", None) as watch:
            manifest = import_files(files, form, str(out), shard_docs=shard_docs, watch=watch)
        if as_json:
            typer.echo(json.dumps(facts(str(out), manifest), indent=1))
            return
        totals, books = manifest.totals, manifest.funnel[0]
        typer.echo(
            f"{out}: {totals.documents:,} documents in {manifest.shards:,} shards, {totals.images:,} pictures and "
            f"{totals.image_urls:,} URLs of pictures"
        )
        for reason, number in books.dropped.items():
            typer.echo(f"left out: {number:,} documents ({reason}); they are in {manifest.lists.drops}")
        if totals.image_urls:
            typer.echo(f"fetch the pictures with: plait fill {out} --out FOLDER --user-agent-contact YOUR-PAGE")
