"""Servers on loopback, one behaviour a port, and what tests of fetching share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from ssl import SSLContext

from plait.pipeline.fetch.answers import Answer
from plait.pipeline.fetch.client import fetch_many
from plait.pipeline.fetch.optout import OptOut
from plait.pipeline.fetch.policy import FetchPolicy
from tests.archives import picture

JPEG = picture(64, 48, 3)
LOOPBACK = "127.0.0.2"  # tests allow this address alone, so that 127.0.0.1 is refused as it is in earnest
QUICK = FetchPolicy(
    contact="mailto@site.test", host_rate=0, connect_s=20, read_s=20, total_s=40, attempts=1, backoff_s=0.01,
    max_bytes=1 << 20, allow_networks=(f"{LOOPBACK}/32",), robots=False, signals=False,
)  # fmt: skip

Reply = Callable[[str, dict[str, str], asyncio.StreamWriter], Awaitable[None]]


def message(body: bytes, status: str = "200 OK", kind: str = "image/jpeg", **headers: str) -> bytes:
    """A whole HTTP response."""
    lines = {"Content-Type": kind, "Content-Length": str(len(body))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Server:
    """A server of one behaviour; `asked` lists the paths in the order of the requests."""

    def __init__(self, reply: Reply):
        self._reply = reply
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = 0
        self.most_at_once = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._connected, LOOPBACK, 0, ssl=tls)
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                self.asked.append(first.split(" ")[1])
                self.headers.append(headers)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self._reply(self.asked[-1], headers, writer)
                    await writer.drain()
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def serving(reply: Reply, tls: SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(reply)
    await server.start(tls)
    try:
        yield server
    finally:
        await server.stop()


def files(paths: dict[str, bytes]) -> Reply:
    """Whole responses by path; 404 for any other."""

    async def reply(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(paths.get(path, message(b"", "404 Not Found")))

    return reply


async def gather(
    urls: Iterable[str], policy: FetchPolicy = QUICK, names: dict[str, list[str]] | None = None,
    opt_out: OptOut | None = None, **changes: object,
) -> dict[str, Answer]:  # fmt: skip
    """Answers by URL; names resolve as given and to nothing else."""

    async def resolve(name: str) -> list[str]:
        if names is None or name not in names:
            raise OSError(f"{name} is not known")
        return names[name]

    found: dict[str, Answer] = {}
    async for answer in fetch_many(urls, replace(policy, **changes), opt_out=opt_out, resolve=resolve):
        assert answer.url not in found
        found[answer.url] = answer
    return found
