"""Requests for a chat completion, and the chunks of the responses. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve
from kickai_providers_core import InvalidReplyError, UnsupportedRequestError
from kickai_providers_core.authoring import EventStreamDecoder, dump_bytes, loads, openai_chat

from kickai_hf import text_generation
from kickai_hf.models import has_system_role
from kickai_hf.options import find_options
from kickai_hf.templates import fold_system_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import ChatRequest, ReplyChunk
    from kickai_providers_core.authoring import ReplyBuilder

    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["Decoder", "StreamDecoder", "create_decoder", "encode_request", "model_to_request"]

MAX_ANSWER_BYTES = 8 * 2**20
"""The largest answer: ten times what the longest of today's models needs (128,000 tokens of 6 bytes)."""

MAX_EVENT_BYTES = 2**20
"""The largest event of a stream: it carries a token, or the arguments of a tool call at most."""

MAX_STREAM_BYTES = 2**26
"""The largest stream: 128,000 tokens, the longest of today's answers, in events of 512 bytes each."""


class Decoder(Protocol):
    """Turns the JSON documents of a response into chunks: `openai_chat.ChatDecoder` and its like for TGI."""

    builder: ReplyBuilder

    @property
    def is_finished(self) -> bool:
        """Whether the service has stated a finish reason and has sent nothing of the answer since."""

    def add(self, document: object) -> ReplyChunk | None:
        """Take the next document; return a chunk, or None when the document brings nothing."""

    def finish(self) -> ReplyChunk:
        """Return the last chunk."""


def create_decoder(request: ChatRequest, settings: HuggingFaceSettings, *, is_stream: bool) -> Decoder:
    """Return a decoder for the answer to a request."""
    if settings.task == "text_generation":
        return text_generation.TextDecoder(request, settings.template, is_stream=is_stream)
    return openai_chat.ChatDecoder(request, is_stream=is_stream)


def encode_request(request: ChatRequest, settings: HuggingFaceSettings, *, is_stream: bool) -> bytes:
    """Return the body of a request as JSON.

    Raises:
        UnsupportedRequestError: The server cannot do what the request needs, or a value has no form in JSON.
    """
    if request.json_schema is not None and settings.base_url is not None and settings.schema_form == "none":
        raise UnsupportedRequestError('this server ignores JSON schemas (schema_form = "none")')
    encode = _encode_chat if settings.task == "chat" else text_generation.encode
    with suppress(AttributeError, TypeError, ValueError, LookupError, RecursionError):
        return dump_bytes(encode(request, settings, is_stream=is_stream))
    # Without a cause, whose text and frames would contain the prompt.
    raise UnsupportedRequestError("the request cannot be written as JSON: a part of it has the wrong type")


def model_to_request(model: str | None, settings: HuggingFaceSettings) -> str | None:
    """Return the model in the service's words: on the router with the inference provider as a suffix.

    The router then selects the provider without a request to the Hub.
    """
    chosen = model or settings.model
    if settings.base_url is not None or settings.inference_provider == "auto" or chosen is None or ":" in chosen:
        return chosen
    return f"{chosen}:{settings.inference_provider}"


def _encode_chat(request: ChatRequest, settings: HuggingFaceSettings, *, is_stream: bool) -> dict[str, Any]:
    """Return the body of a chat completion (https://huggingface.co/docs/inference-providers/tasks/chat-completion)."""
    model = model_to_request(request.model, settings)
    if not has_system_role(model):
        request = evolve(request, messages=fold_system_messages(request.messages))
    body = {**openai_chat.encode(request, model=model, stream=is_stream), **find_options(request)}
    if request.json_schema is not None and settings.base_url is not None and settings.schema_form == "tgi":
        body["response_format"] = {"type": "json_object", "value": request.json_schema}
    return body


class StreamDecoder:
    """Turns the bytes of a streamed response into chunks. Not safe to share between threads or tasks.

    An event that cannot be read may contain a part of the answer, so it is an error and never skipped.

    Args:
        decoder: A decoder for the documents.
        is_json: Whether the server ignored ``stream`` and sends one JSON document.

    Attributes:
        is_done: Whether the stream has ended.
    """

    def __init__(self, decoder: Decoder, *, is_json: bool) -> None:
        self._decoder = decoder
        self._events = EventStreamDecoder(max_event_bytes=MAX_EVENT_BYTES)
        self._document = bytearray() if is_json else None
        self.is_done = False

    def feed(self, data: bytes) -> Iterator[ReplyChunk]:
        """Take the next bytes and yield the chunks that they complete; no bytes mark the end of the body.

        Raises:
            InvalidReplyError: An event is too large, is not JSON, or is not what the protocol allows.
            ProviderError: The service reports an error.
        """
        is_end = not data
        if self._document is not None:
            documents = self._add_to_document(data)
        else:
            # A last event that no blank line ends may be a part of the answer.
            events = self._events.feed(data or b"\n\n")
            documents = map(openai_chat.parse_event, events)
        for document in documents:
            if document is openai_chat.DONE:
                self.is_done = True
                return
            chunk = None if document is None else self._decoder.add(document)
            if chunk is not None:
                yield chunk
        self.is_done = is_end

    def end_early(self, failure: Exception) -> None:
        """Accept that the connection failed, provided that the answer is whole.

        Raises:
            InvalidReplyError: The connection failed within an event, which may contain text.
            Exception: ``failure`` itself: the service has not stated a finish reason.
        """
        if not self._decoder.is_finished:
            raise failure
        if self._events.is_unfinished:
            raise InvalidReplyError("the stream was cut within an event")
        self.is_done = True

    def _add_to_document(self, data: bytes) -> Iterator[object]:
        assert self._document is not None  # noqa: S101 - for the type checker
        self._document += data
        if len(self._document) > MAX_ANSWER_BYTES:
            raise InvalidReplyError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        if not data:
            yield loads(self._document)
