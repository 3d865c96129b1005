"""Windows of permits that have ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.stores.sqlite import SqliteStore

DAY_S = 86_400.0


def use_for_days(store, clock):
    """Take permits of a limit per day on four days, and of one per minute, which keeps its name."""
    for day in range(4):
        clock[0] = day * DAY_S
        for name, window_s in ((f"requests/day/{day}", DAY_S + 3600), ("requests/minute", 60)):
            assert store.leases.take_permits(name, "p", amount=2, limit=9, window_s=window_s) is not None


def test_windows_of_past_days_are_deleted_from_the_file(tmp_path):
    """When that of a new day begins: a file does not grow with the days. An hour later, yesterday's has ended too."""
    clock = [0.0]
    store = SqliteStore(tmp_path / "kickai.db", clock=lambda: clock[0])
    use_for_days(store, clock)
    store.close()
    with closing(sqlite3.connect(tmp_path / "kickai.db")) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM windows ORDER BY name")]
    assert names == ["requests/day/2", "requests/day/3", "requests/minute"]


def test_windows_of_past_days_are_deleted_from_memory():
    """A clock that goes back shows what is still kept."""
    clock = [0.0]
    store = MemoryStore(clock=lambda: clock[0])
    use_for_days(store, clock)
    clock[0] = 0.0
    assert [each.name for each in store.leases.read_windows()] == [
        "requests/day/2",
        "requests/day/3",
        "requests/minute",
    ]
