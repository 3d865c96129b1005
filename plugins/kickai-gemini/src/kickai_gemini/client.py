"""The provider: one request in, one request out, through whichever of Google's clients there is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kickai_providers_core import (
    AuthenticationError,
    Capability,
    InvalidReplyError,
    ProviderError,
    UnusableProviderError,
)
from kickai_providers_core.concurrency import threads
from loguru import logger

from kickai_gemini import lifecycle, network
from kickai_gemini.bounded import Allowance
from kickai_gemini.choice import SUCCESSOR, choose, missing
from kickai_gemini.failures import Told, bare, broken, failure, timed_out
from kickai_gemini.framing import Body
from kickai_gemini.mapping import asked
from kickai_gemini.quiet import quietly
from kickai_gemini.replies import Gathering, reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from datetime import date

    from kickai_providers_core import ChatRequest, Reply, ReplyChunk

    from kickai_gemini.choice import SDK
    from kickai_gemini.mapping import Asked
    from kickai_gemini.settings import GeminiSettings

__all__ = ["Answer", "AsyncAnswer", "AsyncGemini", "AsyncWire", "Gemini", "Wire", "capabilities", "create"]

T = TypeVar("T")


class Answer(Protocol):
    """An HTTP response whose body is still on the wire.

    Attributes:
        status: The HTTP status.
        headers: As they came.
    """

    status: int
    headers: Mapping[str, str]

    def read(self) -> bytes:
        """Return the next bytes of the body as they came; none at its end."""

    def close(self) -> None:
        """Give the connection back, or close it when something is left on it."""


class AsyncAnswer(Protocol):
    """The same on an event loop."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """Return the next bytes of the body as they came; none at its end."""

    async def close(self) -> None:
        """Give the connection back, or close it when something is left on it."""


class Wire(Protocol):
    """One of Google's clients, brought down to sending a request.

    The caller lets the allowance govern each call; the wire raises whatever its client raises.

    Attributes:
        current: Whether the client can send all that the API takes today.
    """

    current: bool

    def send(self, asked: Asked, allowance: Allowance, *, streamed: bool) -> Answer:
        """Send a request, and return its response, to be read and closed."""

    def send_list(self, allowance: Allowance) -> Answer:
        """Ask for the models that the key may use, and return the response, to be read and closed."""

    def is_cut(self, exc: Exception) -> bool:
        """Say whether an answer began and did not end, though nobody reset its connection."""

    def close(self) -> None:
        """Close all connections."""


class AsyncWire(Wire, Protocol):
    """One that is asynchronous by nature as well."""

    async def asend(self, asked: Asked, allowance: Allowance, *, streamed: bool) -> AsyncAnswer:
        """Send a request, and return its response, to be read and closed."""

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
        self._warned: dict[str, object] = {}

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer; see `kickai_providers_core.plugin_api.hookspecs.kickai_invoke_provider`."""
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
        """Return the names of the models that the key may use to generate text, without ``models/``.

        Raises:
            ProviderError: The service refused, or could not be asked.
        """
        allowance = self._allowance(self._settings.timeout_s)
        send = lambda: self.wire.send_list(allowance)  # noqa: E731
        (listed,) = self._responses(send, allowance, streamed=False)
        return _names(listed)

    def close(self) -> None:
        """Close all connections."""
        self.wire.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self.wire.close()

    def _allowance(self, timeout_s: float) -> Allowance:
        secure = self._settings.base_url.startswith("https://")
        return Allowance(timeout_s, self._settings.connect_timeout_s, secure=secure)

    def _asked(self, request: ChatRequest) -> Asked:
        named = request.model or self._settings.model or lifecycle.DEFAULT_MODEL
        model = lifecycle.served(named, self._today())
        mark = object()
        if model != named and self._warned.setdefault(named, mark) is mark:  # once, whichever thread comes first
            logger.warning(
                "the model {retired} is retired; {successor} is asked instead", retired=named, successor=model
            )
        return asked(request, model, self._settings, current=self.wire.current)

    def _whole(self, ask: Asked, allowance: Allowance) -> Reply:
        send = lambda: self.wire.send(ask, allowance, streamed=False)  # noqa: E731
        (response,) = self._responses(send, allowance, streamed=False, model=ask.model)
        return reply(response, ask)

    def _chunks(self, ask: Asked, allowance: Allowance) -> Iterator[ReplyChunk]:
        gathering = Gathering(ask)
        allowance.narrow("first_token", self._settings.first_token_timeout_s)
        send = lambda: self.wire.send(ask, allowance, streamed=True)  # noqa: E731
        responses = self._responses(send, allowance, streamed=True, model=ask.model)
        try:
            for response in responses:
                yield gathering.add(response)
                allowance.narrow("idle", self._settings.idle_timeout_s)
            yield gathering.end()
        finally:
            responses.close()  # type: ignore[attr-defined]

    def _responses(
        self, send: Callable[[], Answer], allowance: Allowance, *, streamed: bool, model: str = ""
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the responses in an answer, one for whole answers, and read it to its end."""
        ended = False
        try:
            answer = self._step(allowance, send)
            try:
                body = Body(answer.status, answer.headers, streamed=streamed)
                while not body.full and (data := self._step(allowance, answer.read)):
                    for found in body.feed(data):
                        allowance_left(allowance)
                        yield from (self._checked(each, model) for each in found)
                ended = not body.full
                yield from (self._checked(each, model) for each in self._finished(body, model))
            finally:
                if not ended:
                    allowance.abort()
                allowance.finished()
                with suppress(Exception):  # the connection may be in any state, and is not used again
                    answer.close()
        finally:
            allowance.finished()

    def _finished(self, body: Body, model: str) -> list[Mapping[str, Any]]:
        if body.refusal is not None:
            raise self._failure(body.refusal, model)
        return body.finish()

    def _checked(self, response: Mapping[str, Any], model: str) -> Mapping[str, Any]:
        """Return a response that is no error; a service that fails in the middle of a stream sends one there."""
        if isinstance(response.get("error"), dict):
            raise self._failure(Told.in_stream(response), model)
        return response

    def _failure(self, told: Told, model: str) -> ProviderError:
        expose = self._settings.expose_service_messages
        return failure(told, datetime.now(UTC), model=model, secrets=(self._settings.api_key,), expose=expose)

    def _step(self, allowance: Allowance, step: Callable[[], T]) -> T:
        """Return what a step of the client returns, within the time that is left."""
        try:
            with allowance.governs():
                allowance.remaining_s()
                return step()
        except Exception as exc:  # noqa: BLE001  two clients and four HTTP libraries: `_error` knows them all
            error = self._error(exc, allowance)
        # Out here, so that the client's exception, whose frames hold key and prompt, is not this one's context.
        raise error

    def _error(self, exc: Exception, allowance: Allowance) -> ProviderError:
        if isinstance(exc, ProviderError):  # raised below the client, through whose frames it came
            bare(exc)
            return exc
        if allowance.over():
            return timed_out(allowance.phase, exc)
        return broken(exc, cut=self.wire.is_cut(exc), reached=allowance.reached, url=self._settings.base_url)


def allowance_left(allowance: Allowance) -> None:
    """Check that there is time left to read what has come already.

    Raises:
        ProviderTimeoutError: There is none.
    """
    if allowance.over():
        raise timed_out(allowance.phase, None)


def _names(listed: Mapping[str, Any]) -> list[str]:
    models = listed.get("models", [])
    if not isinstance(models, list) or not all(isinstance(each, dict) for each in models):
        raise InvalidReplyError("the list of models cannot be read")
    able = [each for each in models if "generateContent" in (each.get("supportedGenerationMethods") or ())]
    return [lifecycle.plain(each["name"]) for each in able if isinstance(each.get("name"), str)]


class AsyncGemini(Gemini):
    """One whose client is asynchronous by nature."""

    wire: AsyncWire

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer; cancelling ends the connection."""
        ask, allowance = self._asked(request), self._allowance(timeout_s)
        (response,) = [each async for each in self._aresponses(ask, allowance, streamed=False)]
        return reply(response, ask)

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield chunks; closing or cancelling ends the connection."""
        ask, allowance = self._asked(request), self._allowance(timeout_s)
        gathering = Gathering(ask)
        allowance.narrow("first_token", self._settings.first_token_timeout_s)
        responses = self._aresponses(ask, allowance, streamed=True)
        try:
            async for response in responses:
                yield gathering.add(response)
                allowance.narrow("idle", self._settings.idle_timeout_s)
            yield gathering.end()
        finally:
            await responses.aclose()  # type: ignore[attr-defined]

    async def aclose(self) -> None:
        """Close all connections."""
        await self.wire.aclose()

    async def _aresponses(
        self, ask: Asked, allowance: Allowance, *, streamed: bool
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the responses in an answer, one for whole answers, and read it to its end."""
        send = lambda: self.wire.asend(ask, allowance, streamed=streamed)  # noqa: E731
        answer = await self._astep(allowance, send)
        try:
            body = Body(answer.status, answer.headers, streamed=streamed)
            while not body.full and (data := await self._astep(allowance, answer.read)):
                for found in body.feed(data):
                    allowance_left(allowance)
                    for each in found:
                        yield self._checked(each, ask.model)
                    await asyncio.sleep(0)  # bytes that are there already are read without waiting: let others run
            for each in self._finished(body, ask.model):
                yield self._checked(each, ask.model)
        finally:
            with suppress(Exception):  # the connection may be in any state, and is not used again
                await answer.close()

    async def _astep(self, allowance: Allowance, step: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(allowance.remaining_s()):
                with allowance.governs():
                    return await step()
        except Exception as exc:  # noqa: BLE001  as in `_step`
            error = self._error(exc, allowance)
        raise error


def capabilities(settings: GeminiSettings, model: str | None) -> frozenset[Capability] | None:
    """Return what an instance can do; None when there is no client. Neither client is imported.

    The old client has no seed. The open Gemma 3 models take neither tools nor JSON schemas
    (ai.google.dev/gemma/docs/core/gemma_on_gemini_api).
    """
    sdk = choose(settings.client)
    if sdk is None:
        return None
    found = {Capability.TOOLS, Capability.JSON_SCHEMA, Capability.IMAGES, Capability.SEED}
    if sdk != SUCCESSOR:
        found.discard(Capability.SEED)
    if lifecycle.plain(model or settings.model or lifecycle.DEFAULT_MODEL).startswith("gemma-3-"):
        found -= {Capability.TOOLS, Capability.JSON_SCHEMA}
    return frozenset(found)


def create(settings: GeminiSettings) -> Gemini:
    """Return the provider for these settings, with the client that they choose; that is imported here.

    Raises:
        AuthenticationError: There is no key. Nobody is asked for one.
        UnusableProviderError: The client is not installed or cannot be imported, or this machine's proxy or
            certificates cannot be used.
    """
    if not settings.api_key:
        raise AuthenticationError("no API key: set GOOGLE_API_KEY or GEMINI_API_KEY, or api_key in the settings")
    sdk = choose(settings.client)
    if sdk is None:
        raise UnusableProviderError(str(missing(settings.client)))
    network.require(settings.base_url, sdk)
    with quietly():
        if sdk == SUCCESSOR:
            return AsyncGemini(settings, _load(sdk, "kickai_gemini.successor").SuccessorWire(settings))
        return Gemini(settings, _load(sdk, "kickai_gemini.legacy").LegacyWire(settings))


def _load(sdk: SDK, module: str) -> Any:
    try:
        return import_module(module)
    except Exception as exc:  # noqa: BLE001  whatever a package raises while it is imported
        kind, name = type(exc).__name__, getattr(exc, "name", None)
        what = f"{kind} for {name}" if isinstance(name, str) and name else kind
        error = UnusableProviderError(f"{sdk} cannot be imported ({what}); reinstall it")
        error.__cause__ = bare(exc)
    raise error
