"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real archives, pages and images, read in place; skips where they are absent, fails where CI lacks them."""
    if not SHARED_DATA.is_dir():
        reason = f"no test data beside the checkout ({SHARED_DATA.name} under ../shared)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED_DATA
