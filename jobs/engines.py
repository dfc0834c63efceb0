"""Which engine runs a build."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plait.jobs.engine import Engine
from plait.jobs.store import Store
from plait.schemas.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ENGINES = ("local", "ray", "spark")


@dataclass(frozen=True)
class EngineChoice:
    """An engine and where it is. The corpus does not depend on it.

    Attributes:
        name: "local", "ray" or "spark".
        workers: processes, or CPUs of a Ray or Spark that is started here; None: one a core.
        ray_address: of a running cluster ("auto", "ray://host:10001"); None: the connected one, else Ray is started.
        spark_master: URL of a cluster's master; None: the active session, else Spark is started in this process.
        spark_session: a session to use.
    """

    name: str = "local"
    workers: int | None = None
    ray_address: str | None = None
    spark_master: str | None = None
    spark_session: SparkSession | None = None

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: an unknown engine, an option of another one, a number of workers below 1.
        """
        if self.name not in ENGINES:
            raise ConfigError(f"--engine must be one of {', '.join(ENGINES)}, not {self.name!r}")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers must be 1 or more, not {self.workers}")
        if self.ray_address is not None and self.name != "ray":
            raise ConfigError(f"--ray-address is for --engine ray, not {self.name}")
        if (self.spark_master is not None or self.spark_session is not None) and self.name != "spark":
            raise ConfigError(f"--spark-master is for --engine spark, not {self.name}")

    def open(self, store: Store) -> Engine:
        """The engine, started or connected; close it.

        Raises:
            ConfigError: it is not installed, or does not answer.
        """
        self.check()
        if self.name == "ray":
            from plait.jobs.ray_engine import RayEngine

            return RayEngine(store, address=self.ray_address, workers=self.workers)
        if self.name == "spark":
            from plait.jobs.spark_engine import SparkEngine

            return SparkEngine(store, session=self.spark_session, master=self.spark_master, workers=self.workers)
        from plait.jobs.local import LocalEngine

        return LocalEngine(store, self.workers if self.workers is not None else default_workers())


def choice_of(engine: str | EngineChoice, workers: int | None) -> EngineChoice:
    """The engine that a caller named, with a number of workers, or chose whole; checked.

    Raises:
        ConfigError: as `EngineChoice.check`.
    """
    choice = EngineChoice(engine, workers) if isinstance(engine, str) else engine
    choice.check()
    return choice


def default_workers() -> int:
    """One worker a core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
