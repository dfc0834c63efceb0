"""`plait inspect`: an archive, a corpus or one document, readable in a terminal."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from plait.jobs.auditing import open_manifest
from plait.jobs.store import Store
from plait.loader.corpus import Corpus
from plait.loader.documents import Document, Picture
from plait.pipeline.read.archive import read_archive
from plait.pipeline.read.inputs import expand
from plait.pipeline.read.records import Limits, Loss, Tally
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import MANIFEST_NAME, Manifest


def inspect_path(path: str, *, document: str | None, limit: int) -> Iterator[RenderableType]:
    """What there is to see at a path.

    Args:
        path: of an archive or a corpus.
        document: id of a document of a corpus, in hex (a beginning that only it has is enough).
        limit: records or documents that are shown.

    Raises:
        ConfigError: there is nothing of the kind at the path.
    """
    store = Store(path)
    if store.exists(MANIFEST_NAME) or store.exists("ledger/build.json"):
        manifest = open_manifest(store)
        if document is not None:
            yield _document(_find(Corpus(path), document))
            return
        yield from _corpus(path, manifest, limit)
        return
    if document is not None:
        raise ConfigError(f"{path} is no corpus, so it has no document {document}")
    yield from _archive(path, limit)


def _time(microseconds: int | None) -> str:
    if microseconds is None:
        return ""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _archive(path: str, limit: int) -> Iterator[RenderableType]:
    for archive in expand([path]):
        tally = Tally()
        table = Table(title=f"{archive.name}, {archive.bytes:,} bytes", title_justify="left")
        for column in ("offset", "kind", "captured", "type", "URL"):
            table.add_column(column, overflow="fold", justify="right" if column == "offset" else "left")
        with tempfile.TemporaryDirectory(prefix="plait-spool-") as spool:
            for number, record in enumerate(read_archive(archive, Limits(), spool_dir=spool, tally=tally)):
                if number >= limit:
                    continue
                if isinstance(record, Loss):
                    table.add_row(str(record.offset), f"lost: {record.reason}", "", "", record.url or record.detail)
                else:
                    url = record.url if record.kind != "redirect" else f"{record.url} → {record.target}"
                    table.add_row(str(record.offset), record.kind, _time(record.captured), record.mime, url)
        yield table
        counts = {**tally.read, **{f"{name} (skipped)": count for name, count in tally.skipped.items()}}
        yield Text("; ".join(f"{count:,} {name}" for name, count in counts.items()) or "no record could be read")


def _corpus(path: str, manifest: Manifest, limit: int) -> Iterator[RenderableType]:
    totals = manifest.totals
    head = Table.grid(padding=(0, 2))
    for name, value in (
        ("documents", f"{totals.documents:,}"),
        ("images", f"{totals.images:,} with bytes, {totals.image_urls:,} as URLs"),
        ("text", f"{totals.texts:,} nodes, {totals.text_chars:,} characters"),
        ("shards", f"{manifest.shards:,} in {', '.join(manifest.formats)}, {totals.shard_bytes:,} bytes"),
        ("languages", ", ".join(f"{name or '?'} {count:,}" for name, count in _most(totals.languages))),
        ("recipe", manifest.recipe.name + (" (partial)" if manifest.recipe.partial else "")),
        ("fingerprint", manifest.fingerprint),
    ):
        head.add_row(Text(name, style="bold"), value)
    yield head
    yield funnel_table(manifest)
    for row in islice(Corpus(path), limit):
        yield Padding(_document(row, nodes=6), (1, 0, 0, 0))


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:12]


def funnel_table(manifest: Manifest) -> Table:
    """Documents and images in and out of every stage, with the reasons."""
    table = Table(title="funnel", title_justify="left")
    for name in ("stage", "scope", "in", "out", "dropped"):
        table.add_column(name, justify="right" if name in ("in", "out") else "left")
    for line in manifest.funnel:
        if line.entered == line.left and line.scope != "document":
            continue
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in _most(line.dropped))
        table.add_row(line.stage, line.scope, f"{line.entered:,}", f"{line.left:,}", reasons)
    return table


def _find(corpus: Corpus, prefix: str) -> Document:
    try:
        bytes.fromhex(prefix if len(prefix) % 2 == 0 else prefix + "0")
    except ValueError:
        raise ConfigError(f"{prefix!r} is no document id: it is up to 32 hexadecimal digits") from None
    found = [document for document in corpus if document.doc_id.hex().startswith(prefix.lower())]
    if len(found) != 1:
        how = "no document has" if not found else f"{len(found)} documents have"
        raise ConfigError(f"{how} an id that begins with {prefix}")
    return found[0]


def _document(document: Document, nodes: int | None = None) -> Group:
    """A document as a reader sees it; images as what is known of them."""
    title = str(document.fields.get("title") or "(no title)")
    parts: list[RenderableType] = [
        Text(title, style="bold"),
        Text(f"{document.doc_id.hex()}  {document.lang or '?'}  {document.url}", style="dim"),
    ]
    for node in islice(document.nodes, nodes):
        if isinstance(node, Picture):
            info = node.info
            size = "{}×{} {}".format(*(str(info.get(name)) for name in ("width", "height", "format")))
            size = size if node.data else "URL only"
            said = str(info.get("caption") or node.alt or "")
            parts.append(Text(f"[image {size}] {said}  {node.url}", style="cyan"))
        else:
            tag = node.tag or ""
            heading = len(tag) == 2 and tag[0] == "h"
            mark = "#" * int(tag[1]) + " " if heading else "• " if tag == "li" else ""
            parts.append(Text(mark + node.text, style="bold" if heading else ""))
    rest = len(document.nodes) - (nodes or len(document.nodes))
    if rest > 0:
        parts.append(Text(f"… {rest} more nodes", style="dim"))
    return Group(*parts)
