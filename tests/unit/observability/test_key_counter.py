"""The keys of a rollout are counted by one process."""

from __future__ import annotations

from kickai_providers_core.observability.key_counter import MAX_KEYS, KeyCounter
from kickai_providers_core.stores.memory import MemoryStore


def test_one_of_several_processes_counts_keys() -> None:
    """A key that all processes serve counts once, since several counts would not be independent."""
    store = MemoryStore()
    counters = [KeyCounter[str](), KeyCounter[str]()]
    for counter in counters:
        counter.claim(store, 1000.0)
    assert [counter.is_new("step", 7) for counter in counters] == [True, False]
    assert not any(counter.is_new("step", 7) for counter in counters)
    assert counters[0].is_new("next", 7)
    counters[0].keep({"next"})
    assert not counters[0].is_new("next", 7)
    assert counters[0].is_new("step", 7)


def test_another_process_counts_after_the_lease_has_ended() -> None:
    """When the process that counted is gone, another one takes its place."""
    now = [0.0]
    store = MemoryStore(clock=lambda: now[0])
    gone, other = KeyCounter[str](), KeyCounter[str]()
    gone.claim(store, 0.0)
    other.claim(store, 0.0)
    now[0] = 31.0
    other.claim(store, 9.0)
    assert not other.is_new("step", 7)
    other.claim(store, 31.0)
    assert other.is_new("step", 7)
    gone.claim(store, 31.0)
    assert not gone.is_new("step", 7)


def test_a_child_does_not_count_with_the_lease_of_its_parent() -> None:
    """After a fork the child claims a lease of its own."""
    store = MemoryStore()
    counter = KeyCounter[str]()
    counter.claim(store, 0.0)
    assert counter.is_new("step", 7)
    counter.renew_after_fork()
    assert not counter.is_new("step", 8)
    counter.claim(store, 0.0)
    assert not counter.is_new("step", 8)


def test_the_number_of_keys_is_bounded() -> None:
    """Later keys count as known."""
    counter = KeyCounter[str]()
    counter.claim(MemoryStore(), 0.0)
    assert sum(counter.is_new("step", bucket) for bucket in range(MAX_KEYS + 5)) == MAX_KEYS
