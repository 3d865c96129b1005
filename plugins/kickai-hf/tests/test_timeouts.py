"""Waits that are not for an answer: names, addresses, handshakes, slow readers; and what an event loop sees of them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import aclosing, closing, contextmanager

import httpcore2
import pytest
from attrs import evolve
from calling import MODES, acall, call
from kickai_providers_core import ChatRequest, ProviderSettings, ProviderTimeoutError, ProviderUnavailableError
from kickai_providers_core.testing.faults import Silence, Stall, blackhole

from kickai_hf.aio import AsyncioBackend
from kickai_hf.patience import Patience
from kickai_hf.transport import HeldBackend

BOUND_S = 0.3
SLACK_S = 0.5
"""A busy machine may need this much longer than a timeout."""


@contextmanager
def listening(backlog=16):
    """Give a port that accepts connections and never reads from them."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener.getsockname()[1]


@contextmanager
def within(seconds):
    """Fail when the block takes longer."""
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < seconds


def connected(kind, look_up, port):
    """Connect to a host by its name, and close; with the time to connect that ends, and plenty for the whole."""
    limit = Patience(ProviderSettings(connect_timeout_s=BOUND_S), 10.0).connect
    if kind is HeldBackend:
        HeldBackend(look_up).connect_tcp("name.example", port, limit).close()
        return

    async def connect():
        stream = await AsyncioBackend(look_up).connect_tcp("name.example", port, limit)
        await stream.aclose()

    asyncio.run(connect())


in_both = pytest.mark.parametrize("kind", [HeldBackend, AsyncioBackend])


@in_both
def test_a_name_that_is_never_found_times_out(kind):
    """A lookup that hangs is left behind when the time to connect is over, and no loop waits for it in the end."""
    hanging = threading.Event()
    try:
        with within(BOUND_S + SLACK_S), pytest.raises(httpcore2.ConnectTimeout):
            connected(kind, lambda host, port: hanging.wait(30) or [], 80)
    finally:
        hanging.set()


@in_both
@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_a_name_that_is_not_found_is_no_connection(kind, error):
    """A lookup that fails is a connection that fails."""

    def fail(host, port):
        raise error

    with pytest.raises(httpcore2.ConnectError):
        connected(kind, fail, 80)


@in_both
def test_the_addresses_of_a_host_share_the_time(kind):
    """An address that hangs does not use up the time of those that come after it."""
    with blackhole() as port, socket.create_server(("127.0.0.2", port)), within(BOUND_S + SLACK_S):
        connected(kind, lambda host, port: ["127.0.0.1", "127.0.0.2"], port)


@in_both
def test_a_host_whose_addresses_all_hang_times_out_once(kind):
    """Three addresses that hang take the time of one."""
    with blackhole() as port, within(BOUND_S + SLACK_S), pytest.raises(httpcore2.ConnectTimeout):
        connected(kind, lambda host, port: ["127.0.0.1"] * 3, port)


@in_both
def test_an_address_that_refuses_is_passed_over(kind):
    """The next address is tried at once."""
    with socket.create_server(("127.0.0.2", 0)) as listener:
        connected(kind, lambda host, port: ["127.0.0.1", "127.0.0.2"], listener.getsockname()[1])


@in_both
def test_a_host_without_an_address_is_no_connection(kind):
    """A name with no address behind it is a connection that fails."""
    with pytest.raises(httpcore2.ConnectError):
        connected(kind, lambda host, port: [], 80)


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_host_is_unavailable(mode, provide):
    """A host that no name server knows is a service that is not available."""
    ended = call(provide(base_url="http://no-such-host.invalid:1", token=None), mode)
    assert isinstance(ended.error, ProviderUnavailableError)


@pytest.mark.parametrize("mode", MODES)
def test_a_handshake_that_hangs_times_out(mode, provide):
    """A server that accepts and then says nothing to our TLS counts as not connected."""
    with listening() as port:
        provider = provide(base_url=f"https://127.0.0.1:{port}", connect_timeout_s=BOUND_S)
        ended = call(provider, mode)
    assert ended.elapsed_s < BOUND_S + SLACK_S
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.error.phase == "connect"


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_does_not_read_times_out(mode, provide):
    """A prompt that is larger than the buffers of a connection waits no longer than its timeout to be sent."""
    with listening() as port:
        provider = provide(base_url=f"http://127.0.0.1:{port}")
        ended = call(provider, mode, "x" * 16_000_000, timeout_s=BOUND_S)
    assert ended.elapsed_s < BOUND_S + SLACK_S
    assert isinstance(ended.error, ProviderTimeoutError)


