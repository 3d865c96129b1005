"""Requests and answers, translated between the core and llama.cpp's server. No I/O.

The server speaks OpenAI's Chat Completions protocol with some differences:
https://github.com/ggml-org/llama.cpp/tree/master/tools/server.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from kickai_providers_core import (
    ContextLengthExceededError,
    FinishReason,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderUnavailableError,
    UnsupportedRequestError,
)
from kickai_providers_core.authoring import as_object, dump_bytes, dumps, error_for_status, openai_chat
from kickai_providers_core.values.plain_text import format_count

from kickai_local.hidden_bytes import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_providers_core import ChatRequest, ProviderError, ReplyChunk, Secret
    from kickai_providers_core.authoring import ServerSentEvent

    from kickai_local.settings import LocalSettings

__all__ = ["ReplyReader", "build_error", "encode", "prepare"]

REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
"""Statuses of a request that this model cannot serve; another target may."""

CAUSES = {
    "schema": ": it cannot enforce this JSON schema",
    "template": ": the model's chat template does not accept these messages",
}
"""What llama.cpp refused, by a word of its message."""


def prepare(request: ChatRequest, settings: LocalSettings, model: str) -> tuple[Sealed, ReplyReader]:
    """Return the body to send, and what reads the answer.

    Args:
        request: What to request.
        settings: The instance's settings; their ``max_tokens`` limits the request's.
        model: The model that is served.

    Raises:
        ModelNotFoundError: The request names another model.
        UnsupportedRequestError: As `encode`.
    """
    if request.model not in {None, settings.model, model}:
        raise ModelNotFoundError(f"this instance serves {model} only")
    requested = request.max_tokens or settings.max_tokens
    max_tokens = min(requested, settings.max_tokens)
    omitted = ("max_tokens",) if requested > max_tokens else ()
    answer = ReplyReader(request, model, max_tokens, omitted, expose=settings.expose_service_messages)
    return encode(request, max_tokens), answer


def encode(request: ChatRequest, max_tokens: int) -> Sealed:
    """Return the JSON body for ``/v1/chat/completions``.

    Args:
        request: What to request.
        max_tokens: The token limit of the answer; without one llama.cpp goes on until the context window is full.

    Raises:
        UnsupportedRequestError: The request has images or tools, or something that JSON cannot express.
    """
    if request.tools or any(message.images for message in request.messages):
        raise UnsupportedRequestError("this provider supports neither tools nor images")
    body = openai_chat.encode(request, model=None, stream=True) | {"max_tokens": max_tokens}
    body |= request.options.get("local", {})
    schema = body.pop("response_format", None)
    if schema is not None:
        body["json_schema"] = schema["json_schema"]["schema"]
    if request.seed is not None:
        body["cache_prompt"] = False  # with a cached prompt the last digits may differ
    for message in body["messages"]:
        for call in message.get("tool_calls", ()):
            # llama.cpp fails on arguments that are not a JSON object, as when a model was cut off while it wrote them.
            call["function"]["arguments"] = dumps(as_object(call["function"]["arguments"]))
    return Sealed(dump_bytes(body))


class ReplyReader:
    """One streamed answer, read event by event. Not safe to share between threads or tasks.

    Args:
        request: What was requested.
        model: The name of the model that answers.
        max_tokens: The token limit that was sent.
        omitted: Names of the request's fields that were not sent.
        expose: As for `build_error`.
    """

    def __init__(
        self, request: ChatRequest, model: str, max_tokens: int, omitted: tuple[str, ...] = (), *, expose: bool = False
    ) -> None:
        self._decoder = openai_chat.ChatDecoder(request, stop=(), omitted=omitted)
        self._decoder.builder.model = model
        self._max_tokens = max_tokens
        self._expose = expose

    def read(self, events: Iterable[ServerSentEvent], key: Secret | None = None) -> Iterator[ReplyChunk]:
        """Yield a chunk for each event that shows the model at work; its text is empty while the model reasons.

        Args:
            events: The events.
            key: As for `build_error`.

        Raises:
            InvalidReplyError: An event is not what llama.cpp writes.
            ProviderError: An event reports an error.
        """
        for event in events:
            document = openai_chat.parse_event(event)
            if document is None or document is openai_chat.DONE:
                continue
            _check(document, key, expose=self._expose)
            chunk = self._decoder.add(document)
            if chunk is not None:
                yield chunk

    def finish(self) -> ReplyChunk:
        """Return the last chunk, when the stream has ended.

        Raises:
            InvalidReplyError: The answer is cut, empty, or does not keep to the JSON schema.
            ContextLengthExceededError: The context window was full before the answer was whole.
        """
        builder = self._decoder.builder
        usage = builder.usage
        if builder.finish_reason is FinishReason.LENGTH and usage and usage.output_tokens < self._max_tokens:
            message = "prompt and answer do not fit the context window"
            raise ContextLengthExceededError(message, limit_tokens=usage.total_tokens)
        chunk = self._decoder.finish()
        if chunk.tool_calls:
            raise InvalidReplyError("llama.cpp wrote a tool call, and no tools were offered")
        return chunk


def _check(document: Any, key: Secret | None, *, expose: bool) -> None:
    """Raise when an event reports an error, or holds more than the one answer that was requested."""
    match document:
        case {"error": {"code": int(status)}}:
            raise build_error(status, document, key, expose=expose)
        case {"error": _} | {"choices": [_, _, *_]}:
            raise InvalidReplyError("llama.cpp wrote an event of an unknown form") from None
        case {"choices": [{"index": index}]} if index != 0:
            raise InvalidReplyError("llama.cpp wrote more than the one answer that was requested") from None


def build_error(status: int, body: Any, key: Secret | None = None, *, expose: bool = False) -> ProviderError:
    """Return the error for a status other than 200. Its message has no words of llama.cpp, which may quote the prompt.

    Args:
        status: The HTTP status.
        body: The JSON value of the body; None when it is not JSON.
        key: The server's key, which is removed from those words.
        expose: Whether ``service_message`` has llama.cpp's own words.
    """
    secrets = () if key is None else (key.reveal(),)
    words = error_for_status(status, body=body, expose=expose, secrets=secrets).service_message
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    if error.get("type") == "exceed_context_size_error":
        limit, tokens = error.get("n_ctx"), error.get("n_prompt_tokens")
        size = format_count(tokens, "token") if isinstance(tokens, int) else "too many tokens"
        message = f"the prompt has {size}, the context window {limit}"
        return ContextLengthExceededError(message, limit_tokens=limit, status_code=status, service_message=words)
    if status in REFUSED:
        said = str(error.get("message", "")).lower()
        cause = next((cause for word, cause in CAUSES.items() if word in said), "")
        return UnsupportedRequestError(
            f"llama.cpp refused the request{cause}", status_code=status, service_message=words
        )
    return ProviderUnavailableError("llama.cpp failed", status_code=status, service_message=words)
