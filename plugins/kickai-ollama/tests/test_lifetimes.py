"""Connections are shared, and all of them are closed."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest
from attrs import evolve
from calling import MODES
from kickai_providers_core import ChatRequest, ProviderTimeoutError, ProviderUnavailableError
from kickai_providers_core.testing.faults import Ok, Silence, SlowFirstToken, Stall, closed_port

PING = ChatRequest.of("ping")
SOON_S = 2.0
SLACK_S = 1.25
BIG = "word " * 4 * 2**20
"""A prompt that is larger than the buffers between two sockets."""


def test_calls_share_a_connection(server, calls):
    """Calls one after the other use one connection."""
    call = calls()
    for _ in range(5):
        assert call("invoke").reply
    assert server.accepted_connections == 1


def test_calls_of_one_loop_share_a_connection(server, calls):
    """Calls of one event loop use one connection."""
    provider = calls().provider

    async def call_five_times():
        for _ in range(5):
            await provider.ainvoke(PING, 10)

    asyncio.run(call_five_times())
    assert server.accepted_connections == 1


def test_the_connections_of_a_loop_end_with_it(server, calls):
    """When ``asyncio.run`` ends, its connections are closed; the provider stays open, and the next call works."""
    provider = calls().provider
    for _ in range(3):
        assert asyncio.run(provider.ainvoke(PING, 10)).text == "pong"
        assert server.wait_closed(SOON_S)


def test_two_loops_that_alternate_keep_their_own_connection(server, calls):
    """A loop that runs again uses its connection again, and closes it when it ends."""
    provider = calls().provider
    with asyncio.Runner() as first, asyncio.Runner() as second:
        for runner in (first, second, first, second):
            assert runner.run(provider.ainvoke(PING, 10)).text == "pong"
        assert server.accepted_connections == 2
    assert server.wait_closed(SOON_S)


def test_closing_includes_a_loop_in_another_thread(server, calls):
    """Closing from another thread closes the connections of a loop that is still running."""
    provider = calls().provider
    used, done = threading.Event(), threading.Event()

    async def use():
        await provider.ainvoke(PING, 10)
        used.set()
        await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(use(),))
    thread.start()
    assert used.wait(SOON_S)
    provider.close()
    assert server.wait_closed(SOON_S)
    done.set()
    thread.join()


def test_closing_ends_a_call_that_waits(server, calls):
    """A blocking call of another thread ends when the provider is closed."""
    call = calls()
    server.script(Silence())
    ended = []
    thread = threading.Thread(target=lambda: ended.append(call("invoke", timeout_s=60.0)))
    thread.start()
    assert server.wait_requests(1, SOON_S)
    call.provider.close()
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert type(ended[0].error) is ProviderUnavailableError


def test_a_stream_that_is_dropped_is_closed(server, calls):
    """A stream without a reference closes its connection."""
    server.script(Stall(1))
    stream = calls().provider.stream(PING, 60)
    assert next(stream).text
    del stream
    gc.collect()
    assert server.wait_closed(SOON_S)


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_does_not_read_is_a_timeout(calls, mode):
    """When the server does not read the prompt, the call times out."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        call = calls(host=f"127.0.0.1:{listener.getsockname()[1]}")
        ended = call(mode, BIG, timeout_s=0.4)
    assert type(ended.error) is ProviderTimeoutError
    assert ended.elapsed_s < 0.4 + SLACK_S  # writing twenty megabytes as JSON takes its time, too


