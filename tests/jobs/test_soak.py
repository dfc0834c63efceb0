"""A slice of `make soak`: many copies of one page, one host with a fifth of the images, memory that stays bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import MIB, soak
from benchmarks.soak_archives import make_archives


@pytest.mark.slow
def test_slice_of_the_soak_balances_in_bounded_memory(tmp_path: Path) -> None:
    archives = make_archives(tmp_path / "in", total_bytes=20 * MIB, records=600, copies=2000, files=4)
    manifest, memory = soak(archives, tmp_path / "out", 2, quiet=True)
    dropped = {reason: count for line in manifest.funnel for reason, count in line.dropped.items()}
    assert dropped["duplicate_text"] >= 1999
    assert manifest.totals.documents > 100
    assert manifest.totals.images > 200
    for name, (first, second) in memory.halves().items():
        assert max(first, second) < 800 * MIB, name
