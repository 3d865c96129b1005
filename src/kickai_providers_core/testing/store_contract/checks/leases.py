"""Leases and permits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import evolve

from kickai_providers_core.testing.store_contract.spec import StoreSpec

if TYPE_CHECKING:
    from kickai_providers_core.stores.api import Lease, Store

__all__ = ["LeaseTests"]

LONG_S = 1000.0
PATIENCE_S = 60.0


def take(
    store: Store, holder: str = "p", *, amount: int = 4, limit: int = 10, window_s: float = LONG_S
) -> Lease | None:
    """Take permits of one name."""
    return store.leases.take_permits("calls", holder, amount=amount, limit=limit, window_s=window_s)


def get_amount(lease: Lease | None) -> int:
    """Return the number of permits of a lease; 0 for none."""
    return 0 if lease is None else lease.amount


class LeaseTests(StoreSpec):
    """A lease has one holder, and permits have a limit."""

    def test_one_holder_at_a_time(self, store: Store) -> None:
        """The holder may renew and end it, and nobody else may."""
        first = store.leases.claim("probe", "p", LONG_S)
        assert first is not None
        assert (first.name, first.holder, first.amount) == ("probe", "p", 1)
        assert 0 < first.left_s <= LONG_S
        assert store.leases.claim("probe", "q", LONG_S) is None
        store.leases.release("probe", "q")
        assert store.leases.claim("probe", "q", LONG_S) is None
        assert store.leases.claim("probe", "p", LONG_S) is not None
        assert store.leases.claim("other", "q", LONG_S) is not None
        store.leases.release("probe", "p")
        assert store.leases.claim("probe", "q", LONG_S) is not None

    def test_an_unknown_lease_can_be_ended(self, store: Store) -> None:
        """Nothing happens."""
        store.leases.release("unknown", "p")

    def test_a_lease_ends_by_itself(self, store: Store) -> None:
        """A holder that has died does not keep it."""
        assert store.leases.claim("probe", "p", 0.2) is not None
        deadline = time.monotonic() + PATIENCE_S
        while store.leases.claim("probe", "q", LONG_S) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert store.leases.claim("probe", "p", LONG_S) is None

    def test_permits_end_at_the_limit(self, store: Store) -> None:
        """The last block is smaller, and blocks of several holders count together."""
        amounts = [get_amount(take(store, holder)) for holder in ("p", "q", "p", "q")]
        assert amounts == [4, 4, 2, 0]
        other = store.leases.take_permits("others", "p", amount=3, limit=3, window_s=LONG_S)
        assert get_amount(other) == 3

    def test_the_windows_of_permits_can_be_read(self, store: Store) -> None:
        """With what was taken and not returned; those that have ended are forgotten."""
        lease = take(store, amount=7)
        assert lease is not None
        store.leases.return_permits(lease, 2)
        store.leases.take_permits("a day", "p", amount=3, limit=9, window_s=LONG_S)
        found = store.leases.read_windows()
        assert [(each.name, each.used) for each in found] == [("a day", 3), ("calls", 5)]
        assert all(0 < each.left_s <= LONG_S for each in found)
        store.leases.take_permits("an hour", "p", amount=1, limit=9, window_s=0.01)
        end = time.monotonic() + PATIENCE_S
        while len(store.leases.read_windows()) > len(found):
            assert time.monotonic() < end
            time.sleep(0.01)
        store.leases.take_permits("the next day", "p", amount=1, limit=9, window_s=LONG_S)
        assert [each.name for each in store.leases.read_windows()] == ["a day", "calls", "the next day"]

    def test_a_lower_limit_counts_what_was_taken(self, store: Store) -> None:
        """Processes may have read different settings."""
        take(store, amount=6)
        assert take(store, limit=6) is None
        assert get_amount(take(store, limit=7)) == 1

    def test_returned_permits_can_be_taken_again(self, store: Store) -> None:
        """Not more than were taken."""
        lease = take(store, amount=10)
        assert lease is not None
        store.leases.return_permits(lease, 3)
        store.leases.return_permits(lease, 0)
        assert get_amount(take(store)) == 3
        store.leases.return_permits(lease, 50)
        assert get_amount(take(store, amount=50)) == 10

    def test_a_window_ends_by_itself(self, store: Store) -> None:
        """The next one has all permits, and those of the last window cannot be returned to it."""
        old = take(store, amount=10, window_s=0.2)
        assert old is not None
        deadline = time.monotonic() + PATIENCE_S
        while (new := take(store, amount=10)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert new.amount == 10
        store.leases.return_permits(old, 10)
        store.leases.return_permits(evolve(old, name="unknown"), 10)
        assert take(store) is None

    def test_setting_the_wall_clock_changes_no_lease(self, url: str) -> None:
        """Forward or back, by seconds or years."""
        store, clock, wall = self.open_ticking(url)
        store.leases.claim("probe", "p", 60)
        take(store, amount=10, window_s=60)
        for step_s in (-5.0, 61.0, 10 * 365 * 86_400.0, -30 * 365 * 86_400.0):
            wall.now_s += step_s
            assert store.leases.claim("probe", "q", 60) is None
            assert take(store, window_s=60) is None
        clock.now_s += 60
        assert store.leases.claim("probe", "q", 60) is not None
        lease = take(store, window_s=60)
        clock.now_s += 20
        again = take(store, window_s=60)
        assert lease is not None
        assert again is not None
        assert (lease.left_s, again.left_s) == (60, 40)
        store.close()
