"""The command line: a thin layer over functions that notebooks and other programs call."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from plait.schemas.errors import ConfigError, CorpusError, UnitError

if TYPE_CHECKING:
    from plait.jobs.flow import Options

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
Images = Annotated[
    str,
    typer.Option(
        "--images",
        help="archive: keep images that the archives hold; urls: the others too, as URLs; http: fetch them; none.",
    ),
]
Format = Annotated[str, typer.Option("--format", help="Of the shards: parquet, webdataset, or both with a comma.")]
ShardDocs = Annotated[int, typer.Option("--shard-docs", help="Documents a shard.")]
Retain = Annotated[str, typer.Option("--retain", help="kept, or all: keep dropped documents in the ledger.")]
Extractor = Annotated[
    str | None, typer.Option("--extractor", help="blocks, fast or trafilatura; the recipe says by default.")
]
EngineName = Annotated[str, typer.Option("--engine", help="local, ray or spark; the corpus is the same.")]
RayAddress = Annotated[str | None, typer.Option("--ray-address", help="Of a running cluster, such as auto.")]
SparkMaster = Annotated[str | None, typer.Option("--spark-master", help="Of a cluster, such as spark://host:7077.")]
Contact = Annotated[
    str, typer.Option("--user-agent-contact", help="Your web page or e-mail address, told to every server asked.")
]
OptOutList = Annotated[str, typer.Option("--opt-out", help="File of domains and URLs, one a line, never to be asked.")]
HostRate = Annotated[float, typer.Option("--host-rate", help="Requests a second at one host; 0 for no limit.")]
HostConcurrency = Annotated[int, typer.Option("--host-concurrency", help="Requests at a time at one host.")]
FetchConcurrency = Annotated[int, typer.Option("--fetch-concurrency", help="Requests at a time of one worker.")]
Suppress = Annotated[
    str, typer.Option("--suppress", help="A corpus, or its suppression list: what was taken down there stays out.")
]
AllowLoopback = Annotated[bool, typer.Option("--allow-loopback", hidden=True)]
Limit = Annotated[int | None, typer.Option("--limit", help="Archives at most, for a trial.")]
Sample = Annotated[float | None, typer.Option("--sample", help="Share of the archives, such as 0.01, for a trial.")]
Corpus = Annotated[str, typer.Argument(help="Folder of a corpus, a path or a URL.")]


@contextmanager
def _errors() -> Iterator[None]:
    """Errors as one sentence and an exit code: 2 for what the user can put right, 1 for what went wrong."""
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
        console.print("plait: stopped. Run the same command again to go on.", markup=False, highlight=False)
        raise typer.Exit(130) from error
    except BrokenPipeError as error:
        sys.stderr.close()  # the reader of our output has gone: nothing is left to say
        raise typer.Exit(0) from error


def _options(images: str, form: str, shard_docs: int, retain: str) -> Options:
    from plait.jobs.flow import Options

    return Options(images, tuple(part.strip() for part in form.split(",") if part.strip()), shard_docs, retain)


@app.command()
def build(
    inputs: Inputs,
    out: Out,
    recipe: RecipeName = "default",
    workers: Workers = None,
    images: Images = "archive",
    form: Format = "parquet",
    shard_docs: ShardDocs = 1000,
    retain: Retain = "kept",
    extractor: Extractor = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    spark_master: SparkMaster = None,
    limit: Limit = None,
    sample: Sample = None,
    user_agent_contact: Contact = "",
    opt_out: OptOutList = "",
    suppress: Suppress = "",
    host_rate: HostRate = 10.0,
    host_concurrency: HostConcurrency = 4,
    fetch_concurrency: FetchConcurrency = 128,
    allow_loopback: AllowLoopback = False,
) -> None:
    """Build a corpus from archives. Stop it any time: the same command goes on where it was.

    [dim]plait build crawl/*.warc.gz --out corpus --recipe default[/dim]
    """
    from plait.jobs.building import build as run
    from plait.jobs.engines import EngineChoice
    from plait.jobs.fetching import Fetching
    from plait.jobs.progress import Terminal
    from plait.jobs.selection import Selection

    console = Console()
    with _errors():
        fetching = Fetching(user_agent_contact, opt_out, host_rate, host_concurrency, fetch_concurrency, allow_loopback)
        manifest = run(
            Selection(tuple(inputs), limit, sample), out, recipe=recipe, workers=workers,
            options=_options(images, form, shard_docs, retain),
            extractor=extractor, fetching=fetching, suppress=suppress or None, watcher=Terminal(console),
            engine=EngineChoice(engine, workers, ray_address, spark_master),
        )  # fmt: skip
        from plait.jobs.summary import summary

        for part in summary(out, manifest):
            console.print(part)


@app.command()
def fill(
    corpus: Corpus,
    out: Out,
    user_agent_contact: Contact = "",
    workers: Workers = None,
    opt_out: OptOutList = "",
    host_rate: HostRate = 10.0,
    host_concurrency: HostConcurrency = 4,
    fetch_concurrency: FetchConcurrency = 128,
    allow_loopback: AllowLoopback = False,
) -> None:
    """Fetch the pictures of a corpus built with --images urls, into a new corpus.

    [dim]plait fill urls-corpus --out corpus --user-agent-contact https://lab.example/crawl[/dim]
    """
    from plait.jobs.fetching import Fetching
    from plait.jobs.filling import fill as run
    from plait.jobs.progress import Terminal
    from plait.jobs.summary import summary

    console = Console()
    with _errors():
        fetching = Fetching(user_agent_contact, opt_out, host_rate, host_concurrency, fetch_concurrency, allow_loopback)
        manifest = run(corpus, out, fetching, workers=workers, watcher=Terminal(console))
        for part in summary(out, manifest):
            console.print(part)


@app.command()
def plan(
    inputs: Inputs,
    recipe: RecipeName = "default",
    workers: Workers = None,
    images: Images = "archive",
    as_json: Annotated[bool, typer.Option("--json", help="Print the estimate as JSON.")] = False,
) -> None:
    """Say from a sample what a build will read, write, keep and take.

    [dim]plait plan crawl/*.warc.gz[/dim]
    """
    from dataclasses import asdict

    from plait.jobs.building import make_plan
    from plait.jobs.engines import default_workers
    from plait.jobs.planning import estimate
    from plait.jobs.summary import estimate_table

    with _errors():
        count = workers if workers is not None else default_workers()
        if count < 1:
            raise ConfigError(f"--workers must be 1 or more, not {count}")
        offline = "archive" if images == "http" else images  # what servers will answer cannot be estimated
        checked = make_plan(inputs, recipe=recipe, options=_options(offline, "parquet", 1000, "kept"))
        found = estimate(checked, count)
        if as_json:
            typer.echo(json.dumps(asdict(found), indent=1))
            return
        console = Console()
        for missing in checked.missing:
            console.print(f"left out, because something is missing: {missing}", markup=False, highlight=False)
        console.print(estimate_table(found, count))


@app.command()
def takedown(
    corpus: Corpus,
    urls: Annotated[str, typer.Option("--urls", help="File of URLs of pages or pictures, one a line.")] = "",
    domains: Annotated[str, typer.Option("--domains", help="File of domains, one a line.")] = "",
    hashes: Annotated[str, typer.Option("--hashes", help="File of SHA-256 of pictures, in hex.")] = "",
    workers: Workers = None,
) -> None:
    """Take pages and pictures out of a corpus, for good: a new generation of it, and a list that keeps them out.

    [dim]plait takedown corpus --urls asked.txt; plait gc corpus[/dim]
    """
    from plait.jobs.progress import Terminal
    from plait.jobs.takedown import takedown as run

    with _errors():
        done = run(corpus, urls=urls, domains=domains, hashes=hashes, workers=workers, watcher=Terminal(Console()))
        typer.echo(
            f"{done.documents:,} documents and {done.images:,} images went, {done.shards:,} shards were written anew. "
            "The old files stay until plait gc."
        )


@app.command()
def gc(corpus: Corpus) -> None:
    """Remove the files that the corpus' present generation does not need.

    [dim]plait gc corpus[/dim]
    """
    from plait.jobs.takedown import collect

    with _errors():
        files, size = collect(corpus)
        typer.echo(f"{files:,} files removed, {size:,} bytes")


@app.command()
def audit(corpus: Corpus) -> None:
    """Add the books of a corpus up from its files; exit 1 where they do not balance.

    [dim]plait audit corpus[/dim]
    """
    from plait.jobs.auditing import audit as run

    with _errors():
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

    with _errors():
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
    with _errors():
        for part in inspect_path(path, document=doc, limit=limit):
            console.print(part, highlight=False)


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

    with _errors():
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

    with _errors():
        done = run(folder, base_url, out)
        typer.echo(f"{done.out}: {done.pages:,} pages, {done.images:,} pictures, {done.bytes:,} bytes")


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
