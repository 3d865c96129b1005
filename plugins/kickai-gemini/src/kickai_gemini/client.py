"""The provider: one request in, one request out, through whichever of Google's clients there is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kickai_providers_core import threads
from kickai_providers_core.errors import AuthenticationError, ProviderError, ProviderUnavailableError
from loguru import logger

from kickai_gemini import lifecycle
from kickai_gemini.bounded import Allowance
from kickai_gemini.choice import SUCCESSOR, choose, missing
from kickai_gemini.failures import bare, timed_out
from kickai_gemini.mapping import asked
from kickai_gemini.quiet import quietly
from kickai_gemini.replies import Gathering, reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from datetime import date

    from kickai_providers_core.messages import ChatRequest, Reply, ReplyChunk

    from kickai_gemini.mapping import Asked
    from kickai_gemini.settings import GeminiSettings

__all__ = ["AsyncGemini", "AsyncWire", "Gemini", "Wire", "create"]

T = TypeVar("T")

DRAIN_S = 0.05
"""How long a finished stream may take to end as well, so that its connection can serve the next request."""


class Wire(Protocol):
    """One of Google's clients, brought down to the API's own JSON.

    The caller lets the allowance govern each call; the wire raises whatever its client raises.

    Attributes:
        current: Whether the client can send all that the API takes today.
    """

    current: bool

    def generate(self, asked: Asked, allowance: Allowance) -> Mapping[str, Any]:
        """Return the whole answer."""

    def stream(self, asked: Asked, allowance: Allowance) -> Iterator[Mapping[str, Any]]:
        """Return a generator of the parts of the answer."""

    def models(self, allowance: Allowance) -> list[str]:
        """Return the names of the models that the key may use to generate text."""

    def error(self, exc: Exception) -> ProviderError:
        """Return the error that stands for what the client raised."""

    def close(self) -> None:
        """Close all connections."""


class AsyncWire(Wire, Protocol):
    """One that is asynchronous by nature as well."""

    async def agenerate(self, asked: Asked, allowance: Allowance) -> Mapping[str, Any]:
        """Return the whole answer."""

    def astream(self, asked: Asked, allowance: Allowance) -> AsyncIterator[Mapping[str, Any]]:
        """Return an async generator of the parts of the answer."""

    async def aclose(self) -> None:
        """Close all connections."""


class Gemini:
    """One configured account of the Gemini API. Safe to share between threads and event loops.

    Its async calls run in threads of their own, which cancelling wakes.

    Attributes:
        wire: The client that carries its requests.
    """

    def __init__(self, settings: GeminiSettings, wire: Wire, today: Callable[[], date] | None = None) -> None:
        self.wire = wire
        self._settings = settings
        self._today = today or (lambda: datetime.now(UTC).date())
        self._told: dict[str, object] = {}

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer; see `kickai_providers_core.hookspecs.kickai_invoke_provider`."""
        return self._whole(self._asked(request), self._allowance(timeout_s))

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Return a generator of chunks; closing it closes the connection."""
        return self._chunks(self._asked(request), self._allowance(timeout_s))

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer; cancelling ends the connection."""
        ask, allowance = self._asked(request), self._allowance(timeout_s)
        try:
            return await threads.acall(lambda: self._whole(ask, allowance))
        except asyncio.CancelledError:
            allowance.abort()
            raise

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield chunks; closing or cancelling ends the connection."""
        ask, allowance = self._asked(request), self._allowance(timeout_s)
        chunks = threads.aiterate(lambda: self._chunks(ask, allowance))
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            allowance.abort()  # after a whole stream it holds no socket any more, and this does nothing
            await chunks.aclose()  # type: ignore[attr-defined]

    def models(self) -> list[str]:
        """Return the names of the models that the key may use, without ``models/``.

        Raises:
            ProviderError: The service refused, or could not be asked.
        """
        allowance = self._allowance(self._settings.timeout_s)
        return [lifecycle.plain(name) for name in self._step(allowance, lambda: self.wire.models(allowance))]

    def close(self) -> None:
        """Close all connections."""
        self.wire.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self.wire.close()

    def _allowance(self, timeout_s: float) -> Allowance:
        return Allowance(timeout_s, self._settings.connect_timeout_s)

    def _asked(self, request: ChatRequest) -> Asked:
        named = request.model or self._settings.model or lifecycle.DEFAULT_MODEL
        model = lifecycle.served(named, self._today())
        mark = object()
        if model != named and self._told.setdefault(named, mark) is mark:  # once, whichever thread comes first
            logger.warning(
                "the model {retired} is retired; {successor} is asked instead", retired=named, successor=model
            )
        return asked(request, model, self._settings, current=self.wire.current)

    def _whole(self, ask: Asked, allowance: Allowance) -> Reply:
        try:
            return reply(self._step(allowance, lambda: self.wire.generate(ask, allowance)), ask)
        finally:
            allowance.finished()

    def _chunks(self, ask: Asked, allowance: Allowance) -> Iterator[ReplyChunk]:
        gathering, whole = Gathering(ask), False
        allowance.narrow("first_token", self._settings.first_token_timeout_s)
        responses = self.wire.stream(ask, allowance)
        try:
            while (response := self._step(allowance, lambda: next(responses, None))) is not None:
                chunk = gathering.add(response)
                if chunk.finish_reason is not None:
                    whole = self._drained(allowance, responses)
                    yield chunk
                    return
                yield chunk
                allowance.narrow("idle", self._settings.idle_timeout_s)
            gathering.whole()
        finally:
            if not whole:
                allowance.abort()
            allowance.finished()
            responses.close()  # type: ignore[attr-defined]

    def _drained(self, allowance: Allowance, responses: Iterator[Mapping[str, Any]]) -> bool:
        """Say whether a stream whose answer is whole ends as well, at once: then its connection can serve again."""
        allowance.narrow("idle", DRAIN_S)
        whole = False
        with suppress(ProviderError):
            whole = self._step(allowance, lambda: next(responses, None)) is None
        if whole:
            allowance.finished()
        return whole

    def _step(self, allowance: Allowance, step: Callable[[], T]) -> T:
        """Return what a step of the client returns, within the time that is left."""
        try:
            with allowance.governs():
                return step()
        except Exception as exc:  # noqa: BLE001  two clients and four HTTP libraries: `_error` knows them all
            error = self._error(exc, allowance)
        # Out here, so that the client's exception, whose frames hold key and prompt, is not this one's context.
        raise error

    def _error(self, exc: Exception, allowance: Allowance) -> ProviderError:
        if isinstance(exc, ProviderError):  # told below the client, through whose frames it came
            bare(exc)
            return exc
        return timed_out(allowance.phase, exc) if allowance.over() else self.wire.error(exc)


class AsyncGemini(Gemini):
    """One whose client is asynchronous by nature."""

    wire: AsyncWire

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer; cancelling ends the connection."""
        ask, allowance = self._asked(request), self._allowance(timeout_s)
        return reply(await self._astep(allowance, lambda: self.wire.agenerate(ask, allowance)), ask)

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield chunks; closing or cancelling ends the connection."""
        ask, allowance = self._asked(request), self._allowance(timeout_s)
        gathering = Gathering(ask)
        allowance.narrow("first_token", self._settings.first_token_timeout_s)
        responses = self.wire.astream(ask, allowance)
        try:
            while (response := await self._astep(allowance, lambda: anext(responses, None))) is not None:
                chunk = gathering.add(response)
                if chunk.finish_reason is not None:
                    allowance.narrow("idle", DRAIN_S)
                    with suppress(ProviderError):
                        await self._astep(allowance, lambda: anext(responses, None))
                    yield chunk
                    return
                yield chunk
                allowance.narrow("idle", self._settings.idle_timeout_s)
            gathering.whole()
        finally:
            await responses.aclose()  # type: ignore[attr-defined]

    async def aclose(self) -> None:
        """Close all connections."""
        await self.wire.aclose()

    async def _astep(self, allowance: Allowance, step: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(allowance.remaining_s()):
                with allowance.governs():
                    return await step()
        except Exception as exc:  # noqa: BLE001  as in `_step`
            error = self._error(exc, allowance)
        raise error


def create(settings: GeminiSettings) -> Gemini:
    """Return the provider for these settings, with the client that they choose; that is imported here.

    Raises:
        AuthenticationError: There is no key. Nobody is asked for one.
        ProviderUnavailableError: The client is not installed.
    """
    if not settings.api_key:
        raise AuthenticationError("no API key: set GOOGLE_API_KEY or GEMINI_API_KEY, or api_key in the settings")
    sdk = choose(settings.client)
    if sdk is None:
        raise ProviderUnavailableError(str(missing(settings.client)))
    with quietly():
        if sdk == SUCCESSOR:
            return AsyncGemini(settings, import_module("kickai_gemini.successor").SuccessorWire(settings))
        return Gemini(settings, import_module("kickai_gemini.legacy").LegacyWire(settings))
