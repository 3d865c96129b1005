"""The gateway as a process, for clients that nobody here wrote. Each module runs where its client is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway over the scripted provider ``one``."""
    with run(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture(scope="module")
def base_url(served: Served) -> str:
    """The base URL for clients."""
    return f"{served.url}/v1"
