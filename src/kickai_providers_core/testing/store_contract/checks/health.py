"""Marks of suspensions and open breakers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import HealthMark
from kickai_providers_core.testing.store_contract.spec import StoreSpec

if TYPE_CHECKING:
    from kickai_providers_core.stores.api import Store

__all__ = ["HealthTests"]

LONG_S = 1000.0
PATIENCE_S = 60.0


def make_mark(
    key: str = "hf|m", kind: str = "suspension", *, left_s: float = LONG_S, reason: str = "429", stated: bool = False
) -> HealthMark:
    """Return a mark."""
    return HealthMark(key=key, kind=kind, reason=reason, left_s=left_s, stated=stated)


class HealthTests(StoreSpec):
    """Marks last until their time is over, or until a later call has succeeded."""

    def test_marks_are_shared_as_they_were_published(self, store: Store, url: str) -> None:
        """With less time left, and each with a generation of its own."""
        store.health.publish([make_mark(stated=True), make_mark(kind="breaker", reason="5 errors"), make_mark("g|m")])
        other = self.open(url) if self.is_shared else store
        found = {(mark.key, mark.kind): mark for mark in other.health.read()}
        other.close()
        assert sorted(found) == [("g|m", "suspension"), ("hf|m", "breaker"), ("hf|m", "suspension")]
        mark = found["hf|m", "suspension"]
        assert (mark.reason, mark.stated) == ("429", True)
        assert found["hf|m", "breaker"].reason == "5 errors"
        assert all(0 < each.left_s <= LONG_S for each in found.values())
        assert len({each.generation for each in found.values()} - {0}) == len(found)

    def test_an_empty_store_has_no_marks(self, store: Store) -> None:
        """None may be published, and an unknown one may be lifted."""
        store.health.publish([])
        store.health.publish([make_mark(left_s=0.0)])
        store.health.lift("unknown", 10**9)
        assert list(store.health.read()) == []

    def test_the_mark_that_ends_later_stays(self, store: Store) -> None:
        """With the newer generation, since the service has failed again since then."""
        store.health.publish([make_mark(reason="long")])
        [first] = store.health.read()
        store.health.publish([make_mark(reason="short", left_s=LONG_S / 2)])
        [second] = store.health.read()
        assert second.reason == "long"
        assert second.left_s > LONG_S / 2
        assert second.generation > first.generation
        store.health.publish([make_mark(reason="longer", left_s=2 * LONG_S)])
        [third] = store.health.read()
        assert third.reason == "longer"
        assert third.left_s > LONG_S
        assert third.generation > second.generation

    def test_a_success_lifts_only_older_marks(self, store: Store) -> None:
        """A call that was admitted before the newest mark says nothing about it."""
        store.health.publish([make_mark()])
        [old] = store.health.read()
        store.health.publish([make_mark(kind="breaker"), make_mark("other")])
        store.health.lift("hf|m", old.generation - 1)
        assert len(store.health.read()) == 3
        store.health.lift("hf|m", old.generation)
        assert {(mark.key, mark.kind) for mark in store.health.read()} == {("hf|m", "breaker"), ("other", "suspension")}
        store.health.publish([make_mark()])
        [new] = [mark for mark in store.health.read() if mark.kind == "suspension" and mark.key == "hf|m"]
        store.health.lift("hf|m", old.generation)
        assert new.generation in {mark.generation for mark in store.health.read()}
        store.health.lift("hf|m", new.generation)
        assert [mark.key for mark in store.health.read()] == ["other"]

    def test_a_mark_ends_by_itself(self, store: Store) -> None:
        """Without anybody lifting it."""
        store.health.publish([make_mark(left_s=0.2), make_mark("other")])
        deadline = time.monotonic() + PATIENCE_S
        while len(store.health.read()) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [mark.key for mark in store.health.read()] == ["other"]

    def test_setting_the_wall_clock_changes_no_mark(self, url: str) -> None:
        """Forward or back, by seconds or years."""
        store, clock, wall = self.open_ticking(url)
        store.health.publish([make_mark(left_s=100)])
        for step_s in (-5.0, 3600.0, 10 * 365 * 86_400.0, -30 * 365 * 86_400.0):
            wall.now_s += step_s
            assert [mark.left_s for mark in store.health.read()] == [100]
        clock.now_s += 99
        assert [mark.left_s for mark in store.health.read()] == [1]
        clock.now_s += 1
        assert list(store.health.read()) == []
        store.close()
