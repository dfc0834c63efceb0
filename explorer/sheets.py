"""Duplicates as a reader can judge them: contact sheets of equal pictures, and documents of equal text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from plait.explorer.masking import clipped
from plait.explorer.pictures import SMALL, thumbnail
from plait.explorer.series import picture_rows
from plait.loader import Corpus, Picture

SHEETS: Final = 8
SHOWN: Final = 8  # pictures of a sheet
TWINS: Final = 6
TWIN_REASONS: Final = ("duplicate_url", "duplicate_text", "near_duplicate", "duplicate_image_set")


@dataclass(frozen=True)
class Sheet:
    """Occurrences of one picture.

    Attributes:
        seen: occurrences in the whole build, dropped ones included.
        kept: occurrences among the documents sampled.
        pictures: (data URI, width, height, page) of some of those.
    """

    seen: int
    kept: int
    pictures: tuple[tuple[str, int, int, str], ...]


@dataclass(frozen=True)
class Twins:
    """Documents that were dropped for one that was kept."""

    reason: str
    kept: str  # the id of the document that was kept, hex
    count: int
    urls: tuple[str, ...]


def contact_sheets(corpus: Corpus, rows: pa.Table) -> tuple[Sheet, ...]:
    """The pictures that occur most often, as far as the sample shows them.

    Args:
        corpus: to read pictures from.
        rows: columns without pictures of its first documents.
    """
    infos, document_of, slot_of = picture_rows(rows)
    seen = infos.field("p_hash_dup_count").fill_null(0).to_numpy(zero_copy_only=False)
    phash = infos.field("phash").fill_null(0).to_numpy(zero_copy_only=False)
    with_bytes = np.asarray(infos.field("phash").is_valid())
    often = np.flatnonzero((seen > 1) & with_bytes)
    groups: dict[tuple[int, int], list[int]] = {}
    for place in often.tolist():
        groups.setdefault((int(seen[place]), int(phash[place])), []).append(place)
    ranked = sorted(groups.items(), key=lambda item: (-item[0][0], -len(item[1]), item[1][0]))[:SHEETS]
    found = []
    for (count, _), places in ranked:
        shown = []
        for place in places[:SHOWN]:
            document = corpus[int(document_of[place])]
            node = document.nodes[int(slot_of[place])]
            if isinstance(node, Picture) and node.data is not None:
                width, height = (int(infos.field(name)[place].as_py() or 0) for name in ("width", "height"))
                shown.append((thumbnail(node, SMALL), width, height, clipped(document.url, 120)))
        found.append(Sheet(count, len(places), tuple(shown)))
    return tuple(found)


class TextTwins:
    """Of the rows of a ledger of drops, the documents for which most others were dropped."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], list[str]] = {}

    def add(self, row: Mapping[str, object]) -> None:
        """Looks at a row."""
        if row["scope"] == "document" and row["reason"] in TWIN_REASONS:
            self._groups.setdefault((str(row["reason"]), _kept(row)), []).append(str(row["url"]))

    def found(self) -> tuple[Twins, ...]:
        """The largest groups."""
        ranked = sorted(self._groups.items(), key=lambda item: (-len(item[1]), item[0]))[:TWINS]
        return tuple(
            Twins(reason, kept, len(urls), tuple(clipped(url, 120) for url in sorted(urls)[:4]))
            for (reason, kept), urls in ranked
            if kept
        )


def _kept(row: Mapping[str, object]) -> str:
    return str(row["detail"] or "").removeprefix("kept ")
