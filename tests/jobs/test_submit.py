"""The scripts that submit a build to a cluster, tried on clusters on loopback: the corpus is the local one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plait.jobs import build
from tests.jobs.clusters import free_port, ray_cluster, spark_cluster
from tests.jobs.corpora import write_archives

pytestmark = [pytest.mark.heavy, pytest.mark.slow, pytest.mark.campaign]
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
WORDS = ["build", "in", "--out", "out", "--recipe", "annotate"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the submitter stands: a folder with archives, and one that is called as the command is."""
    write_archives(tmp_path / "in", archives=2, pages=3)
    (tmp_path / "build").mkdir()
    return tmp_path


def _submitted(folder: Path, script: str, where: str, **settings: str) -> str:
    """The fingerprint of what the script built."""
    command = [str(SCRIPTS / script), where, *WORDS]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHON": sys.executable, **settings}, capture_output=True, text=True,
        timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads((folder / "out/manifest.json").read_text())["fingerprint"])


def _expected(folder: Path) -> str:
    return build([str(folder / "in")], str(folder / "local"), recipe="annotate", workers=2).fingerprint


def test_a_job_submitted_to_ray(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    port = free_port()
    with ray_cluster(nodes=2, include_dashboard=True, dashboard_port=port):
        found = _submitted(folder, "ray_submit.sh", f"http://127.0.0.1:{port}", NODE_PYTHON=sys.executable)
    assert found == _expected(folder)


def test_a_program_submitted_to_spark_brings_its_whole_environment(folder: Path) -> None:
    with spark_cluster(folder / "spark", workers=2, cores=1) as master:
        found = _submitted(folder, "spark_submit.sh", master, SPARK_OPTIONS="--conf spark.executor.memory=1g")
    assert found == _expected(folder)
