"""Unix sockets, Sentinels and clusters, with real processes."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from application import count_requests, create_resolver, open_store, wait_until
from kickai_providers_core.stores.api import HealthMark, Lease, StoreError
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch
from redis.exceptions import ResponseError
from servers import KINDS, Server, find_port, running

PATIENT = "timeout_s=30"


def use_all(store):
    """Call each part of a store, and check what it returns."""
    store.metrics.add(
        MetricsBatch(process="p", number=1, cells={CellKey(start_s=60, model="m"): Cell(counters={"requests": 3})})
    )
    store.metrics.compact(1_700_000_000.0, 40_000)
    assert [cell.counters for _, cell in store.metrics.read()] == [{"requests": 3}]
    assert [writer.process for writer in store.metrics.read_writers()] == ["p"]
    assert store.documents.write("d", {"n": 1}, expected_version=0)
    assert store.documents.read("d").value == {"n": 1}
    assert list(store.documents.read_history("d")) == []
    store.documents.delete("d")
    store.health.publish([HealthMark(key="k", kind="breaker", left_s=100)])
    [mark] = store.health.read()
    store.health.lift("k", mark.generation)
    assert store.leases.claim("l", "me", 100)
    store.leases.release("l", "me")
    lease = store.leases.take_permits("t", "me", amount=2, limit=5, window_s=100)
    assert isinstance(lease, Lease)
    store.leases.return_permits(lease, 1)
    assert store.check().location


@pytest.mark.parametrize("kind", KINDS)
def test_a_unix_socket(kind):
    """Everything works over it."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/my server.sock"
        with running(kind, "--unixsocket", path):
            store = open_store(f"redis+unix://{path.replace(' ', '%20')}?db=3&{PATIENT}")
            use_all(store)
            assert "not encrypted" not in repr(store.check().warnings)
            store.close()


