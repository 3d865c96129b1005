"""The waiting of one provider, in threads and on event loops, all of which ends when the provider is closed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from threading import Event, Lock
from typing import TYPE_CHECKING

from kickai_providers_core import ProviderUnavailableError

if TYPE_CHECKING:
    from kickai_providers_core import Clockwork

__all__ = ["Waits"]


class Waits:
    """Whoever waits here is let go when the time is over, or with an error when `close` is called.

    Safe to share between threads and between event loops.

    Args:
        given: Clock and sleeps to use. None for those of the machine: only their sleeps end with `close`.
    """

    def __init__(self, given: Clockwork | None = None) -> None:
        self.clock = given.clock if given else time.monotonic
        self._sleep = given.sleep if given else self._sleep_until_closed
        self._asleep = given.asleep if given else self._asleep_until_closed
        self._closed = Event()
        self._lock = Lock()
        self._sleepers: set[asyncio.Future[None]] = set()

    def until(self, due: float) -> None:
        """Block the thread until that time.

        Raises:
            ProviderUnavailableError: The provider is closed, or was while this waited.
        """
        self.check()
        left_s = due - self.clock()
        if left_s > 0.0:
            self._sleep(left_s)
            self.check()

    async def auntil(self, due: float) -> None:
        """Wait until that time without blocking the loop; raise as `until` does."""
        self.check()
        left_s = due - self.clock()
        if left_s > 0.0:
            await self._asleep(left_s)
            self.check()

    def check(self) -> None:
        """Raise a `ProviderUnavailableError` when closed."""
        if self._closed.is_set():
            raise ProviderUnavailableError("the provider is closed")

    def close(self) -> None:
        """Let everyone go who waits, in any thread and on any loop. May be called again."""
        self._closed.set()
        with self._lock:
            sleepers = tuple(self._sleepers)
        for sleeper in sleepers:
            with suppress(RuntimeError):  # its loop has ended, and with it whoever waited
                sleeper.get_loop().call_soon_threadsafe(_wake, sleeper)

    def _sleep_until_closed(self, seconds: float) -> None:
        self._closed.wait(seconds)

    async def _asleep_until_closed(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        sleeper = loop.create_future()
        alarm = loop.call_later(seconds, _wake, sleeper)
        with self._lock:
            self._sleepers.add(sleeper)
        try:
            if not self._closed.is_set():
                await sleeper
        finally:
            alarm.cancel()
            with self._lock:
                self._sleepers.discard(sleeper)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
