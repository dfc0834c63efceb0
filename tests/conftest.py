"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Java that lives for seconds: compiled once, and not again to run fast for hours.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
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
