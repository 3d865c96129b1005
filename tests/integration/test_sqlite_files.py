"""The SQLite store and its file: what is created, and what is refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from kickai_providers_core.stores.api import HealthMark, StoreError
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.stores.sqlite.schema import MIGRATIONS
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

NEXT = (*MIGRATIONS, ("ALTER TABLE documents ADD COLUMN note TEXT NOT NULL DEFAULT 'new'",))
"""The tables of an imagined next version."""


@pytest.fixture
def path(tmp_path):
    """Return the path of a file that does not exist."""
    return tmp_path / "kickai.db"


@pytest.fixture
def open_store(path):
    """Return a function that opens the file, and close all stores at the end."""
    stores = []

    def open_one(at=path, **options):
        stores.append(SqliteStore(at, **options))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def add(store, number=1):
    """Add a batch."""
    cells = {CellKey(start_s=60): Cell(counters={"requests": 1})}
    store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))


def count(store):
    """Return the number of requests."""
    return sum(cell.counters["requests"] for _, cell in store.metrics.read())


def test_the_file_belongs_to_its_owner_alone(path, open_store):
    """So does its journal, whatever the umask; nothing is created before the first call."""
    before = os.umask(0)
    try:
        store = open_store()
        assert not path.exists()
        add(store)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with store._database.write() as connection:
            connection.execute("INSERT INTO numbers VALUES ('x', 1)")
            journal = Path(f"{path}-journal")
            assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert store.check().details["mode"] == "0600"
    assert not journal.exists()


def test_reading_creates_no_file(path, open_store):
    """An operator who looks at an application's store must not own its file: neither before nor after it exists."""
    store = open_store()
    assert store.documents.read("rollout").version == 0
    assert list(store.metrics.read()) == []
    assert list(store.health.read()) == []
    assert not path.exists()
    add(store)
    assert count(store) == 1
    path.unlink()
    assert list(store.metrics.read()) == []
    assert not path.exists()
    add(store, 2)
    assert count(open_store()) == 1


def test_a_link_is_followed(path, open_store, tmp_path):
    """Even to a file that does not exist yet, which gets the same mode."""
    target = tmp_path / "real.db"
    path.symlink_to(target)
    add(open_store())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert count(open_store(target)) == 1


def test_a_folder_that_does_not_exist(tmp_path, open_store):
    """It is not created."""
    with pytest.raises(StoreError, match=r"nowhere/kickai\.db cannot be used: No such file or directory"):
        add(open_store(tmp_path / "nowhere" / "kickai.db"))
    with pytest.raises(StoreError, match="cannot be used"):
        add(open_store(tmp_path))


@pytest.mark.parametrize("content", [b"not a database, but long enough to look like one" * 50, b"\x00" * 5000])
def test_a_file_that_is_no_database(path, open_store, content):
    """The message says what to do, and the file stays as it is."""
    path.write_bytes(content)
    for call in (add, count, SqliteStore.check):
        with pytest.raises(StoreError, match="move it away, and a new one is created"):
            call(open_store())
    assert path.read_bytes() == content


@pytest.mark.parametrize(("make", "kind"), [(Path.mkdir, "a folder"), (os.mkfifo, "not a regular file")])
def test_what_is_no_regular_file(path, open_store, make, kind):
    """The message says so, at first and when it has replaced the file; afterwards the store works again."""
    store = open_store()
    add(store)
    path.unlink()
    make(path)
    for each in (store, open_store()):
        with pytest.raises(StoreError, match=f"kickai.db cannot be used, since it is {kind}: move it away"):
            add(each, 2)
        with pytest.raises(StoreError, match=f"it is {kind}"):
            count(each)
    path.rename(path.with_name("aside"))
    add(store, 3)
    assert count(store) == 1


def test_a_damaged_file(path, open_store):
    """It is noticed by a check, and by the call that meets the damage."""
    store = open_store()
    for number in range(1, 300):
        cells = {CellKey(start_s=60 * number, role=f"r{at}"): Cell(counters={"requests": 1}) for at in range(8)}
        store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
    store.close()
    with path.open("r+b") as file:
        for page in range(12, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    with pytest.raises(StoreError, match="damaged"):
        count(store)
    with pytest.raises(StoreError, match="damaged"):
        store.check()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cells SET latency = x'81'",
        "UPDATE cells SET counters = x'560101560101'",
        "UPDATE cells SET counters = x'4201'",
        "UPDATE cells SET counters = x'42016301'",
        "UPDATE cells SET counters = x'78'",
        "UPDATE cells SET counters = 7",
        "UPDATE documents SET value = '{'",
        "UPDATE documents SET value = '[]'",
    ],
)
def test_a_damaged_value(path, open_store, statement):
    """It is an error of the store, not of Python."""
    store = open_store()
    add(store)
    store.documents.write("rollout", {}, expected_version=0)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    read = count if "cells" in statement else lambda store: store.documents.read("rollout")
    with pytest.raises(StoreError, match="damaged"):
        read(store)


