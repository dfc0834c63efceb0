"""What the commands have in common: the program, its options, its errors."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, RenderableType

from plait.jobs.progress import Silent, Terminal, Watcher, Watchers
from plait.schemas.errors import ConfigError, CorpusError, UnitError

if TYPE_CHECKING:
    from plait.schemas.manifest import Manifest

app = typer.Typer(
    name="plait",
    help="Weaves web archives into interleaved image-text corpora.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_ARCHIVES = typer.Argument(help="Archives: files, globs, folders, s3://bucket/x.warc.gz, cc://CC-MAIN-2026-43.")
Inputs = Annotated[list[str], _ARCHIVES]
SomeInputs = Annotated[list[str] | None, _ARCHIVES]
Out = Annotated[str, typer.Option("--out", help="Folder of the corpus (a path or a URL): new, empty, or this build's.")]


def _recipes(incomplete: str) -> list[str]:
    """Built-in recipes, for the shell's completion."""
    from plait.filters.recipe import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


RecipeName = Annotated[
    str,
    typer.Option("--recipe", help="A built-in recipe, or the path of a .toml file.", autocompletion=_recipes),
]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes; one a core by default.")]
Corpus = Annotated[str, typer.Argument(help="Folder of a corpus, a path or a URL.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what is found or was done as JSON, and nothing else.")]


EXIT_CODES = (
    "Exit codes: 0 done; 1 something is wrong with a corpus or the installation, or a unit failed again and again; "
    "2 the command, the recipe or an input is wrong, and nothing was touched; 130 stopped by you."
)


# Errors of theirs that fsspec's file systems do not translate: no credentials, no such host, a wrong region.
STORE_CLIENTS = frozenset({"botocore", "aiobotocore", "gcsfs", "google", "adlfs", "azure", "aiohttp"})
SAID_BY_STORES = (PermissionError, FileNotFoundError, FileExistsError, ConnectionError, TimeoutError)
"""What they do translate comes without an error number."""


@dataclass(frozen=True)
class Telling:
    """Where a command says what it does: the terminal, unless it shall be quiet, and a log file."""

    screens: tuple[Console, ...]

    @classmethod
    def opened(cls, *, quiet: bool, log_file: Path | None) -> Telling:
        """As the program's options ask.

        Raises:
            ConfigError: the log file cannot be written.
        """
        screens = [Console(quiet=quiet)]
        if log_file is not None:
            try:
                log_file.parent.mkdir(parents=True, exist_ok=True)
                file = log_file.open("a", encoding="utf-8", buffering=1)
            except OSError as error:
                raise ConfigError(f"--log-file {log_file} cannot be written: {error.strerror}") from error
            log = Console(file=file, width=120)
            log.print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {shlex.join(sys.argv)}", markup=False, highlight=False)
            screens.append(log)
        return cls(tuple(screens))

    def say(self, part: RenderableType) -> None:
        """Says something to whoever reads."""
        for screen in self.screens:
            screen.print(part, highlight=False)

    def built(self, out: str, manifest: Manifest, *, as_json: bool) -> None:
        """Says what a corpus has become."""
        from plait.jobs.summary import facts, summary

        if as_json:
            typer.echo(json.dumps(facts(out, manifest), indent=1))
            return
        for part in summary(out, manifest):
            self.say(part)

    def watcher(self, *, as_json: bool = False) -> Watcher:
        """Tells of a build's progress; nobody, where JSON is all that is wanted."""
        if as_json:
            return Silent()
        return Watchers(tuple(Silent() if screen.quiet else Terminal(screen) for screen in self.screens))


def telling(context: typer.Context) -> Telling:
    """How this run of the program says things."""
    found = context.find_root().obj
    return found if isinstance(found, Telling) else Telling.opened(quiet=False, log_file=None)


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
    except Exception as error:
        said = _storage(error)
        if said is None:
            raise
        text, code = said
        console.print(f"plait: {text}", style="red", markup=False, highlight=False)
        raise typer.Exit(code) from error


def _storage(error: Exception) -> tuple[str, int] | None:
    """What a disk or an object store said, and the exit code; None where it was neither of them."""
    from plait.jobs.worker import hopeless

    if type(error).__module__.partition(".")[0] in STORE_CLIENTS:
        return f"the object store cannot be used ({error}): check the URL, your credentials and the network", 2
    if not isinstance(error, OSError) or (error.errno is None and not isinstance(error, SAID_BY_STORES)):
        return None
    place = f"{error.filename}: " if error.filename else ""
    what = f"{place}{error.strerror or error}"
    if hopeless(error):
        return f"{what}. Make room or mend it, and run the same command again", 2
    return f"{what}. Where it belongs to a corpus, plait audit says what else is wrong", 1
