"""The connection of each process that uses a store, behind a circuit breaker."""

from __future__ import annotations

import os
import random
import time
from contextlib import contextmanager, suppress
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any

from kickai_providers_core.concurrency.forking import ForkGuard, never_finalize
from kickai_providers_core.resilience.breaker import Breaker, BreakerSettings
from kickai_providers_core.stores.api import StoreError

from kickai_redis.client import RedisClient
from kickai_redis.errors import explain_error
from kickai_redis.scripts import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kickai_providers_core.resilience.breaker import Permit

    from kickai_redis.scripts import Script
    from kickai_redis.settings import RedisSettings

__all__ = ["BREAKER", "Connection"]

BREAKER = BreakerSettings(max_errors=2, cooldown_s=1.0, max_cooldown_s=2.0, probe_lease_s=10.0)
"""After two failures in a row the server is not called for a second, and for two seconds after each further failure.
A store's thread tries again after a second anyway, and siblings must see each other's changes soon after a failure."""


FORK_LOCK_S = 0.05
"""Seconds to wait for the lock before a fork, after the running call has ended."""

MIN_LOCK_S = 1.0
"""Seconds for which a thread waits for another one, at least."""


class Connection:
    """Runs scripts in the server, one at a time. Safe to use from several threads, and after a fork.

    Each process has its own client: a forked child neither uses nor closes that of its parent. A fork waits for the
    running call, since the client imports modules and takes locks that the child would inherit. A server that cannot be
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
        self._guard = ForkGuard((self,), lambda: (self,))

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
            message = explain_error(error, self._settings, self._namespace).text
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

    @property
    def is_running(self) -> bool:
        """Whether a call is running in this process."""
        return self._get_link().thread != 0

    def wait_until_done(self, timeout_s: float) -> None:
        """Wait until no call is running, unless this thread makes it."""
        link = self._get_link()
        if link.thread != get_ident() and link.calls.acquire(timeout=timeout_s):
            link.calls.release()

    def block_new_calls(self) -> bool:
        """Prevent new calls until `allow_new_calls`, and return whether that succeeded."""
        link = self._get_link()
        return link.thread != get_ident() and link.calls.acquire(timeout=FORK_LOCK_S)

    def allow_new_calls(self) -> None:
        """Allow new calls again."""
        self._get_link().calls.release()

    def renew_after_fork(self) -> None:
        """Create the client of this process, and leave that of the parent as it is."""
        self._get_link()

    @contextmanager
    def _call(self) -> Iterator[RedisClient]:
        link = self._get_link()
        if not link.calls.acquire(timeout=max(MIN_LOCK_S, 2 * self._settings.timeout_s)):
            raise StoreError(f"the store {self._settings.location} is busy: another thread is waiting for it")
        try:
            link.thread = get_ident()
            with self._watch(link):
                yield link.client
        finally:
            link.thread = 0
            link.calls.release()

    @contextmanager
    def _watch(self, link: _Link) -> Iterator[None]:
        """Let the circuit breaker decide about a call, and learn from it."""
        permit = link.admit(self._clock())
        if permit is None:
            raise StoreError(link.failure)
        try:
            yield
        except BaseException as error:
            found = explain_error(error, self._settings, self._namespace)
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
            link = self._by_process.setdefault(pid, _Link(RedisClient(self._settings)))
        return link


class _Link:
    """The client of one process, and whether it may be used.

    Attributes:
        client: The client.
        failure: What failed last, for a reader.
        calls: Held during each call, and by a thread that forks.
        thread: The thread that makes a call; 0 for none.
    """

    def __init__(self, client: RedisClient) -> None:
        self.client = client
        self.failure = ""
        self.calls = Lock()
        self.thread = 0
        self._lock = Lock()
        self._breaker = Breaker(settings=BREAKER)

    def admit(self, now: float) -> Permit | None:
        """Return the permission for a call; None while the server is not to be called."""
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
