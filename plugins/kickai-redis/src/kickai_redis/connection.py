"""The connection of each process that uses a store, behind a circuit breaker."""

from __future__ import annotations

import os
import random
import time
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from kickai_providers_core.concurrency.forking import never_finalize
from kickai_providers_core.resilience.breaker import Breaker, BreakerSettings
from kickai_providers_core.stores.api import StoreError

from kickai_redis.client import Client
from kickai_redis.errors import explain
from kickai_redis.scripts import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kickai_providers_core.resilience.breaker import Permit

    from kickai_redis.scripts import Script
    from kickai_redis.settings import RedisSettings

__all__ = ["BREAKER", "Connection"]

BREAKER = BreakerSettings(max_errors=2, cooldown_s=1.0, max_cooldown_s=2.0, probe_lease_s=10.0)
"""After two failures in a row the server is left alone for a second, and for two seconds after each further failure.
A store's thread tries again after a second anyway, and siblings must see each other's changes soon after a failure."""


class Connection:
    """Runs scripts in the server. Safe to use from several threads, and after a fork.

    Each process has its own client: a forked child neither uses nor closes that of its parent. A server that cannot be
    reached, or does not answer in time, is not called again for a second or two; see `BREAKER`.

    Args:
        settings: Where the server is.
        namespace: The name of the application, for messages.
        clock: Returns the monotonic time in seconds, for the breaker.
    """

    def __init__(self, settings: RedisSettings, namespace: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._namespace = namespace
        self._clock = clock
        self._by_process: dict[int, _Link] = {}

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any] = ()) -> Any:
        """Run a script as one atomic step, and return its result.

        Args:
            script: The script.
            keys: All keys that it uses, the facts first.
            arguments: What follows the schema version.

        Raises:
            StoreError: The server cannot be reached, or has refused.
        """
        with self.explain_errors(), self._call() as client:
            return client.run(script, keys, (SCHEMA_VERSION, *arguments))

    def read_info(self) -> dict[str, Any]:
        """Return what the server says about itself; empty if this user may not ask.

        Raises:
            StoreError: The server cannot be reached.
        """
        with self.explain_errors(), self._call() as client:
            return client.read_info()

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Raise a `StoreError` for any other exception: of the client, or for an answer that cannot be read."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  garbage leads to any exception
            message = explain(error, self._settings, self._namespace).text
        else:
            return
        # The error of the client may contain what the server has said, and that a password.
        raise StoreError(message) from None

    def close(self) -> None:
        """Close the connections of this process. A later call opens them again."""
        link = self._by_process.get(os.getpid())
        if link is not None:
            with suppress(Exception):
                link.client.close()

    @contextmanager
    def _call(self) -> Iterator[Client]:
        link = self._get_link()
        permit = link.admit(self._clock())
        if permit is None:
            raise StoreError(link.failure)
        try:
            yield link.client
        except BaseException as error:
            found = explain(error, self._settings, self._namespace)
            if found.must_reconnect or not isinstance(error, Exception):
                with suppress(Exception):
                    link.client.reconnect()
            if found.is_answer:
                link.record_answer(permit)
            else:
                link.record_failure(permit, self._clock(), found.text)
            raise
        link.record_answer(permit)

    def _get_link(self) -> _Link:
        """Return the client of this process. No lock is taken: a fork may have copied one that is held."""
        pid = os.getpid()
        link = self._by_process.get(pid)
        if link is None:
            for inherited in list(self._by_process.values()):
                never_finalize(inherited)
            link = self._by_process.setdefault(pid, _Link(Client(self._settings)))
        return link


class _Link:
    """The client of one process, and whether it may be used.

    Attributes:
        client: The client.
        failure: What failed last, for a reader.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.failure = ""
        self._lock = Lock()
        self._breaker = Breaker(settings=BREAKER)

    def admit(self, now: float) -> Permit | None:
        """Return the permission for a call; None while the server is left alone."""
        with self._lock:
            self._breaker, permit = self._breaker.admit(now)
        return permit

    def record_answer(self, permit: Permit) -> None:
        """Record that the server has answered."""
        with self._lock:
            self._breaker = self._breaker.record_success(permit)

    def record_failure(self, permit: Permit, now: float, text: str) -> None:
        """Record that the server has not answered."""
        with self._lock:
            self.failure = text
            self._breaker = self._breaker.record_failure(permit, now, random)
