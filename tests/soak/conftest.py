"""The soak tests run for ``KICKAI_SOAK_S`` seconds, and are skipped without it: ``nox -s soak``."""

from __future__ import annotations

import os

import pytest

SECONDS = os.environ.get("KICKAI_SOAK_S")

collect_ignore_glob = [] if SECONDS else ["*"]


@pytest.fixture
def seconds() -> float:
    """Return the duration of the traffic."""
    return float(SECONDS or 0)
