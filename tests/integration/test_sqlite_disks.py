"""The SQLite store on disks that are full or read-only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the mounts and limits of Linux")

BEGIN = """
import json, os, resource, shutil, signal, subprocess, sys
from pathlib import Path
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.stores.sqlite.schema import MIGRATIONS
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

folder = Path(sys.argv[1])
path = folder / "kickai.db"
store = SqliteStore(path)


def run(*arguments):
    subprocess.run(arguments, check=True)


def write(n, size=10):
    version = store.documents.read("d").version
    return store.documents.write("d", {"n": n, "x": "x" * size}, expected_version=version)


def read():
    return store.documents.read("d").value.get("n")


def fail(call, *arguments):
    try:
        call(*arguments)
    except StoreError as error:
        return str(error).replace(str(path), "FILE")
    return "no error"


results = []
"""


def run_script(folder, script, *, namespace=True):
    """Return what a script in its own process appends to ``results``; with its own mounts if it has a namespace."""
    code = BEGIN + textwrap.dedent(script) + "\nstore.close()\nprint(json.dumps(results))\n"
    command = [sys.executable, "-c", code, str(folder)]
    if namespace:
        unshare = ["unshare", "--mount", "--map-root-user"]
        if subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", str(folder)], check=False).returncode:
            pytest.skip("this system does not allow mounts in a namespace")
        command = [*unshare, *command]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_full_disk(tmp_path):
    """The change is rolled back, the rest can be read, and writing works again once there is space."""
    results = run_script(
        tmp_path,
        """
        run("mount", "-t", "tmpfs", "-o", "size=512k", "none", str(folder))
        results.append(write(1))
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        results.append(fail(write, 2, 50_000))
        results.append(fail(store.documents.delete, ""))
        results.append(fail(store.check))
        results.append(read())
        filler.unlink()
        results += [write(3, 50_000), read(), store.check().kind]
        """,
    )
    assert results[0] is True
    for message in results[1:4]:
        assert "the disk" in message
        assert "SQLITE_FULL" in message or "SQLITE_IOERR" in message
    assert results[4:] == [1, True, 3, "sqlite"]


def test_a_file_that_must_not_grow(tmp_path):
    """A limit of the process is an error of the store, and does not end the process."""
    results = run_script(
        tmp_path,
        """
        results.append(write(1))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does
        size = path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        results.append(fail(write, 2, 200_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        results += [read(), write(3, 200_000), read()]
        """,
        namespace=False,
    )
    assert results[0] is True
    assert "check the file system, its free space and its quota (SQLITE_IOERR" in results[1]
    assert results[2:] == [1, True, 3]


def test_a_read_only_file_system_can_be_read(tmp_path):
    """A file with a write-ahead log and one of an older version too; writing is an error."""
    results = run_script(
        tmp_path,
        """
        run("mount", "-t", "tmpfs", "none", str(folder))
        write(1)
        store.metrics.add(MetricsBatch(process="p", number=1, cells={CellKey(start_s=60): Cell(counters={"n": 5})}))
        store.close()
        for mode in ("delete", "wal"):
            import sqlite3
            connection = sqlite3.connect(path)
            connection.execute(f"PRAGMA journal_mode = {mode}")
            connection.close()
            run("mount", "-o", "remount,ro", str(folder))
            results.append([read(), [cell.counters for _, cell in store.metrics.read()]])
            results.append(fail(write, 2))
            results.append(fail(store.check))
            newer = SqliteStore(path, migrations=(*MIGRATIONS, ("ALTER TABLE documents ADD COLUMN note TEXT",)))
            results.append(newer.documents.read("d").value["n"])
            newer.close()
            store.close()
            run("mount", "-o", "remount,rw", str(folder))
        """,
    )
    assert results[0] == results[4] == [1, [{"n": 5}]]
    assert results[3] == results[7] == 1
    for message in (*results[1:3], *results[5:7]):
        assert "read-only" in message or "cannot be opened" in message


def test_an_interrupted_change_on_a_read_only_file_system(tmp_path):
    """It cannot be rolled back there, and half of it must not be read."""
    results = run_script(
        tmp_path,
        """
        run("mount", "-t", "tmpfs", "none", str(folder))
        write(1, 100_000)
        store.close()
        pid = os.fork()
        if not pid:
            import sqlite3
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA cache_size = 1")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE documents SET value = ?", ("y" * 200_000,))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        results.append(Path(f"{path}-journal").stat().st_size > 0)
        run("mount", "-o", "remount,ro", str(folder))
        results.append(fail(read))
        run("mount", "-o", "remount,rw", str(folder))
        results.append(read())
        """,
    )
    assert results[0] is True
    assert "SQLITE_READONLY" in results[1] or "SQLITE_CANTOPEN" in results[1]
    assert results[2] == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("mode", [0o644, pytest.param(0o666, marks=pytest.mark.slow), 0o600])
def test_a_file_of_another_user(mode):
    """It can be read if its mode allows that; writing needs the folder too."""
    # Pytest's own folders are closed to other users, who may have no right to read the interpreter either: the script
    # becomes another user only after its imports.
    script = "os.setgroups([]); os.setuid(65534); results += [fail(read), fail(write, 2)]"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        run_script(folder, "write(1)", namespace=False)
        (folder / "kickai.db").chmod(mode)
        results = run_script(folder, script, namespace=False)
        assert (results[0] == "no error") is (mode != 0o600)
        assert "read-only" in results[1] or "cannot be opened" in results[1]
        assert run_script(folder, "results.append(read())", namespace=False) == [1]
