"""A guard for parsers that may hang or crash on one record of a million.

Limits that decide (bytes, nodes, pixels) belong to the parsers. What is left is a fault of a library: an endless loop,
a crash of native code. The first attempt of a unit runs parsers in its own process under a CPU limit that kills it
(`SIGXCPU` cannot be caught by mistake). Later attempts run them in a child process, so that the record at fault is
known; its verdict is recorded, and is input from then on.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar

from plait.jobs.store import Store
from plait.schemas.errors import PlaitError, RecordError, UnitError

P = ParamSpec("P")
T = TypeVar("T")

WATCHDOG_CPU_S = 60  # generous: the slowest real page seen takes 0.7 s (dependencies.md, 4a)
CHILD_BYTES = 6 << 30  # address space of the guarded child


def limit_cpu(seconds: int | None) -> None:
    """Let this process use that many more CPU seconds, then die; None: no limit."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if seconds is None:
        soft = hard
    else:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + seconds + 1
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


class _Child:
    """A process that runs one call after another."""

    def __init__(self) -> None:
        ours, theirs = os.pipe(), os.pipe()
        command = [sys.executable, "-m", "plait.jobs.guard", str(theirs[0]), str(ours[1])]
        self.process = subprocess.Popen(command, pass_fds=(theirs[0], ours[1]), stdin=subprocess.DEVNULL)
        os.close(theirs[0])
        os.close(ours[1])
        self.receive = Connection(ours[0], writable=False)
        self.send = Connection(theirs[1], readable=False)

    def close(self) -> None:
        self.send.close()
        self.receive.close()
        self.process.kill()
        self.process.wait()


class Guard:
    """Runs a unit's parsers; `call` raises what they raise, or the verdict on a record that killed its process."""

    def __init__(
        self,
        store: Store,
        folder: str,
        *,
        isolate: bool,
        last_chance: bool = False,
        cpu_s: int = WATCHDOG_CPU_S,
    ):
        self._store = store
        self._folder = folder
        self._isolate = isolate
        self._last_chance = last_chance
        self._cpu_s = cpu_s
        self._child: _Child | None = None
        self._verdicts = {
            path.rsplit("/", 1)[1].removesuffix(".json"): json.loads(store.read(path))["reason"]
            for path in store.list(folder)
        }

    def call(self, record: str, kind: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` on one record.

        Args:
            record: name of the record within the unit, fit for a file name.
            kind: "parser" or "decoder"; verdicts are ``<kind>_hung`` and ``<kind>_crashed``.
            function: a module-level function.
            args: its arguments.
            kwargs: its keyword arguments.
        """
        if record in self._verdicts:
            raise RecordError(self._verdicts[record], "recorded by an earlier attempt")
        if not self._isolate:
            limit_cpu(self._cpu_s)
            return function(*args, **kwargs)
        if self._child is None:
            self._child = _Child()
        child = self._child
        try:
            child.send.send((self._cpu_s, function, args, kwargs))
            ok, value = child.receive.recv()
        except (EOFError, ConnectionError):
            self._child = None
            child.send.close()
            raise self._verdict(record, kind, child.process.wait()) from None
        if ok:
            result: T = value
            return result
        raise value

    def _verdict(self, record: str, kind: str, code: int) -> PlaitError:
        if code == -signal.SIGXCPU:
            reason = f"{kind}_hung"
        elif code == -signal.SIGKILL and not self._last_chance:
            # Somebody stopped the build, or the machine ran out of memory: that says nothing of the record yet.
            return UnitError(f"the guarded process was killed on record {record}")
        else:
            reason = f"{kind}_crashed"
        self._store.put_new(f"{self._folder}/{record}.json", json.dumps({"reason": reason, "code": code}).encode())
        self._verdicts[record] = reason
        return RecordError(reason, f"the process ended with code {code}")

    def close(self) -> None:
        """End the child and lift the CPU limit."""
        if self._child is not None:
            self._child.close()
            self._child = None
        if not self._isolate:
            limit_cpu(None)


def _serve(receive: Connection, send: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            cpu_s, function, args, kwargs = receive.recv()
        except EOFError:
            return
        limit_cpu(cpu_s)
        try:
            answer = (True, function(*args, **kwargs))
        except PlaitError as error:
            answer = (False, error)
        send.send(answer)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        _serve(Connection(int(sys.argv[1]), writable=False), Connection(int(sys.argv[2]), readable=False))
