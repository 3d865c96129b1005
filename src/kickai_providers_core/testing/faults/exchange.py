"""One request and its answer on one connection: what a fault has in its hands while it plays."""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.testing.faults.answers import Ok
    from kickai_providers_core.testing.faults.wire import Recorded, Response, Wire

__all__ = ["Answer", "Exchange", "Link", "chunk", "head_of", "in_stream"]

END_OF_CHUNKS = b"0\r\n\r\n"
ABORT = struct.pack("ii", 1, 0)
"""The linger option that makes closing a socket send RST instead of FIN."""

SETTLE_S = 0.02
"""How long bytes get to be read by the client before the connection breaks under them: RST overtakes them."""


@frozen(kw_only=True)
class Answer:
    """A good answer, ready to be sent.

    Attributes:
        head: The status line and the headers.
        parts: The body as it goes onto the wire: one part, or one for each event of a stream.
        end: What ends the body, empty unless it is chunked.
        pieces: How many of the parts carry text, the first ones; 0 when the answer is no stream.
        content_type: The one in the head.
    """

    head: bytes
    parts: tuple[bytes, ...]
    end: bytes = b""
    pieces: int = 0
    content_type: str = ""


class Link:
    """The way back to the client. Used on the fault server's loop only."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()
        # With a mark of zero, "writable again" means that the kernel has all of it.
        transport.set_write_buffer_limits(high=0)

    def pause(self) -> None:
        """Note that the transport has bytes that the kernel did not take."""
        self._writable.clear()

    def resume(self) -> None:
        """Note that it has none left."""
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Send bytes, and return when the kernel has them all."""
        self._transport.write(data)
        await self._writable.wait()

    def close(self) -> None:
        """End the connection with FIN."""
        self._transport.close()

    async def reset(self) -> None:
        """End the connection with RST."""
        await asyncio.sleep(SETTLE_S)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self._transport.abort()

    @property
    def closing(self) -> bool:
        """Whether the connection is at its end."""
        return self._transport.is_closing()


@frozen(kw_only=True)
class Exchange:
    """One request that waits for its answer.

    When the client goes away the task that plays the fault is cancelled: a fault need not ask whether it is there.

    Attributes:
        request: What came in.
        wire: How the service speaks.
        link: The way back.
        good: What a good answer says.
    """

    request: Recorded
    wire: Wire
    link: Link
    good: Ok

    @property
    def streamed(self) -> bool:
        """Whether the client asked for a stream."""
        return bool(self.request.body) and self.wire.wants_stream(self.request)

    async def respond(self, response: Response) -> None:
        """Send a whole response."""
        await self.link.send(head_of(response, {"content-length": str(len(response.body))}) + response.body)

    def answer(self, ok: Ok | None = None) -> Answer:
        """Return a good answer in the form that the client asked for."""
        ok = ok or self.good
        if not self.streamed:
            response = self.wire.reply(self.request, ok.text, *ok.unusual_finish)
            head = head_of(response, {"content-length": str(len(response.body))})
            return Answer(head=head, parts=(response.body,), content_type=content_type_of(response))
        response, events = self.wire.stream(self.request, ok.parts, *ok.unusual_finish)
        if len(events) < len(ok.parts):
            told = f"the wire made {len(events)} events of {len(ok.parts)} pieces: event i carries piece i"
            raise ValueError(told)
        return Answer(
            head=head_of(response, {"transfer-encoding": "chunked"}),
            parts=tuple(map(chunk, events)),
            end=END_OF_CHUNKS,
            pieces=len(ok.parts),
            content_type=content_type_of(response),
        )

    async def send(self, answer: Answer) -> None:
        """Send an answer, event by event."""
        for data in (answer.head, *answer.parts, answer.end):
            await self.link.send(data)

    async def hold(self) -> None:
        """Do nothing until the client goes away."""
        await asyncio.get_running_loop().create_future()


def head_of(response: Response, framing: Mapping[str, str]) -> bytes:
    """Return the status line and headers of a response, with the headers that frame its body."""
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    named = {name.lower(): value for name, value in response.headers.items()}
    named.pop("content-length", None)
    named.pop("transfer-encoding", None)
    lines = [
        f"HTTP/1.1 {response.status} {phrase}",
        *(f"{name}: {value}" for name, value in {**named, **framing}.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def content_type_of(response: Response) -> str:
    """Return the content type that a response states, empty when it states none."""
    return next((value for name, value in response.headers.items() if name.lower() == "content-type"), "")


def chunk(data: bytes) -> bytes:
    """Return data as one chunk of a chunked body (RFC 9112, 7.1); nothing for no data, as an empty chunk ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def in_stream(content_type: str, body: bytes, *, first: bool) -> bytes:
    """Return a JSON text as one event of a stream: of server-sent events, of JSON lines, or of a JSON array."""
    if "event-stream" in content_type:
        return b"data: " + body + b"\n\n"
    if "ndjson" in content_type or "jsonl" in content_type:
        return body + b"\n"
    return (b"[" if first else b",\r\n") + body
