"""The provider: four ways to call one Hugging Face instance, each within its time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing, suppress
from typing import TYPE_CHECKING, Any, Self

from kickai_providers_core import AuthenticationError, InvalidReplyError, ReplyChunk, UnusableProviderError
from kickai_providers_core.authoring.per_loop import PerLoop

from kickai_hf import network, payload, routes, templates, transport
from kickai_hf.answers import Answer
from kickai_hf.exchange import END, TRANSPORT_ERRORS, AsyncCall, LoopConnections, SyncCall
from kickai_hf.mapping import from_exception
from kickai_hf.patience import Patience
from kickai_hf.wire import Requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    import httpcore2
    from kickai_providers_core import ChatRequest, Reply

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["HuggingFace"]

CONNECTIONS = 100
"""Connections at once where ``max_concurrency`` sets no limit, as the vendor's client has: for the sync modes together,
and for each event loop."""

SIGN_OF_LIFE = ReplyChunk()
"""A chunk without text: the model reasons or writes a tool call, so that the stream is not idle."""


class HuggingFace:
    """One instance, with connections of its own. Safe to share between threads and event loops until it is closed.

    Args:
        settings: The instance's settings.
        sync_transport: What the sync modes send with; the real one by default.
        async_transport: Makes what one event loop sends with.

    Raises:
        AuthenticationError: The settings would send no token, or send one to where it must not go.
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """

    def __init__(
        self,
        settings: HuggingFaceSettings,
        *,
        sync_transport: httpcore2.ConnectionPool | None = None,
        async_transport: Callable[[], httpcore2.AsyncConnectionPool] | None = None,
    ) -> None:
        faults = [problem for problem in routes.problems(settings) if problem.severity == "error"]
        if faults:
            raise AuthenticationError("; ".join(map(str, faults)))
        route = routes.route(settings)
        local = list(network.problems(route.url))
        if local:
            raise UnusableProviderError("; ".join(map(str, local)))
        self._settings = settings
        self._requests = Requests(route, expose=settings.expose_service_messages)
        way = (route.url, settings.max_concurrency or CONNECTIONS, transport.trust(route.url))
        self._sync = sync_transport or transport.sync_transport(*way)
        pool = async_transport or (lambda: transport.async_transport(*way))
        self._loops = PerLoop(lambda: LoopConnections(pool()), LoopConnections.aclose)

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer a request."""
        patience = Patience(self._settings, timeout_s)
        call = SyncCall(self._requests, patience, self._sync)
        try:
            body, answer = self._prepare(request, stream=False)
            with closing(call):
                call.post(body)
                self._add(answer, call.document())
            return answer.end(call.request_id)[0]
        except Exception as exc:  # noqa: BLE001 - whatever the client raises is translated in one place
            failure = from_exception(exc, patience, answering=call.answering)
        raise failure

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer a request on the running loop."""
        patience = Patience(self._settings, timeout_s)
        call = AsyncCall(self._requests, patience, await self._loops.current())
        try:
            body, answer = self._prepare(request, stream=False)
            async with asyncio.timeout(timeout_s), aclosing(call):
                await call.post(body)
                self._add(answer, await call.document())
            return answer.end(call.request_id)[0]
        except Exception as exc:  # noqa: BLE001
            failure = from_exception(exc, patience, answering=call.answering)
        raise failure

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Answer a request piece by piece. Closing the iterator closes the connection."""
        patience = Patience(self._settings, timeout_s, streamed=True)
        call = SyncCall(self._requests, patience, self._sync)
        try:
            body, answer = self._prepare(request, stream=True)
            with closing(call):
                call.post(body)
                with closing(call.events()) as documents:
                    while (document := _next(documents, call, answer)) is not END:
                        text = self._add(answer, document)
                        if text:
                            yield ReplyChunk(text=text, model=answer.model, request_id=call.request_id)
                        elif answer.progressed:
                            yield SIGN_OF_LIFE
                        if answer.progressed:  # an event that brings nothing of the answer is no sign of life
                            patience.next_piece()
            last = _last(*answer.end(call.request_id))
        except Exception as exc:  # noqa: BLE001
            failure = from_exception(exc, patience, answering=call.answering)
        else:
            yield last
            return
        raise failure

    def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Answer a request piece by piece on the running loop. Closing the iterator closes the connection."""

        async def begin(patience: Patience) -> tuple[bytes, Answer, AsyncCall]:
            body, answer = self._prepare(request, stream=True)
            return body, answer, AsyncCall(self._requests, patience, await self._loops.current())

        return _AsyncStream(lambda: Patience(self._settings, timeout_s, streamed=True), begin, self._add)

    def close(self) -> None:
        """Close all connections, from a thread without a running loop."""
        self._loops.close()
        self._sync.close()

    async def aclose(self) -> None:
        """Close all connections, the running loop's first."""
        await self._loops.aclose()
        self._sync.close()

    def _prepare(self, request: ChatRequest, *, stream: bool) -> tuple[bytes, Answer]:
        """Return the body to post, and what reads the answer to it.

        Raises:
            UnsupportedRequestError: There is no such body.
        """
        settings, stop = self._settings, request.stop
        if settings.task == "text_generation":
            stop = (*stop, *templates.BY_NAME[settings.template].stop)
        return payload.encode(request, settings, stream=stream), Answer(request, stop, streamed=stream)

    def _add(self, answer: Answer, document: Any) -> str:
        return answer.add_chat(document) if self._settings.task == "chat" else answer.add_text(document)


