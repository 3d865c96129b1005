"""Takes permits from the store in a thread, so that no request waits for a store that does not answer."""

from __future__ import annotations

import asyncio
from threading import Lock, Thread
from typing import TYPE_CHECKING

from attrs import define, field
from kickai_providers_core.concurrency.flag import Flag
from kickai_providers_core.stores.api import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core.stores.api import Store

    from kickai_gateway.allowances import Allowance

__all__ = ["LeaseKeeper"]

REFILL_S = 0.25
"""Seconds between two looks at what is missing."""

CLOSE_S = 1.0
"""Seconds to wait for the return of permits at the end."""


@define(eq=False)
class LeaseKeeper:
    """Keeps allowances filled. `lock` protects them; the rest is safe to use from any thread.

    Attributes:
        allowances: The allowances.
        open_store: Returns the store.
        holder: The name of this process in the store.
        clock: Returns the monotonic time in seconds.
        log: Writes a line.
        lock: Held while an allowance is read or changed, and never during a call of the store.
    """

    allowances: Sequence[Allowance]
    open_store: Callable[[], Store]
    holder: str
    clock: Callable[[], float]
    log: Callable[[str], None]
    lock: Lock = field(factory=Lock, init=False)
    _store: Store | None = field(default=None, init=False)
    _is_failing: bool = field(default=False, init=False)
    _is_closed: bool = field(default=False, init=False)
    _woken: Flag = field(factory=Flag, init=False)
    _waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = field(factory=list, init=False)
    _thread: Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Fill the allowances once, waiting for the store, and keep them filled from now on."""
        self.refill()
        self._thread = Thread(target=self._run, name="kickai-gateway-leases", daemon=True)
        self._thread.start()

    async def wait_for_refill(self, timeout_s: float) -> None:
        """Ask for permits, and wait until the store was asked, at most for the time limit."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((loop, done))
        self._woken.set()
        await asyncio.wait((done,), timeout=timeout_s)

    def refill(self) -> None:
        """Take what is missing from the store. A store that fails gives nothing, which is logged once."""
        try:
            for allowance in self.allowances:
                self._refill(allowance)
        except Exception as error:  # noqa: BLE001  a store may be a plugin
            if not self._is_failing:
                reason = str(error) if isinstance(error, StoreError) else type(error).__name__
                self.log(
                    f"the store gives no permits, so keys with limits are refused when theirs are used up: {reason}"
                )
            self._is_failing = True
        else:
            if self._is_failing:
                self.log("the store gives permits again")
            self._is_failing = False

    def close(self) -> None:
        """Return what is left, and end the thread; wait a second for it at most."""
        self._is_closed = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while not self._is_closed:
            self._woken.wait(REFILL_S)
            self._woken.clear()
            waiting, self._waiting = self._waiting, []
            self.refill()
            for loop, done in waiting:
                _wake(loop, done)
        self._give_back()

    def _refill(self, allowance: Allowance) -> None:
        limit, now = allowance.limit, self.clock()
        with self.lock:
            wanted = allowance.count_wanted(now)
        if wanted:
            if self._store is None:
                self._store = self.open_store()
            lease = self._store.leases.take_permits(
                limit.name, self.holder, amount=wanted, limit=limit.amount, window_s=limit.window_s
            )
            with self.lock:
                allowance.add(lease, self.clock())

    def _give_back(self) -> None:
        store = self._store
        if store is None:
            return
        try:
            for allowance in self.allowances:
                with self.lock:
                    returned = allowance.take_back()
                for lease, amount in returned:
                    store.leases.return_permits(lease, amount)
            store.close()
        except Exception as error:  # noqa: BLE001  as above
            self.log(f"permits were not returned to the store: {type(error).__name__}")


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _wake(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    try:
        loop.call_soon_threadsafe(_finish, done)
    except RuntimeError:  # the loop has ended
        return
