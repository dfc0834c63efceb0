"""What a build says when it is done, and a plan before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from plait.jobs.comparing import Comparison
from plait.jobs.inspect_path import funnel_table
from plait.jobs.planning import Estimate
from plait.jobs.readable import duration, size
from plait.jobs.store import Store
from plait.schemas.manifest import Manifest


def _pages(manifest: Manifest) -> int:
    return sum(
        line.entered for line in manifest.funnel if line.scope == "document" and line.stage.startswith("extract")
    )


def summary(out: str, manifest: Manifest) -> Iterator[RenderableType]:
    """The funnel, what it took, where things are."""
    yield funnel_table(manifest)
    totals, cost = manifest.totals, manifest.cost
    pages, wall, cpu = _pages(manifest), float(cost.get("wall_s") or 0), float(cost.get("cpu_s") or 0)
    grid = Table.grid(padding=(0, 2))
    rate = f", {pages / wall:,.0f} pages/s" if wall else ""
    per_cpu = f", {pages / cpu:,.0f} pages/CPU-s" if cpu else ""
    rows = [
        ("documents", f"{totals.documents:,} of {pages:,} pages, with {totals.images:,} images"),
        ("took", f"{duration(wall)}{rate}; {duration(cpu)} of CPU{per_cpu}"),
        ("memory", f"{size(float(cost.get('peak_rss') or 0))} at most in one process"),
        ("corpus", f"{out} ({manifest.shards:,} shards, {size(totals.shard_bytes)})"),
        ("report", Store(out).path("report.html")),
        ("fingerprint", manifest.fingerprint),
    ]
    if totals.image_urls:
        rows.insert(1, ("image URLs", f"{totals.image_urls:,} without bytes"))
    if manifest.recipe.partial:
        rows.append(("partial", "; ".join(manifest.recipe.missing)))
    for name, value in rows:
        grid.add_row(Text(name, style="bold"), Text(value))
    yield grid
    if not totals.documents:
        lost: Counter[str] = Counter()
        for line in manifest.funnel:
            lost.update(line.dropped if line.scope != "image" else {})
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in lost.most_common(5))
        yield Text(f"No document survived ({reasons or 'the archives hold no pages'}).", style="yellow")


def facts(out: str, manifest: Manifest) -> dict[str, object]:
    """The same for scripts."""
    return {
        "corpus": out,
        "report": Store(out).path("report.html"),
        "fingerprint": manifest.fingerprint,
        "partial": list(manifest.recipe.missing),
        "pages": _pages(manifest),
        "totals": asdict(manifest.totals),
        "funnel": [asdict(line) for line in manifest.funnel],
        "cost": dict(manifest.cost),
    }


def estimate_table(found: Estimate, workers: int) -> Table:
    """An estimate for people."""
    table = Table.grid(padding=(0, 2))
    share = f"{found.sampled_bytes / found.bytes:.0%}" if found.bytes else "nothing"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in list(found.reasons.items())[:8])
    for name, value in (
        ("reads", f"{found.archives:,} archives, {size(found.bytes)} (sampled: {share})"),
        ("pages", f"about {found.pages:,}"),
        ("keeps", f"at most about {found.kept:,} documents before deduplication and image rules"),
        ("images", f"about {found.images:,} in the archives, {size(found.image_bytes)}"),
        ("takes", f"about {duration(found.wall_s)} with {workers} workers ({duration(found.cpu_s)} of CPU)"),
        ("disk", f"about {size(found.disk)} at the peak"),
        ("memory", f"about {size(found.memory)}"),
        ("drops in the sample", reasons or "none"),
    ):
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def comparison_parts(found: Comparison) -> Iterator[RenderableType]:
    """Two corpora side by side: what both have, and what only one has, by the other's reasons."""
    names = [f"{side.corpus} ({side.recipe})" for side in found.sides]
    table = Table(title=f"{found.shared:,} documents in both, {found.edited:,} of them edited differently")
    for title in ("", *names):
        table.add_column(title, overflow="fold", justify="left" if not title else "right")
    for label, values in (
        ("documents", [side.documents for side in found.sides]),
        ("only here", [side.only for side in found.sides]),
        ("characters in shared documents", [side.shared_chars for side in found.sides]),
        ("images in shared documents", [side.shared_images for side in found.sides]),
    ):
        table.add_row(label, *(f"{value:,}" for value in values))
    table.add_row("of them only here", *(f"{value:,}" for value in found.pictures.only))
    yield table
    if found.pictures.apart:
        apart = ", ".join(f"{name} {value:.2g}" for name, value in found.pictures.apart.items())
        yield Text(f"Largest difference of a score, {found.pictures.shared:,} shared images: {apart}")
    for side, other in zip(found.sides, reversed(names), strict=True):
        if not side.only:
            continue
        yield Text(f"\nOnly in {side.corpus}: why {other} does not have them", style="bold")
        for reason in side.reasons:
            where = f" ({reason.stage})" if reason.stage else ""
            yield Text(f"{reason.reason}{where}: {reason.documents:,}", style="yellow")
            for shown in reason.examples:
                value = "" if shown.value is None else f"{shown.value:.4g}, kept where {shown.threshold}; "
                about = value or (f"{shown.detail}; " if shown.detail else "")
                yield Text(f"  {shown.url}  {about}{shown.title}")
                yield Text(f"    {shown.text}", style="dim")
