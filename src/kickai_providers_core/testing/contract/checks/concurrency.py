"""One provider, used from several threads, event loops and tasks, one after the other and at the same time."""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve, frozen

from kickai_providers_core.testing.contract.helpers.calls import run_coroutine
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, MODES, PROMPT_S
from kickai_providers_core.testing.contract.helpers.parameters import in_each_mode
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import Delay, Exchange, Fault, Ok
from kickai_providers_core.values.messages import Message

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["ConcurrencyTests"]

THREADS = 8
CALLS = 4
QUESTION = re.compile(rb"question-(\d+)")
TICK_S = 0.01


@frozen
class Echo(Fault):
    """An answer that depends on the question: ``answer-7`` for ``question-7``."""

    async def play(self, exchange: Exchange) -> None:
        """Answer the question in the request."""
        found = QUESTION.search(exchange.request.body)
        await exchange.send(exchange.answer(Ok(f"answer-{found[1].decode()}" if found else "no question")))


class ConcurrencyTests(ProviderSpec):
    """Calls do not affect each other."""

    @in_each_mode
    def test_calls_in_turn_get_their_own_answers(self, harness: ProviderHarness, mode: Mode) -> None:
        """Successive calls of one provider each get the answer to their own question."""
        harness.server.default = Echo()
        texts = [harness.attempt(mode, request=_build_question(harness, number)).text for number in range(CALLS)]
        assert texts == _list_answers(CALLS), f"expected the answers to its own questions, in order, got {texts}"

    @in_each_mode
    def test_threads_share_a_provider(self, harness: ProviderHarness, mode: Mode) -> None:
        """Simultaneous calls from several threads each get the answer to their own question."""
        harness.server.default = Echo()
        total = THREADS * CALLS
        with ThreadPoolExecutor(THREADS) as pool:
            outcomes = list(
                pool.map(lambda number: harness.attempt(mode, request=_build_question(harness, number)), range(total))
            )
        texts = [outcome.text for outcome in outcomes]
        wrong = [(got, own) for got, own in zip(texts, _list_answers(total), strict=True) if got != own]
        assert not wrong, f"calls got the answers to the questions of other threads: {wrong}"

    def test_tasks_share_a_provider(self, harness: ProviderHarness) -> None:
        """Simultaneous calls from several tasks of one event loop each get the answer to their own question."""
        harness.server.default = Echo()
        texts = run_coroutine(lambda: _ask_together(harness, range(THREADS)))
        assert texts == _list_answers(THREADS), f"tasks got the answers to the questions of others: {texts}"

    def test_tasks_do_not_wait_for_each_other(self, harness: ProviderHarness) -> None:
        """Calls from several tasks run at the same time."""
        harness.server.default = Delay(self.patience_s)

        async def ask_together() -> float:
            began = time.perf_counter()
            await asyncio.gather(*(_ask(harness) for _ in range(THREADS)))
            return time.perf_counter() - began

        took_s, limit_s = run_coroutine(ask_together, THREADS * PROMPT_S), THREADS * self.patience_s / 2
        assert took_s < limit_s, f"{THREADS} calls took {took_s:.2f} s together, expected less than {limit_s:.2f} s"

    @pytest.mark.parametrize("mode", ["ainvoke", "astream"])
    def test_the_loop_is_not_blocked(self, harness: ProviderHarness, mode: Mode) -> None:
        """The event loop runs other tasks while a call waits for its answer."""
        harness.attempt(mode).reply  # imports and connects  # noqa: B018
        harness.server.default = Delay(self.patience_s)
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(TICK_S)
                turns += 1

        async def call_and_count() -> None:
            counting = asyncio.create_task(count_turns())
            if mode == "ainvoke":
                await _ask(harness)
            else:
                stream = harness.adapter.astream(harness.provider, harness.request, PROMPT_S, harness.settings)
                assert [chunk async for chunk in stream], "the stream yielded nothing"
            counting.cancel()

        run_coroutine(call_and_count)
        usual = self.patience_s / TICK_S
        assert turns > usual / 5, (
            f"the event loop was blocked: another task ran {turns} times during the call, expected about {usual:.0f}"
        )

    @pytest.mark.parametrize("mode", ["ainvoke", "astream"])
    def test_a_second_loop_works(self, harness: ProviderHarness, mode: Mode) -> None:
        """A provider that was used in one ``asyncio.run`` works in the next ones."""
        for _ in range(3):
            text = harness.attempt(mode).text
            assert text, "the answer in another event loop is empty"

    def test_two_loops_at_once_work(self, harness: ProviderHarness) -> None:
        """Two event loops in two threads use one provider at the same time."""
        harness.server.default = Echo()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(run_coroutine, lambda: _ask_together(harness, range(CALLS)))
            second = pool.submit(run_coroutine, lambda: _ask_together(harness, range(CALLS)))
            found = (first.result(PROMPT_S), second.result(PROMPT_S))
        assert found == (_list_answers(CALLS),) * 2, f"two event loops got the answers of each other: {found}"

    def test_modes_mix(self, harness: ProviderHarness) -> None:
        """One provider works in all modes, one after the other."""
        for mode in (*MODES, *reversed(MODES)):
            text = harness.attempt(mode).within(PROMPT_S + GRACE_S).text
            assert text, f"the answer of {mode} after a call in another mode is empty"


def _build_question(harness: ProviderHarness, number: int) -> ChatRequest:
    return evolve(harness.request, messages=(Message(role="user", content=f"question-{number}"),))


def _list_answers(count: int) -> list[str]:
    return [f"answer-{number}" for number in range(count)]


def _ask(harness: ProviderHarness, request: ChatRequest | None = None) -> Any:
    return harness.adapter.ainvoke(harness.provider, request or harness.request, PROMPT_S)


async def _ask_together(harness: ProviderHarness, numbers: range) -> list[str]:
    replies = await asyncio.gather(*(_ask(harness, _build_question(harness, number)) for number in numbers))
    return [reply.text for reply in replies]
