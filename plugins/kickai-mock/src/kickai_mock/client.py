"""The provider itself: counts and records the calls, and carries out what was decided for each of them."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import frozen
from kickai_providers_core import Reply

from kickai_mock import mapping, plan
from kickai_mock.call import Call
from kickai_mock.conduct import Conduct
from kickai_mock.settings import MockInCode, MockSettings
from kickai_mock.waits import Waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kickai_providers_core import ChatRequest
    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["DEFAULT_MODEL", "MockProvider"]

DEFAULT_MODEL = "mock"
"""The model that answers when neither the request nor the settings name one."""


@frozen
class _Model:
    conduct: Conduct
    numbers: count[int]


class MockProvider:
    """A provider that answers and fails as its settings say.

    Safe to share between threads and event loops: the n-th call of a model gets the n-th entry of its script and
    the n-th draws of its seed, whoever makes it. All calls that wait end when it is closed.
    """

    def __init__(self, settings: MockSettings) -> None:
        code = settings if isinstance(settings, MockInCode) else MockInCode()
        self._settings = settings
        self._answer = code.answer
        self._waits = Waits(code.time)
        self._models: dict[str, _Model] = {}
        self._calls: deque[Call] = deque(maxlen=settings.keep_calls)
        self._record = code.record

    @property
    def calls(self) -> tuple[Call, ...]:
        """The latest calls, in the order in which they began; a copy, safe to take while others call."""
        return tuple(self._calls)

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer, or fail, blocking the thread for as long as told."""
        call = self._begin("invoke", request, timeout_s)
        due_s, error = plan.whole(call.fault, call.latency_s, timeout_s)
        if due_s > 0.0:
            self._waits.until(self._waits.clock() + due_s)
        if error is not None:
            raise error
        return self._made(call)  # type: ignore[no-any-return]

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer, or fail, without blocking the loop; cancellation ends it at once."""
        call = self._begin("ainvoke", request, timeout_s)
        due_s, error = plan.whole(call.fault, call.latency_s, timeout_s)
        if due_s > 0.0:
            await self._waits.auntil(self._waits.clock() + due_s)
        if error is not None:
            raise error
        return self._made(call)  # type: ignore[no-any-return]

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[Any]:
        """Answer word by word; the call begins now, its time too."""
        steps, began = self._steps(self._begin("stream", request, timeout_s)), self._waits.clock()
        return self._streamed(steps, began)

    def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[Any]:
        """Answer word by word without blocking the loop; the call begins now, its time too."""
        steps, began = self._steps(self._begin("astream", request, timeout_s)), self._waits.clock()
        return self._astreamed(steps, began)

    def close(self) -> None:
        """End every call that waits, and refuse further ones. May be called again, from any thread."""
        self._waits.close()

    def _begin(self, mode: Mode, request: ChatRequest, timeout_s: float) -> Call:
        self._waits.check()
        name = request.model or self._settings.model or DEFAULT_MODEL
        # Two threads may both make a model that is new; setdefault keeps the first, so that all count with one counter.
        model = self._models.get(name) or self._models.setdefault(
            name, _Model(Conduct.of(self._settings, name), count())
        )
        number = next(model.numbers)
        call = Call(mode, name, number, request, timeout_s, *model.conduct.at(number))
        self._calls.append(call)
        if self._record is not None:
            self._record.append(call)
        return call

    def _steps(self, call: Call) -> Iterator[Any]:
        own = self._settings
        limits = plan.Limits(own.first_token_timeout_s, own.idle_timeout_s, call.timeout_s)
        pause_s = self._models[call.model].conduct.pause_s
        return plan.stream(call.fault, call.latency_s, pause_s, limits, lambda: self._chunks(call))

    def _streamed(self, steps: Iterator[Any], began: float) -> Iterator[Any]:
        for step in steps:
            if isinstance(step, float):
                self._waits.until(began + step)
            else:
                yield step

    async def _astreamed(self, steps: Iterator[Any], began: float) -> AsyncIterator[Any]:
        for step in steps:
            if isinstance(step, float):
                await self._waits.auntil(began + step)
            else:
                yield step

    def _chunks(self, call: Call) -> list[Any]:
        made = self._made(call)
        if not isinstance(made, Reply):
            return [made]
        return list(mapping.chunks_of(made, halved=call.fault.kind == "halves"))

    def _made(self, call: Call) -> Any:
        return mapping.answer(call, self._models[call.model].conduct.texts, self._answer)
