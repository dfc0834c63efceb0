"""Pictures that are on a list: opted out, of a benchmark, known to be bad. Told by SHA-256 or by perceptual hash.

A list is a text file: one hash a line in hexadecimal, 64 digits for SHA-256, 16 for a pHash as imagehash prints it;
``#`` begins a comment. Known-bad pictures themselves need not be had.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plait.dedup.hamming import HammingIndex, plan
from plait.dedup.images import degenerate_phash
from plait.schemas.errors import ConfigError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PHASH = re.compile(r"[0-9a-f]{16}")

LISTED = pa.schema(
    [
        pa.field("listed", pa.bool_(), nullable=False),
        pa.field("listed_by", pa.string()),  # "sha256" or "phash", null where it is not listed
    ]
)


@dataclass(frozen=True)
class HashList:
    """Hashes of pictures.

    Attributes:
        sha256: digests of 32 bytes.
        phash: distinct perceptual hashes as uint64; those that flat pictures share are left out (`degenerate_phash`).
        ignored: perceptual hashes that were left out for that.
    """

    sha256: frozenset[bytes]
    phash: npt.NDArray[np.uint64]
    ignored: int


def hash_list(lines: Iterable[str], name: str = "the list") -> HashList:
    """A list from its lines; an unreadable line is a `ConfigError` that names it."""
    digests: set[bytes] = set()
    perceptual: set[int] = set()
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip().lower()
        if _SHA256.fullmatch(text):
            digests.add(bytes.fromhex(text))
        elif _PHASH.fullmatch(text):
            perceptual.add(int(text, 16))
        elif text:
            raise ConfigError(
                f"{name}, line {number}: {text[:80]!r} is neither a SHA-256 (64 hex digits) nor a pHash (16)"
            )
    values = np.array(sorted(perceptual), dtype=np.uint64)
    flat = degenerate_phash(values.view(np.int64))
    return HashList(frozenset(digests), values[~flat], int(flat.sum()))


def read_hash_list(path: Path) -> HashList:
    """A list from its file."""
    try:
        with path.open(encoding="utf-8") as file:
            return hash_list(file, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the hash list {path} cannot be read: {error}") from error


class ListIndex:
    """A list that can be asked for many pictures; made once.

    Memory: about 100 bytes a digest, 50 a perceptual hash.

    Args:
        known: the list.
        radius: greatest Hamming distance of a pHash to a listed one, 0 to 20.
    """

    def __init__(self, known: HashList, radius: int) -> None:
        self._digests = known.sha256
        cut = plan(max(1, len(known.phash)), radius)
        self._near = HammingIndex(known.phash, cut, radius) if len(known.phash) else None

    def listed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Whether each picture is on the list: `LISTED`, row by row.

        Args:
            batch: sha256 (binary) and phash (int64); null in either says nothing. Flat pictures are told by SHA-256
                only.
        """
        digests = batch.column("sha256").to_pylist()
        exact = np.array([digest in self._digests for digest in digests], dtype=bool)
        hashes = batch.column("phash")
        values = np.asarray(hashes.fill_null(0)).astype(np.int64)
        near = np.zeros(len(batch), dtype=bool)
        if self._near is not None and len(batch):
            near = self._near.first_within(values.view(np.uint64))[0] >= 0
            near &= np.asarray(hashes.is_valid()) & ~degenerate_phash(values)
        by_phash = pc.if_else(pa.array(near), pa.scalar("phash"), pa.scalar(None, pa.string()))
        by = pc.if_else(pa.array(exact), pa.scalar("sha256"), by_phash)
        return pa.RecordBatch.from_arrays([pa.array(exact | near), by], schema=LISTED)
