"""The embedded engine: worker processes of this machine, DuckDB for what is relational."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from plait.jobs.engine import Progress
from plait.jobs.runner import find_receipt
from plait.jobs.store import Store
from plait.jobs.work import Shuffle, Stage, Unit
from plait.schemas.errors import ConfigError, UnitError
from plait.schemas.receipts import Receipt

MAX_ATTEMPTS = 4


class _Worker:
    """A worker process and the unit it has in hand."""

    def __init__(self, store: Store, gpu: int | None = None):
        to_worker, from_worker = os.pipe(), os.pipe()
        command = [sys.executable, "-m", "plait.jobs.worker", str(to_worker[0]), str(from_worker[1]), store.root]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ARROW_IO_THREADS": "2"}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = str(gpu)
        self.process = subprocess.Popen(
            command, pass_fds=(to_worker[0], from_worker[1]), stdin=subprocess.DEVNULL, env=environment
        )
        os.close(to_worker[0])
        os.close(from_worker[1])
        self._send = Connection(to_worker[1], readable=False)
        self.answers = Connection(from_worker[0], writable=False)
        self.unit: int | None = None
        self.gpu = gpu

    def give(self, number: int, task: Stage | Shuffle, unit: Unit) -> None:
        self.unit = number
        self._send.send((task, unit))

    def stop(self) -> None:
        self._send.close()
        self.answers.close()
        self.process.kill()
        self.process.wait()


class LocalEngine:
    """One process a worker; a worker that dies is replaced and its unit tried again.

    Args:
        store: the build's folder.
        workers: processes at once, ≥ 1.
    """

    def __init__(self, store: Store, workers: int):
        if workers < 1:
            raise ConfigError(f"--workers must be 1 or more, not {workers}")
        self._store = store
        self._size = workers
        self._gpus = False  # whether the workers see one GPU each
        self._workers: list[_Worker] = []

    def run(self, stage: Stage, units: Sequence[Unit], progress: Progress) -> list[Receipt]:
        """Run independent units; see `Engine.run`.

        Units that run a model go to as many workers as have CPU threads or a GPU of their own; these keep the model
        they have loaded, and end with the stage.
        """
        if not stage.threads:
            return self._run(stage, stage, units, progress)
        whole, self._gpus = self._size, stage.device == "cuda"
        self.close()
        try:
            self._size = _gpus() if self._gpus else max(1, whole // stage.threads)
            return self._run(stage, stage, units, progress)
        finally:
            self.close()
            self._size, self._gpus = whole, False

    def shuffle(self, shuffle: Shuffle, progress: Progress) -> list[Receipt]:
        """Run the parts of a relational step; see `Engine.shuffle`."""
        return self._run(shuffle.stage, shuffle, shuffle.units(), progress)

    def close(self) -> None:
        """Stop the workers."""
        for worker in self._workers:
            worker.stop()
        self._workers = []

    def _run(self, stage: Stage, task: Stage | Shuffle, units: Sequence[Unit], progress: Progress) -> list[Receipt]:
        done: dict[int, Receipt] = {}
        waiting: list[int] = []
        for number, unit in enumerate(units):
            receipt = find_receipt(self._store, stage, unit)
            if receipt is None:
                waiting.append(number)
            else:
                done[number] = receipt
                progress(receipt)
        waiting.reverse()
        attempts = dict.fromkeys(waiting, 0)
        while len(done) < len(units):
            self._fill(task, units, waiting, attempts)
            busy = {worker.answers: worker for worker in self._workers if worker.unit is not None}
            for ready in wait(list(busy)):
                worker = busy[ready]  # type: ignore[index]
                number, answer = self._answer(worker)
                if isinstance(answer, Receipt):
                    done[number] = answer
                    progress(answer)
                elif isinstance(answer, ConfigError) or attempts[number] >= MAX_ATTEMPTS:
                    raise answer
                else:
                    waiting.append(number)
        return [done[number] for number in range(len(units))]

    def _fill(self, task: Stage | Shuffle, units: Sequence[Unit], waiting: list[int], attempts: dict[int, int]) -> None:
        idle = [worker for worker in self._workers if worker.unit is None]
        while waiting:
            if not idle:
                if len(self._workers) >= self._size:
                    return
                worker = _Worker(self._store, self._free_gpu() if self._gpus else None)
                self._workers.append(worker)
                idle.append(worker)
            number = waiting.pop()
            attempts[number] += 1
            idle.pop().give(number, task, units[number])

    def _free_gpu(self) -> int:
        taken = {worker.gpu for worker in self._workers}
        return next(number for number in range(self._size) if number not in taken)

    def _answer(self, worker: _Worker) -> tuple[int, Receipt | ConfigError | UnitError]:
        number = worker.unit
        if number is None:
            raise AssertionError("an idle worker has answered")
        worker.unit = None
        try:
            _, value = worker.answers.recv()
        except (EOFError, ConnectionError):
            self._workers.remove(worker)
            code = worker.process.wait()
            worker.stop()
            return number, UnitError(f"the worker process ended with code {code} in the middle of a unit")
        answer: Receipt | ConfigError | UnitError = value
        return number, answer


def _gpus() -> int:
    """GPUs of this machine, at least 1: the plan has seen that there is one, or onnxruntime will say what it lacks."""
    try:
        import torch
    except ImportError:  # a build that scores with onnxruntime alone does without it
        return max(1, len(list(Path("/dev").glob("nvidia[0-9]*"))))
    return max(1, int(torch.cuda.device_count()))
