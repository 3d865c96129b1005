"""Time limits beyond the fault matrix: name lookups, addresses, handshakes, slow readers, busy event loops."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import ExitStack, aclosing, closing, contextmanager, suppress

import pytest
from calling import MODES, acall, call
from hf_wire import MODEL
from kickai_providers_core import ChatRequest, ProviderTimeoutError, ProviderUnavailableError
from kickai_providers_core.authoring import http_transport
from kickai_providers_core.testing.faults import Silence, Stall, blackhole

from kickai_hf.client import HuggingFace
from kickai_hf.settings import HuggingFaceSettings

BOUND_S = 0.3
SLACK_S = 1.25
"""How much later than its timeout a call may end on a busy machine."""


@contextmanager
def listening(backlog=16):
    """Yield a port that accepts connections and never reads from them."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener.getsockname()[1]


@contextmanager
def forward(host, port, to):
    """Listen on an address, and forward one connection to a port of 127.0.0.1."""
    with socket.create_server((host, port)) as listener, ExitStack() as stack:

        def pump(source, sink):
            with suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)

        def serve():
            client = stack.enter_context(listener.accept()[0])
            target = stack.enter_context(socket.create_connection(("127.0.0.1", to)))
            answering = threading.Thread(target=pump, args=(target, client), daemon=True)
            answering.start()
            pump(client, target)
            answering.join()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(5.0)


@contextmanager
def within(seconds):
    """Fail when the block takes longer."""
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < seconds


def call_by_name(look_up, port, mode, connect_timeout_s=BOUND_S):
    """Call a server by a host name that ``look_up`` resolves."""
    url = f"http://name.example:{port}/v1"
    settings = HuggingFaceSettings(base_url=url, model=MODEL, connect_timeout_s=connect_timeout_s)
    provider = HuggingFace(settings, transport=http_transport(url, client="httpx2", look_up=look_up))
    try:
        return call(provider, mode)
    finally:
        provider.close()


in_both = pytest.mark.parametrize("mode", ["invoke", "ainvoke"])


@in_both
def test_a_name_lookup_that_hangs_times_out(mode):
    """The lookup is abandoned when the time to connect is over, and no event loop waits for it at its end."""
    hanging = threading.Event()
    try:
        with within(BOUND_S + SLACK_S):
            ended = call_by_name(lambda host, port: hanging.wait(30) or [], 80, mode)
    finally:
        hanging.set()
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.error.phase == "connect"


@in_both
@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_an_unknown_name_is_not_reached(mode, error):
    """A lookup that fails counts as a failed connection."""

    def fail(host, port):
        raise error

    ended = call_by_name(fail, 80, mode)
    assert isinstance(ended.error, ProviderUnavailableError)
    assert ended.error.reached is False


@in_both
def test_the_addresses_of_a_host_share_the_time(mode, server):
    """An address that hangs leaves time for those after it."""
    addresses = ["127.0.0.1", "127.0.0.2"]
    with blackhole() as port, forward("127.0.0.2", port, server.port):
        assert call_by_name(lambda host, _port: addresses, port, mode, connect_timeout_s=2.0).text == "pong"


@in_both
def test_a_host_whose_addresses_all_hang_times_out_once(mode):
    """Three addresses that hang take the time of one."""
    with blackhole() as port, within(BOUND_S + SLACK_S):
        ended = call_by_name(lambda host, port: ["127.0.0.1"] * 3, port, mode)
    assert isinstance(ended.error, ProviderTimeoutError)


@in_both
def test_an_address_that_refuses_is_skipped(mode, server):
    """The next address is tried at once."""
    addresses = ["127.0.0.2", "127.0.0.1"]
    assert call_by_name(lambda host, port: addresses, server.port, mode).text == "pong"


@in_both
def test_a_host_without_an_address_is_not_reached(mode):
    """A name without addresses counts as a failed connection."""
    ended = call_by_name(lambda host, port: [], 80, mode)
    assert isinstance(ended.error, ProviderUnavailableError)
    assert ended.error.reached is False


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_host_is_unavailable(mode, provide, monkeypatch):
    """The service could not be reached."""

    def find_nothing(*_args, **_options):  # a real name server may take longer than the time limit
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_nothing)
    ended = call(provide(base_url="http://no-such-host.invalid:1", token=None), mode)
    assert isinstance(ended.error, ProviderUnavailableError)


@pytest.mark.parametrize("mode", MODES)
def test_a_handshake_that_hangs_times_out(mode, provide):
    """A server that accepts the connection and does not answer the TLS handshake counts as not connected."""
    with listening() as port:
        provider = provide(base_url=f"https://127.0.0.1:{port}", connect_timeout_s=BOUND_S)
        ended = call(provider, mode)
    assert ended.elapsed_s < BOUND_S + SLACK_S
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.error.phase == "connect"


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_does_not_read_times_out(mode, provide):
    """A prompt that is larger than the socket buffers is sent for no longer than the timeout."""
    with listening() as port:
        provider = provide(base_url=f"http://127.0.0.1:{port}")
        ended = call(provider, mode, "x" * 16_000_000, timeout_s=BOUND_S)
    assert ended.elapsed_s < BOUND_S + SLACK_S
    assert isinstance(ended.error, ProviderTimeoutError)


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_reads_slowly_times_out(mode, provide):
    """Sending ends within its timeout, although the server always takes some more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stopped = threading.Event()

        def sip():
            client, _ = listener.accept()
            with client:
                while not stopped.wait(0.02):
                    client.recv(8192)

        thread = threading.Thread(target=sip, daemon=True)
        thread.start()
        try:
            provider = provide(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
            ended = call(provider, mode, "x" * 16_000_000, timeout_s=BOUND_S)
        finally:
            stopped.set()
            thread.join(5.0)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert ended.elapsed_s < BOUND_S + SLACK_S


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
def test_the_event_loop_is_free_while_a_service_is_silent(mode, server, provide):
    """Other tasks of the event loop run while a call waits."""
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


def test_the_callers_own_time_does_not_count_as_idle(server, provide):
    """The idle timeout runs while the next chunk is awaited, and not while the caller handles the last one."""
    provider = provide(idle_timeout_s=BOUND_S)
    texts = []
    for chunk in provider.stream(ChatRequest.of("ping"), 10.0):
        texts.append(chunk.text)
        time.sleep(BOUND_S + 0.1)
    assert "".join(texts) == "pong"


@pytest.mark.parametrize("mode", MODES)
def test_an_attempt_without_time_sends_nothing(mode, server, provide):
    """With no time left the call fails at once, without a request."""
    ended = call(provide(), mode, timeout_s=0.0)
    assert isinstance(ended.error, ProviderTimeoutError)
    assert server.requests == []


@pytest.mark.parametrize(
    ("limits", "phase"),
    [
        ({"first_token_timeout_s": BOUND_S}, "first_token"),
        ({"first_token_timeout_s": 5.0}, "total"),
    ],
)
@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_the_error_names_the_limit_that_ends_first(mode, limits, phase, server, provide):
    """A phase never outlasts the attempt."""
    server.default = Silence()
    ended = call(provide(**limits), mode, timeout_s=2 * BOUND_S)
    assert ended.error.phase == phase
    assert ended.elapsed_s < 2 * BOUND_S + SLACK_S


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
