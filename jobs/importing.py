"""`plait import`: files of another corpus, named by paths, globs and folders, become a corpus."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from plait.pipeline.import_corpus import SHARD_DOCS, import_corpus
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Manifest
from plait.schemas.version import plait_version

_ENDS: Final = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zip", ".zip")


def named_files(names: Sequence[str]) -> list[Path]:
    """The files that paths, globs and folders name, each once; of folders those with an import's endings.

    Raises:
        ConfigError: a name is a URL, or names no file.
    """
    found: dict[Path, None] = {}
    for name in names:
        if "://" in name:
            raise ConfigError(f"{name} is a URL: bring the files to this machine's disk first")
        path = Path(name)
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(_ENDS))
        elif path.is_file():
            files = [path]
        else:
            files = sorted(Path(match) for match in glob.glob(name, recursive=True) if Path(match).is_file())  # noqa: PTH207
        if not files:
            raise ConfigError(f"{name} names no file to import (endings in folders: {', '.join(_ENDS)})")
        found |= dict.fromkeys(files)
    return list(found)


def import_files(
    names: Sequence[str],
    form: str,
    out: str,
    *,
    shard_docs: int = SHARD_DOCS,
    watch: Callable[[], None] | None = None,
) -> Manifest:
    """Writes a corpus from the files that ``names`` name; see `plait.pipeline.import_corpus`.

    Raises:
        ConfigError: as there, and where a name names no file.
    """
    files = named_files(names)
    return import_corpus(files, form, Path(out), plait_version=plait_version(), shard_docs=shard_docs, watch=watch)
