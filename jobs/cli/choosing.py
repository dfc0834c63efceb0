"""Commands that help to choose a recipe: a classifier of one's own, and two corpora side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from plait.jobs.cli.shared import app, errors
from plait.schemas.errors import ConfigError

quality = typer.Typer(name="quality", help="A classifier of good pages, trained on your own examples.")
app.add_typer(quality)


@quality.callback()
def quality_group() -> None:
    """A classifier of good pages, trained on your own examples."""


@quality.command("train")
def train_command(
    good: Annotated[Path, typer.Option("--good", help="Documents to prefer: .jsonl with text, Parquet, or lines.")],
    bad: Annotated[Path, typer.Option("--bad", help="Documents to avoid.")],
    out: Annotated[Path, typer.Option("--out", help="The model's file.")],
    epochs: Annotated[int, typer.Option("--epochs", help="Times that every document is seen.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train the model whose score a recipe's rules call quality.

    [dim]plait quality train --good wiki.jsonl --bad crawl.jsonl --out quality.bin[/dim]
    """
    from plait.filters.quality import train

    with errors():
        if epochs < 1:
            raise ConfigError(f"--epochs must be 1 or more, not {epochs}")
        if not out.parent.is_dir():
            raise ConfigError(f"--out {out}: there is no folder {out.parent}")
        done = train(good, bad, out, epochs=epochs)
        if as_json:
            typer.echo(json.dumps({"model": str(done.model), "good": done.good, "bad": done.bad,
                                   "accuracy": done.accuracy, "auc": done.auc}))  # fmt: skip
            return
        typer.echo(
            f"{done.model}: {done.good:,} good and {done.bad:,} bad documents; on one in ten held out, "
            f"{done.accuracy:.1%} on the right side of 0.5, AUC {done.auc:.3f}"
        )
        typer.echo('In a recipe: [resources] quality_model = "…", and a rule with keep = "quality >= 0.5".')


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="Folder of a corpus.")],
    second: Annotated[str, typer.Argument(help="Folder of another, of the same archives.")],
    examples: Annotated[int, typer.Option("--examples", help="Documents shown for each reason.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what one corpus keeps that another drops, and why, with examples.

    [dim]plait compare corpus corpus-stricter[/dim]
    """
    from dataclasses import asdict

    from plait.jobs.comparing import compare as run
    from plait.jobs.summary import comparison_parts

    with errors():
        if examples < 0:
            raise ConfigError(f"--examples must be 0 or more, not {examples}")
        found = run(first, second, examples=examples)
        if as_json:
            typer.echo(json.dumps(asdict(found), indent=1, ensure_ascii=False))
            return
        console = Console()
        for part in comparison_parts(found):
            console.print(part, highlight=False)
