"""`plait extract`: HTML files or archives → documents as JSON lines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from plait.filters.language import identify
from plait.filters.models import lid176
from plait.pipeline.extract import ExtractOptions, Node, Page, extract_html
from plait.pipeline.read.archive import read_archive
from plait.pipeline.read.inputs import expand
from plait.pipeline.read.records import Limits, Record
from plait.schemas.errors import ConfigError, RecordError

HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})


def _node(node: Node) -> dict[str, object]:
    if node.kind == "text":
        return {"kind": "text", "tag": node.tag, "text": node.text}
    return {
        "kind": "image", "url": node.url, "alt": node.alt, "caption": node.caption, "width": node.width,
        "height": node.height,
    }  # fmt: skip


def document(page: Page, source: str) -> dict[str, object]:
    """A page as `plait extract` prints it."""
    text = "\n".join(node.text or "" for node in page.nodes if node.kind == "text")
    return {
        "source": source,
        "url": page.url,
        "title": page.title,
        "lang": identify([text]).lang[0],
        "nodes": [_node(node) for node in page.nodes],
    }


def extract_files(
    files: Sequence[str], *, base_url: str | None = None, options: ExtractOptions | None = None
) -> Iterator[tuple[dict[str, object] | None, str]]:
    """Every document of HTML files and archives, in their order: the document, or None and why there is none.

    Args:
        files: paths of HTML files, or whatever `plait build` takes.
        base_url: URL of a bare HTML file, against which its links are resolved; without it
            ``http://localhost/<file name>``.
        options: of extraction.

    Raises:
        ConfigError: a path is wrong.
    """
    options = options or ExtractOptions()
    lid176()
    for name in files:
        path = Path(name)
        if path.suffix.lower() in HTML_SUFFIXES:
            if not path.is_file():
                raise ConfigError(f"{name} is no file")
            url = base_url or f"http://localhost/{path.name}"
            yield _extract(path.read_bytes(), url, None, name, options)
            continue
        with tempfile.TemporaryDirectory(prefix="plait-spool-") as spool:
            for archive in expand([name]):
                for record in read_archive(archive, Limits(), spool_dir=spool):
                    if isinstance(record, Record) and record.kind == "page" and record.payload is not None:
                        yield _extract(record.payload, record.url, record.charset, name, options)


def _extract(
    html: bytes, url: str, charset: str | None, source: str, options: ExtractOptions
) -> tuple[dict[str, object] | None, str]:
    try:
        page = extract_html(html, url, options=options, charset=charset)
    except RecordError as error:
        return None, f"{url}: {error}"
    return document(page, source), ""
