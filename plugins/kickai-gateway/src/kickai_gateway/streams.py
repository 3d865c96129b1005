"""Streamed answers: server-sent events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kickai_providers_core import KickaiError

from kickai_gateway.errors import INTERNAL, SHUTDOWN, describe_error
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


MOST_BYTES = 65_536
"""How many bytes of events are collected before the client must take some."""


async def send_stream(
    stream: AsyncReplyStream, first: ReplyChunk, encoder: ChunkEncoder, responder: Responder, headers: Headers
) -> None:
    """Send the events of a stream whose first chunk has been read. It always ends with ``[DONE]`` or an error event.

    Raises:
        KickaiError: The stream broke; the client has been told.
    """
    await responder.start(200, HEADERS, headers)
    writer = _EventWriter(responder)
    try:
        await writer.add(encoder.start() + encoder.add(first))
        async for chunk in stream:
            events = encoder.add(chunk)
            if events:
                await writer.add(events)
        await writer.end(encoder.finish() + DONE)
    except KickaiError as error:
        await writer.end(_encode_error(describe_error(error)))
        raise
    except asyncio.CancelledError:
        await writer.end(_encode_error(SHUTDOWN))
        raise
    except Exception:
        await writer.end(_encode_error(INTERNAL))
        raise


class _EventWriter:
    """Sends events in the order in which they are added. Those of one iteration of the event loop go out together."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._events: list[bytes] = []
        self._size = 0
        self._sending: asyncio.Task[None] | None = None

    async def add(self, events: bytes) -> None:
        """Send events soon; wait when the client does not take those before them."""
        self._events.append(events)
        self._size += len(events)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send())
        if self._size > MOST_BYTES:
            await self._flush()

    async def end(self, events: bytes) -> None:
        """Send the last events, after all others."""
        await self._flush()
        await self._responder.write(events, more=False)

    async def _flush(self) -> None:
        """Wait until the events so far have been sent; a cancellation of the caller does not cut them."""
        if self._sending is not None:
            await asyncio.wait((self._sending,))
            self._sending.result()

    async def _send(self) -> None:
        while self._events:
            data = b"".join(self._events)
            self._events.clear()
            self._size = 0
            await self._responder.write(data)


def _encode_error(reply: ErrorReply) -> bytes:
    return b"event: error\n" + encode_event(reply.as_dict())
