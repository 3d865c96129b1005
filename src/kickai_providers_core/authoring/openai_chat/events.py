"""Streams of the Chat Completions protocol: server-sent events in, chunks out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.closing_sources import aclosing_source, closing_source
from kickai_providers_core.authoring.errors_from_responses import error_for_body
from kickai_providers_core.authoring.strict_json import loads
from kickai_providers_core.values.errors import InvalidReplyError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable

    from kickai_providers_core.authoring.event_stream import ServerSentEvent
    from kickai_providers_core.authoring.openai_chat.replies import ChatDecoder
    from kickai_providers_core.values.replies import ReplyChunk

__all__ = ["DONE", "adecode_stream", "decode_stream", "parse_event"]

DONE: Any = object()
"""What `parse_event` returns for the event that ends a stream."""


def parse_event(event: ServerSentEvent) -> Any:
    """Return the document of an event: its JSON value, `DONE` at the end, None for an event without data.

    Raises:
        InvalidReplyError: The data is not JSON.
        ProviderError: The event reports an error.
    """
    data = event.data.strip()
    if not data:
        return None
    if data == "[DONE]":
        return DONE
    if event.event == "error":
        raise error_for_body(data)
    document = loads(data)
    if document is None:
        raise InvalidReplyError("the answer is not what the protocol allows: an event is null") from None
    return document


def decode_stream(events: Iterable[ServerSentEvent], decoder: ChatDecoder) -> Generator[ReplyChunk, None, None]:
    """Yield the chunks of a stream, the last one with a finish reason; closes ``events`` when they can be closed.

    Args:
        events: The events of the response, as from `sse_events`.
        decoder: A new decoder.

    Raises:
        InvalidReplyError: The answer is malformed, cut, empty, or does not keep to the request.
        ContentFilteredError: The service withheld the answer.
        ProviderError: The service reports an error.
    """
    with closing_source(events):
        for event in events:
            document = parse_event(event)
            if document is DONE:
                break
            chunk = None if document is None else decoder.add(document)
            if chunk is not None:
                yield chunk
    yield decoder.finish()


async def adecode_stream(
    events: AsyncIterable[ServerSentEvent], decoder: ChatDecoder
) -> AsyncGenerator[ReplyChunk, None]:
    """Yield the chunks of an asynchronous stream, as `decode_stream` does; `asse_events` gives its events."""
    async with aclosing_source(events):
        async for event in events:
            document = parse_event(event)
            if document is DONE:
                break
            chunk = None if document is None else decoder.add(document)
            if chunk is not None:
                yield chunk
    yield decoder.finish()
