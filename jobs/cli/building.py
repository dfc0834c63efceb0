"""Commands that make a corpus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from plait.jobs.cli.shared import AsJson, Corpus, Inputs, Out, RecipeName, SomeInputs, Workers, app, errors, telling
from plait.schemas.errors import ConfigError

if TYPE_CHECKING:
    from plait.jobs.flow import Options


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
OptOutList = Annotated[
    str, typer.Option("--opt-out", help="File of domains and URLs that are neither asked nor taken.")
]
HostRate = Annotated[float, typer.Option("--host-rate", help="Requests a second at one host; 0 for no limit.")]
HostConcurrency = Annotated[int, typer.Option("--host-concurrency", help="Requests at a time at one host.")]
FetchConcurrency = Annotated[int, typer.Option("--fetch-concurrency", help="Requests at a time of one worker.")]
Suppress = Annotated[
    str, typer.Option("--suppress", help="A corpus, or its suppression list: what was taken down there stays out.")
]
Contamination = Annotated[
    list[str] | None,
    typer.Option(
        "--contamination", help="File of evaluation text, .jsonl or plain: documents that contain 13 words of it go."
    ),
]
ClipModelName = Annotated[
    str, typer.Option("--clip-model", help="open_clip's name, hf-hub:ORG/NAME, or a folder with open_clip_config.json.")
]
ClipWeights = Annotated[str, typer.Option("--clip-weights", help="For a name: open_clip's tag, or a checkpoint file.")]
ClipCache = Annotated[str, typer.Option("--clip-cache", help="Folder of pictures' features that builds share.")]
Device = Annotated[str, typer.Option("--device", help="Of models: auto, cpu or cuda.")]
AllowLoopback = Annotated[bool, typer.Option("--allow-loopback", hidden=True)]
Limit = Annotated[int | None, typer.Option("--limit", help="Archives (with --records: records) at most, for a trial.")]
Sample = Annotated[float | None, typer.Option("--sample", help="Share of them, such as 0.01, for a trial.")]
Records = Annotated[
    str | None,
    typer.Option("--records", help="Index (Parquet or CDXJ) of the records to take; alone, of Common Crawl's."),
]


def options_of(images: str, form: str, shard_docs: int, retain: str) -> Options:
    """The options of a build from the words of the command line."""
    from plait.jobs.flow import Options

    return Options(images, tuple(part.strip() for part in form.split(",") if part.strip()), shard_docs, retain)


@app.command()
def build(
    context: typer.Context,
    out: Out,
    inputs: SomeInputs = None,
    records: Records = None,
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
    clip_model: ClipModelName = "",
    clip_weights: ClipWeights = "",
    clip_cache: ClipCache = "",
    device: Device = "auto",
    contamination: Contamination = None,
    host_rate: HostRate = 10.0,
    host_concurrency: HostConcurrency = 4,
    fetch_concurrency: FetchConcurrency = 128,
    allow_loopback: AllowLoopback = False,
    as_json: AsJson = False,
) -> None:
    """Build a corpus from archives. Stop it any time: the same command goes on where it was.

    [dim]plait build crawl/*.warc.gz --out corpus --recipe default[/dim]

    [dim]plait build --records cc-index.parquet --limit 5000 --out trial[/dim]
    """
    from plait.jobs.building import build as run
    from plait.jobs.clip import ClipChoice
    from plait.jobs.engines import EngineChoice
    from plait.jobs.fetching import Fetching
    from plait.jobs.selection import Selection

    told = telling(context)
    with errors():
        fetching = Fetching(user_agent_contact, opt_out, host_rate, host_concurrency, fetch_concurrency, allow_loopback)
        manifest = run(
            Selection(tuple(inputs or ()), limit, sample, records), out, recipe=recipe, workers=workers,
            options=options_of(images, form, shard_docs, retain),
            extractor=extractor, fetching=fetching, suppress=suppress or None,
            contamination=tuple(contamination or ()), clip=ClipChoice(clip_model, clip_weights, device, clip_cache),
            watcher=told.watcher(as_json=as_json),
            engine=EngineChoice(engine, workers, ray_address, spark_master),
        )  # fmt: skip
        told.built(out, manifest, as_json=as_json)


@app.command()
def fill(
    context: typer.Context,
    corpus: Corpus,
    out: Out,
    user_agent_contact: Contact = "",
    workers: Workers = None,
    opt_out: OptOutList = "",
    host_rate: HostRate = 10.0,
    host_concurrency: HostConcurrency = 4,
    fetch_concurrency: FetchConcurrency = 128,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    spark_master: SparkMaster = None,
    clip_model: ClipModelName = "",
    clip_weights: ClipWeights = "",
    clip_cache: ClipCache = "",
    device: Device = "auto",
    allow_loopback: AllowLoopback = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the pictures of a corpus built with --images urls, into a new corpus.

    [dim]plait fill urls-corpus --out corpus --user-agent-contact https://lab.example/crawl[/dim]
    """
    from plait.jobs.clip import ClipChoice
    from plait.jobs.engines import EngineChoice
    from plait.jobs.fetching import Fetching
    from plait.jobs.filling import fill as run

    told = telling(context)
    with errors():
        fetching = Fetching(user_agent_contact, opt_out, host_rate, host_concurrency, fetch_concurrency, allow_loopback)
        choice = EngineChoice(engine, workers, ray_address, spark_master)
        clip = ClipChoice(clip_model, clip_weights, device, clip_cache)
        manifest = run(corpus, out, fetching, clip=clip, engine=choice, watcher=told.watcher(as_json=as_json))
        told.built(out, manifest, as_json=as_json)


@app.command()
def refilter(
    context: typer.Context,
    corpus: Corpus,
    out: Out,
    recipe: RecipeName = "default",
    archives: Annotated[
        list[str] | None,
        typer.Option(
            "--archives", help="The corpus' archives, to take pictures from (it was built with --retain all)."
        ),
    ] = None,
    contamination: Contamination = None,
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    spark_master: SparkMaster = None,
    as_json: AsJson = False,
) -> None:
    """Write a corpus anew under another recipe, from what it retained; nothing is extracted or fetched again.

    [dim]plait refilter corpus --recipe stricter.toml --out corpus-stricter[/dim]
    """
    from plait.jobs.engines import EngineChoice
    from plait.jobs.refilter import refilter as run

    told = telling(context)
    with errors():
        manifest = run(
            corpus, out, recipe=recipe, archives=tuple(archives or ()), contamination=tuple(contamination or ()),
            watcher=told.watcher(as_json=as_json), engine=EngineChoice(engine, workers, ray_address, spark_master),
        )  # fmt: skip
        told.built(out, manifest, as_json=as_json)


@app.command()
def plan(
    inputs: Inputs,
    recipe: RecipeName = "default",
    workers: Workers = None,
    images: Images = "archive",
    as_json: AsJson = False,
) -> None:
    """Say from a sample what a build will read, write, keep and take.

    [dim]plait plan crawl/*.warc.gz[/dim]
    """
    from dataclasses import asdict

    from plait.jobs.building import make_plan
    from plait.jobs.engines import default_workers
    from plait.jobs.planning import estimate
    from plait.jobs.requirements import ways
    from plait.jobs.summary import estimate_table

    with errors():
        count = workers if workers is not None else default_workers()
        if count < 1:
            raise ConfigError(f"--workers must be 1 or more, not {count}")
        offline = "archive" if images == "http" else images  # what servers will answer cannot be estimated
        checked = make_plan(inputs, recipe=recipe, options=options_of(offline, "parquet", 1000, "kept"))
        found = estimate(checked, count)
        if as_json:
            typer.echo(json.dumps(asdict(found), indent=1))
            return
        console = Console()
        for missing in checked.missing:
            said = f"left out, because something is missing: {missing}{ways((missing,))}"
            console.print(said, markup=False, highlight=False)
        console.print(estimate_table(found, count))
