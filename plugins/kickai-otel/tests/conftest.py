"""Fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def scene() -> Iterator[Scene]:
    """An observer with in-memory exporters."""
    scene = Scene()
    yield scene
    scene.close()
