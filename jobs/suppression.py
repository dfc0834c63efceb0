"""What was taken down, as keyed hashes: enough to know it again, too little to say what it was."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.context import Context
from plait.jobs.store import Store
from plait.schemas.errors import ConfigError, CorpusError
from plait.schemas.urls import canonical_url, host_of

SUPPRESSED = "ledger/suppressed.parquet"
KEY_BYTES = 16
SCHEMA = pa.schema([pa.field("hash", pa.int64(), nullable=False)])
_KEY = b"plait.key"


@dataclass(frozen=True)
class Suppression:
    """URLs, domains and pictures that must not be used, by keyed hashes of 64 bits.

    A lookup costs a hash for each label of a host and one for the URL. Among 10^6 entries a URL that is not listed is
    taken for one with a chance of 10^-13.

    Attributes:
        key: of the hashes; whoever has it can ask whether something is listed, and not what is.
        hashes: sorted.
    """

    key: bytes
    hashes: npt.NDArray[np.int64]

    def _hash(self, kind: str, value: str) -> int:
        data = f"{kind}:{value}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=self.key).digest(), "little", signed=True)

    def _holds(self, wanted: list[int]) -> bool:
        if not len(self.hashes):
            return False
        values = np.array(wanted, np.int64)
        places = np.minimum(np.searchsorted(self.hashes, values), len(self.hashes) - 1)
        return bool((self.hashes[places] == values).any())

    def lists_url(self, url: str | None) -> bool:
        """Whether a URL, its host or a domain above it is listed."""
        if not url or not len(self.hashes):
            return False
        return self._holds([self._hash("url", canonical_url(url)), *self._domains(host_of(url))])

    def _domains(self, host: str) -> Iterator[int]:
        labels = host.split(".")
        for start in range(len(labels)):
            yield self._hash("domain", ".".join(labels[start:]))

    def lists_sha256(self, digest: bytes | None) -> bool:
        """Whether a picture's SHA-256 is listed."""
        return digest is not None and self._holds([self._hash("sha256", digest.hex())])

    def lists_document(self, doc_id: bytes) -> bool:
        """Whether a document is listed by its id."""
        return self._holds([self._hash("document", doc_id.hex())])

    def adding(
        self, urls: Iterable[str], domains: Iterable[str], digests: Iterable[str], documents: Iterable[bytes] = ()
    ) -> Suppression:
        """With further entries: URLs, domains, SHA-256 in hex, ids of documents."""
        found = [self._hash("url", canonical_url(url)) for url in urls]
        found += [self._hash("domain", name) for name in domains]
        found += [self._hash("sha256", digest) for digest in digests]
        found += [self._hash("document", doc_id.hex()) for doc_id in documents]
        return Suppression(self.key, np.union1d(self.hashes, np.array(found, np.int64)))

    @property
    def digest(self) -> str:
        """Identity of key and entries."""
        return hashlib.sha256(self.key + self.hashes.tobytes()).hexdigest()[:32]

    def to_parquet(self) -> bytes:
        """As it is kept."""
        data = io.BytesIO()
        schema = SCHEMA.with_metadata({_KEY: self.key.hex()})
        pq.write_table(pa.table({"hash": self.hashes}, schema=schema), data, compression="zstd")
        return data.getvalue()


def kept_path(listed: Suppression) -> str:
    """Where units find a list, in a build's folder: named by its contents."""
    return f"work/suppressed-{listed.digest}.parquet"


@functools.lru_cache(maxsize=2)
def kept_suppression(root: str, path: str) -> Suppression:
    """A list that was put at its `kept_path`; a worker reads it once."""
    return load_suppression(Store(root), path)


def keep_suppression(store: Store, listed: Suppression | None) -> str | None:
    """Put a list where units find it, and where later takedowns and builds do; the former, None where there is none."""
    if listed is None:
        return None
    for path in (kept_path(listed), SUPPRESSED):
        if not store.exists(path):
            with store.open_write(path) as file:
                file.write(listed.to_parquet())
    return kept_path(listed)


def suppression_of(ctx: Context) -> Suppression:
    """The list that a stage's settings name; an empty one where they name none."""
    path = ctx.params.get("suppression")
    if path is None:
        return Suppression(b"", np.zeros(0, np.int64))
    return kept_suppression(ctx.store.root, str(path))


def open_suppression(place: str) -> Suppression:
    """A list that a user names: the file, or the corpus that it belongs to.

    Raises:
        ConfigError: there is none.
    """
    folder, _, name = place.rpartition("/") if place.endswith(".parquet") else (place, "", SUPPRESSED)
    try:
        return load_suppression(Store(folder or "."), name)
    except (FileNotFoundError, NotADirectoryError, CorpusError) as error:
        raise ConfigError(f"--suppress {place} is no suppression list, and no corpus that has one: {error}") from error


def load_suppression(store: Store, path: str) -> Suppression:
    """A list; FileNotFoundError where there is none.

    Raises:
        CorpusError: it is damaged.
    """
    data = store.read(path)
    try:
        table = pq.read_table(io.BytesIO(data))
        key = bytes.fromhex((table.schema.metadata or {})[_KEY].decode())
        return Suppression(key, np.sort(table.column("hash").to_numpy()))
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise CorpusError(f"{store.path(path)} is no suppression list: {error!r}") from error


def read_list(path: str, kind: str) -> list[str]:
    """Entries of a text file, one a line; empty lines and lines that begin with # pass.

    Args:
        path: of the file, "" for none.
        kind: "urls", "domains" or "hashes".

    Raises:
        ConfigError: the file cannot be read, or a line is not of its kind.
    """
    if not path:
        return []
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--{kind} {path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        entry = _entry(line, kind)
        if entry is None:
            raise ConfigError(f"--{kind} {path}, line {number}: {line[:80]!r} is none of the {kind}")
        found.append(entry)
    return found


def _entry(line: str, kind: str) -> str | None:
    if kind == "urls":
        return line if "://" in line and host_of(line) else None
    if kind == "domains":
        name = line.removeprefix("*.").strip(".").lower()
        return host_of(f"http://{name}") or None if name and not set(name) & set("/: ") else None
    name = line.lower().removeprefix("sha256:")
    return name if len(name) == 64 and not set(name) - set("0123456789abcdef") else None
