"""Examples of what was dropped, from the ledger: the same few of every reason each time."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plait.explorer.masking import clipped
from plait.explorer.pictures import HIDDEN, thumbnail_of
from plait.explorer.safety import forbidden, unshown
from plait.filters.rules import Rule
from plait.schemas.manifest import Manifest

EXAMPLES: Final = 5  # of each reason
SCANNED_DROPS: Final = 2_000_000  # rows of the ledger looked at for examples
SCANNED_DOCUMENTS: Final = 200_000  # retained documents looked at for the texts of examples
RETAINED: Final = "ledger/documents"

Among = Mapping[str, Callable[[str], bool]]
"""Of columns of few values: which of them are wanted."""

Occurrence = tuple[bytes, int]
"""An image node: the document's id and the node's index."""

DroppedPictures = Callable[[Iterable[Occurrence]], "Mapping[Occurrence, tuple[pa.RecordBatch, bytes]]"]
"""Gives what is known of dropped pictures (one row each) and their bytes, where they can still be had."""


@dataclass(frozen=True)
class Dropped:
    """Something that a rule dropped.

    Attributes:
        what: "document", "image", "record", or a node's tag.
        picture: data URI of a thumbnail, `HIDDEN` where it may not be shown, "" where there is none.
        text: beginning of the text, where the build retained it.
    """

    what: str
    url: str | None
    value: float | None
    threshold: str | None
    detail: str | None
    doc_id: bytes = b""
    node: int | None = None
    picture: str = ""
    text: str = ""


Found = dict[tuple[str, str, str], list[Dropped]]
"""Examples by (stage, scope, reason)."""


class RuleExamples:
    """Of the rows of a ledger of drops, a few of every reason: those whose hashes are smallest."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], list[tuple[int, int, Dropped]]] = {}
        self._seen = 0

    def add(self, row: Mapping[str, object]) -> None:
        """Looks at a row."""
        key = (str(row["stage"]), str(row["scope"]), str(row["reason"]))
        name = f"{row['doc_id']!r}{row['node']}{row['url']}".encode()
        rank = -int.from_bytes(hashlib.blake2b(name, digest_size=6).digest(), "big")
        held = self._kept.setdefault(key, [])
        self._seen += 1
        if len(held) == EXAMPLES and rank <= held[0][0]:
            return
        entry = (rank, self._seen, _example(key[1], row))
        if len(held) < EXAMPLES:
            heapq.heappush(held, entry)
        else:
            heapq.heapreplace(held, entry)

    def found(self, path: str, rules: Sequence[Rule], pictures: DroppedPictures | None) -> Found:
        """The examples by (stage, scope, reason), with pictures and texts where they can be had."""
        ranked = {key: [entry[2] for entry in sorted(held, reverse=True)] for key, held in sorted(self._kept.items())}
        return _with_texts(path, _with_pictures(ranked, rules, pictures))


def dropped_rows(path: str, manifest: Manifest) -> Iterator[dict[str, object]]:
    """Rows of the ledger of drops that may be shown: reasons of safety have no examples."""
    columns = ["stage", "scope", "reason", "value", "threshold", "doc_id", "node", "url", "detail"]
    yield from ledger_rows(path, manifest.lists.drops, columns, {"reason": _has_examples})


def _has_examples(reason: str) -> bool:
    return reason != "document_dropped" and not unshown(reason)


def _example(what: str, row: Mapping[str, object]) -> Dropped:
    value, node, doc_id = row["value"], row["node"], row["doc_id"]
    return Dropped(
        what,
        clipped(str(row["url"])) if row["url"] else None,
        value if isinstance(value, float) else None,
        str(row["threshold"]) if row["threshold"] else None,
        clipped(str(row["detail"])) if row["detail"] else None,
        doc_id if isinstance(doc_id, bytes) else b"",
        node if isinstance(node, int) else None,
    )


