"""Imports: files of other corpora become a corpus of ours, globally shuffled, in bounded memory."""

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

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
from plait.pipeline.publish import write_corpus
from plait.schemas import ids
from plait.schemas.errors import ConfigError, RecordError
from plait.schemas.ledger import DROP
from plait.schemas.manifest import MANIFEST_NAME, Manifest, RecipeRecord, StageBooks, Totals
from plait.schemas.shards import shard_schema

STAGE: Final = "import"
SHARD_DOCS: Final = 1000
OPEN_BUCKETS: Final = 256
READ_ROWS: Final = 64
HELD_BYTES: Final = 64 << 20

SCHEMA: Final = shard_schema({})
FORMATS: Final[tuple[str, ...]] = ("obelics", "omnicorpus", "mmc4", "curator")


def import_corpus(
    files: Sequence[Path], form: str, out: Path, *, plait_version: str, shard_docs: int = SHARD_DOCS
) -> Manifest:
    """Writes a corpus from another corpus' files; the same files, in any order, give the same corpus.

    Documents are spread over buckets on disk by their order keys, then each bucket is sorted and written: memory is
    that of a few shards. Documents without text or picture, and exact repetitions, are in the ledger.

    Args:
        files: Parquet (OBELICS, OmniCorpus, Curator) or JSON lines, plain, gzipped or zipped (MMC4).
        form: one of `FORMATS`.
        out: a folder that is not there yet, or is empty.
        plait_version: for the manifest.
        shard_docs: documents a shard holds on average.

    Raises:
        ConfigError: no such format, no files, one that cannot be read, or the folder is not empty.
    """
    if form not in FORMATS:
        raise ConfigError(f"there is no format {form!r} to import (there are: {', '.join(FORMATS)})")
    missing = [path for path in files if not path.is_file()]
    if missing or not files:
        raise ConfigError(f"there is no file {missing[0]}" if missing else "no file was given to import")
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty: give a new folder")
    counted = sum(1 for _ in _documents(files, form))
    shards = min(max(1, -(-counted // shard_docs)), OPEN_BUCKETS * OPEN_BUCKETS)
    drops: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="plait-import-") as scratch:
        buckets = _spread(_documents(files, form), shards, Path(scratch), drops)
        recipe = RecipeRecord(
            f"import of {form}", "{}", "", f"Imported from files in the format {form}; nothing was filtered."
        )
        empty = Manifest(plait_version, recipe, "", Totals(), options={"import": form})
        made = write_corpus(out, SCHEMA, (_sorted(bucket, drops) for bucket in buckets), empty)
        reasons = Counter(str(drop["reason"]) for drop in drops)
        books = StageBooks(STAGE, "document", counted, counted - len(drops), dict(sorted(reasons.items())))
        folder = out / made.lists.drops
        folder.mkdir(parents=True)
        table = pa.Table.from_pylist(
            sorted(drops, key=lambda drop: (str(drop["url"]), str(drop["reason"]))), schema=DROP
        )
        pq.write_table(table, folder / f"{STAGE}.parquet", compression="zstd")
        done = replace(made, funnel=(books,))
        (out / "README.md").write_text(card(done), "utf-8")
        (out / MANIFEST_NAME).write_text(done.to_json(), "utf-8")
    return done


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
        except (pa.ArrowInvalid, zipfile.BadZipFile, gzip.BadGzipFile, UnicodeDecodeError, KeyError) as error:
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
    documents: Iterator[ForeignDocument], shards: int, scratch: Path, drops: list[dict[str, object]]
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
        try:
            row = shard_row(document)
        except RecordError as error:
            drops.append({"stage": STAGE, "scope": "document", "reason": error.reason, "url": document.url})
            continue
        key = row["order_key"]
        assert isinstance(key, int)
        held.setdefault(ids.shard_of(key, shards), []).append(row)
        size += sum(len(node) if isinstance(node, str) else len(node.data or b"") + 200 for node in document.nodes)
        if size > HELD_BYTES:
            flush()
    flush()
    return files


def _sorted(files: Sequence[Path], drops: list[dict[str, object]]) -> Iterator[pa.RecordBatch]:
    """A shard's rows in order, each id once."""
    tables = [pq.read_table(path) for path in files]
    if not tables:
        return
    table = pa.concat_tables(tables).sort_by([("order_key", "ascending"), ("doc_id", "ascending")])
    ids_ = table.column("doc_id").to_pylist()
    first = [place for place, found in enumerate(ids_) if not place or found != ids_[place - 1]]
    for place in sorted(set(range(len(ids_))) - set(first)):
        url = table.column("url")[place].as_py()
        drop = {"stage": STAGE, "scope": "document", "reason": "duplicate_text", "url": url, "doc_id": ids_[place]}
        drops.append(drop)
    kept = table.take(pa.array(first, pa.int64()))
    for start in range(0, kept.num_rows, READ_ROWS):
        yield from kept.slice(start, READ_ROWS).combine_chunks().to_batches()
