"""Imports: files of other corpora become a corpus of ours, globally shuffled, in bounded memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from plait.filters.recipe import Recipe
from plait.filters.sections import Images
from plait.pipeline.card import card
from plait.pipeline.foreign_rows import (
    ForeignDocument,
    Row,
    from_curator,
    from_mmc4,
    from_obelics,
    from_omnicorpus,
    shard_row,
)
from plait.pipeline.publish import recipe_record, write_corpus
from plait.schemas import ids
from plait.schemas.errors import ConfigError, RecordError
from plait.schemas.ledger import DROP
from plait.schemas.manifest import MANIFEST_NAME, Manifest, Receipts, StageBooks, Totals
from plait.schemas.new_folder import new_folder
from plait.schemas.receipts import RECEIPTS, Books, Cost, Output, Receipt, identity
from plait.schemas.shards import shard_schema

STAGE: Final = "import"
SHARD_DOCS: Final = 1000
OPEN_BUCKETS: Final = 256
READ_ROWS: Final = 64
HELD_BYTES: Final = 64 << 20
NO_CAP: Final = 1_000_000_000  # a picture may be in as many documents as it is

SCHEMA: Final = shard_schema({})
_UNREADABLE: Final = (
    pa.ArrowInvalid, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError, KeyError,
)  # fmt: skip
FORMATS: Final[tuple[str, ...]] = ("obelics", "omnicorpus", "mmc4", "curator")


def import_corpus(
    files: Sequence[Path],
    form: str,
    out: Path,
    *,
    plait_version: str,
    shard_docs: int = SHARD_DOCS,
    watch: Callable[[], None] | None = None,
) -> Manifest:
    """Writes a corpus from another corpus' files; the same files, in any order, give the same corpus.

    Documents are spread over buckets on disk by their order keys, then each bucket is sorted and written: memory is
    that of a few shards. Documents without text or picture, and exact repetitions, are in the ledger. Pictures without
    bytes are URLs, and `plait fill` fetches them.

    Args:
        files: Parquet (OBELICS, OmniCorpus, Curator) or JSON lines, plain, gzipped or zipped (MMC4).
        form: one of `FORMATS`.
        out: a folder on this machine's disk that is not there yet, or is empty; it is there once it is whole.
        plait_version: for the manifest.
        shard_docs: documents a shard holds on average.
        watch: is called with every document that was read, after the files were counted.

    Raises:
        ConfigError: no such format, no files, one that cannot be read, or the folder is not empty.
    """
    if form not in FORMATS:
        raise ConfigError(f"there is no format {form!r} to import (there are: {', '.join(FORMATS)})")
    if shard_docs < 1:
        raise ConfigError(f"a shard holds at least 1 document, not {shard_docs}")
    missing = [path for path in files if not path.is_file()]
    if missing or not files:
        raise ConfigError(f"there is no file {missing[0]}" if missing else "no file was given to import")
    counted = sum(1 for _ in _documents(files, form))
    shards = min(max(1, -(-counted // shard_docs)), OPEN_BUCKETS * OPEN_BUCKETS)
    ledger = _Ledger()
    with new_folder(out) as folder, tempfile.TemporaryDirectory(prefix="plait-import-") as scratch:
        buckets = _spread(_documents(files, form), shards, Path(scratch), ledger, watch)
        recipe = recipe_record(
            Recipe(
                name=f"import of {form}",
                description=f"Imported from files in the format {form}; nothing was filtered.",
                images=Images(cap=NO_CAP),
            )
        )
        empty = Manifest(plait_version, recipe, "", Totals(), options={"import": form, "shard_docs": shard_docs})
        made = write_corpus(folder, SCHEMA, (_sorted(bucket, ledger) for bucket in buckets), empty)
        ledger.write(folder / made.lists.drops)
        books = Books(
            documents_in=counted,
            documents_out=made.totals.documents,
            images_in=ledger.images,
            images_out=made.totals.images + made.totals.image_urls,
            dropped=ledger.dropped(),
        )
        receipts = _receipt(folder, made, form, books)
        images = "urls" if made.totals.image_urls else "archive"  # as a build calls it
        lines = (
            StageBooks(STAGE, "document", counted, books.documents_out, dict(books.dropped.get("document", {}))),
            StageBooks(STAGE, "image", books.images_in, books.images_out, dict(books.dropped.get("image", {}))),
        )
        done = replace(made, funnel=lines, receipts=receipts, options={**made.options, "images": images})
        (folder / "README.md").write_text(card(done), "utf-8")
        (folder / MANIFEST_NAME).write_text(done.to_json(), "utf-8")
    return done


class _Ledger:
    """What entered, and what was dropped and why."""

    def __init__(self) -> None:
        self.images = 0
        self._drops: list[dict[str, object]] = []
        self._images: Counter[str] = Counter()

    def drop(self, reason: str, url: str, images: int, doc_id: bytes | None = None) -> None:
        """A document goes, and its pictures with it."""
        row: dict[str, object] = {"stage": STAGE, "scope": "document", "reason": reason, "url": url, "doc_id": doc_id}
        self._drops.append(row)
        self._images["document_dropped"] += images

    def dropped(self) -> dict[str, dict[str, int]]:
        """Counts by scope and reason, as a receipt has them."""
        reasons = Counter(str(row["reason"]) for row in self._drops)
        found = {"document": dict(sorted(reasons.items())), "image": {k: n for k, n in self._images.items() if n}}
        return {scope: counts for scope, counts in found.items() if counts}

    def write(self, folder: Path) -> None:
        """The list of drops, in an order of its own."""
        folder.mkdir(parents=True)
        rows = sorted(self._drops, key=lambda row: (str(row["url"]), str(row["reason"])))
        pq.write_table(pa.Table.from_pylist(rows, schema=DROP), folder / f"{STAGE}.parquet", compression="zstd")


def _receipt(folder: Path, made: Manifest, form: str, books: Books) -> Receipts:
    """Writes the one receipt of an import; its number and digest."""
    outputs = tuple(
        Output("shard", row["path"], row["rows"], row["bytes"], row["sha256"], row["shard"])
        for row in pq.read_table(folder / made.lists.shards).to_pylist()
    )
    unit = identity(STAGE, form, made.fingerprint)
    data = Receipt(STAGE, unit, f"import of {form}", "1", outputs, books, Cost()).to_json()
    path = folder / RECEIPTS / STAGE / f"{unit}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return Receipts(1, hashlib.sha256(hashlib.sha256(data).digest()).hexdigest())


def _documents(files: Sequence[Path], form: str) -> Iterator[ForeignDocument]:
    convert: Callable[[Iterable[Row]], Iterator[ForeignDocument]]
    for path in sorted(files, key=lambda path: path.name):
        try:
            if form == "mmc4":
                yield from from_mmc4(_lines(path))
                continue
            convert = {"obelics": from_obelics, "omnicorpus": from_omnicorpus, "curator": from_curator}[form]
            yield from convert(_rows(path))
        except RecordError as error:
            raise ConfigError(f"{path} cannot be read as {form}: {error}") from error
        except _UNREADABLE as error:
            raise ConfigError(f"{path} is no file of {form}: {error}") from error


def _rows(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(READ_ROWS):
            yield from batch.to_pylist()


def _lines(path: Path) -> Iterator[str]:
    """Lines of a file, or of all members of a zip file."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    yield from (line for line in io.TextIOWrapper(member, "utf-8") if line.strip())
        return
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from (line for line in file if line.strip())


