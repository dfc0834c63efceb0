"""Lists that a build obeys, brought from the user's disk to where its units find them, named by their contents."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plait.dedup.hash_lists import ListIndex, hash_list, read_hash_list
from plait.filters.recipe import Recipe
from plait.jobs.store import Store
from plait.pipeline.fetch.optout import OptOut, read_opt_out
from plait.schemas.errors import ConfigError

PICTURE_LISTS = {
    "bad_images": "listed_bad",
    "opted_out_images": "listed_opted_out",
    "benchmark_images": "listed_benchmark",
}
"""Key of a recipe's resources → reason of the pictures that its list names; the first that names a picture counts."""


@dataclass(frozen=True)
class OptOutList:
    """Domains and URLs that asked not to be used.

    Attributes:
        keys: sorted, as `plait.pipeline.fetch.optout.read_opt_out` gives them.
    """

    keys: npt.NDArray[np.int64]

    @property
    def digest(self) -> str:
        """Identity of the list, "" where it is empty."""
        return hashlib.sha256(self.keys.tobytes()).hexdigest()[:32] if len(self.keys) else ""

    @property
    def path(self) -> str | None:
        """Where units find it, in the build's folder; None where it is empty."""
        return f"work/lists/opt-out-{self.digest}.npy" if self.digest else None

    def keep(self, store: Store) -> None:
        """Put it there."""
        if self.path is not None and not store.exists(self.path):
            data = io.BytesIO()
            np.save(data, self.keys)
            with store.open_write(self.path) as file:
                file.write(data.getvalue())


def open_opt_out(path: str) -> OptOutList:
    """The list that a user names, an empty one for "".

    Raises:
        ConfigError: the file cannot be read, or a line of it is neither a domain nor a URL.
    """
    if not path:
        return OptOutList(np.zeros(0, np.int64))
    try:
        with Path(path).open(encoding="utf-8") as lines:
            return OptOutList(read_opt_out(lines, path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--opt-out {path} cannot be read: {error}") from error


@functools.lru_cache(maxsize=2)
def opt_out_at(root: str, path: str | None) -> OptOut:
    """A list that was kept, by a build's folder and its path; a worker reads it once."""
    return OptOut() if path is None else OptOut(np.load(io.BytesIO(Store(root).read(path))))


@dataclass(frozen=True)
class PictureLists:
    """Pictures that a recipe's lists name.

    Attributes:
        texts: reason → the list in one form: distinct hashes in hex, sorted, a line each.
    """

    texts: Mapping[str, str]

    @property
    def paths(self) -> dict[str, str]:
        """Reason → where units find the list, in the build's folder."""
        names = {reason: hashlib.sha256(text.encode()).hexdigest()[:32] for reason, text in self.texts.items()}
        return {reason: f"work/lists/{reason}-{name}.txt" for reason, name in names.items()}

    def keep(self, store: Store) -> None:
        """Put them there."""
        for reason, path in self.paths.items():
            if not store.exists(path):
                with store.open_write(path) as file:
                    file.write(self.texts[reason].encode())


def picture_lists(recipe: Recipe) -> PictureLists:
    """The lists of pictures that a recipe names.

    Raises:
        ConfigError: one cannot be read, or a line of it is no hash.
    """
    texts = {}
    for key, reason in PICTURE_LISTS.items():
        named = getattr(recipe.resources, key)
        if named is not None:
            known = read_hash_list(Path(named))
            lines = sorted([*(digest.hex() for digest in known.sha256), *(f"{value:016x}" for value in known.phash)])
            texts[reason] = "\n".join(lines)
    return PictureLists(texts)


@functools.lru_cache(maxsize=4)
def listed_at(root: str, path: str, radius: int) -> ListIndex:
    """A list of pictures that was kept; a worker reads it once."""
    return ListIndex(hash_list(Store(root).read(path).decode().splitlines(), path), radius)
