"""A store that is opened with its first use."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from kickai_providers_core.observability import lazy_store as module
from kickai_providers_core.observability.lazy_store import LazyStore
from kickai_providers_core.stores.api import HistoryEntry, Store, StoreError
from kickai_providers_core.stores.memory import MemoryStore

ENTRY = HistoryEntry(at_s=1.0, who="ann", what="a change")
LONG_S = 30.0


def test_it_opens_once_and_passes_everything_on() -> None:
    """Nothing is opened before the first use; then every part is that of the store."""
    opened: list[MemoryStore] = []

    def open_() -> Store:
        opened.append(MemoryStore())
        return opened[-1]

    store = LazyStore(open_)
    store.close()
    assert opened == []
    assert store.documents.write("a", {"x": 1}, expected_version=0, entry=ENTRY)
    assert store.documents.read("a").value == {"x": 1}
    (own,) = opened
    assert (store.metrics, store.health, store.leases) == (own.metrics, own.health, own.leases)
    assert store.check() == own.check()
    store.close()
    assert len(opened) == 1


def test_a_failure_is_not_kept() -> None:
    """A store that could not be opened is tried again with the next use."""
    failures = [StoreError("no plugin"), StoreError("no server")]

    def open_() -> Store:
        if failures:
            raise failures.pop(0)
        return MemoryStore()

    store = LazyStore(open_)
    with pytest.raises(StoreError, match="no plugin"):
        _ = store.metrics
    with pytest.raises(StoreError, match="no server"):
        _ = store.metrics
    assert store.check().kind == "memory"


def test_opening_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not open is an error of the store, and goes on opening."""
    go_on = Event()

    def open_() -> Store:
        go_on.wait(LONG_S)
        return MemoryStore()

    store = LazyStore(open_)
    with monkeypatch.context() as patched:
        patched.setattr(module, "OPEN_S", 0.01)
        with pytest.raises(StoreError, match="not opened within"):
            _ = store.metrics
    go_on.set()
    assert store.check().kind == "memory"


def test_a_fork_waits_for_the_opening() -> None:
    """Opening is a pending call; a child forgets that of its parent and opens the store itself."""
    entered, go_on = Event(), Event()

    def open_() -> Store:
        entered.set()
        go_on.wait(LONG_S)
        return MemoryStore()

    store = LazyStore(open_)
    using = Thread(target=store.check)
    using.start()
    assert entered.wait(LONG_S)
    (pending,) = store.list_pending_calls()
    assert pending.is_running
    store.renew_after_fork()
    assert not store.list_pending_calls()[0].is_running
    go_on.set()
    using.join(LONG_S)
    assert store.check().kind == "memory"
