"""A folder that is there whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plait.schemas.errors import ConfigError


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Gives a folder beside ``out`` to write to; it becomes ``out`` at the end, and goes where something fails.

    Args:
        out: a folder on this machine's disk that is not there yet, or is empty.

    Raises:
        ConfigError: it is a URL, a file, or not empty.
    """
    if "://" in str(out) or ":/" in str(out):  # Path has made one slash of two
        raise ConfigError(f"{out} is a URL: give a folder on this machine's disk, and copy it when it is whole")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty: give a new folder")
    part = out.absolute().with_name(f".{out.absolute().name}.{uuid.uuid4().hex[:8]}.part")
    part.mkdir(parents=True)
    try:
        yield part
        part.replace(out)
    except BaseException:  # an interrupt too: half a folder would look like a whole one
        shutil.rmtree(part, ignore_errors=True)
        raise