class _AsyncStream:
    """The chunks of one stream, as `HuggingFace.stream`. Nothing is sent before the first is awaited.

    Not an asynchronous generator: an event loop that ends closes all of these at once, whoever is reading from whom.
    """

    def __init__(
        self,
        start_patience: Callable[[], Patience],
        begin: Callable[[Patience], Awaitable[tuple[bytes, Answer, AsyncCall]]],
        add: Callable[[Answer, Any], str],
    ) -> None:
        self._start_patience = start_patience
        self._begin = begin
        self._add = add
        self._call: AsyncCall | None = None
        self._waited = False
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReplyChunk:
        if self._ended:
            raise StopAsyncIteration
        try:
            if self._call is None:
                await self._open()
            return await self._next_chunk()
        except Exception as exc:  # noqa: BLE001
            answering = self._call is not None and self._call.answering
            failure = from_exception(exc, self._patience, answering=answering)
        except BaseException:
            await self.aclose()
            raise
        await self.aclose()
        raise failure

    async def aclose(self) -> None:
        """Close the connection, where something is still to come on it."""
        self._ended = True
        call, self._call = self._call, None
        if call is not None:
            with suppress(*TRANSPORT_ERRORS):  # it is closed by then
                await call.aclose()

    def __del__(self) -> None:
        call = self._call
        if call is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # closed in between
                self._loop.call_soon_threadsafe(_close_later, self._loop, call)

    async def _open(self) -> None:
        self._patience = self._start_patience()
        body, self._answer, call = await self._begin(self._patience)
        self._loop = asyncio.get_running_loop()
        self._call = call
        async with self._patience.wait.hold():
            await call.post(body)

    async def _next_chunk(self) -> ReplyChunk:
        call, answer = self._call, self._answer
        assert call is not None  # noqa: S101 - for the type checker
        while (document := await self._read(call)) is not END:
            text = self._add(answer, document)
            if answer.progressed:
                self._waited = True
                return ReplyChunk(text=text, model=answer.model, request_id=call.request_id) if text else SIGN_OF_LIFE
        await self.aclose()
        return _last(*answer.end(call.request_id))

    async def _read(self, call: AsyncCall) -> Any:
        if self._waited:
            self._waited = False
            self._patience.next_piece()
        try:
            async with asyncio.timeout(self._patience.wait.left()):
                return await call.next_document()
        except TRANSPORT_ERRORS as exc:
            return _end_anyway(exc, call, self._answer)


def _close_later(loop: asyncio.AbstractEventLoop, call: AsyncCall) -> None:
    closing = loop.create_task(call.aclose())
    closing.add_done_callback(lambda task: task.cancelled() or task.exception())


def _next(documents: Iterator[Any], call: SyncCall, answer: Answer) -> Any:
    """Return the next document, or `END`.

    Once the model has stopped, a connection that breaks or falls silent between two events takes nothing away. What
    cannot be read, or was cut, may be text.
    """
    try:
        return next(documents, END)
    except TRANSPORT_ERRORS as exc:
        return _end_anyway(exc, call, answer)


def _end_anyway(exc: Exception, call: SyncCall | AsyncCall, answer: Answer) -> Any:
    """Return `END` when nothing of the answer is missing; raise otherwise."""
    if not answer.finished:
        raise exc
    if call.is_within_event:
        raise InvalidReplyError("the stream was cut within an event")
    return END


def _last(reply: Reply, rest: str) -> ReplyChunk:
    return ReplyChunk(
        text=rest,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        model=reply.model,
        tool_calls=reply.tool_calls,
        request_id=reply.request_id,
    )