@pytest.mark.parametrize("column", ["ends_s", "duration_s"])
@pytest.mark.parametrize(
    ("table", "call"),
    [
        ("marks", lambda store: store.health.read()),
        ("marks", lambda store: store.health.publish([HealthMark(key="k", kind="breaker", left_s=9.0)])),
        ("leases", lambda store: store.leases.claim("probe", "other", 9.0)),
        ("windows", lambda store: store.leases.read_windows()),
        ("windows", lambda store: store.leases.take_permits("calls", "p", amount=1, limit=9, window_s=9.0)),
        ("windows", lambda store: store.leases.take_permits("more", "p", amount=1, limit=9, window_s=9.0)),
    ],
)
def test_a_value_of_another_type(path, open_store, table, column, call):
    """Text where a number should be is an error of the store too, in whichever table it is."""
    store = open_store()
    store.health.publish([HealthMark(key="k", kind="breaker", left_s=100.0)])
    store.leases.claim("probe", "p", 100.0)
    store.leases.take_permits("calls", "p", amount=1, limit=9, window_s=100.0)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {table} SET {column} = 'damaged'")  # noqa: S608  the names are this file's
    connection.close()
    with pytest.raises(StoreError, match="damaged"):
        call(store)


def test_a_database_of_another_program(path, open_store):
    """It is not touched."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is an SQLite database of another program: use another file"):
        add(open_store())
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version(path, open_store):
    """A running process notices it too, and both say what to do."""
    running = open_store()
    add(running)
    add(open_store(migrations=NEXT), 2)
    for store in (running, open_store()):
        with pytest.raises(StoreError, match=rf"has schema version {len(NEXT)}, .* up to {len(MIGRATIONS)}: upgrade"):
            count(store)
        with pytest.raises(StoreError, match=f"schema version {len(NEXT)}"):
            add(store, 3)


def test_a_file_of_an_older_version_is_migrated(path, open_store):
    """Nothing is lost, and a version that fails to migrate changes nothing."""
    old = open_store()
    old.documents.write("rollout", {"n": 1}, expected_version=0)
    old.close()
    with pytest.raises(StoreError, match="nonsense"):
        add(open_store(migrations=(*NEXT, ("nonsense",))))
    new = open_store(migrations=NEXT)
    assert new.documents.read("rollout").value == {"n": 1}
    assert new.check().schema_version == len(NEXT)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT note FROM documents").fetchall() == [("new",)]
    connection.close()


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "deleted"])
def test_a_file_that_is_replaced_or_deleted(path, open_store, tmp_path, replaced):
    """The next call uses the new file; writes do not go to the old one."""
    store = open_store()
    add(store)
    other = open_store(tmp_path / "other.db")
    add(other)
    add(other, 2)
    other.close()
    if replaced:
        shutil.move(tmp_path / "other.db", path)
    else:
        path.unlink()
    assert count(store) == (2 if replaced else 0)
    add(store, 3)
    assert count(open_store()) == (3 if replaced else 1)


def test_a_file_that_is_replaced_during_a_change(path, open_store):
    """The change is lost, so it is an error; the batch can be added again."""
    store = open_store()
    add(store)

    def replace_and_add():
        with store._database.write() as connection:
            connection.execute("INSERT INTO numbers VALUES ('x', 1)")
            path.unlink()

    with pytest.raises(StoreError, match=r"was replaced or deleted while it was written|disk reported an error"):
        replace_and_add()
    add(store, 2)
    assert count(store) == 1


def test_a_write_ahead_log_is_ended(path, open_store):
    """Another program may have begun it."""
    add(open_store())
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    connection.close()
    store = open_store()
    add(store, 2)
    assert store.check().details["journal"] == "delete"


def test_the_check_describes_the_file(path, open_store):
    """With the version of SQLite, and what an operator should change."""
    store = open_store()
    status = store.check()
    assert (status.kind, status.location, status.schema_version) == ("sqlite", str(path), len(MIGRATIONS))
    assert status.details["sqlite"] == sqlite3.sqlite_version
    assert int(status.details["bytes"]) == path.stat().st_size
    path.chmod(0o666)
    [warning] = [text for text in store.check().warnings if "chmod" in text]
    assert warning == "others may write the file (mode 0666): run chmod 600 on it"


def test_a_restart_of_the_machine_ends_suspensions_and_leases(open_store):
    """The monotonic clock starts anew, so what was to end much later has to be from before."""
    now_s = [10_000.0]
    store = open_store(clock=lambda: now_s[0])
    store.health.publish([HealthMark(key="k", kind="suspension", left_s=500)])
    store.leases.claim("probe", "p", 500)
    store.leases.take_permits("calls", "p", amount=10, limit=10, window_s=500)
    now_s[0] = 20.0
    assert list(store.health.read()) == []
    assert store.leases.claim("probe", "q", 500) is not None
    assert store.leases.take_permits("calls", "q", amount=10, limit=10, window_s=500) is not None
    store.health.publish([HealthMark(key="k", kind="suspension", left_s=7)])
    assert [mark.left_s for mark in store.health.read()] == [7]
