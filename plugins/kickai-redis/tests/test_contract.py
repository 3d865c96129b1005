"""The store passes the standard tests, with real servers of both kinds."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, ClassVar

import pytest
from kickai_providers_core.testing import StoreContract
from servers import Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASES = count()
"""Each store is a database of its own, so that all of them can have the namespace of the tests."""

PATIENT = "timeout_s=30"
"""The tests run on busy machines."""


class RedisContract(StoreContract):
    """What the stores of both kinds have in common."""

    __test__ = False

    plugin = "kickai_redis.plugin"
    kind: ClassVar[str]
    running: ClassVar[Server]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _run_server(cls) -> Iterator[None]:
        with running(cls.kind, "--databases", "100000") as cls.running:
            yield

    def create_url(self, folder: Path) -> str:
        """Return the address of an empty database."""
        return f"{self.kind}://{self.running.address}/{next(DATABASES)}?{PATIENT}"


class TestValkey(RedisContract):
    """The store in Valkey."""

    __test__ = True
    kind = "valkey"


@pytest.mark.slow
class TestRedis(RedisContract):
    """The store in Redis."""

    __test__ = True
    kind = "redis"
