"""The provider: one request in, one reply out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core import AuthenticationError, InvalidReplyError, ProviderError, UnusableProviderError
from kickai_providers_core.authoring import dump_bytes
from loguru import logger

from kickai_gemini.errors import Refusal, error_for_refusal
from kickai_gemini.known_models import DEFAULT_MODEL, choose_served_model, strip_models_prefix
from kickai_gemini.network import find_network_problems
from kickai_gemini.replies import ReplyReader
from kickai_gemini.requests import build_request
from kickai_gemini.response_body import BodyReader
from kickai_gemini.sdk import GENAI, GENERATIVEAI, build_missing_problem, choose_sdk
from kickai_gemini.warning_filter import hide_known_warnings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
    from datetime import date

    from kickai_providers_core import ChatRequest, Reply, ReplyChunk
    from kickai_providers_core.authoring import HttpAttempt

    from kickai_gemini.requests import GeminiRequest
    from kickai_gemini.sdk import SDK
    from kickai_gemini.settings import GeminiSettings
    from kickai_gemini.wire import GeminiWire

__all__ = ["Gemini"]

T = TypeVar("T")


class Gemini:
    """One configured account of the Gemini API. Safe to share between threads and event loops.

    Creating it imports the HTTP library, and what the chosen client needs.

    Args:
        settings: The settings.
        today: Returns the day, which decides which models are retired.

    Raises:
        AuthenticationError: The key is missing.
        UnusableProviderError: The client is not installed or cannot be imported, or this machine's proxy or
            certificates cannot be used.
    """

    def __init__(
        self, settings: GeminiSettings, *, today: Callable[[], date] = lambda: datetime.now(UTC).date()
    ) -> None:
        if not settings.api_key:
            raise AuthenticationError("no API key: set GOOGLE_API_KEY or GEMINI_API_KEY, or api_key in the settings")
        sdk = choose_sdk(settings.client)
        if sdk is None:
            raise UnusableProviderError(str(build_missing_problem(settings.client)))
        for problem in find_network_problems(settings.base_url):
            raise UnusableProviderError(str(problem).rstrip("."))
        self._settings = settings
        self._wire = _create_wire(settings, sdk)
        self._is_current = sdk == GENAI
        self._today = today
        self._warned: dict[str, object] = {}

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply."""
        sent, attempt = self._start(request, timeout_s, is_stream=False)
        (response,) = self._read(attempt, sent, is_stream=False)
        return ReplyReader(request, sent).build(response)

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply; cancelling closes the connection."""
        sent, attempt = self._start(request, timeout_s, is_stream=False)
        (response,) = [each async for each in self._aread(attempt, sent, is_stream=False)]
        return ReplyReader(request, sent).build(response)

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Yield chunks; closing the generator closes the connection."""
        sent, attempt = self._start(request, timeout_s, is_stream=True)
        reader = ReplyReader(request, sent)
        responses = self._read(attempt, sent, is_stream=True)
        try:
            for response in responses:
                yield reader.add(response)
                attempt.timeouts.begin("idle")
            yield reader.build_last_chunk()
        finally:
            responses.close()

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield chunks; closing or cancelling closes the connection."""
        sent, attempt = self._start(request, timeout_s, is_stream=True)
        reader = ReplyReader(request, sent)
        responses = self._aread(attempt, sent, is_stream=True)
        try:
            async for response in responses:
                yield reader.add(response)
                attempt.timeouts.begin("idle")
            yield reader.build_last_chunk()
        finally:
            await responses.aclose()

    def list_models(self) -> list[str]:
        """Return the names of the models that the key may use to generate text, without ``models/``.

        Raises:
            ProviderError: The service refused, or could not be reached.
        """
        attempt = self._wire.start_attempt(self._settings.timeout_s, is_stream=False)
        (response,) = self._read(attempt, None, is_stream=False)
        return _read_model_names(response)

    def close(self) -> None:
        """Close all connections."""
        self._wire.transport.close()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.transport.aclose()

    def _start(self, request: ChatRequest, timeout_s: float, *, is_stream: bool) -> tuple[GeminiRequest, HttpAttempt]:
        attempt = self._wire.start_attempt(timeout_s, is_stream=is_stream)
        name = request.model or self._settings.model or DEFAULT_MODEL
        model = choose_served_model(name, self._today())
        mark = object()
        if model != name and self._warned.setdefault(name, mark) is mark:  # once, in whichever thread
            logger.warning("the model {retired} is retired; using {successor} instead", retired=name, successor=model)
        return build_request(request, model, self._settings, is_current=self._is_current), attempt

    def _read(
        self, attempt: HttpAttempt, sent: GeminiRequest | None, *, is_stream: bool
    ) -> Generator[Mapping[str, Any], None, None]:
        """Send a request, or ask for the list of models; yield the responses of the answer, and read it to its end."""
        build = self._build_function(sent, is_stream=is_stream)
        stream = self._step(attempt, lambda: attempt.handle_request(build()).stream)
        try:
            reading = _Reading(attempt, is_stream=is_stream)
            parts = iter(stream)
            while part := self._step(attempt, lambda: next(parts, b"")):
                for found in reading.feed(part):
                    yield from (self._check(each, sent) for each in found)
            yield from (self._check(each, sent) for each in self._finish(reading, sent))
        finally:
            with suppress(Exception):  # the connection may be in any state, and is not used again
                stream.close()

    async def _aread(
        self, attempt: HttpAttempt, sent: GeminiRequest, *, is_stream: bool
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Send a request on the running loop, and read the answer as `_read` does."""
        build = self._build_function(sent, is_stream=is_stream)
        response = await self._astep(attempt, lambda: attempt.handle_async_request(build()))
        stream = response.stream
        parts = aiter(stream)
        try:
            reading = _Reading(attempt, is_stream=is_stream)
            while part := await self._astep(attempt, lambda: anext(parts, b"")):
                for found in reading.feed(part):
                    for each in found:
                        yield self._check(each, sent)
                    await asyncio.sleep(0)  # bytes that are there already are read without waiting: let others run
            for each in self._finish(reading, sent):
                yield self._check(each, sent)
        finally:
            with suppress(Exception):  # as above
                await parts.aclose()
                await stream.aclose()

    def _build_function(self, sent: GeminiRequest | None, *, is_stream: bool) -> Callable[[], Any]:
        """Return what builds the HTTP request, within the step that removes the frames of its errors."""
        if sent is None:
            return self._wire.build_list
        return lambda: self._wire.build(sent, is_stream=is_stream)

    def _finish(self, reading: _Reading, sent: GeminiRequest | None) -> list[Mapping[str, Any]]:
        if reading.refusal is not None:
            raise self._build_refusal_error(reading.refusal, sent)
        return reading.body.finish()

    def _check(self, response: Mapping[str, Any], sent: GeminiRequest | None) -> Mapping[str, Any]:
        """Return a response that is not an error; a service that fails within a stream sends one there."""
        if isinstance(response.get("error"), dict):
            raise self._build_refusal_error(Refusal.from_event(response), sent)
        return response

    def _build_refusal_error(self, refusal: Refusal, sent: GeminiRequest | None) -> ProviderError:
        settings = self._settings
        return error_for_refusal(
            refusal,
            datetime.now(UTC),
            model=sent.model if sent else "",
            secrets=(settings.api_key,),
            expose=settings.expose_service_messages,
        )

    def _step(self, attempt: HttpAttempt, step: Callable[[], T]) -> T:
        """Return what a step of an attempt returns."""
        try:
            return step()
        except Exception as exc:  # noqa: BLE001  error_for knows what the HTTP library raises
            error = self._wire.error_for(exc, attempt)
        # Outside of the handler, or the library's exception, whose frames hold key and prompt, would be its context.
        raise error

    async def _astep(self, attempt: HttpAttempt, step: Callable[[], Awaitable[T]]) -> T:
        try:
            return await step()
        except Exception as exc:  # noqa: BLE001  as above
            error = self._wire.error_for(exc, attempt)
        raise error