def test_a_server_that_reads_slowly_is_not_waited_for_anew():
    """Sending ends with its limit although some of it always goes through."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stopped = threading.Event()

        def sip():
            client, _ = listener.accept()
            with client:
                while not stopped.wait(0.02):
                    client.recv(8192)

        thread = threading.Thread(target=sip)
        thread.start()
        patience = Patience(ProviderSettings(), BOUND_S)
        stream = HeldBackend().connect_tcp("127.0.0.1", listener.getsockname()[1], patience.connect)
        try:
            with within(BOUND_S + SLACK_S), pytest.raises(httpcore2.WriteTimeout):
                stream.write(b"x" * 64_000_000, patience.wait)
        finally:
            stopped.set()
            stream.close()
            thread.join()


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
def test_the_loop_runs_on_while_a_service_is_silent(mode, server, provide):
    """Whatever a call waits for, other tasks of the loop get their turn."""
    server.default = Silence()
    provider = provide()

    async def watched():
        longest = last = time.perf_counter()
        longest = 0.0

        async def tick():
            nonlocal longest, last
            while True:
                await asyncio.sleep(0.01)
                now = time.perf_counter()
                longest, last = max(longest, now - last), now

        await acall(provider, mode, timeout_s=0.05)
        ticking = asyncio.create_task(tick())
        last = time.perf_counter()
        ended = await acall(provider, mode, timeout_s=BOUND_S)
        ticking.cancel()
        return ended, longest

    ended, longest = asyncio.run(watched())
    assert isinstance(ended.error, ProviderTimeoutError)
    assert longest < 1.0


def test_time_spent_by_whoever_reads_is_not_the_services(server, provide):
    """The idle timeout runs while the next piece is waited for, not while the last one is looked at."""
    provider = provide(idle_timeout_s=BOUND_S)
    texts = []
    for chunk in provider.stream(ChatRequest.of("ping"), 10.0):
        texts.append(chunk.text)
        time.sleep(BOUND_S + 0.1)
    assert "".join(texts) == "pong"


def test_a_limit_that_is_over_is_not_waited_for():
    """Connecting, reading and sending with no time left fail at once, instead of becoming non-blocking."""
    patience = Patience(ProviderSettings(), 0.0)
    with pytest.raises(httpcore2.ConnectTimeout):
        HeldBackend().connect_tcp("127.0.0.1", 9, patience.connect)


def test_bounds_never_outlast_the_attempt():
    """Each wait ends with its own bound, or with the attempt when that is over first; and knows which one it was."""
    now = [100.0]
    settings = ProviderSettings(first_token_timeout_s=3, idle_timeout_s=2)
    patience = Patience(settings, 10.0, streamed=True, clock=lambda: now[0])
    assert (patience.wait.left(), patience.wait.phase) == (8.0, "first_token")  # the time to connect is added
    now[0] = 101.0
    patience.wait.note_sending()
    assert (patience.wait.left(), patience.wait.phase) == (3.0, "first_token")
    now[0] = 102.0
    patience.wait.note_sending()  # of a second write: the wait goes on
    assert patience.wait.left() == 2.0
    patience.next_piece()
    assert (patience.wait.left(), patience.wait.phase) == (2.0, "idle")
    now[0] = 109.0
    patience.next_piece()
    assert (patience.wait.left(), patience.wait.phase) == (1.0, "total")
    patience.hurry(0.25)
    assert patience.wait.left() == 0.25
    now[0] = 111.0
    assert patience.wait.left() < 0
    assert patience.timeouts["pool"] == 0.0
    whole = Patience(evolve(settings, connect_timeout_s=20), 10.0, clock=lambda: now[0])
    assert (whole.wait.left(), whole.wait.phase) == (10.0, "total")
    assert (whole.connect.left(), whole.connect.phase) == (10.0, "total")


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_a_call_waits_for_a_free_connection_within_its_timeout(mode, server, provide):
    """With one connection, which a stream holds, a second call times out; afterwards the provider answers."""
    server.script(Stall(1))
    provider = provide(max_concurrency=1)
    with closing(provider.stream(ChatRequest.of("hold"), 10.0)) as stream:
        next(stream)
        ended = call(provider, mode, timeout_s=BOUND_S)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert (ended.error.phase, ended.elapsed_s < BOUND_S + SLACK_S) == ("total", True)
    assert call(provider, mode).text == "pong"


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
async def test_an_async_call_waits_for_a_free_connection_within_its_timeout(mode, server, provide):
    """The same on an event loop."""
    server.script(Stall(1))
    provider = provide(max_concurrency=1)
    async with aclosing(provider.astream(ChatRequest.of("hold"), 10.0)) as stream:
        await anext(stream)
        ended = await acall(provider, mode, timeout_s=BOUND_S)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert (ended.error.phase, ended.elapsed_s < BOUND_S + SLACK_S) == ("total", True)
    assert (await acall(provider, mode)).text == "pong"
    await provider.aclose()
