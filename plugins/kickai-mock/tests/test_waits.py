"""Waiting on the real clock: cancelling and closing end it at once, in threads and on loops."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from kickai_providers_core import ChatRequest, ProviderError, ProviderTimeoutError, ProviderUnavailableError

from kickai_mock import MockProvider, MockSettings

ASKED = ChatRequest.of("Who can play?")
LONG_S = 30.0
SOON_S = 5.0


@pytest.fixture
def silent():
    """A provider that never answers."""
    return MockProvider(MockSettings(script=("silence",), repeat=True, first_token_timeout_s=LONG_S))


def waits_for(condition):
    """Wait until a condition holds that another thread brings about."""
    until = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_silence_really_takes_the_time_it_was_given(mode, silent, ask):
    """On the real clock a silent provider raises when its time is over, and not long after."""
    ended = ask(mode, silent, ASKED, timeout_s=0.1)

    assert isinstance(ended.error, ProviderTimeoutError)
    assert 0.09 <= ended.took_s < 0.1 + 0.25


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_closing_lets_every_waiting_thread_go(hooks, silent, ask, mode):
    """Whoever waits when the provider is closed gets a typed error at once."""
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(ask, mode, silent, ASKED, LONG_S) for _ in range(8)]
        waits_for(lambda: len(silent.calls) == 8)
        hooks.kickai_close_provider(provider=silent)
        ended = [one.result(SOON_S) for one in waiting]

    assert all(isinstance(one.error, ProviderUnavailableError) for one in ended)


async def test_closing_on_a_loop_lets_every_waiting_task_go(hooks, silent):
    """Closing with ``aclose`` ends the calls on the same loop."""
    calls = [silent.ainvoke(ASKED, LONG_S) for _ in range(4)] + [anext(silent.astream(ASKED, LONG_S)) for _ in range(4)]
    waiting = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0.01)

    await hooks.kickai_aclose_provider(provider=silent)

    async with asyncio.timeout(SOON_S):
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, ProviderUnavailableError) for one in ended)


def test_closing_from_a_thread_lets_the_tasks_of_another_loop_go(silent):
    """A provider that is closed where no loop runs ends the calls on the loops elsewhere."""
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(asyncio.run, silent.ainvoke(ASKED, LONG_S)) for _ in range(2)]
        waits_for(lambda: len(silent.calls) == 2)
        silent.close()
        ended = [one.exception(SOON_S) for one in waiting]

    assert all(isinstance(one, ProviderUnavailableError) for one in ended)


def test_closing_after_a_loop_has_ended_is_no_error(silent):
    """A loop that went away with its calls is not missed."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # it would tell of the task that is abandoned on purpose
    abandoned = loop.create_task(silent.ainvoke(ASKED, LONG_S))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()

    silent.close()

    abandoned.get_coro().close()


def test_a_closed_provider_refuses_further_calls(mode, hooks, silent, ask):
    """Closing twice is no error; calling afterwards is one, and is not counted."""
    silent.close()
    hooks.kickai_close_provider(provider=silent)

    assert isinstance(ask(mode, silent, ASKED, LONG_S).error, ProviderUnavailableError)
    assert silent.calls == ()


def test_a_stream_that_is_closed_half_way_ends_with_the_provider():
    """Pieces that would come without a wait do not come from a closed provider either."""
    mock = MockProvider(MockSettings(reply="a b c"))
    stream = mock.stream(ASKED, LONG_S)
    next(stream)
    mock.close()

    with pytest.raises(ProviderUnavailableError):
        next(stream)


@pytest.mark.parametrize("entry", ["silence", "stall", "slow_first_token:30"])
async def test_cancelling_a_call_ends_it_at_once(entry):
    """A cancelled call leaves nothing behind that waits."""
    mock = MockProvider(MockSettings(script=(entry,), repeat=True, idle_timeout_s=LONG_S, first_token_timeout_s=LONG_S))

    async def read():
        async for _ in mock.astream(ASKED, LONG_S):
            pass

    for call in (mock.ainvoke(ASKED, LONG_S), read()):
        task = asyncio.ensure_future(call)
        await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 1.0
    assert mock._waits._sleepers == set()


def test_an_abandoned_stream_can_be_closed(hooks):
    """Closing a stream half-way is no error, and the provider goes on."""
    mock = MockProvider(MockSettings(reply="a b c"))
    stream = hooks.kickai_stream_provider(provider=mock, request=ASKED, timeout_s=1.0)
    next(stream)
    stream.close()

    assert mock.invoke(ASKED, 1.0).text == "a b c"


async def test_an_abandoned_async_stream_can_be_closed(hooks):
    """The same on a loop."""
    mock = MockProvider(MockSettings(reply="a b c"))
    stream = hooks.kickai_astream_provider(provider=mock, request=ASKED, timeout_s=1.0)
    await anext(stream)
    await stream.aclose()

    assert (await mock.ainvoke(ASKED, 1.0)).text == "a b c"


def test_a_stream_does_not_add_up_its_own_delays():
    """Each piece is due at a time from the start: a reader who is late for one is not made late for the next."""
    mock = MockProvider(MockSettings(reply="a b c d e", pause_s=0.05))
    began = time.monotonic()
    for _ in mock.stream(ASKED, LONG_S):
        time.sleep(0.03)

    assert time.monotonic() - began < 0.05 * 4 + 0.03 * 2 + 0.25


def test_threads_share_one_script_and_one_set_of_draws():
    """Of many calls from many threads, each gets its own entry and draw: together they are what one thread gets."""
    told = MockSettings(script=("rate_limited",) * 40, rates={"unavailable": 0.3}, keep_calls=400)

    def calls(workers):
        mock = MockProvider(told)
        ready = threading.Barrier(workers)

        def run():
            ready.wait(SOON_S)
            for _ in range(400 // workers):
                with suppress(ProviderError):
                    mock.invoke(ASKED, LONG_S)

        threads = [threading.Thread(target=run) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON_S)
        return sorted((call.number, call.fault) for call in mock.calls)

    assert calls(8) == calls(1)
    assert [number for number, _ in calls(8)] == list(range(400))
