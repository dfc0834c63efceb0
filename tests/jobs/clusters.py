"""Clusters on loopback that tests of the engines share, and what harms them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
import pytest

from plait.jobs.store import Store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from ray.cluster_utils import Cluster

POLL_S = 0.05
POLL_FAR_S = 0.4  # an object store of the tests' own shares their cores


class Saboteur(threading.Thread):
    """Waits until files appear in a folder of a store, then acts, once; again where the act says that it failed.

    Attributes:
        acted: whether the moment came and the act was done.
    """

    def __init__(self, store: Store, folder: str, act: Callable[[], object], files: int = 1):
        super().__init__(daemon=True)
        self._store, self._folder, self._act, self._files = store, folder, act, files
        self._over = threading.Event()
        self.acted = False

    def run(self) -> None:
        while not self._over.wait(POLL_S if self._store.is_local else POLL_FAR_S):
            if len(self._store.list(self._folder)) >= self._files and self._act() is not False:
                self.acted = True
                return

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._over.set()
        self.join(30)


def kill(wanted: Callable[[str], bool]) -> bool:
    """Kill one process whose command line is wanted; whether there was one."""
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or ()).strip()
        if wanted(command) and os.getuid() == process.uids().real:
            process.send_signal(signal.SIGKILL)
            return True
    return False


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def ray_cluster(nodes: int, **head: object) -> Iterator[Cluster]:
    """A Ray cluster of one-CPU nodes, each with a raylet of its own; nobody is connected to it.

    Args:
        nodes: how many.
        head: more settings of the first one.
    """
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else other work on the machine starves Ray's workers
        patch.setenv("RAY_usage_stats_enabled", "0")
        node = {"num_cpus": 1, "object_store_memory": 200 << 20}
        cluster = Cluster(initialize_head=True, head_node_args={**node, **head})
        for _ in range(nodes - 1):
            cluster.add_node(**node)
        try:
            yield cluster
        finally:
            cluster.shutdown()


@contextlib.contextmanager
def spark_cluster(folder: Path, workers: int, cores: int) -> Iterator[str]:
    """A standalone master and its workers, processes of their own; the master's URL."""
    import pyspark

    from plait.jobs.java import java_home

    program = Path(pyspark.__file__).parent / "bin" / "spark-class"
    port = free_port()
    master = f"spark://127.0.0.1:{port}"
    environment = {**os.environ, "JAVA_HOME": str(java_home()), "SPARK_LOCAL_IP": "127.0.0.1"}
    deploy = "org.apache.spark.deploy"
    commands = [[f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]]
    for number in range(workers):
        place = ["--host", "127.0.0.1", "--webui-port", "0", "--work-dir", str(folder / f"worker-{number}")]
        commands.append([f"{deploy}.worker.Worker", "--cores", str(cores), "--memory", "1200m", *place, master])
    running = [
        subprocess.Popen(
            [program, *command], env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]  # fmt: skip
    try:
        yield master
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            process.wait(30)


def speculative_session(master: str) -> SparkSession:
    """A session that starts a second copy of every task that is a little slow."""
    from plait.jobs.spark_engine import start_session

    return start_session(
        master,
        None,
        {
            "spark.speculation": "true",
            "spark.speculation.interval": "100ms",
            "spark.speculation.quantile": "0.1",
            "spark.speculation.multiplier": "1.01",
            "spark.speculation.minTaskRuntime": "10ms",
            "spark.executor.memory": "1g",
        },
    )
