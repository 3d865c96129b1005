"""Every fault of the server or the network is reported, costs little, and ends when the server works again."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress

import pytest
from application import count_requests, create_resolver, open_store, wait_until
from kickai_providers_core.stores.api import HealthMark, StoreError
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch
from proxy import Proxy
from servers import KINDS, running

from kickai_redis.connection import BREAKER
from kickai_redis.settings import RedisSettings
from kickai_redis.store import RedisStore

NAMESPACE = "tests"
SHORT_S = 1.0
"""A time limit that a busy machine keeps when nothing is wrong."""

LONG_S = 60.0
"""The longest time limit of a store."""


class Ticker:
    """A clock that a test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now_s


@pytest.fixture
def scene():
    """A server of its own, a proxy before it, and a store with a clock that the test sets."""
    with running("valkey") as server:
        proxy, clock = Proxy(server.port), Ticker()
        settings = RedisSettings(location="x", hosts=(("127.0.0.1", proxy.port),), timeout_s=SHORT_S)
        store = RedisStore(settings, NAMESPACE, clock=clock)
        yield server, proxy, store, clock
        store.close()
        proxy.close()


def make_batch(number):
    """Return a batch of one request."""
    return MetricsBatch(process="p", number=number, cells={CellKey(start_s=60): Cell(counters={"requests": 1})})


def find_failure(store):
    """Return how reading fails; empty if it does not."""
    try:
        store.health.read()
    except StoreError as error:
        return str(error)
    return ""


def test_a_dead_server_is_seldom_called(scene):
    """After two failures it is not called for a second, and then once in two seconds."""
    _, proxy, store, clock = scene
    proxy.behaviour = "swallow"
    for _ in range(5):
        assert find_failure(store) == "the store x did not answer within 1 s"
    assert proxy.accepted == BREAKER.max_errors
    for called, wait_s in ((BREAKER.max_errors + 1, 1.0), (BREAKER.max_errors + 1, 0.5), (BREAKER.max_errors + 2, 1.5)):
        clock.now_s += wait_s
        assert find_failure(store)
        assert find_failure(store)
        assert proxy.accepted == called
    proxy.behaviour = "forward"
    assert find_failure(store)
    clock.now_s += 2.0
    assert [find_failure(store) for _ in range(5)] == [""] * 5


def test_what_the_server_refuses_does_not_count_as_a_failure(scene):
    """The connection stays open, and reading goes on."""
    server, proxy, store, _ = scene
    server.call("HSET", "kickai:{tests}:facts", "schema", "1")
    server.call("CONFIG", "SET", "maxmemory", "1")
    for number in range(1, 6):
        with pytest.raises(StoreError, match=r"the server's memory is full: raise maxmemory or free some \(OOM\)"):
            store.metrics.add(make_batch(number))
        assert find_failure(store) == ""
    assert proxy.accepted == 1
    server.call("CONFIG", "SET", "maxmemory", "0")
    store.metrics.add(make_batch(5))


@contextmanager
def suppress_store_errors():
    """Yield a list that then has the error of the block, if any; other exceptions are raised."""
    errors = []
    try:
        yield errors
    except StoreError as error:
        errors.append(error)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff{}",
        b"\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$x\r\n",
        b"*3\r\n$1\r\n\xff\r\n:x\r\n",
        b":12\r\n",
        b"+OK\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        b"*-1\r\n",
        b"$-1\r\n",
        b"-ERR unknown command 'AUTH', with args beginning with: 'canary'\r\n",
        b"-canary\r\n",
        b"-MOVED 1 canary\r\n",
        b"-MOVED x canary:y\r\n",
    ],
)
def test_garbage_is_an_error_of_the_store(garbage):
    """Of this class only, whatever is called, and no message quotes it."""
    with running("valkey") as server:
        proxy = Proxy(server.port)
        proxy.behaviour, proxy.garbage = "garbage", garbage
        calls = (
            lambda store: store.health.read(),
            lambda store: store.health.publish([HealthMark(key="k", kind="breaker", left_s=1.0)]),
            lambda store: store.documents.read("d"),
            lambda store: store.documents.read_history("d"),
            lambda store: store.documents.delete("d"),
            lambda store: store.leases.take_permits("n", "h", amount=1, limit=2, window_s=3.0),
            lambda store: store.metrics.add(make_batch(1)),
            lambda store: list(store.metrics.read()),
            lambda store: store.metrics.read_writers(),
            lambda store: store.metrics.compact(1e9, 400),
            lambda store: store.check(),
        )
        for call in calls:
            store = open_store(f"redis://:canary@127.0.0.1:{proxy.port}?timeout_s=0.3")
            with suppress_store_errors() as errors:
                call(store)
            for error in errors:
                assert "canary" not in str(error)
                assert error.__cause__ is None
            store.close()
        proxy.close()


