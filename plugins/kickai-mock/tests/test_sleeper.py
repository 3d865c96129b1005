"""Waiting on the real clock; cancelling and closing end it at once, in threads and on event loops."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from kickai_providers_core import ChatRequest, ProviderError, ProviderTimeoutError, ProviderUnavailableError
from kickai_providers_core.testing.interruptions import interrupt_at

from kickai_mock import MockProvider, MockSettings
from kickai_mock.sleeper import Sleeper

REQUEST = ChatRequest.of("Who can play?")
LONG_S = 30.0
SOON_S = 5.0


@pytest.fixture
def silent():
    """A provider that never answers."""
    return MockProvider(MockSettings(script=("silence",), repeat=True, first_token_timeout_s=LONG_S))


def wait_until(condition):
    """Wait until another thread makes a condition true."""
    until = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_silence_takes_the_whole_timeout(mode, silent, call):
    """On the real clock a silent provider raises at its timeout, and not long after."""
    ended = call(mode, silent, REQUEST, timeout_s=0.1)

    assert isinstance(ended.error, ProviderTimeoutError)
    assert 0.09 <= ended.took_s < 0.1 + 1.25


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_closing_ends_the_calls_of_all_threads(hooks, silent, call, mode):
    """A call that waits when the provider is closed raises a typed error at once."""
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(call, mode, silent, REQUEST, LONG_S) for _ in range(8)]
        wait_until(lambda: len(silent.calls) == 8)
        hooks.kickai_close_provider(provider=silent)
        ended = [one.result(SOON_S) for one in waiting]

    assert all(isinstance(one.error, ProviderUnavailableError) for one in ended)


async def test_closing_on_a_loop_ends_the_calls_of_all_tasks(hooks, silent):
    """Closing with ``aclose`` ends the calls on the same loop."""
    calls = [silent.ainvoke(REQUEST, LONG_S) for _ in range(4)] + [
        anext(silent.astream(REQUEST, LONG_S)) for _ in range(4)
    ]
    waiting = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0.01)

    await hooks.kickai_aclose_provider(provider=silent)

    async with asyncio.timeout(SOON_S):
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, ProviderUnavailableError) for one in ended)


def test_closing_from_a_thread_ends_the_calls_of_other_loops(silent):
    """Closing in a thread without a loop ends the calls on the loops of other threads."""
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(asyncio.run, silent.ainvoke(REQUEST, LONG_S)) for _ in range(2)]
        wait_until(lambda: len(silent.calls) == 2)
        silent.close()
        ended = [one.exception(SOON_S) for one in waiting]

    assert all(isinstance(one, ProviderUnavailableError) for one in ended)


def test_closing_after_a_loop_has_ended_works(silent):
    """A loop that has ended with a call does not prevent closing."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # it would log the task that is abandoned on purpose
    abandoned = loop.create_task(silent.ainvoke(REQUEST, LONG_S))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()

    silent.close()

    abandoned.get_coro().close()


def test_a_closed_provider_refuses_further_calls(mode, hooks, silent, call):
    """Closing twice is allowed; a call afterwards raises, and is not recorded."""
    silent.close()
    hooks.kickai_close_provider(provider=silent)

    assert isinstance(call(mode, silent, REQUEST, LONG_S).error, ProviderUnavailableError)
    assert silent.calls == ()


def test_a_stream_that_is_closed_half_way_ends_with_the_provider():
    """A closed provider yields no more pieces, even without a wait."""
    mock = MockProvider(MockSettings(reply="a b c"))
    stream = mock.stream(REQUEST, LONG_S)
    next(stream)
    mock.close()

    with pytest.raises(ProviderUnavailableError):
        next(stream)


@pytest.mark.parametrize("entry", ["silence", "stall", "slow_first_token:30"])
async def test_cancelling_a_call_ends_it_at_once(entry):
    """A cancelled call leaves no sleep behind."""
    mock = MockProvider(MockSettings(script=(entry,), repeat=True, idle_timeout_s=LONG_S, first_token_timeout_s=LONG_S))

    async def read():
        async for _ in mock.astream(REQUEST, LONG_S):
            pass

    for call in (mock.ainvoke(REQUEST, LONG_S), read()):
        task = asyncio.ensure_future(call)
        await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 5.0
    assert mock._sleeper._futures == set()


def test_an_abandoned_stream_can_be_closed(hooks):
    """After closing a stream half-way, the provider answers the next call."""
    mock = MockProvider(MockSettings(reply="a b c"))
    stream = hooks.kickai_stream_provider(provider=mock, request=REQUEST, timeout_s=1.0)
    next(stream)
    stream.close()

    assert mock.invoke(REQUEST, 1.0).text == "a b c"


async def test_an_abandoned_async_stream_can_be_closed(hooks):
    """After closing an async stream half-way, the provider answers the next call."""
    mock = MockProvider(MockSettings(reply="a b c"))
    stream = hooks.kickai_astream_provider(provider=mock, request=REQUEST, timeout_s=1.0)
    await anext(stream)
    await stream.aclose()

    assert (await mock.ainvoke(REQUEST, 1.0)).text == "a b c"


def test_the_pieces_of_a_stream_are_due_at_fixed_times():
    """Each piece is due at a time since the start: a slow reader does not delay the next piece."""
    mock = MockProvider(MockSettings(reply="a b c d e", pause_s=0.05))
    began = time.monotonic()
    for _ in mock.stream(REQUEST, LONG_S):
        time.sleep(0.03)

    assert time.monotonic() - began < 0.05 * 4 + 0.03 * 2 + 0.25


def test_threads_share_one_script_and_its_draws():
    """The calls of many threads together get the entries and draws that one thread gets."""
    settings = MockSettings(script=("rate_limited",) * 40, rates={"unavailable": 0.3}, keep_calls=400)

    def calls(workers):
        mock = MockProvider(settings)
        ready = threading.Barrier(workers)

        def run():
            ready.wait(SOON_S)
            for _ in range(400 // workers):
                with suppress(ProviderError):
                    mock.invoke(REQUEST, LONG_S)

        threads = [threading.Thread(target=run) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON_S)
        return sorted((call.number, call.fault) for call in mock.calls)

    assert calls(8) == calls(1)
    assert [number for number, _ in calls(8)] == list(range(400))


def test_ctrl_c_during_a_sleep_never_blocks_closing():
    """Wherever it interrupts, in this code and in that of the standard library."""
    place, was_interrupted = 0, True
    while was_interrupted:
        place, sleeper = place + 1, Sleeper()
        was_interrupted = interrupt_at(place, lambda: sleeper.sleep_until(sleeper.clock() + 0.001))  # noqa: B023
        closing = threading.Thread(target=sleeper.close, daemon=True)
        closing.start()
        closing.join(20)
        assert not closing.is_alive(), f"interrupted at the {place}th place"
    assert place > 5
