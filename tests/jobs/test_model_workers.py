"""Where units that run a model go: workers of their own, one a GPU, each loading once. No GPU is needed to see it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from plait.jobs import local
from plait.jobs.local import LocalEngine
from plait.jobs.store import Store
from plait.jobs.work import Stage, Unit
from plait.schemas.receipts import Receipt

STAGE = Stage("model", "tests.jobs.model_stage:run", threads=1, memory=100 << 20)
ON_GPU = Stage("model", "tests.jobs.model_stage:run", threads=1, device="cuda", memory=100 << 20)
UNITS = [Unit((str(number),), f"unit {number}", {}) for number in range(8)]


def _each_loaded_once(receipts: list[Receipt], workers: int) -> None:
    loads: Counter[str] = Counter()
    for receipt in receipts:
        loads[receipt.facts["process"]] += receipt.books.seen.get("loads", 0)
    assert len(receipts) == len(UNITS)
    assert set(loads.values()) == {1}
    assert len(loads) <= workers


def test_local_workers_see_a_gpu_each_and_load_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(local, "_gpus", lambda: 2)  # the driver's count; workers are told which one is theirs
    engine = LocalEngine(Store(str(tmp_path)), 5)
    done = engine.run(ON_GPU, UNITS, lambda receipt: None)
    _each_loaded_once(done, 2)
    gpus = {receipt.facts["process"]: receipt.facts["gpu"] for receipt in done}
    assert sorted(gpus.values()) == ["0", "1"][: len(gpus)]
    assert engine._workers == []  # they end with the stage, and with them what they loaded
    engine.close()


def test_local_workers_are_as_many_as_have_their_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    engine = LocalEngine(Store(str(tmp_path)), 5)
    sizes = []
    monkeypatch.setattr(engine, "_run", lambda *unused: sizes.append(engine._size) or [])
    engine.run(Stage("embed", "x:y", threads=2), [], lambda receipt: None)
    engine.run(Stage("other", "x:y"), [], lambda receipt: None)
    assert sizes == [2, 5]


@pytest.mark.heavy
@pytest.mark.slow
def test_ray_gives_each_actor_a_gpu_and_few_units_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import ray

    from plait.jobs.ray_engine import AHEAD, RayEngine

    waiting: list[int] = []
    wait = ray.wait

    def counted(refs: list[ray.ObjectRef], **options: int) -> tuple[list[ray.ObjectRef], list[ray.ObjectRef]]:
        waiting.append(len(refs))
        found: tuple[list[ray.ObjectRef], list[ray.ObjectRef]] = wait(refs, **options)
        return found

    monkeypatch.setattr(ray, "wait", counted)
    ray.init(num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")  # in name
    try:
        done = RayEngine(Store(str(tmp_path))).run(ON_GPU, UNITS, lambda receipt: None)
    finally:
        ray.shutdown()
    _each_loaded_once(done, 2)
    assert {receipt.facts["gpu"] for receipt in done} == {"0", "1"}
    assert max(waiting) == 2 * AHEAD < len(UNITS)


@pytest.mark.heavy
def test_a_spark_task_that_runs_a_model_takes_its_threads_and_its_gpu():
    from plait.jobs.spark_engine import _profile

    on_gpu = _profile(Stage("model", "x:y", threads=3, device="cuda")).taskResources
    assert {name: request.amount for name, request in on_gpu.items()} == {"cpus": 3.0, "gpu": 1.0}
    alone = _profile(Stage("model", "x:y", threads=2)).taskResources
    assert {name: request.amount for name, request in alone.items()} == {"cpus": 2.0}
