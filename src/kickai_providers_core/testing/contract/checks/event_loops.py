"""What a provider does to the event loop, to other threads, and to a forked process."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.testing.contract.helpers.calls import open_stream, run_coroutine, run_with_limit
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, PROMPT_S, QUICK_S
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.processor_time import read_processor_wait_s
from kickai_providers_core.testing.contract.helpers.requirements import require_native
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Delay, Silence, Stall, blackhole
from kickai_providers_core.values.errors import ProviderError, ProviderTimeoutError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["EventLoopTests"]

BLOCKED_S = 0.02
"""How long a coroutine may keep the event loop to itself; see docs/plugin-api.md."""

ROUNDS = 40
"""A busy machine delays the event loop in some rounds, a provider that blocks it in all of them."""

TURNS = 40
"""Turns of the event loop in which a cancelled call must end. Each layer of a client that closes takes a few."""

THREADS = 8

in_each_async_mode = pytest.mark.parametrize("mode", ["ainvoke", "astream"])
in_each_sync_mode = pytest.mark.parametrize("mode", ["invoke", "stream"])


class EventLoopTests(ProviderSpec):
    """A call takes nothing from the event loop, from other threads or from a forked process."""

    @in_each_async_mode
    def test_the_loop_runs_every_20_ms(self, harness: ProviderHarness, mode: Mode) -> None:
        """No step of a call keeps the event loop for 20 ms, once the client is imported and connected."""
        require_native(harness, mode)
        harness.server  # skips the test without a wire  # noqa: B018

        async def find_shortest_gap() -> float:
            await _use(harness, mode)
            shortest = float("inf")
            for _ in range(ROUNDS):
                shortest = min(shortest, await _measure_longest_gap(harness, mode))
                if shortest < BLOCKED_S:
                    break
            return shortest

        gap_s = run_coroutine(find_shortest_gap, 2 * PROMPT_S)
        assert gap_s < BLOCKED_S, (
            f"{mode} kept the event loop for {1000 * gap_s:.0f} ms in each of {ROUNDS} calls, expected less than "
            f"{1000 * BLOCKED_S:.0f} ms: run what takes longer in a thread"
        )

    @in_each_async_mode
    def test_cancelling_ends_the_call_at_once(self, harness: ProviderHarness, mode: Mode) -> None:
        """A cancelled call ends with the event loop's next turns: it waits for nothing."""
        require_native(harness, mode)
        harness.server.default = Silence() if mode == "ainvoke" else Stall(1)

        async def count_turns() -> int:
            task = asyncio.create_task(_use(harness, mode))
            await asyncio.to_thread(harness.server.wait_requests, 1, GRACE_S)
            await asyncio.sleep(0.05)
            task.cancel()
            turns = 0
            while not task.done() and turns < TURNS:
                await asyncio.sleep(0)
                turns += 1
            ended = task.done()
            with suppress(asyncio.CancelledError, ProviderError):
                await asyncio.wait_for(task, GRACE_S)
            return turns if ended else TURNS + 1

        turns = run_coroutine(count_turns)
        assert turns <= TURNS, (
            f"{mode} had not ended {TURNS} turns of the event loop after it was cancelled: "
            "do not wait for anything in the clean-up"
        )

    @in_each_sync_mode
    def test_threads_do_not_wait_for_each_other(self, harness: ProviderHarness, mode: Mode) -> None:
        """Calls from several threads run at the same time."""
        require_native(harness, mode)
        harness.server.default = Delay(self.patience_s)
        harness.attempt(mode).reply  # imports the client  # noqa: B018
        began = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            outcomes = list(pool.map(lambda _: harness.attempt(mode), range(THREADS)))
        took_s, limit_s = time.perf_counter() - began, THREADS * self.patience_s / 2
        for outcome in outcomes:
            outcome.reply  # noqa: B018
        assert took_s < limit_s, (
            f"{THREADS} calls of {mode} took {took_s:.2f} s together, expected less than {limit_s:.2f} s: "
            "a lock is held during a call, or the client has too few connections"
        )

    @in_each_mode
    def test_connecting_has_its_own_timeout_in_each_native_mode(self, harness: ProviderHarness, mode: Mode) -> None:
        """The plugin's own hook ends after ``connect_timeout_s`` when connecting hangs, if it holds its timeouts."""
        require_native(harness, mode)
        if not harness.info.holds_timeouts and mode in {"invoke", "stream"}:
            pytest.skip("not applicable: the plugin leaves the timeouts of its sync hooks to the core")
        limit_s = self.patience_s + self.slack_s
        with blackhole() as port:
            outcome = harness.attempt_at(
                mode, f"http://127.0.0.1:{port}", limit_s=limit_s, connect_timeout_s=self.patience_s
            )
        error = outcome.within(limit_s).raises(ProviderTimeoutError)
        assert error.phase == "connect", f"expected phase='connect', got {error.phase!r}: {error}"

    @in_each_async_mode
    def test_closing_while_the_loop_runs_frees_connections(self, harness: ProviderHarness, mode: Mode) -> None:
        """Closing from another thread, while the loop that made the calls still runs, closes their connections."""
        harness.server  # skips the test without a wire  # noqa: B018

        async def use_and_close() -> bool:
            await _use(harness, mode)
            await asyncio.to_thread(harness.close)
            return await asyncio.to_thread(harness.server.wait_closed, GRACE_S)

        closed = run_coroutine(use_and_close, 2 * PROMPT_S)
        assert closed, "a connection is still open after the provider was closed while the event loop ran"

    @in_each_mode
    def test_closing_during_a_call_ends_in_time(self, harness: ProviderHarness, mode: Mode) -> None:
        """Closing does not wait for a call that is under way, which ends with a `ProviderError` with its connection."""
        require_native(harness, mode)
        harness.server.default = Silence()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(harness.attempt, mode, timeout_s=2 * GRACE_S)
            assert harness.server.wait_requests(1, GRACE_S), "the provider sent no request"
            closing = run_with_limit("invoke", harness.close, GRACE_S)
            harness.server.drop()
            outcome = call.result(PROMPT_S)
        closing.within(QUICK_S)
        assert closing.raised is None, f"closing raised {closing.raised!r} during a call"
        outcome.raises(ProviderError)

    @in_each_mode
    def test_a_forked_process_can_call(self, harness: ProviderHarness, mode: Mode) -> None:
        """In a forked process a new provider answers, and the parent's provider still answers afterwards."""
        if not hasattr(os, "fork"):
            pytest.skip("not applicable: this system cannot fork")
        harness.server  # skips the test without a wire  # noqa: B018
        harness.attempt(mode).reply  # noqa: B018
        said = _call_in_child(harness, mode)
        assert said == "pong", f"expected 'pong' from a new provider in a forked process, got {said}"
        text = harness.attempt(mode).text
        assert text == "pong", f"expected 'pong' from the parent's provider after the fork, got {text!r}"


