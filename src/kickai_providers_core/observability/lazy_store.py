"""A store that is opened when it is first used, on the thread that uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.single_flight import SingleFlight
from kickai_providers_core.stores.api import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.stores.api import (
        Documents,
        HealthMarks,
        Leases,
        Metrics,
        Store,
        StoreStatus,
    )

__all__ = ["LazyStore"]

OPEN_S = 15.0
"""Seconds for which one use waits for the store to open: more than a plugin gets for that."""


class LazyStore:
    """Opens a store with its first use, and again after a failure. Safe to use from several threads.

    Opening may import a client library, and a fork during an import would leave a child that can never import it. So a
    fork waits for it; see `ForkGuard`.

    Args:
        open_: Opens the store. It may raise `StoreError`.
    """

    def __init__(self, open_: Callable[[], Store]) -> None:
        self._open = open_
        self._opening = SingleFlight(open_)
        self._store: Store | None = None

    @property
    def metrics(self) -> Metrics:
        """As in `Store`."""
        return self._get().metrics

    @property
    def documents(self) -> Documents:
        """As in `Store`."""
        return self._get().documents

    @property
    def health(self) -> HealthMarks:
        """As in `Store`."""
        return self._get().health

    @property
    def leases(self) -> Leases:
        """As in `Store`."""
        return self._get().leases

    def check(self) -> StoreStatus:
        """As in `Store`."""
        return self._get().check()

    def close(self) -> None:
        """Close the store if it was opened."""
        if self._store is not None:
            self._store.close()

    def list_pending_calls(self) -> tuple[SingleFlight[Store], ...]:
        """Return the opening, which a fork must not interrupt."""
        return (self._opening,)

    def renew_after_fork(self) -> None:
        """Forget in a child that the parent was opening it. A store that is open knows itself what to do."""
        self._opening = SingleFlight(self._open)

    def _get(self) -> Store:
        if self._store is None:
            try:
                self._store = self._opening.wait(OPEN_S)
            except TimeoutError:
                message = f"it was not opened within {OPEN_S:g} s"
                raise StoreError(message) from None
        return self._store
