"""One provider object, and event loops that come and go."""

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


def test_asyncio_run_can_end_and_begin_again(server, provide):
    """Each ``asyncio.run`` closes its own connections before it ends, and the next one works."""
    provider = provide()
    for number in range(1, 4):
        assert asyncio.run(acall(provider, "ainvoke")).text == "pong"
        assert server.wait_closed(WAIT_S)
        assert server.accepted_connections == number


def test_a_loop_reuses_its_connection(server, provide):
    """Calls of one loop, one after the other, share one connection."""
    provider = provide()

    async def several():
        for _ in range(5):
            assert (await acall(provider, "ainvoke")).text == "pong"

    asyncio.run(several())
    assert server.accepted_connections == 1


def test_sync_calls_reuse_their_connection(server, provide):
    """Sync calls, one after the other, share one connection too."""
    provider = provide()
    for _ in range(5):
        assert call(provider, "invoke").text == "pong"
    assert server.accepted_connections == 1


@frozen
class Rude(Fault):
    """A good answer, after which the connection is closed without a word, as llama.cpp does after streams."""

    after_s: float

    async def play(self, exchange):
        """Answer, wait, close."""
        await exchange.send(exchange.answer())
        await asyncio.sleep(self.after_s)
        exchange.link.close()


@frozen
class Twice(Fault):
    """A good answer, and another one that nobody requested, in one send or a little later."""

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
def test_an_answer_that_nobody_requested_is_nobodys_answer(mode, pause_s, server, provide):
    """Bytes after an answer are never taken for the answer to the next request."""
    server.script(Twice(pause_s))
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


def test_no_call_is_lost_to_a_connection_that_closes_after_a_stream(server, provide):
    """Without TLS the connection of a stream is not used again: it may be closing, which nobody can know."""
    provider = provide()
    server.default = Rude(0.0)

    async def several():
        for _ in range(20):
            assert (await acall(provider, "astream")).text == "pong"

    asyncio.run(several())
    for _ in range(20):
        assert call(provider, "stream").text == "pong"
    assert server.accepted_connections == 40


def test_loops_of_several_threads_work_at_once(server, provide):
    """Threads with loops of their own, and threads without, share one provider."""
    provider = provide()
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda number: call(provider, MODES[number % 4]), range(40)))
    assert {one.text for one in ended} == {"pong"}


def test_closing_frees_a_loop_that_still_runs(server, provide):
    """Closing from another thread closes the connections of a loop that runs on."""
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


def test_closing_frees_a_loop_that_stands_still(server, provide):
    """A loop that is only run now and then is freed by closing, too."""
    provider = provide()
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(acall(provider, "astream")).text == "pong"
    provider.close()
    assert server.wait_closed(WAIT_S)
    loop.close()


def test_closing_on_a_loop_frees_all_of_them(server, provide):
    """Closing on one running loop closes the connections of another one as well, and those of the sync calls."""
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


def test_a_dropped_stream_is_closed(server, provide):
    """A stream that nobody closes is closed when nobody has it any more."""
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


def test_a_cancelled_call_gives_its_connection_up(server, provide):
    """With room for one connection, a call after a cancelled one finds it free."""
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


def test_streams_leave_nothing_in_the_provider(server, provide):
    """A thousand objects more for twenty more streams would be a leak; a finished stream leaves none."""
    provider = provide()

    def streamed(count):
        for _ in range(count):
            assert call(provider, "stream").text == "pong"
        gc.collect()
        return len(gc.get_objects())

    streamed(5)
    assert abs(streamed(20) - streamed(20)) < 200


def test_a_closed_provider_says_so(server, provide):
    """What is called after closing fails as a service that is not available, or opens its connections anew."""
    provider = provide()
    provider.close()
    for mode in MODES:
        ended = call(provider, mode)
        assert ended.error is None or isinstance(ended.error, ProviderUnavailableError)
    provider.close()
