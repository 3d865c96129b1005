"""The provider: counts and records the calls, and does what is planned for each of them."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import frozen
from kickai_providers_core import Reply

from kickai_mock.answers import build_answer, split_reply
from kickai_mock.behaviour import ModelBehaviour
from kickai_mock.call_record import Call
from kickai_mock.settings import MockInCode, MockSettings, find_conflicts
from kickai_mock.sleeper import Sleeper
from kickai_mock.timeline import StreamLimits, plan_stream, plan_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kickai_providers_core import ChatRequest, Problem
    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["DEFAULT_MODEL", "MockProvider"]

DEFAULT_MODEL = "mock"
"""The model when neither the request nor the settings name one."""


@frozen
class _Model:
    behaviour: ModelBehaviour
    numbers: count[int]


class MockProvider:
    """A provider that answers and fails as its settings say.

    Safe to share between threads and event loops: the n-th call of a model gets the n-th entry of its script and the
    n-th draws of its seed, in whichever thread it is made. Closing the provider ends all calls that wait.
    """

    def __init__(self, settings: MockSettings) -> None:
        code = settings if isinstance(settings, MockInCode) else MockInCode()
        self._settings = settings
        self._answer = code.answer
        self._sleeper = Sleeper(code.time)
        self._models: dict[str, _Model] = {}
        self._calls: deque[Call] = deque(maxlen=settings.keep_calls)
        self._record = code.record

    @staticmethod
    def validate(settings: MockSettings, _online: bool) -> list[Problem]:
        """Return the settings that exclude each other."""
        return list(find_conflicts(settings))

    @property
    def calls(self) -> tuple[Call, ...]:
        """The latest calls, in the order in which they began; a copy, safe to take while other threads call."""
        return tuple(self._calls)

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer or fail, and block the thread for the planned time."""
        call = self._begin("invoke", request, timeout_s)
        end_s, error = plan_whole(call.fault, call.latency_s, timeout_s)
        if end_s > 0.0:
            self._sleeper.sleep_until(self._sleeper.clock() + end_s)
        if error is not None:
            raise error
        return self._build(call)  # type: ignore[no-any-return]

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer or fail without blocking the loop; cancellation ends the call at once."""
        call = self._begin("ainvoke", request, timeout_s)
        end_s, error = plan_whole(call.fault, call.latency_s, timeout_s)
        if end_s > 0.0:
            await self._sleeper.asleep_until(self._sleeper.clock() + end_s)
        if error is not None:
            raise error
        return self._build(call)  # type: ignore[no-any-return]

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[Any]:
        """Answer word by word; the call and its time begin now."""
        steps, began = self._plan(self._begin("stream", request, timeout_s)), self._sleeper.clock()
        return self._run(steps, began)

    def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[Any]:
        """Answer word by word without blocking the loop; the call and its time begin now."""
        steps, began = self._plan(self._begin("astream", request, timeout_s)), self._sleeper.clock()
        return self._arun(steps, began)

    def close(self) -> None:
        """End every call that waits, and refuse further ones. May be called again, from any thread."""
        self._sleeper.close()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def _begin(self, mode: Mode, request: ChatRequest, timeout_s: float) -> Call:
        self._sleeper.require_open()
        name = request.model or self._settings.model or DEFAULT_MODEL
        # Two threads may both create a new model; setdefault keeps the first, so that all use one counter.
        model = self._models.get(name) or self._models.setdefault(
            name, _Model(ModelBehaviour.from_settings(self._settings, name), count())
        )
        number = next(model.numbers)
        call = Call(mode, name, number, request, timeout_s, *model.behaviour.plan_call(number))
        self._calls.append(call)
        if self._record is not None:
            self._record.append(call)
        return call

    def _plan(self, call: Call) -> Iterator[Any]:
        own = self._settings
        limits = StreamLimits(own.first_token_timeout_s, own.idle_timeout_s, call.timeout_s)
        pause_s = self._models[call.model].behaviour.pause_s
        return plan_stream(call.fault, call.latency_s, pause_s, limits, lambda: self._build_chunks(call))

    def _run(self, steps: Iterator[Any], began: float) -> Iterator[Any]:
        for step in steps:
            if isinstance(step, float):
                self._sleeper.sleep_until(began + step)
            else:
                yield step

    async def _arun(self, steps: Iterator[Any], began: float) -> AsyncIterator[Any]:
        for step in steps:
            if isinstance(step, float):
                await self._sleeper.asleep_until(began + step)
            else:
                yield step

    def _build_chunks(self, call: Call) -> list[Any]:
        answer = self._build(call)
        if not isinstance(answer, Reply):
            return [answer]
        return list(split_reply(answer, in_halves=call.fault.kind == "halves"))

    def _build(self, call: Call) -> Any:
        return build_answer(call, self._models[call.model].behaviour.texts, self._answer)
