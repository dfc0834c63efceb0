"""A static site on disk → a WARC: what `plait pack` does."""

from __future__ import annotations

import io
import mimetypes
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from plait.pipeline.read.source import written
from plait.schemas.errors import ConfigError

_HTML = "text/html"
# By suffix and not by the system's tables, so that the same folder gives the same archive everywhere.
_TYPES = {
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": "application/xhtml+xml",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jfif": "image/jpeg",
    ".png": "image/png",
    ".apng": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".svg": "image/svg+xml",
    ".svgz": "image/svg+xml",
    ".bmp": "image/bmp",
    ".ico": "image/x-icon",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
_URL_SAFE = "/!$&'()*+,;=:@~-._"


@dataclass(frozen=True, slots=True)
class PackSummary:
    """What `pack` wrote.

    Attributes:
        out: the archive.
        pages: HTML files.
        images: pictures.
        others: other files, 0 unless asked for.
        skipped: files left out, by suffix.
        bytes: size of the archive.
    """

    out: Path
    pages: int
    images: int
    others: int
    skipped: dict[str, int]
    bytes: int


def pack(
    folder: Path, base_url: str, out: Path, *, captured: datetime | None = None, everything: bool = False
) -> PackSummary:
    """Write a static site on disk as a WARC of responses, one gzip member a record.

    A file's URL is the base URL and its path in the folder, percent-encoded; nothing is added or resolved, so
    ``dir/index.html`` is ``BASE/dir/index.html``. The same folder, with the same times of change or the same
    `captured`, gives the same bytes: files are sorted by path, and record ids are derived
    from URL and time. Compressed pages
    (``.html.gz``, ``.svgz``) are stored as they are, with their encoding named.

    Args:
        folder: the site; links that lead out of it are left out.
        base_url: URL of the folder, http or https.
        out: the archive, ``.warc.gz``, or ``.warc`` for plain records; a file that is there is replaced.
        captured: capture time of all records; the files' times of change, to the second, where None.
        everything: also pack style sheets, scripts and whatever else there is.

    Raises:
        ConfigError: the folder, the URL or the output cannot be used, or no page is in the folder.
    """
    base = _base(base_url)
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {str(folder)!r}: name the folder that holds the site.")
    if not out.name.endswith((".warc", ".warc.gz")):
        raise ConfigError(f"{str(out)!r} is no name for a WARC: end it in .warc.gz (or .warc for plain records).")
    if captured is not None and captured.tzinfo is None:
        raise ConfigError("The capture time has no time zone: give it as 2024-05-01T12:00:00Z.")
    counts: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    files = []
    for path in _files(folder, out):
        mime, encoding = _type(path)
        if mime is None and not everything:
            skipped[path.suffix.lower() or path.name] += 1
            continue
        files.append((path, mime or mimetypes.types_map.get(path.suffix.lower(), "application/octet-stream"), encoding))
    if not any(mime in (_HTML, "application/xhtml+xml") for _, mime, _ in files):
        raise ConfigError(f"The folder {str(folder)!r} holds no .html file: name the folder that holds the site.")
    try:
        with written(out) as file:
            writer = WARCWriter(file, gzip=out.suffix == ".gz")
            for path, mime, encoding in files:
                place = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
                _record(writer, path, base + quote(place, safe=_URL_SAFE), mime, encoding, captured)
                counts["image" if mime.startswith("image/") else "page" if "html" in mime else "other"] += 1
    except OSError as error:
        raise ConfigError(f"{error.filename or out}: {error.strerror}: check permissions and free space.") from error
    return PackSummary(
        out, counts["page"], counts["image"], counts["other"], dict(sorted(skipped.items())), out.stat().st_size
    )


def _base(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"{base_url!r} is no base URL: give one like https://example.org/docs/.")
    return base_url if base_url.endswith("/") else base_url + "/"


def _files(folder: Path, out: Path) -> Iterator[Path]:
    """The regular files of a folder, sorted by path; links are followed where they stay within the folder."""
    root, archive = folder.resolve(), out.resolve()
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent).resolve()
        inside = [Path(parent, name).resolve() for name in folders]
        # A link to a folder above, or to itself, would never end.
        folders[:] = [
            name
            for name, real in zip(folders, inside, strict=True)
            if real.is_relative_to(root) and not here.is_relative_to(real)
        ]
        for name in names:
            path = Path(parent, name)
            real = path.resolve()
            if real.is_file() and real.is_relative_to(root) and real != archive:
                found.append(path)
    yield from sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _type(path: Path) -> tuple[str | None, str | None]:
    """Media type by suffix, None for what is neither page nor picture, and content encoding."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return _TYPES.get(Path(path.stem).suffix.lower()), "gzip"
    return _TYPES.get(suffix), "gzip" if suffix == ".svgz" else None


def _record(
    writer: WARCWriter, path: Path, url: str, mime: str, encoding: str | None, captured: datetime | None
) -> None:
    data = path.read_bytes()
    when = captured or datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    date = when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = [("Content-Type", mime), ("Content-Length", str(len(data)))]
    if encoding:
        headers.append(("Content-Encoding", encoding))
    record = writer.create_warc_record(
        url,
        "response",
        io.BytesIO(data),
        len(data),
        http_headers=StatusAndHeaders("200 OK", headers, "HTTP/1.1"),
        warc_headers_dict={
            "WARC-Date": date,
            "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url + ' ' + date)}>",
        },
    )
    writer.write_record(record)


__all__ = ["PackSummary", "pack"]
