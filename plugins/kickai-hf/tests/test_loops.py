"""One provider on several event loops and threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import frozen
from calling import MODES, acall, call
from hf_wire import HfWire
from kickai_providers_core import ChatRequest, ProviderUnavailableError
from kickai_providers_core.authoring import http_service
from kickai_providers_core.testing.faults import Fault, Stall
from kickai_providers_core.testing.faults.exchange import head_of

WAIT_S = 5.0


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Fail a test after which the garbage collector finds an open socket, transport or client."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_asyncio_run_may_be_called_repeatedly(server, provide):
    """Each ``asyncio.run`` closes its connections before it ends, and the next one works."""
    provider = provide()
    for number in range(1, 4):
        assert asyncio.run(acall(provider, "ainvoke")).text == "pong"
        assert server.wait_closed(WAIT_S)
        assert server.accepted_connections == number


def test_a_loop_reuses_its_connection(server, provide):
    """Successive calls on one loop share a connection."""
    provider = provide()

    async def several():
        for _ in range(5):
            assert (await acall(provider, "ainvoke")).text == "pong"

    asyncio.run(several())
    assert server.accepted_connections == 1


def test_sync_calls_reuse_their_connection(server, provide):
    """Successive sync calls share a connection."""
    provider = provide()
    for _ in range(5):
        assert call(provider, "invoke").text == "pong"
    assert server.accepted_connections == 1


@frozen
class ClosesAfterAnswer(Fault):
    """A good answer, after which the connection closes without notice, as llama.cpp does after streams."""

    after_s: float

    async def play(self, exchange):
        """Answer, wait, close."""
        await exchange.send(exchange.answer())
        await asyncio.sleep(self.after_s)
        exchange.link.close()


@frozen
class AnswersTwice(Fault):
    """A good answer and another one without a request, in one send or a little later."""

    pause_s: float

    async def play(self, exchange):
        """Answer twice."""
        first = HfWire().reply(exchange.request, "pong")
        second = HfWire().reply(exchange.request, "foreign")
        data = [head_of(one, {"content-length": str(len(one.body))}) + one.body for one in (first, second)]
        if not self.pause_s:
            data = [b"".join(data)]
        for part in data:
            await exchange.link.send(part)
            await asyncio.sleep(self.pause_s)
        await exchange.hold()


@pytest.mark.parametrize("pause_s", [0.0, 0.05])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_stray_answer_is_never_used(mode, pause_s, server, provide):
    """Bytes after an answer are not taken as the answer to the next request."""
    server.script(AnswersTwice(pause_s))
    provider = provide()

    async def both():
        first = await acall(provider, mode)
        await asyncio.sleep(0.2)
        return first, await acall(provider, mode), await acall(provider, mode)

    if mode == "ainvoke":
        first, second, third = asyncio.run(both())
    else:
        first = call(provider, mode)
        threading.Event().wait(0.2)
        second, third = call(provider, mode), call(provider, mode)
    assert first.text == "pong"
    assert type(second.error) is ProviderUnavailableError or second.text == "pong"
    assert third.text == "pong"


def test_a_connection_that_closes_after_a_stream_loses_no_call(server, provide, monkeypatch):
    """Without TLS the connection of a stream is not used again, since it may be closing."""
    monkeypatch.setattr(http_service, "PROBE_S", 0.5)  # on a busy machine it closes later
    provider = provide()
    server.default = ClosesAfterAnswer(0.0)

    async def several():
        for _ in range(20):
            assert (await acall(provider, "astream")).text == "pong"

    asyncio.run(several())
    for _ in range(20):
        assert call(provider, "stream").text == "pong"
    assert server.accepted_connections == 40


def test_threads_share_a_provider(server, provide):
    """Threads with and without event loops call at the same time."""
    provider = provide()
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda number: call(provider, MODES[number % 4]), range(40)))
    assert {one.text for one in ended} == {"pong"}


def test_closing_closes_connections_of_a_running_loop(server, provide):
    """``close`` works from another thread."""
    provider = provide()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        assert asyncio.run_coroutine_threadsafe(acall(provider, "ainvoke"), loop).result(WAIT_S).text == "pong"
        assert server.open_connections == 1
        provider.close()
        assert server.wait_closed(WAIT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_closing_closes_connections_of_an_idle_loop(server, provide):
    """``close`` works for a loop that is not running."""
    provider = provide()
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(acall(provider, "astream")).text == "pong"
    provider.close()
    assert server.wait_closed(WAIT_S)
    loop.close()


def test_aclose_closes_all_connections(server, provide):
    """Those of another loop and of the sync modes are closed as well."""
    provider = provide()
    other = asyncio.new_event_loop()
    assert other.run_until_complete(acall(provider, "ainvoke")).text == "pong"
    assert call(provider, "invoke").text == "pong"

    async def close():
        assert (await acall(provider, "ainvoke")).text == "pong"
        assert server.open_connections == 3
        await provider.aclose()
        assert await asyncio.to_thread(server.wait_closed, WAIT_S)

    asyncio.run(close())
    other.close()


def test_a_garbage_collected_stream_is_closed(server, provide):
    """A stream that was never closed closes its connection when it is collected."""
    server.default = Stall(1)
    provider = provide()
    stream = provider.stream(ChatRequest.of("ping"), 10.0)
    assert next(stream).text
    del stream
    assert server.wait_closed(WAIT_S)

    async def drop():
        stream = provider.astream(ChatRequest.of("ping"), 10.0)
        assert (await anext(stream)).text
        del stream
        assert await asyncio.to_thread(server.wait_closed, WAIT_S)

    asyncio.run(drop())


def test_a_cancelled_call_releases_its_connection(server, provide):
    """With one connection in all, a call after a cancelled one succeeds."""
    server.script(Stall(1))
    provider = provide(max_concurrency=1)

    async def cancel():
        task = asyncio.create_task(acall(provider, "astream"))
        await asyncio.to_thread(server.wait_requests, 1, WAIT_S)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await acall(provider, "ainvoke", timeout_s=2.0)

    assert asyncio.run(cancel()).text == "pong"


def test_finished_streams_leave_no_objects(server, provide):
    """The number of objects does not grow with the number of streams."""
    provider = provide()

    def streamed(count):
        for _ in range(count):
            assert call(provider, "stream").text == "pong"
        gc.collect()
        return len(gc.get_objects())

    streamed(5)
    assert abs(streamed(20) - streamed(20)) < 200


def test_a_closed_provider_raises_or_reconnects(server, provide):
    """A call after closing raises ``ProviderUnavailableError``, or opens a new connection."""
    provider = provide()
    provider.close()
    for mode in MODES:
        ended = call(provider, mode)
        assert ended.error is None or isinstance(ended.error, ProviderUnavailableError)
    provider.close()
