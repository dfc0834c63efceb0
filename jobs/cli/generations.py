"""Commands that change a corpus: each makes a new generation of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from plait.jobs.cli.building import (
    AllowLoopback,
    ClipCache,
    ClipModelName,
    ClipWeights,
    Contact,
    Device,
    EngineName,
    FetchConcurrency,
    HostConcurrency,
    HostRate,
    OptOutList,
    RayAddress,
    SparkMaster,
)
from plait.jobs.cli.shared import AsJson, Corpus, Inputs, Workers, app, errors, telling


@app.command()
def append(
    context: typer.Context,
    corpus: Corpus,
    inputs: Inputs,
    workers: Workers = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    spark_master: SparkMaster = None,
    user_agent_contact: Contact = "",
    opt_out: OptOutList = "",
    host_rate: HostRate = 10.0,
    host_concurrency: HostConcurrency = 4,
    fetch_concurrency: FetchConcurrency = 128,
    clip_model: ClipModelName = "",
    clip_weights: ClipWeights = "",
    clip_cache: ClipCache = "",
    device: Device = "auto",
    allow_loopback: AllowLoopback = False,
    supersede: Annotated[
        bool, typer.Option("--supersede", help="A later capture of a URL replaces the corpus' own.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add archives to a corpus: a new generation, deduplicated against what the corpus has without reading it again.

    [dim]plait append corpus crawl-2/*.warc.gz[/dim]
    """
    from plait.jobs.append import append as run
    from plait.jobs.clip import ClipChoice
    from plait.jobs.engines import EngineChoice
    from plait.jobs.fetching import Fetching

    told = telling(context)
    with errors():
        fetching = Fetching(user_agent_contact, opt_out, host_rate, host_concurrency, fetch_concurrency, allow_loopback)
        manifest = run(
            corpus, inputs, supersede=supersede, fetching=fetching, watcher=told.watcher(as_json=as_json),
            clip=ClipChoice(clip_model, clip_weights, device, clip_cache),
            engine=EngineChoice(engine, workers, ray_address, spark_master),
        )  # fmt: skip
        told.built(corpus, manifest, as_json=as_json)


@app.command()
def takedown(
    context: typer.Context,
    corpus: Corpus,
    urls: Annotated[str, typer.Option("--urls", help="File of URLs of pages or pictures, one a line.")] = "",
    domains: Annotated[str, typer.Option("--domains", help="File of domains, one a line.")] = "",
    hashes: Annotated[str, typer.Option("--hashes", help="File of SHA-256 of pictures, in hex.")] = "",
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Take pages and pictures out of a corpus, for good: a new generation of it, and a list that keeps them out.

    [dim]plait takedown corpus --urls asked.txt; plait gc corpus[/dim]
    """
    from plait.jobs.takedown import takedown as run

    with errors():
        watcher = telling(context).watcher(as_json=as_json)
        done = run(corpus, urls=urls, domains=domains, hashes=hashes, workers=workers, watcher=watcher)
        if as_json:
            typer.echo(json.dumps({"documents": done.documents, "images": done.images, "shards": done.shards}))
            return
        typer.echo(
            f"{done.documents:,} documents and {done.images:,} images went, {done.shards:,} shards were written anew. "
            "The old files stay until plait gc."
        )


@app.command()
def gc(corpus: Corpus, as_json: AsJson = False) -> None:
    """Remove the files that the corpus' present generation does not need.

    [dim]plait gc corpus[/dim]
    """
    from plait.jobs.takedown import collect

    with errors():
        files, size = collect(corpus)
        if as_json:
            typer.echo(json.dumps({"files": files, "bytes": size}))
            return
        typer.echo(f"{files:,} files removed, {size:,} bytes")
