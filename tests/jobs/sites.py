"""A site on loopback whose pictures no archive holds, and an archive of its pages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plait.jobs import Fetching
from tests.archives import WarcBuilder, picture
from tests.jobs.corpora import article
from tests.pipeline.fetch.servers import Server, message

MANNERS = Fetching(contact="https://site.test/about", host_rate=0, host_concurrency=4, allow_loopback=True)
DOCUMENTS = 12


class Site:
    """A server in a thread of its own; `gate` holds back answers from the given one on, until `release`."""

    def __init__(self, gate: int | None = None) -> None:
        self.gate = gate
        self.reached = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._answered = 0
        self.server = Server(self._reply)
        self._thread = threading.Thread(target=self._run, daemon=True)
        started = threading.Event()
        self._loop.call_soon(lambda: self._loop.create_task(self._start(started)))
        self._thread.start()
        assert started.wait(10)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _start(self, started: threading.Event) -> None:
        await self.server.start()
        started.set()

    async def _reply(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        if path == "/robots.txt":
            writer.write(message(b"User-agent: plait\nDisallow: /secret/\n", kind="text/plain"))
        elif path.startswith("/.well-known/"):
            writer.write(message(b"", "404 Not Found"))
        elif path.startswith(("/img/", "/secret/")):
            self._answered += 1
            if self.gate is not None and self._answered > self.gate:
                self.reached.set()
                await self._open.wait()
            writer.write(message(picture(320, 240, int(path.rpartition("/")[2].removesuffix(".jpg")))))
        elif path.startswith("/noai/"):
            writer.write(message(picture(320, 240, 5), X_Robots_Tag="noai, noimageai"))
        elif path.startswith("/moved/"):
            writer.write(message(b"", "301 Moved Permanently", Location=path.replace("/moved/", "/img/")))
        else:
            writer.write(message(b"", "404 Not Found"))

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def pictures(self) -> list[str]:
        return [path for path in self.server.asked if not path.startswith(("/robots", "/.well"))]


@contextmanager
def site(gate: int | None = None) -> Iterator[Site]:
    running = Site(gate)
    try:
        yield running
    finally:
        running.stop()


def write_archive(path: Path, port: int, per_document: int = 3, first: int = 0) -> Path:
    """Pages whose pictures no archive holds, but for one; a picture that all share, and some that cannot be had."""
    archive, base = WarcBuilder(info=True), f"http://127.0.0.2:{port}"
    for number in range(first, first + DOCUMENTS):
        own = [f"{base}/img/{number * 100 + n}.jpg" for n in range(per_document)]
        others = [
            f"{base}/img/9000.jpg", f"{base}/secret/1.jpg", f"{base}/noai/1.jpg", f"{base}/gone.jpg", "/held.jpg",
            f"{base}/moved/{number * 100 + 50}.jpg", "http://10.0.0.1/x.jpg",
        ]  # fmt: skip
        archive.response(f"http://site.test/story/{number}", article(number, [*own, *others]))
    archive.response("http://site.test/held.jpg", picture(320, 240, 77_777), "image/jpeg")
    return archive.save(path)
