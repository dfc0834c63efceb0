"""What the commands have in common: the program, its options, its errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from plait.schemas.errors import ConfigError, CorpusError, UnitError

app = typer.Typer(
    name="plait",
    help="Weaves web archives into interleaved image-text corpora.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Inputs = Annotated[
    list[str], typer.Argument(help="Archives: files, globs, folders, s3://bucket/x.warc.gz, cc://CC-MAIN-2026-43.")
]
Out = Annotated[str, typer.Option("--out", help="Folder of the corpus (a path or a URL): new, empty, or this build's.")]
RecipeName = Annotated[str, typer.Option("--recipe", help="A built-in recipe, or the path of a .toml file.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes; one a core by default.")]
Corpus = Annotated[str, typer.Argument(help="Folder of a corpus, a path or a URL.")]


@contextmanager
def errors(stopped: str = "Run the same command again to go on.") -> Iterator[None]:
    """Errors as one sentence and an exit code: 2 for what the user can put right, 1 for what went wrong.

    Args:
        stopped: what to say of a command that was interrupted.
    """
    console = Console(stderr=True, soft_wrap=True)
    try:
        yield
    except ConfigError as error:
        console.print(f"plait: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(2) from error
    except CorpusError as error:
        console.print(f"plait: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error
    except UnitError as error:
        console.print(
            f"{error}\nplait: a unit failed again and again. What was done is kept: run the same command again.",
            style="red", markup=False, highlight=False,
        )  # fmt: skip
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        console.print(f"plait: stopped. {stopped}", markup=False, highlight=False)
        raise typer.Exit(130) from error
    except BrokenPipeError as error:
        sys.stderr.close()  # the reader of our output has gone: nothing is left to say
        raise typer.Exit(0) from error
