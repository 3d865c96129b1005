"""The sleeps of one provider, in threads and on event loops; all of them end when the provider is closed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from kickai_providers_core import ProviderUnavailableError
from kickai_providers_core.concurrency.flag import Flag

if TYPE_CHECKING:
    from kickai_providers_core import Clockwork

__all__ = ["Sleeper"]


class Sleeper:
    """Sleeps until a point in time, or until `close` is called. Safe to share between threads and event loops.

    Args:
        clockwork: Clock and sleeps. None for those of the machine; only their sleeps end with `close`.
    """

    def __init__(self, clockwork: Clockwork | None = None) -> None:
        self.clock = clockwork.clock if clockwork else time.monotonic
        self._sleep = clockwork.sleep if clockwork else self._sleep_until_closed
        self._asleep = clockwork.asleep if clockwork else self._asleep_until_closed
        self._closed = Flag()
        self._lock = Lock()
        self._futures: set[asyncio.Future[None]] = set()

    def sleep_until(self, time_s: float) -> None:
        """Block the thread until the clock shows this time.

        Raises:
            ProviderUnavailableError: The provider is closed.
        """
        self.require_open()
        seconds = time_s - self.clock()
        if seconds > 0.0:
            self._sleep(seconds)
            self.require_open()

    async def asleep_until(self, time_s: float) -> None:
        """Wait until the clock shows this time, without blocking the loop; raise as `sleep_until` does."""
        self.require_open()
        seconds = time_s - self.clock()
        if seconds > 0.0:
            await self._asleep(seconds)
            self.require_open()

    def require_open(self) -> None:
        """Raise a `ProviderUnavailableError` when the provider is closed."""
        if self._closed.is_set():
            raise ProviderUnavailableError("the provider is closed")

    def close(self) -> None:
        """End all sleeps, in every thread and on every loop. May be called again."""
        self._closed.set()
        with self._lock:
            futures = tuple(self._futures)
        for future in futures:
            with suppress(RuntimeError):  # its loop has ended
                future.get_loop().call_soon_threadsafe(_wake, future)

    def _sleep_until_closed(self, seconds: float) -> None:
        self._closed.wait(seconds)

    async def _asleep_until_closed(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        timer = loop.call_later(seconds, _wake, future)
        with self._lock:
            self._futures.add(future)
        try:
            if not self._closed.is_set():
                await future
        finally:
            timer.cancel()
            with self._lock:
                self._futures.discard(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