def _read_slowly(listener, stop):
    """Read a little at a time, so often that no single wait is long."""
    listener.settimeout(10.0)
    connection, _ = listener.accept()
    with connection:
        while not stop.wait(0.02) and connection.recv(262144):
            pass


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_server_that_reads_slowly_is_a_timeout(calls, mode):
    """A byte that the server reads does not restart the timeout."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_read_slowly, args=(listener, stop))
        thread.start()
        ended = calls(host=f"127.0.0.1:{listener.getsockname()[1]}")(mode, BIG, timeout_s=1.0)
        stop.set()
        thread.join()
    assert type(ended.error) is ProviderTimeoutError
    assert ended.elapsed_s < 1.0 + 4 * SLACK_S


def _patch_resolver(monkeypatch, answer):
    """Let the resolver answer for one name."""
    real = socket.getaddrinfo

    def getaddrinfo(host, *more, **options):
        if host in {"ollama.test", b"ollama.test"}:
            return answer(real, *more, **options)
        return real(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("mode", MODES)
def test_a_resolver_that_hangs_is_a_timeout(calls, monkeypatch, mode):
    """The timeout of connecting includes the resolver, which has no timeout of its own."""

    def hang(real, *more, **options):
        time.sleep(0.6)
        return real("127.0.0.1", *more, **options)

    _patch_resolver(monkeypatch, hang)
    call = calls(host="http://ollama.test", connect_timeout_s=0.2)

    async def timed():
        # Measured inside: when a loop ends it waits for the thread that the resolver hangs in.
        began = time.perf_counter()
        awaitable = call.provider.ainvoke(PING, 10) if mode == "ainvoke" else anext(call.provider.astream(PING, 10))
        with pytest.raises(ProviderTimeoutError) as caught:
            await awaitable
        return caught.value, time.perf_counter() - began

    if mode in {"invoke", "stream"}:
        ended = call(mode)
        error, elapsed_s = ended.error, ended.elapsed_s
    else:
        error, elapsed_s = asyncio.run(timed())
    assert error.phase == "connect"
    assert elapsed_s < 0.2 + SLACK_S


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_the_first_token_timeout_does_not_include_connecting(server, calls, monkeypatch, mode):
    """The timeout of the first token starts when the request is sent; connecting has its own timeout."""

    def resolve_slowly(real, *more, **options):
        time.sleep(0.8)
        return real("127.0.0.1", *more, **options)

    _patch_resolver(monkeypatch, resolve_slowly)
    server.script(SlowFirstToken(0.5))
    ended = calls(host=f"http://ollama.test:{server.port}", connect_timeout_s=10.0, first_token_timeout_s=1.0)(mode)
    assert ended.reply.text == "pong"


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_host_is_not_reached(calls, monkeypatch, mode):
    """The error of a host name that does not resolve contains the reason."""

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    _patch_resolver(monkeypatch, unknown)
    error = calls(host="http://ollama.test")(mode).error
    assert type(error) is ProviderUnavailableError
    assert error.reached is False
    assert "(Name or service not known)" in error.message


@pytest.mark.parametrize("mode", MODES)
def test_an_address_that_refuses_is_skipped(server, calls, monkeypatch, mode):
    """When one address of a host refuses, the next one is tried."""

    def two(real, *more, **options):
        return [*real("127.0.0.2", *more, **options), *real("127.0.0.1", *more, **options)]

    _patch_resolver(monkeypatch, two)
    assert calls(host=f"http://ollama.test:{server.port}")(mode).reply.text == "pong"


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has a second loopback address, and drops what is not accepted"
)
@pytest.mark.parametrize("mode", MODES)
def test_an_address_that_hangs_leaves_time_for_the_next(server, calls, monkeypatch, mode):
    """An address that does not answer gets its share of the time, not all of it."""

    def two(real, *more, **options):
        return [*real("127.0.0.2", *more, **options), *real("127.0.0.1", *more, **options)]

    _patch_resolver(monkeypatch, two)
    with ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.bind(("127.0.0.2", server.port))
        hole.listen(0)
        for _ in range(2):
            visitor = stack.enter_context(socket.socket())
            visitor.settimeout(0)
            visitor.connect_ex(hole.getsockname())
        assert calls(host=f"http://ollama.test:{server.port}", connect_timeout_s=0.8)(mode).reply.text == "pong"


@pytest.mark.parametrize("mode", MODES)
def test_a_host_whose_addresses_all_refuse_is_not_reached(calls, monkeypatch, mode):
    """When every address refuses, the error says that the host was not reached."""

    def two(real, *more, **options):
        return [*real("127.0.0.2", *more, **options), *real("127.0.0.1", *more, **options)]

    _patch_resolver(monkeypatch, two)
    error = calls(host=f"http://ollama.test:{closed_port()}")(mode).error
    assert type(error) is ProviderUnavailableError
    assert error.reached is False


def test_a_provider_without_a_model_says_how_to_name_one(calls):
    """When neither the request nor the settings name a model, the error says how to name one."""
    assert "ollama:MODEL" in calls(model=None)("invoke").error.message
    assert calls(model=None)("invoke", evolve(PING, model="m")).reply.text == "pong"


def test_the_provider_works_after_streams_are_closed_half_way(server, calls):
    """After many streams are closed half-way, the next call is answered, and one connection is open."""
    provider = calls().provider
    for _ in range(20):
        with closing(provider.stream(PING, 10)) as stream:
            next(stream)
    assert provider.invoke(PING, 10).text == "pong"
    assert server.open_connections == 1


def test_leaving_an_async_stream_early_prints_nothing(server, calls, capfd):
    """A program that breaks out of ``astream`` and ends closes its connection and prints nothing on stderr."""
    server.script(Ok("a b c", pieces=("a ", "b ", "c")))
    provider = calls().provider

    async def read_one():
        async for chunk in provider.astream(PING, 10):
            assert chunk.text == "a "
            break

    asyncio.run(read_one())
    gc.collect()
    assert capfd.readouterr().err == ""
    assert server.wait_closed(SOON_S)
