"""The provider: one request in, one reply out, over the wire of either of Google's clients."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core import (
    AuthenticationError,
    Capability,
    InvalidReplyError,
    ProviderError,
    ProviderUnavailableError,
    UnusableProviderError,
)
from kickai_providers_core.authoring import AttemptTimeouts, error_for_exception
from kickai_providers_core.concurrency import threads
from loguru import logger

from kickai_gemini.attempt import Attempt
from kickai_gemini.body import OK, Body
from kickai_gemini.errors import Refusal, error_for_refusal, without_frames
from kickai_gemini.mapping import build_request
from kickai_gemini.models import DEFAULT_MODEL, plain_name, served_model
from kickai_gemini.network import environment_problems
from kickai_gemini.replies import ReplyReader
from kickai_gemini.sdk import GENAI, GENERATIVEAI, choose_sdk, missing_problem
from kickai_gemini.warning_filter import hide_known_warnings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
    from datetime import date

    from kickai_providers_core import ChatRequest, Reply, ReplyChunk

    from kickai_gemini.mapping import GeminiRequest
    from kickai_gemini.sdk import SDK
    from kickai_gemini.settings import GeminiSettings
    from kickai_gemini.wire import Answer, AsyncWire, Wire

__all__ = ["AsyncGemini", "Gemini", "create_provider", "find_capabilities"]

T = TypeVar("T")

WIRES = {
    GENAI: ("kickai_gemini.httpx_wire", "HttpxWire"),
    GENERATIVEAI: ("kickai_gemini.requests_wire", "RequestsWire"),
}


class Gemini:
    """One configured account of the Gemini API. Safe to share between threads and event loops.

    Async calls run in threads, which cancelling wakes.
    """

    def __init__(self, settings: GeminiSettings, wire: Wire, today: Callable[[], date] | None = None) -> None:
        self._wire = wire
        self._settings = settings
        self._today = today or (lambda: datetime.now(UTC).date())
        self._warned: dict[str, object] = {}

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply."""
        return self._read_reply(request, self._build(request), self._start(timeout_s, is_stream=False))

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Return a generator of chunks; closing it closes the connection."""
        return self._read_chunks(request, self._build(request), self._start(timeout_s, is_stream=True))

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply; cancelling closes the connection."""
        sent, attempt = self._build(request), self._start(timeout_s, is_stream=False)
        try:
            return await threads.acall(lambda: self._read_reply(request, sent, attempt))
        except asyncio.CancelledError:
            attempt.abort()
            raise

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield chunks; closing or cancelling closes the connection."""
        sent, attempt = self._build(request), self._start(timeout_s, is_stream=True)
        chunks = threads.aiterate(lambda: self._read_chunks(request, sent, attempt))
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            attempt.abort()  # does nothing after a whole stream, which has released its socket
            await chunks.aclose()  # type: ignore[attr-defined]

    def list_models(self) -> list[str]:
        """Return the names of the models that the key may use to generate text, without ``models/``.

        Raises:
            ProviderError: The service refused, or could not be reached.
        """
        attempt = self._start(self._settings.timeout_s, is_stream=False)
        (response,) = self._read(self._wire.send_list, attempt, is_stream=False)
        return _model_names(response)

    def close(self) -> None:
        """Close all connections."""
        self._wire.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self._wire.close()

    def _start(self, timeout_s: float, *, is_stream: bool) -> Attempt:
        timeouts = AttemptTimeouts.from_settings(self._settings, timeout_s, is_stream=is_stream)
        return Attempt(timeouts, is_tls=self._settings.base_url.startswith("https://"))

    def _build(self, request: ChatRequest) -> GeminiRequest:
        name = request.model or self._settings.model or DEFAULT_MODEL
        model = served_model(name, self._today())
        mark = object()
        if model != name and self._warned.setdefault(name, mark) is mark:  # once, in whichever thread
            logger.warning("the model {retired} is retired; using {successor} instead", retired=name, successor=model)
        return build_request(request, model, self._settings, is_current=self._wire.is_current)

    def _read_reply(self, request: ChatRequest, sent: GeminiRequest, attempt: Attempt) -> Reply:
        (response,) = self._read(
            lambda: self._wire.send(sent, is_stream=False), attempt, is_stream=False, model=sent.model
        )
        return ReplyReader(request, sent).build(response)

    def _read_chunks(self, request: ChatRequest, sent: GeminiRequest, attempt: Attempt) -> Iterator[ReplyChunk]:
        reader = ReplyReader(request, sent)
        responses = self._read(lambda: self._wire.send(sent, is_stream=True), attempt, is_stream=True, model=sent.model)
        try:
            for response in responses:
                yield reader.add(response)
                attempt.timeouts.begin("idle")
            yield reader.build_last_chunk()
        finally:
            responses.close()

    def _read(
        self, send: Callable[[], Answer], attempt: Attempt, *, is_stream: bool, model: str = ""
    ) -> Generator[Mapping[str, Any], None, None]:
        """Yield the responses of an answer, one for a whole answer, and read it to its end."""
        is_complete = False
        try:
            answer = self._step(attempt, send)
            try:
                body = Body(answer.status, answer.headers, is_stream=is_stream)
                while not body.is_full and (data := self._step(attempt, answer.read, has_begun=answer.status == OK)):
                    for found in body.feed(data):
                        attempt.timeouts.wait_s()  # data that is there already is not read beyond the limit either
                        yield from (self._check(each, model) for each in found)
                is_complete = not body.is_full
                yield from (self._check(each, model) for each in self._finish(body, model))
            finally:
                if not is_complete:
                    attempt.abort()
                attempt.release()
                with suppress(Exception):  # the connection may be in any state, and is not used again
                    answer.close()
        finally:
            attempt.release()

    def _finish(self, body: Body, model: str) -> list[Mapping[str, Any]]:
        if body.refusal is not None:
            raise self._refused(body.refusal, model)
        return body.finish()

    def _check(self, response: Mapping[str, Any], model: str) -> Mapping[str, Any]:
        """Return a response that is not an error; a service that fails within a stream sends one there."""
        if isinstance(response.get("error"), dict):
            raise self._refused(Refusal.from_event(response), model)
        return response

    def _refused(self, refusal: Refusal, model: str) -> ProviderError:
        settings = self._settings
        return error_for_refusal(
            refusal,
            datetime.now(UTC),
            model=model,
            secrets=(settings.api_key,),
            expose=settings.expose_service_messages,
        )

    def _step(self, attempt: Attempt, step: Callable[[], T], *, has_begun: bool = False) -> T:
        """Return what a step of the wire returns, within the time that is left."""
        try:
            with attempt.activate():
                attempt.timeouts.wait_s()
                return step()
        except Exception as exc:  # noqa: BLE001  two HTTP libraries: error_for_exception knows them
            error = self._error(exc, attempt, has_begun=has_begun)
        # Outside of the handler, or the library's exception, whose frames hold key and prompt, would be its context.
        raise error

    def _error(self, exc: Exception, attempt: Attempt, *, has_begun: bool) -> ProviderError:
        if not isinstance(exc, ProviderError) and attempt.timeouts.is_expired():
            return attempt.timeouts.error()
        error = error_for_exception(exc, url=self._settings.base_url, phase=attempt.timeouts.phase, has_begun=has_begun)
        if isinstance(error, ProviderUnavailableError) and not attempt.timeouts.is_connected:
            error.reached = False
        return without_frames(error)


def _model_names(response: Mapping[str, Any]) -> list[str]:
    models = response.get("models", [])
    if not isinstance(models, list) or not all(isinstance(each, dict) for each in models):
        raise InvalidReplyError("the list of models cannot be read")
    able = [each for each in models if "generateContent" in (each.get("supportedGenerationMethods") or ())]
    return [plain_name(each["name"]) for each in able if isinstance(each.get("name"), str)]


class AsyncGemini(Gemini):
    """The same over a wire with asynchronous connections."""

    _wire: AsyncWire

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply; cancelling closes the connection."""
        sent, attempt = self._build(request), self._start(timeout_s, is_stream=False)
        (response,) = [each async for each in self._aread(sent, attempt, is_stream=False)]
        return ReplyReader(request, sent).build(response)

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield chunks; closing or cancelling closes the connection."""
        sent, attempt = self._build(request), self._start(timeout_s, is_stream=True)
        reader = ReplyReader(request, sent)
        responses = self._aread(sent, attempt, is_stream=True)
        try:
            async for response in responses:
                yield reader.add(response)
                attempt.timeouts.begin("idle")
            yield reader.build_last_chunk()
        finally:
            await responses.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.aclose()

    async def _aread(
        self, sent: GeminiRequest, attempt: Attempt, *, is_stream: bool
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the responses of an answer, as `_read` does."""
        answer = await self._astep(attempt, lambda: self._wire.asend(sent, is_stream=is_stream))
        try:
            body = Body(answer.status, answer.headers, is_stream=is_stream)
            while not body.is_full and (data := await self._astep(attempt, answer.read, has_begun=answer.status == OK)):
                for found in body.feed(data):
                    attempt.timeouts.wait_s()
                    for each in found:
                        yield self._check(each, sent.model)
                    await asyncio.sleep(0)  # bytes that are there already are read without waiting: let others run
            for each in self._finish(body, sent.model):
                yield self._check(each, sent.model)
        finally:
            with suppress(Exception):  # the connection may be in any state, and is not used again
                await answer.close()

    async def _astep(self, attempt: Attempt, step: Callable[[], Awaitable[T]], *, has_begun: bool = False) -> T:
        try:
            async with attempt.timeouts.hold():
                with attempt.activate():
                    return await step()
        except Exception as exc:  # noqa: BLE001  as in `_step`
            error = self._error(exc, attempt, has_begun=has_begun)
        raise error


