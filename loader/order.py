"""The global order: which document comes when, as a function of (corpora, weights, seed, epoch) and nothing else.

An epoch is a sequence of windows of ``window`` documents. Each corpus has an endless sequence of its own: its row
groups in an order drawn anew for every pass over it, their rows in turn. A window takes the next stretch of each
corpus' sequence, as its weight says, and shuffles what it took. Windows are what streams (ranks times workers) deal
out among themselves, so no rank reads another's row groups, and what a window holds depends on none of them.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from plait.loader.corpus import Corpus
from plait.schemas.errors import ConfigError

WINDOW: Final = 512

Ints = npt.NDArray[np.int64]


class Source(NamedTuple):
    """A corpus of a mixture.

    Attributes:
        corpus: what is read.
        weight: its share of every window, relative to the other sources' weights.
    """

    corpus: Corpus
    weight: float = 1.0


class Place(NamedTuple):
    """A document of a window."""

    source: int
    group: int  # row group, in the corpus' global order
    row: int  # in the row group


@dataclass(frozen=True)
class Order:
    """The order of a mixture, for a seed.

    Attributes:
        sources: the corpora with their weights; each corpus' row groups are read whole, a view is refused.
        seed: of all draws.
        window: documents of a window; memory of a stream grows with it, and so does the depth of the shuffle.
        length: documents of an epoch; None: one pass over the corpus, or, of a mixture, as many as all corpora have.
        shuffle: False keeps the corpora's own order within each window and row groups in turn.
    """

    sources: tuple[Source, ...]
    seed: int = 0
    window: int = WINDOW
    length: int | None = None
    shuffle: bool = True
    _laps: dict[tuple[int, int], tuple[Ints, Ints]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("a mixture needs at least one corpus")
        if self.window < 1:
            raise ConfigError(f"window is {self.window}, it must be at least 1")
        if self.length is not None and self.length < 1:
            raise ConfigError(f"the length of an epoch is {self.length}, it must be at least 1")
        for source in self.sources:
            if not 0 < source.weight < math.inf:
                raise ConfigError(f"the weight of {source.corpus.path} is {source.weight}, it must be positive")
            if source.corpus.is_view:
                raise ConfigError(
                    "a view of a corpus cannot be streamed: filter the samples, or build a smaller corpus"
                )
            if not len(source.corpus):
                raise ConfigError(f"{source.corpus.path} has no documents")

    @property
    def documents(self) -> int:
        """Documents of an epoch."""
        return self.length if self.length is not None else sum(len(source.corpus) for source in self.sources)

    @property
    def windows(self) -> int:
        """Windows of an epoch; its last may be shorter than the others."""
        return -(-self.documents // self.window)

    @property
    def identity(self) -> str:
        """Hash of everything that the order depends on: states of another order are refused."""
        digest = hashlib.sha256(f"{self.seed}/{self.window}/{self.documents}/{self.shuffle}".encode())
        for source in self.sources:
            digest.update(f"/{source.corpus.manifest.fingerprint}:{Fraction(source.weight)}".encode())
            digest.update(np.ascontiguousarray(source.corpus.groups).tobytes())
        return digest.hexdigest()[:16]

    def places(self, window: int) -> list[Place]:
        """The documents of a window, in the order they are read. Windows are counted on from epoch to epoch."""
        epoch, inside = divmod(window, self.windows)
        first = epoch * self.documents + inside * self.window
        last = min(first + self.window, (epoch + 1) * self.documents)
        found: list[Place] = []
        for number, (start, stop) in enumerate(zip(self._shares(first), self._shares(last), strict=True)):
            found += self._stretch(number, start, stop)
        if self.shuffle:
            drawn = self._generator("window", window).permutation(len(found))
            found = [found[place] for place in drawn]
        return found

    def _shares(self, documents: int) -> list[int]:
        """How many of the mixture's first documents each source gives: whole numbers that add up, and only ever grow.

        Source i gives its k-th document (from 0) at time (k + 1/2) / weight, ties in the order of the sources:
        Sainte-Lague's apportionment, which never takes back what it gave.
        """
        weights = [Fraction(source.weight) for source in self.sources]
        begin = max(Fraction(0), Fraction(documents - len(weights)) / sum(weights))
        given = [int(weight * begin + Fraction(1, 2)) for weight in weights]  # of times up to begin: never too many
        while sum(given) < documents:
            times = [
                ((2 * count + 1) / weight, number)
                for number, (count, weight) in enumerate(zip(given, weights, strict=True))
            ]
            given[min(times)[1]] += 1
        return given

    def _stretch(self, number: int, start: int, stop: int) -> list[Place]:
        """Documents start..stop of a source's endless sequence."""
        size = len(self.sources[number].corpus)
        found: list[Place] = []
        while start < stop:
            lap, inside = divmod(start, size)
            upto = min(stop - start, size - inside)
            groups, ends = self._lap(number, lap)
            place = int(np.searchsorted(ends, inside, side="right"))
            left = upto
            while left:
                begin = int(ends[place - 1]) if place else 0
                rows = range(inside - begin, min(int(ends[place]) - begin, inside - begin + left))
                found += [Place(number, int(groups[place]), row) for row in rows]
                inside, left, place = inside + len(rows), left - len(rows), place + 1
            start += upto
        return found

    def _lap(self, number: int, lap: int) -> tuple[Ints, Ints]:
        """Row groups of a source in the order of one pass over it, and how many rows lie up to the end of each."""
        found = self._laps.get((number, lap))
        if found is None:
            corpus = self.sources[number].corpus
            rows = corpus.groups[:, 3]
            groups = np.flatnonzero(rows)  # a shard without rows may have an empty row group
            if self.shuffle:
                groups = self._generator("groups", corpus.manifest.fingerprint, lap).permutation(groups)
            while len(self._laps) >= 2 * len(self.sources):  # a window touches two laps of a source, rarely more
                del self._laps[next(iter(self._laps))]
            found = self._laps[number, lap] = groups, np.cumsum(rows[groups])
        return found

    def _generator(self, *words: str | int) -> np.random.Generator:
        text = "/".join(str(word) for word in (self.seed, *words))
        return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")))