def _spread(
    documents: Iterator[ForeignDocument],
    shards: int,
    scratch: Path,
    ledger: _Ledger,
    watch: Callable[[], None] | None,
) -> list[list[Path]]:
    """Files of rows for each shard, not yet sorted."""
    held: dict[int, list[Row]] = {}
    files: list[list[Path]] = [[] for _ in range(shards)]
    size = 0

    def flush() -> None:
        nonlocal size
        for shard, rows in held.items():
            path = scratch / f"{shard}-{len(files[shard])}.parquet"
            pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, compression="zstd")
            files[shard].append(path)
        held.clear()
        size = 0

    for document in documents:
        if watch is not None:
            watch()
        images = sum(not isinstance(node, str) for node in document.nodes)
        ledger.images += images
        try:
            row = shard_row(document)
        except RecordError as error:
            ledger.drop(error.reason, document.url, images)
            continue
        key = row["order_key"]
        assert isinstance(key, int)
        held.setdefault(ids.shard_of(key, shards), []).append(row)
        size += sum(len(node) if isinstance(node, str) else len(node.data or b"") + 200 for node in document.nodes)
        if size > HELD_BYTES:
            flush()
    flush()
    return files


def _sorted(files: Sequence[Path], ledger: _Ledger) -> Iterator[pa.RecordBatch]:
    """A shard's rows in order, each id once."""
    tables = [pq.read_table(path) for path in files]
    if not tables:
        return
    table = pa.concat_tables(tables).sort_by([("order_key", "ascending"), ("doc_id", "ascending")])
    ids_ = table.column("doc_id").to_pylist()
    first = [place for place, found in enumerate(ids_) if not place or found != ids_[place - 1]]
    for place in sorted(set(range(len(ids_))) - set(first)):
        images = sum(info is not None for info in table.column("image_info")[place].as_py())
        ledger.drop("duplicate_text", table.column("url")[place].as_py(), images, ids_[place])
    kept = table.take(pa.array(first, pa.int64()))
    for start in range(0, kept.num_rows, READ_ROWS):
        yield from kept.slice(start, READ_ROWS).combine_chunks().to_batches()
