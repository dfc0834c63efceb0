"""A slice of `make soak`: many copies of one page, one host with a fifth of the images, memory that stays bounded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PEAK_MIB = 800


@pytest.mark.slow
def test_slice_of_the_soak_balances_in_bounded_memory() -> None:
    """In a process of its own: memory of this one holds what other tests have left."""
    command = [sys.executable, "-m", "benchmarks.soak", "--megabytes", "20", "--records", "600", "--copies", "2000"]
    done = subprocess.run([*command, "--files", "4"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(re.search(r"'duplicate_text': (\d+)", done.stdout)[1]) >= 1999
    documents, images = re.search(r"([\d,]+) documents, ([\d,]+) images in", done.stdout).groups()
    assert int(documents.replace(",", "")) > 100
    assert int(images.replace(",", "")) > 200
    peaks = re.findall(r"^peak of (driver|worker \d+) +([\d,]+) MiB$", done.stdout, re.MULTILINE)
    assert len(peaks) >= 2, done.stdout
    assert all(int(peak.replace(",", "")) < PEAK_MIB for _, peak in peaks), done.stdout