def test_a_batch_of_unknown_fate_is_added_once(scene):
    """The answer is lost, and the process repeats the batch."""
    _, proxy, store, clock = scene
    store.metrics.add(make_batch(1))
    proxy.behaviour = "swallow"
    with pytest.raises(StoreError):
        store.metrics.add(make_batch(2))
    proxy.behaviour = "forward"
    clock.now_s += 10
    store.metrics.add(make_batch(2))
    [(_, cell)] = store.metrics.read()
    assert cell.counters == {"requests": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_schema_is_refused(kind):
    """By reading and by writing, and nothing is changed."""
    with running(kind) as server:
        store = open_store(f"redis://{server.address}?timeout_s=30")
        store.metrics.add(make_batch(1))
        server.call("HSET", "kickai:{tests}:facts", "schema", "2")
        for call in (store.health.read, lambda: store.metrics.add(make_batch(2)), store.check):
            with pytest.raises(StoreError, match=r"written by a newer version of kickai-redis: upgrade kickai-redis"):
                call()
        server.call("HSET", "kickai:{tests}:facts", "schema", "1")
        store.metrics.add(make_batch(2))
        store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_keys_of_another_program_stay(kind):
    """All or nothing: no part of a batch is added."""
    with running(kind) as server:
        store = open_store(f"redis://{server.address}?timeout_s=30")
        server.call("SET", "kickai:{tests}:cells:0:120", "mine")
        cells = {CellKey(start_s=start): Cell(counters={"requests": 1}) for start in (60, 120)}
        for _ in range(2):
            with pytest.raises(StoreError, match=r"another program has keys under this namespace"):
                store.metrics.add(MetricsBatch(process="p", number=1, cells=cells))
        assert list(store.metrics.read_writers()) == []
        server.call("DEL", "kickai:{tests}:cells:0:120")
        assert list(store.metrics.read()) == []
        store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_explained(kind):
    """Whichever value is damaged."""
    with running(kind) as server:
        store = open_store(f"redis://{server.address}?timeout_s=30")
        store.metrics.add(make_batch(1))
        store.documents.write("d", {}, expected_version=0)
        store.health.publish([HealthMark(key="k", kind="breaker", left_s=100.0)])
        for key, field, call in (
            ("documents", "d", lambda: store.documents.read("d")),
            ("cells:0:60", "1 x", lambda: list(store.metrics.read())),
            ("marks", '["k","breaker"]', store.health.read),
            ("windows", "calls", store.leases.read_windows),
            ("windows", "calls", lambda: store.leases.take_permits("calls", "p", amount=1, limit=9, window_s=9)),
            ("windows", "other", lambda: store.leases.take_permits("new", "p", amount=1, limit=9, window_s=9)),
            ("leases", "probe", lambda: store.leases.claim("probe", "p", 9)),
            ("marks", '["k","breaker"]', lambda: store.health.lift("k", 9)),
        ):
            server.call("HSET", f"kickai:{{tests}}:{key}", field, "damaged")
            with pytest.raises(StoreError, match=r"is damaged: delete the keys that begin with kickai:\{tests\}:"):
                call()
        store.close()


# What an application notices


@contextmanager
def freeze(server, proxy):
    """Let the server accept connections and never answer."""
    server.freeze()
    yield "did not answer within"
    server.thaw()


@contextmanager
def delay(server, proxy):
    """Answer after 20 seconds."""
    proxy.behaviour, proxy.pause = "delay", 20.0
    yield "did not answer within"
    proxy.behaviour = "forward"


@contextmanager
def answer_too_late(server, proxy):
    """Answer after the client has given up, and before the fault ends."""
    proxy.behaviour, proxy.pause = "delay", 0.75
    yield "did not answer within"
    proxy.behaviour = "forward"


@contextmanager
def half_open(server, proxy):
    """Lose what the server sends."""
    proxy.behaviour = "swallow"
    yield "did not answer within"
    proxy.behaviour = "forward"
    proxy.cut()


@contextmanager
def send_garbage(server, proxy):
    """Answer with something else."""
    proxy.behaviour, proxy.garbage = "garbage", b"HTTP/1.1 400 Bad Request\r\n\r\n"
    yield "it answered in a way that is not the protocol of Redis"
    proxy.behaviour = "forward"
    proxy.cut()


@contextmanager
def refuse(server, proxy):
    """Close all connections, and refuse new ones."""
    proxy.refuse()
    yield "cannot be reached: Connection refused"
    proxy.listen()


@contextmanager
def fill(server, proxy):
    """Let the memory be full."""
    server.call("CONFIG", "SET", "maxmemory", "1")
    yield "the server's memory is full"
    server.call("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def demote(server, proxy):
    """Make the server a read-only replica of another one."""
    with running(server.kind) as other:
        server.call("WAIT", 0, 1)
        other.call("REPLICAOF", "127.0.0.1", server.port)
        wait_until(lambda: other.connect().info("replication").get("master_link_status") == "up")
        other.call("REPLICAOF", "NO", "ONE")
        server.call("REPLICAOF", "127.0.0.1", other.port)
        wait_until(lambda: server.connect().info("replication").get("master_link_status") == "up")
        yield "the server is a read-only replica"
        server.call("REPLICAOF", "NO", "ONE")


FAULTS = (freeze, delay, answer_too_late, half_open, send_garbage, refuse, fill, demote)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_application_goes_on_during_a_fault(kind, fault, caplog):
    """Requests succeed, there is one warning, and afterwards every request is counted, and so are the failures."""
    with running(kind) as server:
        proxy = Proxy(server.port)
        with create_resolver(f"redis://127.0.0.1:{proxy.port}?timeout_s=0.5") as resolver:
            chain = resolver.chain("plain")
            for _ in range(10):
                chain.invoke("Who can play?")
            wait_until(lambda: resolver.flush(1))
            with fault(server, proxy) as reason:
                for _ in range(10):
                    chain.invoke("Who can play?")
                wait_until(lambda: reason in resolver.store_status().error)
                assert resolver.store_status().failing_s >= 0
                with pytest.raises(StoreError, match=reason):
                    open_store(f"redis://127.0.0.1:{proxy.port}?timeout_s=0.5").check()
            for _ in range(10):
                chain.invoke("Who can play?")
            wait_until(lambda: resolver.flush(1) and not resolver.store_status().error)
        store = open_store(f"redis://{server.address}?timeout_s=30")
        assert count_requests(store) == 30
        assert sum(cell.counters.get("store.failures", 0) for _, cell in store.metrics.read()) > 0
        store.close()
        proxy.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_restarts_empty(kind):
    """What it had is lost, and everything since is counted."""
    with running(kind) as server, create_resolver(f"redis://{server.address}?timeout_s=0.5") as resolver:
        chain = resolver.chain("plain")
        for _ in range(10):
            chain.invoke("Who can play?")
        wait_until(lambda: resolver.flush(1))
        server.kill()
        for _ in range(10):
            chain.invoke("Who can play?")
        wait_until(lambda: "Connection refused" in resolver.store_status().error)
        server.start()
        for _ in range(10):
            chain.invoke("Who can play?")
        wait_until(lambda: resolver.flush(1) and not resolver.store_status().error)
        store = open_store(f"redis://{server.address}?timeout_s=30")
        assert count_requests(store) == 20
        store.close()


def test_no_request_waits_for_a_server_that_never_answers():
    """The store's thread waits for a minute; a request that waited for it would take as long."""
    with running("valkey") as server:
        server.freeze()
        began = time.monotonic()
        resolver = create_resolver(f"redis://{server.address}?timeout_s={LONG_S:g}")
        chain = resolver.chain("plain")
        threads = [threading.Thread(target=chain.invoke, args=("Who can play?",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            chain.invoke("Who can play?")
        for thread in threads:
            thread.join()
        assert any(thread.name == "kickai-store" for thread in threading.enumerate())
        assert resolver.store_status().behind_s > 0
        resolver.close()
        assert time.monotonic() - began < LONG_S
        server.thaw()
        with suppress(RuntimeError):
            wait_until(lambda: all(thread.name != "kickai-store" for thread in threading.enumerate()))


def test_an_answer_that_drips_delays_no_request():
    """Each byte comes in time, so that only the store's thread notices."""
    with running("valkey") as server:
        proxy = Proxy(server.port)
        proxy.behaviour, proxy.pause = "drip", 0.2
        with create_resolver(f"redis://127.0.0.1:{proxy.port}?timeout_s=10") as resolver:
            chain = resolver.chain("plain")
            for _ in range(100):
                chain.invoke("Who can play?")
            proxy.behaviour = "forward"
            wait_until(lambda: resolver.flush(1))
        store = open_store(f"redis://{server.address}?timeout_s=30")
        assert count_requests(store) == 100
        store.close()
        proxy.close()
