"""`plait view`: a corpus in the browser; an archive too, which is first made into a corpus that keeps everything."""

from __future__ import annotations

import getpass
import hashlib
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from plait.explorer.recipes import recipe_of
from plait.explorer.view.original import Block, Original, Originals
from plait.filters.models import cache_folder
from plait.jobs.building import build
from plait.jobs.flow import Options
from plait.jobs.progress import Watcher
from plait.jobs.settings import extract_options, read_limits
from plait.jobs.store import Store
from plait.loader import Corpus
from plait.pipeline.extract import ExtractOptions, decode_html, extract_html
from plait.pipeline.extract.page import Page
from plait.pipeline.read.archive import read_payload
from plait.pipeline.read.inputs import Archive, expand, is_url
from plait.pipeline.read.records import Limits
from plait.schemas.errors import ConfigError, RecordError, UnitError
from plait.schemas.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from plait.explorer.view.session import Session

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HELD_PAGES = 8  # archived pages kept at hand


def is_corpus(path: str) -> bool:
    """Whether a path is a finished corpus."""
    return Store(path).exists(MANIFEST_NAME)


def corpus_of_archives(inputs: Sequence[str], recipe: str, watcher: Watcher | None) -> str:
    """The corpus of archives, in the cache, with everything that was dropped retained; made where it is not there.

    Args:
        inputs: archives, as `plait build` takes them.
        recipe: name or path of the recipe.
        watcher: is told of progress.
    """
    archives = expand(inputs)
    name = hashlib.sha256("\n".join([recipe, *(archive.id for archive in archives)]).encode()).hexdigest()[:16]
    out = cache_folder() / "view" / name
    build(inputs, str(out), recipe=recipe, options=Options(retain="all"), watcher=watcher)
    return str(out)


@dataclass
class ArchivedPages:
    """Pages read again from archives by their addresses.

    Args:
        archives: at hand.
        limits: of reading.
        options: of extraction, as the corpus was built.
    """

    archives: Sequence[Archive]
    limits: Limits = field(default_factory=Limits)
    options: ExtractOptions = field(default_factory=ExtractOptions)

    def __post_init__(self) -> None:
        self._read = lru_cache(HELD_PAGES)(self._page)

    def page(self, archive_id: str | None, archive: str, offset: int, length: int | None, url: str) -> Original | None:
        """A page by its address; None where its archive is not at hand.

        Args:
            archive_id: identity of the archive's content, where it is known.
            archive: its name.
            offset: of the record.
            length: of the record; None: to the archive's end.
            url: of the page.
        """
        named = [a for a in self.archives if (a.id == archive_id if archive_id else a.name == archive)]
        return self._read(named[0], offset, length or named[0].bytes, url) if named else None

    def _page(self, archive: Archive, offset: int, length: int, url: str) -> Original | None:
        try:
            record = read_payload(archive, offset, length, self.limits, spool_dir=None)
        except (RecordError, UnitError) as error:
            return Original((), "", str(error))
        html = decode_html(record.payload or b"", record.charset)
        try:
            found = extract_html(record.payload or b"", url, options=self.options, charset=record.charset)
        except RecordError as error:
            return Original((), html, str(error))
        return Original(tuple(blocks_of(found)), html)


def blocks_of(page: Page) -> list[Block]:
    """Kept nodes and what was left out, in reading order."""
    found: list[Block] = []
    removed = iter(page.removed)
    waiting = next(removed, None)
    for number in range(len(page.nodes) + 1):
        while waiting is not None and waiting.after <= number:
            found.append(Block(False, waiting.reason, waiting.tag or "p", waiting.text or "", _short(waiting.url)))
            waiting = next(removed, None)
        if number < len(page.nodes):
            node = page.nodes[number]
            kind = "img" if node.kind == "image" else node.tag or "p"
            found.append(Block(True, "", kind, node.text or node.alt or "", _short(node.url)))
    return found


def _short(url: str | None) -> str:
    return (url or "")[:500]


def open_session(
    target: str, *, archives: Sequence[str] = (), marks: str = "", by: str = "", recipe: str = "default",
    watcher: Watcher | None = None,
) -> Session:  # fmt: skip
    """What the explorer looks at.

    Args:
        target: a corpus, or an archive (a folder of archives, a glob) to be made into one first.
        archives: archives that the corpus was made from, to show its pages as they were.
        marks: file of marks.
        by: who marks.
        recipe: for archives.
        watcher: is told of progress.

    Raises:
        ConfigError: there is nothing of the kind, or the extra is missing.
    """
    absent = [name for name in ("nh3", "starlette", "tomli_w", "uvicorn") if find_spec(name) is None]
    if absent:
        raise ConfigError(f"plait view needs an extra ({absent[0]} is missing): pip install 'plait[view]'")
    from plait.explorer.view.marks import Marks
    from plait.explorer.view.session import Session

    named = list(archives)
    if not is_corpus(target):
        if not is_url(target) and (Path(target) / "ledger" / "build.json").exists():
            raise ConfigError(f"the build of {target} is not finished: run the same plait build again, then look at it")
        named = [target, *named]
        target = corpus_of_archives([named[0]], recipe, watcher)
    corpus = Corpus(target)
    if not corpus.shards or not len(corpus):
        raise ConfigError(f"{target} holds no documents: see its report.html for what was dropped and why")
    built_by = recipe_of(corpus.manifest)
    originals: Originals | None = None
    if named:
        settings = (read_limits(built_by), extract_options(built_by)) if built_by else (Limits(), ExtractOptions())
        originals = ArchivedPages(expand(named), *settings)
    file = Path(marks) if marks else Path("marks.jsonl")
    return Session(corpus, Marks(file, by or getpass.getuser()), originals, cache_folder() / "index")


def serve(session: Session, host: str, port: int, *, browser: bool, told: Callable[[str], None]) -> None:
    """Serves the explorer until it is interrupted.

    Args:
        session: what is looked at.
        host: address to bind to.
        port: to bind to; 0: any that is free.
        browser: whether to open the page.
        told: is given the page's URL once it can be opened.

    Raises:
        ConfigError: the address cannot be bound to.
    """
    import socket

    import uvicorn

    from plait.explorer.view.app import make_app

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)  # who is told of the page may ask at once
    except OSError as error:
        raise ConfigError(f"cannot listen at {host}:{port} ({error.strerror}): choose another --port") from error
    url = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}/"
    hosts = [*LOOPBACK, "[::1]", host] if host in LOOPBACK else ["*"]
    config = uvicorn.Config(make_app(session, hosts), log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    told(url)
    if browser:
        threading.Timer(0.5, webbrowser.open, [url]).start()
    server.run(sockets=[bound])