def find_capabilities(settings: GeminiSettings, model: str | None) -> frozenset[Capability] | None:
    """Return what an instance can do; None when there is no client. Imports neither client.

    google-generativeai has no seed. The open Gemma 3 models take neither tools nor JSON schemas
    (ai.google.dev/gemma/docs/core/gemma_on_gemini_api).
    """
    sdk = choose_sdk(settings.client)
    if sdk is None:
        return None
    capabilities = {Capability.TOOLS, Capability.JSON_SCHEMA, Capability.IMAGES}
    if sdk == GENAI:
        capabilities.add(Capability.SEED)
    if plain_name(model or settings.model or DEFAULT_MODEL).startswith("gemma-3-"):
        capabilities -= {Capability.TOOLS, Capability.JSON_SCHEMA}
    return frozenset(capabilities)


def create_provider(settings: GeminiSettings) -> Gemini:
    """Return the provider for these settings; imports what the client that they choose needs.

    Raises:
        AuthenticationError: There is no key.
        UnusableProviderError: The client is not installed or cannot be imported, or this machine's proxy or
            certificates cannot be used.
    """
    if not settings.api_key:
        raise AuthenticationError("no API key: set GOOGLE_API_KEY or GEMINI_API_KEY, or api_key in the settings")
    sdk = choose_sdk(settings.client)
    if sdk is None:
        raise UnusableProviderError(str(missing_problem(settings.client)))
    for problem in environment_problems(settings.base_url, sdk):
        raise UnusableProviderError(str(problem).rstrip("."))
    wire = _import_wire(sdk)(settings)
    return AsyncGemini(settings, wire) if sdk == GENAI else Gemini(settings, wire)


def _import_wire(sdk: SDK) -> Any:
    module, name = WIRES[sdk]
    try:
        with hide_known_warnings():
            return getattr(import_module(module), name)
    except Exception as exc:  # whatever a package raises while it is imported
        missing = getattr(exc, "name", None)
        cause = f"{type(exc).__name__} for {missing}" if isinstance(missing, str) else type(exc).__name__
        raise UnusableProviderError(f"{sdk} cannot be imported ({cause}); reinstall it") from exc