async def _use(harness: ProviderHarness, mode: Mode) -> None:
    """Call the provider on the running loop, and wait for its end."""
    if mode in harness.info.native:
        call = harness.call_hook(mode)
        if mode == "ainvoke":
            await call
            return
        async for _ in await open_stream(call):
            pass
    elif mode == "ainvoke":
        await harness.adapter.ainvoke(harness.provider, harness.request, PROMPT_S)
    else:
        async for _ in harness.adapter.astream(harness.provider, harness.request, PROMPT_S, harness.settings):
            pass


async def _measure_longest_gap(harness: ProviderHarness, mode: Mode) -> float:
    """Make a call; return the longest time in which no other task ran, in seconds.

    Time in which the thread had no processor does not count.
    """
    longest, last, done = 0.0, _read_own_time_s(), False

    async def watch() -> None:
        nonlocal longest, last
        while not done:
            await asyncio.sleep(0)
            now = _read_own_time_s()
            longest, last = max(longest, now - last), now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await _use(harness, mode)
    done = True
    await watching
    return longest


def _read_own_time_s() -> float:
    return time.perf_counter() - read_processor_wait_s()


def _call_in_child(harness: ProviderHarness, mode: Mode) -> str:
    """Fork, and call a new provider in the child; return its answer, or what went wrong."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks in programs with threads
        child = os.fork()
    if not child:
        _answer_and_exit(harness, mode, write)
    os.close(write)
    try:
        ready, _, _ = select.select([read], [], [], PROMPT_S)
        return os.read(read, 4096).decode() if ready else f"no answer within {PROMPT_S:g} s"
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)


def _answer_and_exit(harness: ProviderHarness, mode: Mode, write: int) -> None:
    """Call a new provider and write its answer to a pipe. Never returns: the child must not run the parent's tests."""
    try:
        outcome = harness.attempt(mode, is_new=True)
        said = outcome.text if outcome.raised is None else f"{type(outcome.raised).__name__}: {outcome.raised}"
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent reports it
        said = f"{type(error).__name__}: {error}"
    os.write(write, said.encode()[:4096] or b"nothing")
    os._exit(0)
