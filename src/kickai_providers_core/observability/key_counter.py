"""Counts the keys of a rollout's step in one process, for the check of the split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Container

    from kickai_providers_core.stores.api import Store

__all__ = ["KeyCounter"]

MAX_KEYS = 100_000
"""The number of keys of one step that are distinguished. Later keys count as known."""

LEASE = "rollout/keys"

LEASE_S = 30.0
"""Seconds after which another process counts when the one that did is gone."""

RENEW_S = 10.0

S = TypeVar("S")


class KeyCounter(Generic[S]):
    """Finds the keys that are new in a step. Its caller serializes `is_new`, `keep` and `renew_after_fork`.

    Only the process with a lease counts. Processes share their keys, and a key that each of them counted would look
    like several independent ones, so that a correct split would soon look wrong.
    """

    def __init__(self) -> None:
        self._holder = uuid4().hex
        self._is_holder = False
        self._renews_at = 0.0
        self._keys: dict[S, set[int]] = {}

    def is_new(self, step: S, bucket: int) -> bool:
        """Return whether a key counts, since this process counts and has not seen it in this step.

        Args:
            step: The step.
            bucket: The bucket of the key.
        """
        if not self._is_holder:
            return False
        keys = self._keys.setdefault(step, set())
        if bucket in keys or len(keys) >= MAX_KEYS:
            return False
        keys.add(bucket)
        return True

    def keep(self, steps: Container[S]) -> None:
        """Forget the keys of all other steps."""
        self._keys = {step: keys for step, keys in self._keys.items() if step in steps}

    def claim(self, store: Store, now: float) -> None:
        """Claim or renew the lease, at most every ten seconds. The store's thread calls it.

        Args:
            store: The store.
            now: The monotonic time in seconds.

        Raises:
            StoreError: The store failed.
        """
        if now >= self._renews_at:
            self._is_holder = store.leases.claim(LEASE, self._holder, LEASE_S) is not None
            self._renews_at = now + RENEW_S

    def renew_after_fork(self) -> None:
        """Forget everything in a child: the lease is the parent's."""
        self._holder, self._is_holder, self._renews_at = uuid4().hex, False, 0.0
        self._keys = {}
