"""One provider, used from several threads, event loops and tasks, in turn and at once."""

from __future__ import annotations

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve, frozen

from kickai_providers_core.testing.contract.calling import run
from kickai_providers_core.testing.contract.givens import GRACE_S, MODES, PROMPT_S
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.testing.faults import Delay, Fault, Ok
from kickai_providers_core.values.messages import Message

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.subject import Subject
    from kickai_providers_core.testing.faults.exchange import Exchange
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["Sharing"]

THREADS = 8
CALLS = 4
QUESTION = re.compile(rb"question-(\d+)")
TICK_S = 0.01


@frozen
class Echo(Fault):
    """An answer that belongs to one question: ``question-7`` is answered with ``answer-7``."""

    async def play(self, exchange: Exchange) -> None:
        """Answer the question that stands in the request."""
        found = QUESTION.search(exchange.request.body)
        await exchange.send(exchange.answer(Ok(f"answer-{found[1].decode()}" if found else "no question")))


class Sharing(Supplied):
    """Calls do not get into each other's way."""

    @pytest.mark.parametrize("mode", MODES)
    def test_calls_in_turn_get_their_own_answers(self, subject: Subject, mode: Mode) -> None:
        """Each call of many on one provider gets the answer to its own question."""
        subject.server.default = Echo()
        texts = [subject.attempt(mode, request=_question(subject, number)).text for number in range(CALLS)]
        assert texts == _answers(CALLS)

    @pytest.mark.parametrize("mode", MODES)
    def test_threads_share_a_provider(self, subject: Subject, mode: Mode) -> None:
        """Calls from several threads at once each get the answer to their own question."""
        subject.server.default = Echo()
        total = THREADS * CALLS
        with ThreadPoolExecutor(THREADS) as pool:
            outcomes = list(
                pool.map(lambda number: subject.attempt(mode, request=_question(subject, number)), range(total))
            )
        assert [outcome.text for outcome in outcomes] == _answers(total)

    def test_tasks_share_a_provider(self, subject: Subject) -> None:
        """Calls of several tasks of one loop each get the answer to their own question."""
        subject.server.default = Echo()
        assert run(lambda: _gathered(subject, range(THREADS))) == _answers(THREADS)

    def test_tasks_do_not_wait_for_each_other(self, subject: Subject) -> None:
        """Calls of several tasks are under way at the same time."""
        subject.server.default = Delay(self.patience_s)

        async def together() -> float:
            began = time.perf_counter()
            await asyncio.gather(*(_ask(subject) for _ in range(THREADS)))
            return time.perf_counter() - began

        assert run(together, THREADS * PROMPT_S) < THREADS * self.patience_s / 2

    @pytest.mark.parametrize("mode", ["ainvoke", "astream"])
    def test_the_loop_is_not_blocked(self, subject: Subject, mode: Mode) -> None:
        """While a call waits for its answer the event loop does other things."""
        subject.attempt(mode).reply  # imports and connects  # noqa: B018
        subject.server.default = Delay(self.patience_s)
        turns = 0

        async def other_things() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(TICK_S)
                turns += 1

        async def both() -> None:
            others = asyncio.create_task(other_things())
            if mode == "ainvoke":
                await _ask(subject)
            else:
                stream = subject.seam.astream(subject.provider, subject.request, PROMPT_S, subject.settings)
                assert [chunk async for chunk in stream]
            others.cancel()

        run(both)
        due = self.patience_s / TICK_S
        assert turns > due / 5, f"the loop turned {turns} times where about {due:.0f} were due"

    @pytest.mark.parametrize("mode", ["ainvoke", "astream"])
    def test_a_second_loop_works(self, subject: Subject, mode: Mode) -> None:
        """A provider that was used in one ``asyncio.run`` works in the next one, and the next."""
        for _ in range(3):
            assert subject.attempt(mode).text

    def test_two_loops_at_once_work(self, subject: Subject) -> None:
        """Two event loops of two threads use one provider at the same time."""
        subject.server.default = Echo()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(run, lambda: _gathered(subject, range(CALLS)))
            second = pool.submit(run, lambda: _gathered(subject, range(CALLS)))
            assert first.result(PROMPT_S) == second.result(PROMPT_S) == _answers(CALLS)

    def test_modes_mix(self, subject: Subject) -> None:
        """Sync calls, async calls and streams follow each other on one provider."""
        for mode in (*MODES, *reversed(MODES)):
            assert subject.attempt(mode).within(PROMPT_S + GRACE_S).text


def _question(subject: Subject, number: int) -> ChatRequest:
    return evolve(subject.request, messages=(Message(role="user", content=f"question-{number}"),))


def _answers(count: int) -> list[str]:
    return [f"answer-{number}" for number in range(count)]


def _ask(subject: Subject, request: ChatRequest | None = None) -> Any:
    return subject.seam.ainvoke(subject.provider, request or subject.request, PROMPT_S)


async def _gathered(subject: Subject, numbers: range) -> list[str]:
    replies = await asyncio.gather(*(_ask(subject, _question(subject, number)) for number in numbers))
    return [reply.text for reply in replies]
