"""Exports: a corpus in the layouts that other loaders and filters read, streaming and the same every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from plait.loader.corpus import Corpus
from plait.loader.export_mds import mds_index, write_mds
from plait.loader.export_mmc4 import write_mmc4
from plait.loader.export_parquet import (
    write_curator,
    write_obelics,
    write_omnicorpus,
    write_pairs,
    write_retrieval,
    write_text,
)
from plait.loader.export_tar import energon_metadata, write_hf_tar, write_mint, write_webdataset
from plait.schemas.errors import ConfigError
from plait.schemas.json_rows import Cell
from plait.schemas.new_folder import new_folder

Row: TypeAlias = dict[str, Cell]
ShardWriter: TypeAlias = Callable[[Path, int, Iterator[Row]], "tuple[str, int]"]
"""(folder, number of the shard, its rows) -> (file, relative to the folder; samples in it)."""
Finish: TypeAlias = Callable[[Path, dict[str, int]], None]
"""Writes what stands beside the shards: (folder, file -> samples)."""

Watch: TypeAlias = Callable[[], None]
"""Is called once a document."""

SHARD_DOCS: Final = 1000


@dataclass(frozen=True)
class Format:
    """A layout.

    Attributes:
        write: writes a shard.
        finish: writes indexes once all shards are there.
        columns: that it needs; None: all.
        readers: who reads it.
    """

    write: ShardWriter
    readers: str
    finish: Finish | None = None
    columns: tuple[str, ...] | None = None


_NODES = ("doc_id", "url", "texts", "image_info")
_PICTURES = (*_NODES, "images")
_MATCHED = (*_PICTURES, "clip_spans")
_TEXT = ("doc_id", "url", "texts", "lang", "licence")

FORMATS: Final[dict[str, Format]] = {
    "webdataset": Format(write_webdataset, "webdataset, Megatron Energon", energon_metadata),
    "webdataset-hf": Format(write_hf_tar, "Hugging Face's webdataset builder, webdataset"),
    "mds": Format(write_mds, "MosaicML streaming", mds_index),
    "obelics": Format(write_obelics, "readers of OBELICS: URLs alone", None, (*_NODES, "archive", "offset", "length")),
    "omnicorpus": Format(write_omnicorpus, "readers of OmniCorpus-CC: URLs alone", None, (*_NODES, "domain")),
    "mmc4": Format(write_mmc4, "readers of MMC4 in OpenFlamingo's form, pictures inside", None, _MATCHED),
    "mint": Format(write_mint, "readers of MINT-1T's PDF part: a TIFF with a page a picture"),
    "curator": Format(write_curator, "NeMo Curator's interleaved stages: a row an item"),
    "pairs": Format(write_pairs, "Hugging Face datasets: a row a picture with its words", None, (*_MATCHED, "lang")),
    "retrieval": Format(write_retrieval, "what wants pictures in CLIP order: a row a document", None, _MATCHED),
    "text": Format(
        write_text, "what reads text: a row a document", None, ("doc_id", "url", "texts", "lang", "licence")
    ),
}


@dataclass(frozen=True)
class Exported:
    """What an export wrote: samples, the files that hold them, bytes of all files."""

    samples: int
    files: tuple[str, ...]
    bytes: int


def export(
    corpus: str | Corpus, out: Path, form: str, *, shard_docs: int = SHARD_DOCS, watch: Watch | None = None
) -> Exported:
    """Writes a corpus, or a view of one, in another layout.

    Args:
        corpus: its folder or URL, or an open one.
        out: a folder on this machine's disk that is not there yet, or is empty; it is there once it is whole.
        form: a key of `FORMATS`.
        shard_docs: documents a file.
        watch: is called with every document that was written.

    Memory: a row group of the corpus, and what the format's writer holds (MDS: a shard).

    Raises:
        ConfigError: there is no such format, or the folder is not empty.
        CorpusError: the corpus cannot be read.
    """
    if form not in FORMATS:
        raise ConfigError(f"there is no format {form!r} to export (there are: {', '.join(FORMATS)})")
    if shard_docs < 1:
        raise ConfigError(f"a shard holds at least 1 document, not {shard_docs}")
    layout = FORMATS[form]
    opened = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    counts: dict[str, int] = {}
    with new_folder(out) as folder:
        rows = _watched(opened.rows(layout.columns), watch)
        for number, part in enumerate(_parts(rows, shard_docs)):
            name, samples = layout.write(folder, number, part)
            counts[name] = samples
        if layout.finish is not None:
            layout.finish(folder, counts)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(sum(counts.values()), tuple(counts), size)


def _watched(rows: Iterator[Row], watch: Watch | None) -> Iterator[Row]:
    for row in rows:
        yield row
        if watch is not None:
            watch()


def _parts(rows: Iterator[Row], size: int) -> Iterator[Iterator[Row]]:
    """Rows in parts of ``size``; each part must be used up before the next is asked for."""
    first = next(rows, None)
    while first is not None:
        part = _take(first, rows, size)
        yield part
        for _ in part:  # what a writer left
            pass
        first = next(rows, None)


def _take(first: Row, rows: Iterator[Row], size: int) -> Iterator[Row]:
    yield first
    for _ in range(size - 1):
        row = next(rows, None)
        if row is None:
            return
        yield row
