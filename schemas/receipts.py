"""Receipts: what a finished unit of work says of itself; readers trust nothing else."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

RECEIPTS: Final = "ledger/receipts"  # folder in a corpus; in it a folder a stage, a file a unit


@dataclass(frozen=True, slots=True)
class Output:
    """One file that a unit wrote.

    Attributes:
        table: name of the table within the stage ("documents", "drops"…).
        path: place of the file in the build's folder.
        rows: rows of a Parquet file, or records of another kind of file.
        bytes: size of the file.
        sha256: digest of the file's bytes, hex.
        part: shard that the file belongs to, where a unit writes several.
    """

    table: str
    path: str
    rows: int
    bytes: int
    sha256: str
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """Documents and images in and out of a unit, and what became of the difference.

    ``dropped[scope][reason]`` counts what was lost; ``removed[reason]`` counts text nodes that were edited away. For
    scope "document" and "image", in = out + dropped; scope "record" counts records of archives that never became one.
    """

    documents_in: int = 0
    documents_out: int = 0
    images_in: int = 0
    images_out: int = 0
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)
    alone: Mapping[str, int] = field(default_factory=dict)  # documents that a rule alone would have dropped
    seen: Mapping[str, int] = field(default_factory=dict)  # records by type, bytes read…

    def balanced(self) -> bool:
        """Whether in = out + dropped, for documents and for images."""
        documents = sum(self.dropped.get("document", {}).values())
        images = sum(self.dropped.get("image", {}).values())
        return self.documents_in == self.documents_out + documents and self.images_in == self.images_out + images


@dataclass(frozen=True, slots=True)
class Cost:
    """What a unit took. Never part of a fingerprint."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss: int = 0  # bytes, of the process that ran it


@dataclass(frozen=True, slots=True)
class Receipt:
    """A unit is done: its outputs, its books, its cost."""

    stage: str
    unit: str  # identity: of the stage's code and settings, and of the unit's inputs
    label: str  # for people: an archive's name, a shard's number
    attempt: str
    outputs: tuple[Output, ...]
    books: Books
    cost: Cost
    facts: Mapping[str, str] = field(default_factory=dict)  # what else it knows of its outputs: totals, digests

    def to_json(self) -> bytes:
        """As it is written."""
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @staticmethod
    def from_json(data: bytes) -> Receipt:
        """As it is read."""
        raw = json.loads(data, object_pairs_hook=_shared_names)
        return Receipt(
            stage=sys.intern(raw["stage"]),
            unit=raw["unit"],
            label=raw["label"],
            attempt=raw["attempt"],
            outputs=tuple(Output(**output | {"table": sys.intern(output["table"])}) for output in raw["outputs"]),
            books=Books(**raw["books"]),
            cost=Cost(**raw["cost"]),
            facts=raw["facts"],
        )

    def tables(self, name: str) -> list[Output]:
        """Its files of one table."""
        return [output for output in self.outputs if output.table == name]


def _shared_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object whose names are stored once in the process: a driver holds 10^5 receipts with the same names."""
    return {sys.intern(name): value for name, value in pairs}


def identity(*parts: str | bytes | int) -> str:
    """Identity of a stage or a unit: 32 hex characters over its parts, each kept apart."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:32]
