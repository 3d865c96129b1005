"""The provider: four ways to ask one Hugging Face instance, each within its time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from kickai_providers_core.errors import AuthenticationError
from kickai_providers_core.messages import ReplyChunk

from kickai_hf import payload, routes, templates, transport, vendor
from kickai_hf.answers import Answer
from kickai_hf.loops import TransportPerLoop
from kickai_hf.mapping import from_exception
from kickai_hf.patience import Patience
from kickai_hf.wire import Requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    import httpx2
    from kickai_providers_core.messages import ChatRequest, Reply

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["HuggingFace"]

CONNECTIONS = 100
"""Connections at once where ``max_concurrency`` sets no limit, as the vendor's client has: for the sync modes together,
and for each event loop."""

TAIL_S = 1.0
"""How long the count of tokens is waited for once a stream has said why the model stopped: the answer is whole."""


class HuggingFace:
    """One instance. Safe to share between threads and event loops until it is closed.

    Args:
        settings: The instance's settings.
        sync_transport: What the sync modes send with; the real one by default.
        async_transport: Makes what one event loop sends with.

    Raises:
        AuthenticationError: The settings would send no token, or one to where it must not go.
    """

    def __init__(
        self,
        settings: HuggingFaceSettings,
        *,
        sync_transport: httpx2.BaseTransport | None = None,
        async_transport: Callable[[], httpx2.AsyncBaseTransport] | None = None,
    ) -> None:
        faults = [problem for problem in routes.problems(settings) if problem.severity == "error"]
        if faults:
            raise AuthenticationError("; ".join(map(str, faults)))
        route = routes.route(settings)
        self._settings = settings
        self._requests = Requests(route)
        way = (route.url, settings.max_concurrency or CONNECTIONS, transport.trust(route.url))
        self._sync = sync_transport or transport.sync_transport(*way)
        self._loops = TransportPerLoop(async_transport or (lambda: transport.async_transport(*way)))

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer a request."""
        patience = Patience(self._settings, timeout_s)
        call = vendor.SyncCall(self._requests, patience, self._sync)
        answer = self._answer(request)
        try:
            with closing(call):
                self._add(answer)(self._ask(call, request, stream=False))
            return answer.end(call.request_id)[0]
        except Exception as exc:  # noqa: BLE001 - whatever the client raises is translated in one place
            failure = from_exception(exc, patience, answering=call.answering)
        raise failure

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer a request on the running loop."""
        patience = Patience(self._settings, timeout_s)
        call = vendor.AsyncCall(self._requests, patience, await self._loops.current())
        answer = self._answer(request)
        try:
            async with asyncio.timeout(timeout_s):
                async with aclosing(call):
                    self._add(answer)(await self._ask(call, request, stream=False))
            return answer.end(call.request_id)[0]
        except Exception as exc:  # noqa: BLE001
            failure = from_exception(exc, patience, answering=call.answering)
        raise failure

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Answer a request piece by piece. Closing the iterator closes the connection."""
        patience = Patience(self._settings, timeout_s, streamed=True)
        call = vendor.SyncCall(self._requests, patience, self._sync)
        answer = self._answer(request)
        add = self._add(answer)
        try:
            with closing(call), closing(self._ask(call, request, stream=True)) as outputs:
                while (output := _next(outputs, answer)) is not None:
                    text = add(output)
                    if text:
                        yield ReplyChunk(text=text, model=answer.model, request_id=call.request_id)
                    _go_on(patience, answer, handed_out=bool(text))
            last = _last(*answer.end(call.request_id))
        except Exception as exc:  # noqa: BLE001
            failure = from_exception(exc, patience, answering=call.answering)
        else:
            yield last
            return
        raise failure

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Answer a request piece by piece on the running loop. Closing the iterator closes the connection."""
        patience = Patience(self._settings, timeout_s, streamed=True)
        call = vendor.AsyncCall(self._requests, patience, await self._loops.current())
        answer = self._answer(request)
        add = self._add(answer)
        try:
            async with aclosing(call):
                async with asyncio.timeout(patience.wait.left()):
                    outputs = await self._ask(call, request, stream=True)
                async with aclosing(outputs):
                    while (output := await _anext(outputs, answer, patience)) is not None:
                        text = add(output)
                        if text:
                            yield ReplyChunk(text=text, model=answer.model, request_id=call.request_id)
                        _go_on(patience, answer, handed_out=bool(text))
            last = _last(*answer.end(call.request_id))
        except Exception as exc:  # noqa: BLE001
            failure = from_exception(exc, patience, answering=call.answering)
        else:
            yield last
            return
        raise failure

    def close(self) -> None:
        """Close all connections, from a thread without a running loop."""
        self._loops.close()
        self._sync.close()

    async def aclose(self) -> None:
        """Close all connections, the running loop's first."""
        await self._loops.aclose()
        self._sync.close()

    def _answer(self, request: ChatRequest) -> Answer:
        if self._settings.task == "chat":
            return Answer(request, request.stop)
        return Answer(request, (*request.stop, *templates.BY_NAME[self._settings.template].stop))

    def _add(self, answer: Answer) -> Callable[[Any], str]:
        return answer.add_chat if self._settings.task == "chat" else answer.add_text

    def _ask(self, call: vendor.SyncCall | vendor.AsyncCall, request: ChatRequest, *, stream: bool) -> Any:
        """Call the vendor's method for the task; an awaitable when its client is asynchronous."""
        if self._settings.task == "chat":
            return call.chat_completion(**payload.chat(request, self._settings, stream=stream))
        fields = payload.text_generation(request, self._settings, stream=stream)
        return call.text_generation(model=vendor.UNPOISONED, **fields)


def _next(outputs: Iterator[Any], answer: Answer) -> Any:
    """Return the next event, or None at the end. What fails once the model has stopped takes nothing away."""
    try:
        return next(outputs, None)
    except Exception:
        if answer.finished:
            return None
        raise


async def _anext(outputs: AsyncIterator[Any], answer: Answer, patience: Patience) -> Any:
    try:
        async with asyncio.timeout(patience.wait.left()):
            return await anext(outputs, None)
    except Exception:
        if answer.finished:
            return None
        raise


def _go_on(patience: Patience, answer: Answer, *, handed_out: bool) -> None:
    """Begin to wait for the next event. One that brings no text is no sign of life."""
    if answer.finished:
        patience.hurry(TAIL_S)
    elif handed_out:
        patience.next_piece()


def _last(reply: Reply, rest: str) -> ReplyChunk:
    return ReplyChunk(
        text=rest,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        model=reply.model,
        tool_calls=reply.tool_calls,
        request_id=reply.request_id,
    )
