"""Streamed answers: server-sent events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kickai_providers_core import KickaiError

from kickai_gateway.errors import INTERNAL, SHUTDOWN, describe_error
from kickai_gateway.http import dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kickai_providers_core import AsyncReplyStream, ReplyChunk

    from kickai_gateway.errors import ErrorReply
    from kickai_gateway.http import Headers, Responder
    from kickai_gateway.replies import ChunkEncoder

__all__ = ["encode_event", "send_stream"]

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would collect the events
)

DONE = b"data: [DONE]\n\n"


async def send_stream(
    stream: AsyncReplyStream, first: ReplyChunk, encoder: ChunkEncoder, responder: Responder, headers: Headers
) -> None:
    """Send the events of a stream whose first chunk has been read. It always ends with ``[DONE]`` or an error event.

    Raises:
        KickaiError: The stream broke; the client has been told.
    """
    await responder.start(200, HEADERS, headers)
    try:
        await _send(responder, [encoder.start(), *encoder.add(first)])
        async for chunk in stream:
            events = encoder.add(chunk)
            if events:
                await _send(responder, events)
    except KickaiError as error:
        await _end(responder, describe_error(error))
        raise
    except asyncio.CancelledError:
        await _end(responder, SHUTDOWN)
        raise
    except Exception:
        await _end(responder, INTERNAL)
        raise
    await responder.write(b"".join(map(encode_event, encoder.finish())) + DONE, more=False)


def encode_event(value: Mapping[str, Any]) -> bytes:
    """Return one event with a JSON value."""
    return b"data: %b\n\n" % dump(value)


async def _send(responder: Responder, events: Iterable[Mapping[str, Any]]) -> None:
    await responder.write(b"".join(map(encode_event, events)))


async def _end(responder: Responder, reply: ErrorReply) -> None:
    await responder.write(b"event: error\n" + encode_event(reply.as_dict()), more=False)