def _with_pictures(found: Found, rules: Sequence[Rule], pictures: DroppedPictures | None) -> Found:
    if pictures is None:
        return found
    asked = [(e.doc_id, e.node) for held in found.values() for e in held if e.what == "image" and e.node is not None]
    had = pictures(asked)

    def shown(example: Dropped) -> Dropped:
        entry = had.get((example.doc_id, example.node if example.node is not None else -1))
        if example.what != "image" or entry is None:
            return example
        row, data = entry
        return replace(example, picture=HIDDEN if forbidden(row, rules)[0] else thumbnail_of(data))

    return {key: [shown(example) for example in held] for key, held in found.items()}


def _with_texts(path: str, found: Found) -> Found:
    """Dropped documents with the beginning of their text, where the build retained them."""
    wanted = {e.doc_id for (_, scope, _), held in found.items() if scope == "document" for e in held}
    texts: dict[bytes, str] = {}
    columns = ["doc_id", "title", "nodes"]
    for number, batch in enumerate(ledger_batches(path, RETAINED, columns, "dropped_documents")):
        if number * _BATCH >= SCANNED_DOCUMENTS or len(texts) == len(wanted):
            break
        for place, doc_id in enumerate(batch.column("doc_id").to_pylist()):
            if doc_id in wanted:
                nodes = batch.column("nodes")[place].as_py()
                said = " ".join(node["text"] for node in nodes if node["text"])
                texts[doc_id] = clipped(f"{batch.column('title')[place].as_py() or ''} — {said}".strip(" —"))
    if not texts:
        return found
    return {key: [replace(e, text=texts.get(e.doc_id, "")) for e in held] for key, held in found.items()}


def node_examples(path: str, folder: str) -> dict[tuple[str, str], list[Dropped]]:
    """Removed nodes of the ledger's keyed sample, by (stage, reason)."""
    kept: dict[tuple[str, str], list[Dropped]] = {}
    columns = ["stage", "reason", "tag", "text", "image_url", "value"]
    for row in ledger_rows(path, folder, columns, {"reason": lambda reason: not unshown(reason)}):
        held = kept.setdefault((str(row["stage"]), str(row["reason"])), [])
        if len(held) < EXAMPLES:
            value = row["value"] if isinstance(row["value"], float) else None
            text = clipped(str(row["text"])) if row["text"] else None
            url = clipped(str(row["image_url"])) if row["image_url"] else None
            held.append(Dropped(str(row["tag"] or "node"), url, value, None, text))
    return dict(sorted(kept.items()))


_BATCH: Final = 4096


def ledger_files(path: str, folder: str) -> tuple[fsspec.AbstractFileSystem, list[str]]:
    """Where a corpus lies, and its Parquet files below a ledger's folder, sorted; none where there is no folder."""
    files, base = fsspec.url_to_fs(path)
    try:
        return files, sorted(name for name in files.find(f"{base}/{folder}") if name.endswith(".parquet"))
    except FileNotFoundError:
        return files, []


def ledger_batches(path: str, folder: str, columns: Sequence[str], begins: str = "") -> Iterator[pa.RecordBatch]:
    """Batches of the Parquet files of a ledger's folder, in the order of their names; none where there is no folder.

    Args:
        path: of the corpus.
        folder: relative to it.
        columns: to read.
        begins: with what the files' names begin.
    """
    files, names = ledger_files(path, folder)
    for name in names:
        if name.rsplit("/", 1)[-1].startswith(begins):
            with files.open(name, "rb") as file:
                yield from pq.ParquetFile(file).iter_batches(_BATCH, columns=list(columns))


def ledger_rows(path: str, folder: str, columns: Sequence[str], among: Among) -> Iterator[dict[str, object]]:
    """Rows of the Parquet files of a ledger's folder that are asked for, of the first `SCANNED_DROPS`.

    Args:
        path: of the corpus.
        folder: relative to it.
        columns: to read.
        among: by a column's values, which rows are wanted: most of a ledger is left before it becomes Python objects.
    """
    seen = 0
    for batch in ledger_batches(path, folder, columns):
        if seen >= SCANNED_DROPS:
            return
        seen += batch.num_rows
        for name, wanted in among.items():
            known = pc.unique(batch.column(name))
            chosen = [value for value in known.to_pylist() if wanted(str(value))]
            batch = batch.filter(pc.is_in(batch.column(name), pa.array(chosen, known.type)))
        yield from batch.to_pylist()
