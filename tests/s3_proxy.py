"""An S3 server on loopback whose network is bad: a proxy before moto's server that fails every n-th request.

with bad_s3(every=9) as s3:          # sets what fsspec and boto read from the environment
    Store(f"s3://{s3.bucket}/corpus")
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import logging
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

SLOW_DOWN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"""
READ_TIMEOUT_S = 2  # of the client, in these tests
READ_FAULTS = ("slow_down", "torn_answer", "timeout")
WRITE_FAULTS = ("slow_down", "torn_upload", "lost_answer")


@dataclass
class BadS3:
    """A bucket behind the proxy.

    Attributes:
        endpoint: of the proxy.
        bucket: its one bucket.
        every: a fault on each n-th request, of its kinds in turn; 0: none.
        faults: how many were injected, by kind.
        requests: how many came.
    """

    endpoint: str
    bucket: str
    every: int
    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    s3: BadS3
    upstream: tuple[str, int]
    numbers: dict[tuple[str, ...], itertools.count[int]]
    stopped: threading.Event

    def log_message(self, *unused: object) -> None:
        pass

    def _fault(self) -> str:
        kinds = WRITE_FAULTS if self.command in ("PUT", "POST") else READ_FAULTS
        number = next(self.numbers[kinds])
        if not self.s3.every or number % self.s3.every:
            return ""
        kind = kinds[number // self.s3.every % len(kinds)]
        self.s3.faults[kind] += 1
        return kind

    def _serve(self) -> None:
        self.s3.requests += 1
        fault = self._fault()
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "torn_upload":
            self.rfile.read(length // 2)  # a store keeps nothing of an upload that does not reach its length
            self._hang_up()
            return
        body = self.rfile.read(length)
        if fault == "slow_down":
            self.send_response(503)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(SLOW_DOWN)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else SLOW_DOWN)
            return
        if fault == "timeout":
            self.stopped.wait(READ_TIMEOUT_S + 1)
            self._hang_up()
            return
        try:
            answer, data = self._ask(body)
        except (OSError, http.client.HTTPException):  # moto's server is small: it resets connections under load
            self._hang_up()
            return
        if fault == "lost_answer":  # done, and nobody knows
            self._hang_up()
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        said = answer.getheader("Content-Length")
        self.send_header("Content-Length", said if self.command == "HEAD" and said else str(len(data)))
        self.end_headers()
        if fault == "torn_answer" and self.command == "GET":
            self.wfile.write(data[: len(data) // 2])
            self._hang_up()
            return
        if self.command != "HEAD":
            self.wfile.write(data)

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        upstream = http.client.HTTPConnection(*self.upstream, timeout=60)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            return answer, answer.read()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 (names of http.server)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *unused: object) -> None:
        """A client that has hung up is what these tests are about."""


@contextlib.contextmanager
def bad_s3(every: int) -> Iterator[BadS3]:
    """A bucket of its own behind a bad network; the environment makes this process and its children use it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    proxy = _Server(("127.0.0.1", 0), _Handler)
    # moto keeps one store for all servers of a process: a name that no other test has.
    bucket = f"corpora-{proxy.server_address[1]}"
    s3 = BadS3(f"http://127.0.0.1:{proxy.server_address[1]}", bucket, 0)
    _Handler.s3, _Handler.upstream = s3, (host, port)
    _Handler.numbers = {kinds: itertools.count(1) for kinds in (READ_FAULTS, WRITE_FAULTS)}
    _Handler.stopped = threading.Event()
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    settings = {"client_kwargs": {"endpoint_url": s3.endpoint}, "config_kwargs": {"read_timeout": READ_TIMEOUT_S}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("FSSPEC_S3", json.dumps(settings))
        import fsspec
        from fsspec.config import conf, set_conf_env

        before = dict(conf)
        set_conf_env(conf)
        fsspec.filesystem("s3").mkdir(bucket)
        s3.every = every
        try:
            yield s3
        finally:
            s3.every = 0
            _Handler.stopped.set()
            proxy.shutdown()
            proxy.server_close()
            moto.stop()
            conf.clear()
            conf.update(before)
