"""Fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers import KINDS, Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def valkey() -> Iterator[Server]:
    """A Valkey server that the tests of this process share, each with a database or a namespace of its own."""
    with running("valkey", "--databases", "4096") as server:
        yield server


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each kind, which tests share."""
    with running(request.param, "--databases", "4096") as found:
        yield found
