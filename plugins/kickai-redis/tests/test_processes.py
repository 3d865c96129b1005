"""Several processes and threads share one server: limits, health, and the metrics that they add up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from application import Plain, create_resolver, open_store, wait_until
from kickai_providers_core import ChainExhaustedError, ProviderUnavailableError, RateLimitedError, hookimpl
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.stores.api import HealthMark
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch
from proxy import Proxy
from servers import KINDS, running

from kickai_redis.cell_reading import CellReader
from kickai_redis.key_names import Keys
from kickai_redis.metrics import MAX_INCREMENTED

DAY_S = 86_400
NOW_S = 19_700 * DAY_S + 45_000

LIMIT = 50
"""The limit of a period, of which each process takes a tenth at once."""

PERIOD_S = 5.0

TAKE = """
import sys, time
sys.path.insert(0, {folder!r})
from application import open_store

store = open_store({url!r})
print("ready", flush=True)
sys.stdin.readline()
while True:
    began = time.monotonic()
    lease = store.leases.take_permits("calls", {name!r}, amount={block} // 2, limit={block}, window_s={window_s})
    if lease is None:
        time.sleep(0.01)
        continue
    for _ in range(lease.amount):
        used = time.monotonic()
        if used >= began + lease.left_s:  # the window may have ended
            break
        print(lease.window, used, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_four_processes_never_exceed_a_limit(kind):
    """In any period they make at most as many calls as the limit and one block; what a killed one had comes back."""
    block = LIMIT // 10
    with running(kind) as server, ExitStack() as stack:
        url = f"redis://{server.address}?timeout_s=30"
        processes = []
        for name in "abcd":
            program = TAKE.format(
                folder=str(Path(__file__).parent), url=url, name=name, block=block, window_s=PERIOD_S / 10
            )
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            stack.callback(process.kill)
            assert process.stdout.readline() == "ready\n"
            processes.append(process)
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        time.sleep(PERIOD_S)
        processes[0].kill()
        killed_at = time.monotonic()
        time.sleep(PERIOD_S)
        for process in processes:
            process.kill()
        lines = [line.split() for process in processes for line in process.communicate()[0].splitlines()]
    calls = [(int(line[0]), float(line[1])) for line in lines if len(line) == 2]
    times = sorted(used for _, used in calls)
    assert times
    for place, began in enumerate(times):
        assert bisect_left(times, began + PERIOD_S) - place <= LIMIT + block
    after = Counter(window for window, used in calls if used > killed_at + PERIOD_S / 10)
    assert max(after.values()) == block  # the permits of the killed process are not lost


class Failing(Plain):
    """A provider that fails in a given way until it is healed.

    Attributes:
        error: Returns the error; None when it answers.
        calls: The number of calls so far.
    """

    def __init__(self, error):
        self.error = error
        self.calls = 0

    @hookimpl
    def kickai_invoke_provider(self):
        """Fail or answer."""
        self.calls += 1
        if self.error is not None:
            raise self.error()
        return super().kickai_invoke_provider()


def fail(resolver):
    """Send a request that fails."""
    with pytest.raises(ChainExhaustedError):
        resolver.chain("plain").invoke("Who can play?")


def get_state(resolver):
    """Return whether the target of a resolver would be called."""
    with pytest.raises(ChainExhaustedError) as caught:
        resolver.chain("plain").invoke("Who can play?", deadline_s=0.2)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_suspension_reaches_another_process(kind):
    """A rate limit that one has met keeps the other from calling."""
    with running(kind) as server, ExitStack() as stack:
        url = f"redis://{server.address}?timeout_s=30"
        providers = [Failing(lambda: RateLimitedError("slow down", retry_after_s=100.0)) for _ in range(2)]
        one, other = (stack.enter_context(create_resolver(url, provider)) for provider in providers)
        store = open_store(url)
        other.chain("plain")
        fail(one)
        calls = providers[0].calls
        wait_until(store.health.read)
        [mark] = store.health.read()
        assert (mark.kind, mark.reason, mark.stated) == ("suspension", "RateLimitedError", True)
        assert 90 < mark.left_s <= 100
        assert b"plain" not in mark.key.encode() or mark.key
        fail(other)  # it may not know yet, but it learns the suspension without an answer of its own
        providers[1].calls = 0
        wait_until(lambda: not _calls_again(other, providers[1]))
        assert providers[0].calls == calls
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_process_probes_for_all(kind):
    """When the cool-down of a service is over, one call finds out whether it works, and all of them use it again."""
    breaker = BreakerSettings(max_errors=2, cooldown_s=2.0, max_cooldown_s=600.0)
    with running(kind) as server, ExitStack() as stack:
        url = f"redis://{server.address}?timeout_s=30"
        providers = [Failing(lambda: ProviderUnavailableError("down", reached=True)) for _ in range(3)]
        policy = Policy(retry_share=0, retry_floor=0, last_resort=False)
        resolvers = [
            stack.enter_context(create_resolver(url, each, breaker=breaker, policy=policy)) for each in providers
        ]
        store = open_store(url)
        for _ in range(breaker.max_errors):
            get_state(resolvers[0])
        wait_until(store.health.read)
        chains = [resolver.chain("plain") for resolver in resolvers]
        # Each asks again and again until it has got an answer; the probes that fail open the breaker for all.
        wait_until(lambda: all(_is_open(resolver) for resolver in resolvers))
        for each in providers:
            each.calls = 0
        gate = threading.Barrier(len(chains))

        def ask(chain):
            gate.wait()
            ends = time.monotonic() + 4.0
            while time.monotonic() < ends:
                try:
                    chain.invoke("Who can play?", deadline_s=0.2)
                except ChainExhaustedError:
                    time.sleep(0.05)

        threads = [threading.Thread(target=ask, args=(chain,)) for chain in chains]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= sum(each.calls for each in providers) < len(providers)
        store.close()


@pytest.mark.parametrize(
    "bound_s", [pytest.param(5.0, id="busy"), pytest.param(1.0, id="exact", marks=pytest.mark.timing)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_suspension_reaches_another_process_within_a_second(kind, bound_s):
    """Without a request of the other, which then does not call the provider. The bound is longer on a busy machine."""
    with running(kind) as server, ExitStack() as stack:
        url = f"redis://{server.address}?timeout_s=30"
        providers = [Failing(lambda: RateLimitedError("slow down", retry_after_s=100.0)) for _ in range(2)]
        one, other = (stack.enter_context(create_resolver(url, provider)) for provider in providers)
        other.chain("plain")
        fail(one)
        began = time.monotonic()
        wait_until(lambda: any(not state.condition.is_healthy for state in other._health.get_states().values()))
        assert time.monotonic() - began < bound_s
        fail(other)
        assert providers[1].calls == 0


def _is_open(resolver):
    return any(state.breaker.state is BreakerState.OPEN for state in resolver._health.get_states().values())


def _calls_again(resolver, provider):
    before = provider.calls
    get_state(resolver)
    return provider.calls > before


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_sees_every_cell_once_while_others_add_up(kind):
    """Four compactions at once, and batches for old minutes in between, change no sum that a reader sees."""
    with running(kind) as server:
        url = f"redis://{server.address}?timeout_s=30"
        store = open_store(url)
        starts = [NOW_S - 50 * DAY_S + minute * 60 for minute in range(0, 3 * 1440, 3)]
        starts += [NOW_S - 3 * DAY_S + minute * 60 for minute in range(0, 1320, 3)]
        for number in range(1, 4):
            cell = Cell(counters={"n": 1}, latency={number: 1})
            cells = {CellKey(start_s=start, model="m"): cell for start in starts}
            store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
        errors = []

        def compact():
            mine = open_store(url)
            try:
                mine.metrics.compact(NOW_S, 400)
            except BaseException as error:  # noqa: BLE001  the test shows it
                errors.append(error)
            mine.close()

        threads = [threading.Thread(target=compact) for _ in range(4)]
        for thread in threads:
            thread.start()
        expected = 3 * len(starts)
        while any(thread.is_alive() for thread in threads):
            assert sum(cell.counters["n"] for _, cell in store.metrics.read()) == expected
            late = {CellKey(start_s=starts[0], model="m"): Cell(counters={"n": 1})}
            store.metrics.add(MetricsBatch(process="q", number=expected, cells=late))
            expected += 1
        for thread in threads:
            thread.join()
        assert errors == []
        found = list(store.metrics.read())
        assert sum(cell.counters["n"] for _, cell in found) == expected
        assert sum(count for _, cell in found for count in cell.latency.values()) == 3 * len(starts)
        store.metrics.compact(NOW_S, 400)
        assert {key.span_s for key, _ in store.metrics.read()} == {DAY_S, 3600}
        assert sum(cell.counters["n"] for _, cell in store.metrics.read()) == expected
        store.close()


def test_a_reader_gives_up_at_last(valkey):
    """When a day is added up all the time, which it cannot be."""
    store = open_store(f"redis://{valkey.address}/7?timeout_s=30")
    store.metrics.add(MetricsBatch(process="p", number=1, cells={CellKey(start_s=60): Cell(counters={"n": 1})}))
    changes = []

    def change(_seconds):
        changes.append(None)

    reader = CellReader(store._connection, Keys("tests"), sleep=change)
    real = reader._add_up
    with valkey.connect(db=7) as client:
        reader._add_up = lambda places: (client.hincrby("kickai:{tests}:changes", "0", 1), real(places))[1]
        with pytest.raises(Exception, match="are being added up all the time: try again"):
            list(reader.read_day(0, DAY_S))
    assert changes
    store.close()


@pytest.mark.parametrize("size", [MAX_INCREMENTED, MAX_INCREMENTED + 1], ids=["incremented", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_any_size_add_up(kind, size):
    """Large ones are packed; either is added once, and to what is there."""
    with running(kind) as server:
        store = open_store(f"redis://{server.address}?timeout_s=30")
        cell = Cell(counters={"n": 2**61, "error.x": 7, "zero": 0}, latency={-3: 2**62}, first_token={4: 1})
        keys = [CellKey(start_s=60 * (place % 7), role=f"r{place}") for place in range(size)]
        for number in (1, 1, 2, 3, 3, 4, 5):
            batch = MetricsBatch(process="p", number=number, cells=dict.fromkeys(keys, cell))
            store.metrics.add(batch)
        for _ in range(2):
            found = dict(store.metrics.read())
            assert set(found) == set(keys)
            for each in found.values():
                assert {name: count for name, count in each.counters.items() if count} == {
                    "n": 5 * 2**61,
                    "error.x": 35,
                }
                assert (each.latency, each.first_token) == ({-3: 5 * 2**62}, {4: 5})
            store.metrics.compact(100_000.0, 400)
        store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_days_that_are_too_old(kind):
    """Neither cells nor their indexes; only the names of counters stay."""
    with running(kind) as server:
        store = open_store(f"redis://{server.address}?timeout_s=30")
        for number, age in enumerate((500, 450, 1), start=1):
            cells = {CellKey(start_s=NOW_S - age * DAY_S, model=f"m{age}"): Cell(counters={"n": 1})}
            store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
        store.metrics.compact(NOW_S - 100 * DAY_S, 10_000)
        store.metrics.compact(NOW_S, 400)
        assert [key.model for key, _ in store.metrics.read()] == ["m1"]
        with server.connect() as client:
            assert client.hlen("kickai:{tests}:series") == client.zcard("kickai:{tests}:series-days") == 1
            assert client.hlen("kickai:{tests}:changes") == 1
            assert len(client.keys("kickai:{tests}:cells:*")) == 1
            assert all(client.ttl(key) > 0 for key in client.keys("kickai:{tests}:names:*"))
        store.close()


def test_the_clock_of_the_server_may_be_set_back(valkey):
    """What would last longer than it was meant to is over."""
    store = open_store(f"redis://{valkey.address}/8?timeout_s=30")
    store.health.publish([HealthMark(key="k", kind="suspension", left_s=50.0)])
    store.leases.claim("probe", "a", 50.0)
    lease = store.leases.take_permits("calls", "a", amount=5, limit=5, window_s=50.0)
    with valkey.connect(db=8) as client:
        for name in ("marks", "leases", "windows"):
            key = f"kickai:{{tests}}:{name}"
            for field, value in client.hgetall(key).items():
                ends, rest = value.split(b" ", 1)
                client.hset(key, field, b"%d %b" % (int(ends) + 3_600_000_000, rest))
    assert list(store.health.read()) == []
    assert store.leases.claim("probe", "b", 50.0)
    again = store.leases.take_permits("calls", "b", amount=5, limit=5, window_s=50.0)
    assert again.amount == 5
    assert again.window > lease.window
    store.close()


def test_numbers_are_not_used_again_after_a_loss(valkey):
    """A process that remembers a generation or a window from before must not affect a new one."""
    store = open_store(f"redis://{valkey.address}/9?timeout_s=30")
    marks, windows = [], []
    for _ in range(2):
        store.health.publish([HealthMark(key="k", kind="suspension", left_s=50.0)])
        marks.append(store.health.read()[0].generation)
        windows.append(store.leases.take_permits("calls", "a", amount=5, limit=5, window_s=50.0))
        valkey.call("FLUSHDB", db=9)
    assert marks[0] < marks[1]
    store.health.publish([HealthMark(key="k", kind="suspension", left_s=50.0)])
    store.health.lift("k", marks[1])
    assert len(store.health.read()) == 1
    assert windows[0].window < windows[1].window
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_leaves_the_connection_of_its_parent_alone(valkey):
    """It has one of its own, and ending it disturbs nobody."""
    store = open_store(f"redis://{valkey.address}/10?timeout_s=30")
    store.documents.write("d", {"n": 0}, expected_version=0)
    ids = [_get_connection_id(store)]
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.write(write, json.dumps([_get_connection_id(store)]).encode())
            store.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    ids += json.loads(os.read(read, 1000))
    os.close(read)
    os.close(write)
    assert len(set(ids)) == 2
    assert _get_connection_id(store) == ids[0]
    assert store.documents.read("d").value == {"n": 0}
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_for_the_running_call(valkey):
    """The client imports modules and takes locks, which a child that was forked meanwhile could never take."""
    proxy = Proxy(valkey.port)
    store = open_store(f"redis://127.0.0.1:{proxy.port}/11?timeout_s=30")
    proxy.behaviour = "drip"
    reader = threading.Thread(target=store.health.read)
    reader.start()
    wait_until(lambda: proxy.received)
    assert store._connection.is_running
    pid = os.fork()
    if not pid:
        os._exit(0 if not reader.is_alive() and not store._connection.is_running else 1)
    assert not store._connection.is_running  # the fork came after the call
    reader.join()
    assert os.waitpid(pid, 0)[1] == 0
    assert list(store.health.read()) == []
    store.close()
    proxy.close()


def _get_connection_id(store):
    return store._connection._get_link().client._connect().client_id()
