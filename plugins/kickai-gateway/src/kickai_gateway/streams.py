"""Streamed answers: server-sent events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kickai_providers_core import KickaiError

from kickai_gateway.errors import INTERNAL, SHUTDOWN, build_error_reply
from kickai_gateway.replies import encode_event

if TYPE_CHECKING:
    from kickai_providers_core import AsyncReplyStream, ReplyChunk

    from kickai_gateway.errors import ErrorReply
    from kickai_gateway.http import Headers, Responder
    from kickai_gateway.replies import ChunkEncoder

__all__ = ["send_stream"]

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
        KickaiError: The stream broke; the client has got an error event.
    """
    await responder.start(200, HEADERS, headers)
    try:
        await responder.write(encoder.start() + encoder.add(first))
        async for chunk in stream:
            events = encoder.add(chunk)
            if events:
                await responder.write(events)
    except KickaiError as error:
        await responder.write(_encode_error(build_error_reply(error)), more=False)
        raise
    except asyncio.CancelledError:
        await responder.write(_encode_error(SHUTDOWN), more=False)
        raise
    except Exception:
        await responder.write(_encode_error(INTERNAL), more=False)
        raise
    await responder.write(encoder.finish() + DONE, more=False)


def _encode_error(reply: ErrorReply) -> bytes:
    return b"event: error\n" + encode_event(reply.as_dict())