def test_a_missing_socket():
    """The message says so."""
    with pytest.raises(StoreError, match="cannot be reached: No such file or directory"):
        open_store("redis+unix:///nowhere/x.sock").check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_with_the_documented_rights(kind):
    """No more are needed."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    [line] = [line for line in readme.splitlines() if line.startswith("ACL SETUSER")]
    with running(kind) as server:
        server.call(*line.replace("PASSWORD", "canary").split())
        store = open_store(f"redis://kickai:canary@{server.address}?{PATIENT}")
        use_all(store)
        assert store.check().details["memory"]
        store.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("login", "reason"),
    [
        ("", "needs a password: put it before the host, or in KICKAI_REDIS_PASSWORD (NOAUTH)"),
        ("kickai:canary2@", "has refused the user or the password (WRONGPASS)"),
        ("weak:canary@", "lacks a right"),
    ],
    ids=["none", "wrong", "weak"],
)
def test_a_refused_login(kind, login, reason):
    """The message says what to do, and shows no password."""
    with running(kind, "--requirepass", "canary") as server:
        server.call("ACL", "SETUSER", "weak", "on", ">canary", "+ping", password="canary")
        with pytest.raises(StoreError) as caught:
            open_store(f"redis://{login}{server.address}?{PATIENT}").check()
        assert reason in str(caught.value)
        assert "canary" not in str(caught.value)


@contextmanager
def run_node(kind):
    """Run a node of a cluster."""
    bus = find_port()
    with running(kind, "--cluster-enabled", "yes", "--cluster-port", str(bus)) as node:
        node.bus = bus
        yield node


@contextmanager
def run_cluster(kind):
    """Run a cluster of three nodes."""
    with run_node(kind) as one, run_node(kind) as two, run_node(kind) as three:
        nodes = (one, two, three)
        for place, node in enumerate(nodes):
            first, last = place * 5461, 16_383 if place == 2 else (place + 1) * 5461 - 1
            node.call("CLUSTER", "ADDSLOTSRANGE", first, last)
            if place:
                one.call("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        wait_until(lambda: all(map(_is_ready, nodes)))
        yield nodes


def _is_ready(node):
    with node.connect() as client:
        info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == len(KINDS) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster(kind):
    """Whichever node the keys of a namespace are on, and whichever nodes the address lists."""
    with run_cluster(kind) as nodes:
        for namespace in "abcdef":
            store = open_store(f"{kind}+cluster://{nodes[0].address},{nodes[1].address}?{PATIENT}", namespace)
            use_all(store)
            store.close()
        assert all(node.call("DBSIZE") for node in nodes)  # so they were spread
        # The keys of one namespace are all on one node, or its scripts would have failed.
        nodes[0].kill()
        store = open_store(f"redis+cluster://{nodes[0].address},{nodes[1].address}?timeout_s=1", "a")
        failures = [_find_failure(store) for _ in range(2)]
        assert "Connection refused" in failures[0]
        assert "Connection refused" not in failures[1]  # the next host was asked
        store.close()


def _find_failure(store):
    try:
        store.documents.read("d")
    except StoreError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_address_of_a_cluster_is_explained(kind):
    """The message names the right form of the address."""
    with run_cluster(kind) as nodes:
        failures = []
        for namespace in "abcdef":
            try:
                open_store(f"redis://{nodes[0].address}?{PATIENT}", namespace).check()
            except StoreError as error:
                failures.append(str(error))
        assert failures
        assert all("the server is part of a cluster: use redis+cluster:// (MOVED)" in each for each in failures)


@contextmanager
def run_sentinel(kind):
    """Run a primary, a replica and a Sentinel."""
    with (
        running(kind) as primary,
        running(kind, "--replicaof", "127.0.0.1", str(primary.port)) as replica,
        tempfile.TemporaryDirectory() as name,
    ):
        wait_until(lambda: replica.connect().info("replication")["master_link_status"] == "up")
        folder = Path(name)
        sentinel = Server(kind, folder, sentinel=True)
        (folder / "sentinel.conf").write_text(
            f"port {sentinel.port}\nbind 127.0.0.1\ndir {folder}\nuser default on nopass ~* &* +@all\n"
            f"user watcher on >canary ~* &* +@all\n"
            f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 5000\n"
        )
        try:
            sentinel.start()
            wait_until(lambda: len(sentinel.connect().sentinel_slaves("main")) == 1)
            yield primary, replica, sentinel
        finally:
            sentinel.kill()


def test_a_sentinel_names_the_primary():
    """A missing Sentinel is passed by, and an unknown service is explained."""
    with run_sentinel("valkey") as (primary, _, sentinel), running("valkey") as other:
        other.kill()
        store = open_store(f"valkey+sentinel://{other.address},{sentinel.address}/main/2?{PATIENT}")
        use_all(store)
        assert primary.call("DBSIZE", db=2)
        store.close()
        with pytest.raises(StoreError, match="no Sentinel knows its primary: check the hosts and the name"):
            open_store(f"valkey+sentinel://{sentinel.address}/unknown?{PATIENT}").check()


@pytest.mark.slow
def test_a_sentinel_may_need_a_login(monkeypatch):
    """It comes from the environment."""
    monkeypatch.setenv("KICKAI_REDIS_SENTINEL_USERNAME", "watcher")
    monkeypatch.setenv("KICKAI_REDIS_SENTINEL_PASSWORD", "canary")
    with run_sentinel("valkey") as (_, _, sentinel):
        assert open_store(f"valkey+sentinel://{sentinel.address}/main?{PATIENT}").check()
        monkeypatch.setenv("KICKAI_REDIS_SENTINEL_PASSWORD", "canary2")
        with pytest.raises(StoreError) as caught:
            open_store(f"valkey+sentinel://{sentinel.address}/main?{PATIENT}").check()
        assert "a Sentinel has refused the user or the password" in str(caught.value)
        assert "canary" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_failover_of_sentinels(kind):
    """Requests go on, and are counted by the new primary. What the old one had replicated is there."""
    with run_sentinel(kind) as (primary, replica, sentinel):
        url = f"{kind}+sentinel://{sentinel.address}/main?timeout_s=1"
        with create_resolver(url) as resolver:
            chain = resolver.chain("plain")
            for _ in range(10):
                chain.invoke("Who can play?")
            wait_until(lambda: resolver.flush(1))
            primary.call("WAIT", 1, 10_000)
            primary.kill()
            for _ in range(10):
                chain.invoke("Who can play?")
            wait_until(lambda: resolver.flush(1) and not resolver.store_status().error)
        store = open_store(f"redis://{replica.address}?{PATIENT}")
        assert count_requests(store) == 20
        store.close()


@pytest.mark.slow
def test_a_demoted_primary_is_left():
    """An operator moves the primary while connections to the old one stay open."""
    with run_sentinel("valkey") as (primary, replica, sentinel):
        store = open_store(f"valkey+sentinel://{sentinel.address}/main?timeout_s=5")
        assert store.documents.write("d", {"n": 1}, expected_version=0)
        primary.call("WAIT", 1, 10_000)
        wait_until(lambda: _begins_failover(sentinel))
        wait_until(lambda: (replica.call("ROLE")[0], primary.call("ROLE")[0]) == (b"master", b"slave"))
        wait_until(lambda: _try_to_write(store))
        assert store.documents.read("d").value == {"n": 2}
        store.close()


def _begins_failover(sentinel):
    try:
        sentinel.call("SENTINEL", "FAILOVER", "main")
    except ResponseError:  # it has not heard from the replica yet
        time.sleep(0.1)
        return False
    return True


def _try_to_write(store):
    try:
        version = store.documents.read("d").version
        return store.documents.write("d", {"n": 2}, expected_version=version)
    except StoreError:
        time.sleep(0.1)
        return False