class _Reading:
    """What was read of the response to one attempt: a body, or an error."""

    def __init__(self, attempt: HttpAttempt, *, is_stream: bool) -> None:
        self._attempt = attempt
        self._error = bytearray()
        self.body = BodyReader(attempt.headers.get("content-type", ""), is_stream=is_stream)

    def feed(self, data: bytes) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the responses that the data completes, as `BodyReader.feed` does; none for an error."""
        if not self._attempt.has_begun:
            self._error += data
            return
        for found in self.body.feed(data):
            self._attempt.timeouts.wait_s()  # data that is there already is not parsed beyond the limit either
            yield found

    @property
    def refusal(self) -> Refusal | None:
        """What the service says instead of an answer; None for an answer."""
        attempt = self._attempt
        if attempt.has_begun:
            return None
        return Refusal.from_response(attempt.status or 0, attempt.headers, bytes(self._error))


def _read_model_names(response: Mapping[str, Any]) -> list[str]:
    models = response.get("models", [])
    if not isinstance(models, list) or not all(isinstance(each, dict) for each in models):
        raise InvalidReplyError("the list of models cannot be read")
    able = [each for each in models if "generateContent" in (each.get("supportedGenerationMethods") or ())]
    return [strip_models_prefix(each["name"]) for each in able if isinstance(each.get("name"), str)]


def _create_wire(settings: GeminiSettings, sdk: SDK) -> GeminiWire:
    try:
        with hide_known_warnings():
            wire_class = import_module("kickai_gemini.wire").GeminiWire
            encode = import_module("kickai_gemini.sdk_messages").encode if sdk == GENERATIVEAI else _encode
    except Exception as exc:  # whatever a package raises while it is imported
        missing = getattr(exc, "name", None)
        cause = f"{type(exc).__name__} for {missing}" if isinstance(missing, str) else type(exc).__name__
        raise UnusableProviderError(f"{sdk} cannot be imported ({cause}); reinstall it") from exc
    wire: GeminiWire = wire_class(settings, encode)
    return wire


def _encode(request: GeminiRequest) -> bytes:
    return dump_bytes(request.body)
