"""`plait plan`: what a build will read, write, keep and take, judged from a sample before it starts."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from plait.filters.recipe import Recipe
from plait.jobs.building import Plan
from plait.jobs.runner import peak_rss
from plait.jobs.settings import extract_options, read_limits
from plait.pipeline.extract import ExtractOptions, extract_html
from plait.pipeline.pages import Capture, pages_batch
from plait.pipeline.read.archive import read_archive
from plait.pipeline.read.inputs import Archive
from plait.pipeline.read.records import Loss, Record
from plait.pipeline.text import apply_text
from plait.schemas.errors import RecordError

SAMPLE_ARCHIVES = 5
SAMPLE_PAGES = 100  # of one archive
LATER_SHARE = 0.6  # CPU time of all later stages by that of extraction, measured on the archives of the README
WORKER_RSS = 350 << 20  # a worker's peak on ordinary archives, measured likewise


@dataclass
class Estimate:
    """A build, extrapolated by bytes from the sample.

    Attributes:
        archives: given.
        bytes: of all archives.
        sampled_bytes: that the sample read.
        pages: expected.
        kept: documents expected to survive extraction and text rules; deduplication and image rules drop more.
        images: records of images expected.
        image_bytes: of those records, as stored.
        cpu_s: expected for the whole build.
        wall_s: expected with ``workers``.
        disk: bytes needed at the peak: the corpus and the work beside it.
        memory: bytes of all workers together at the peak.
        reasons: what the sample's pages were dropped for.
    """

    archives: int = 0
    bytes: int = 0
    sampled_bytes: int = 0
    pages: int = 0
    kept: int = 0
    images: int = 0
    image_bytes: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    disk: int = 0
    memory: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass
class _Sample:
    bytes: int = 0
    pages: int = 0
    kept: int = 0
    images: int = 0
    image_bytes: int = 0
    document_bytes: int = 0
    cpu_s: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)


def estimate(plan: Plan, workers: int) -> Estimate:
    """Read the beginnings of a few archives, evenly chosen, and extrapolate.

    Cost: up to `SAMPLE_ARCHIVES` times `SAMPLE_PAGES` pages, some seconds.
    """
    sample = _Sample()
    for archive in _chosen(plan.archives):
        _add(sample, archive, plan.recipe)
    total = sum(archive.bytes for archive in plan.archives)
    factor = total / sample.bytes if sample.bytes else 0.0
    cpu = sample.cpu_s * factor * (1 + LATER_SHARE)
    image_bytes = int(sample.image_bytes * factor) if plan.options.images != "none" else 0
    documents = int(sample.document_bytes * factor)
    return Estimate(
        archives=len(plan.archives),
        bytes=total,
        sampled_bytes=sample.bytes,
        pages=round(sample.pages * factor),
        kept=round(sample.kept * factor),
        images=round(sample.images * factor),
        image_bytes=image_bytes,
        cpu_s=cpu,
        wall_s=cpu / workers,
        disk=2 * image_bytes + 3 * documents,  # packs and shards; documents as extracted, as ordered, in shards
        memory=workers * max(WORKER_RSS, peak_rss()),
        reasons=dict(sample.reasons.most_common()),
    )


def _chosen(archives: Sequence[Archive]) -> list[Archive]:
    step = max(1, len(archives) // SAMPLE_ARCHIVES)
    return list(archives[::step][:SAMPLE_ARCHIVES])


def _add(sample: _Sample, archive: Archive, recipe: Recipe) -> None:
    options, limits = extract_options(recipe), read_limits(recipe)
    began = time.process_time()
    captures: list[Capture] = []
    end = pages = 0
    with tempfile.TemporaryDirectory(prefix="plait-spool-") as spool:
        for record in read_archive(archive, limits, spool_dir=spool):
            if isinstance(record, Loss):
                sample.reasons[record.reason] += 1
                continue
            end = max(end, record.offset + record.length)
            if record.kind == "image":
                sample.images += 1
                sample.image_bytes += record.length
            elif record.kind == "page":
                pages += 1
                _page(sample, record, archive, captures, options)
            if pages >= SAMPLE_PAGES:
                break
    if captures:
        result = apply_text(pages_batch(captures, recipe.order_seed), recipe)
        sample.kept += result.kept.num_rows
        sample.document_bytes += result.kept.nbytes
        sample.reasons.update(result.dropped.column("reason").to_pylist())
    sample.pages += pages
    # A sample that stopped early has read up to `end`; in a spool that place lies beyond the archive's own bytes.
    sample.bytes += min(end, archive.bytes) if pages >= SAMPLE_PAGES else archive.bytes
    sample.cpu_s += time.process_time() - began


def _page(sample: _Sample, record: Record, archive: Archive, captures: list[Capture], options: ExtractOptions) -> None:
    if record.payload is None or record.sha256 is None:
        return
    try:
        page = extract_html(record.payload, record.url, options=options, charset=record.charset)
    except RecordError as error:
        sample.reasons[error.reason] += 1
        return
    captures.append(
        Capture(
            page, record.url, record.captured, record.sha256, archive.name, archive.id, record.offset, record.length
        )
    )
