"""Nothing here runs unless the environment says for how many seconds: ``nox -s soak``, or ``KICKAI_SOAK_S=30``."""

from __future__ import annotations

import os

import pytest

SECONDS = os.environ.get("KICKAI_SOAK_S")

collect_ignore_glob = [] if SECONDS else ["*"]


@pytest.fixture
def seconds() -> float:
    """Return for how long the traffic goes on."""
    return float(SECONDS or 0)
