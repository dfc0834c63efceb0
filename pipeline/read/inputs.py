"""What a build is given: files, globs, folders and URLs, expanded to archives with an identity."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from plait.schemas.errors import ConfigError

ARCHIVE_NAME = re.compile(r"\.(?:w?arc(?:\.gz)?|warc\.(?:zst|lz4)|wacz)$", re.IGNORECASE)
_WACZ_MEMBER = re.compile(r"(?:^|/)archive/[^/]+\.w?arc(?:\.gz)?$", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PIECE = 1 << 20
_SNIFFED = 64  # decompressed bytes that tell whether a .gz is an archive
_ID_HEX = 32


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive of web records.

    Attributes:
        id: identity, 32 hexadecimal digits. Of the content (SHA-256) for local files and members of a local WACZ; of
            (name, size, entity tag or time of change) for remote ones; of (name, size, CRC) for members of a remote
            WACZ. Never of the folder.
        name: last part of the path, with "!member" for a member of a WACZ.
        uri: absolute local path, or URL for fsspec.
        member: inner path of a WACZ's member, None for plain archives.
        bytes: size of the file, or of the member (uncompressed).
    """

    id: str
    name: str
    uri: str
    member: str | None
    bytes: int


def is_url(text: str) -> bool:
    """Whether an input is a URL for fsspec and not a local path."""
    return _URL.match(text) is not None


def expand(inputs: Sequence[str]) -> list[Archive]:
    """The archives that inputs name, sorted by (name, id), equal ones once.

    A file that is named is taken whatever it is called (reading it says what it is); in a folder, searched to any
    depth, files with an archive's name are taken, and ``.gz`` files that hold WARC or ARC records. A WACZ gives its
    members. Local content is read once, for the identity: about a second per GB.

    Raises:
        ConfigError: a path that does not exist, a folder or WACZ without archives, a glob that matches nothing.
    """
    if not inputs:
        raise ConfigError("No input: name archives (.warc, .warc.gz, .arc, .arc.gz, .wacz), folders, globs or URLs.")
    found: dict[str, Archive] = {}
    for text in inputs:
        for archive in _remote(text) if is_url(text) else _local(text):
            found.setdefault(archive.id, archive)
            if archive.name < found[archive.id].name:  # the same content twice: the first name, in any order of inputs
                found[archive.id] = archive
    return sorted(found.values(), key=lambda archive: (archive.name, archive.id))


def _local(text: str) -> Iterator[Archive]:
    path = Path(text).expanduser()
    if not path.exists() and glob.has_magic(text):
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
        if not matches:
            raise ConfigError(f"Nothing matches {text!r}: check the pattern, or name a folder to search all of it.")
        for match in matches:
            yield from _path(Path(match), allow_empty=True)
        return
    if not path.exists():
        raise ConfigError(f"There is no file or folder {text!r}: check the path.")
    yield from _path(path)


def _path(path: Path, *, allow_empty: bool = False) -> Iterator[Archive]:
    if not path.is_dir():
        yield from _file(path)
        return
    files = [found for found in _walk(path) if ARCHIVE_NAME.search(found.name) or _gz_archive(found)]
    if not files and not allow_empty:
        raise ConfigError(
            f"The folder {str(path)!r} holds no archive (.warc, .warc.gz, .arc, .arc.gz, .wacz): name another folder, "
            "or pack a site on disk with 'plait pack'."
        )
    for found in files:
        yield from _file(found)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                yield path


def _gz_archive(path: Path) -> bool:
    if path.suffix.lower() != ".gz":
        return False
    try:
        with path.open("rb") as file:
            head = zlib.decompressobj(31).decompress(file.read(4096), _SNIFFED)
    except (OSError, zlib.error):
        return False
    return head.startswith((b"WARC/", b"filedesc://"))


def _file(path: Path) -> Iterator[Archive]:
    path = path.resolve()
    try:
        with path.open("rb") as file:
            members = _members(file, path.name, str(path), content=True)
            if members:
                yield from members
                return
            file.seek(0)
            identity = hashlib.file_digest(file, "sha256").hexdigest()[:_ID_HEX]
        yield Archive(identity, path.name, str(path), None, path.stat().st_size)
    except OSError as error:
        raise ConfigError(
            f"The file {str(path)!r} cannot be read ({error.strerror}): check its permissions."
        ) from error


def _members(file: BinaryIO, name: str, uri: str, *, content: bool) -> list[Archive]:
    """A WACZ's archives; none where the file is no WACZ, or too damaged to tell (reading it then says so)."""
    if not name.lower().endswith(".wacz"):
        return []
    members = []
    try:
        with zipfile.ZipFile(file) as package:
            infos = sorted((i for i in package.infolist() if _WACZ_MEMBER.search(i.filename)), key=lambda i: i.filename)
            for info in infos:
                digest = hashlib.sha256()
                if content:
                    with package.open(info) as member:
                        while piece := member.read(_PIECE):
                            digest.update(piece)
                else:
                    digest.update(f"{name}!{info.filename}\0{info.file_size}\0{info.CRC}".encode())
                identity = digest.hexdigest()[:_ID_HEX]
                members.append(Archive(identity, f"{name}!{info.filename}", uri, info.filename, info.file_size))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        return []
    return members


def _remote(url: str) -> Iterator[Archive]:
    import fsspec

    try:
        system, path = fsspec.url_to_fs(url)
        paths = [path]
        if glob.has_magic(path) and not system.exists(path):
            paths = sorted(p for p in system.glob(path) if not system.isdir(p))
            if not paths:
                raise ConfigError(f"Nothing matches {url!r}: check the pattern and that you may list the store.")
        elif system.isdir(path) and not ARCHIVE_NAME.search(path):
            paths = sorted(p for p in system.find(path) if ARCHIVE_NAME.search(p))
            if not paths:
                raise ConfigError(f"The folder {url!r} holds no archive (.warc, .warc.gz, .arc, .arc.gz, .wacz).")
        for found in paths:
            yield from _object(system.info(found), system.unstrip_protocol(found))
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            f"{url!r} cannot be read ({error}): check the URL, your rights and the extra it needs."
        ) from error


def _object(info: Mapping[str, object], uri: str) -> Iterator[Archive]:
    import fsspec

    name = uri.split("?", 1)[0].rstrip("/").rsplit("/", 1)[-1]
    size = info.get("size")
    if not isinstance(size, int):
        raise ConfigError(f"{uri!r} does not say its size, which random access needs: download it first.")
    if name.lower().endswith(".wacz"):
        with fsspec.open(uri, "rb") as file:
            members = _members(cast(BinaryIO, file), name, uri, content=False)
        if members:
            yield from members
            return
    version = ""
    for key in ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created"):
        with contextlib.suppress(KeyError):
            version = str(info[key])
            break
    identity = hashlib.sha256(f"{name}\0{size}\0{version}".encode()).hexdigest()[:_ID_HEX]
    yield Archive(identity, name, uri, None, size)
