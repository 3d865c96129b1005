"""One request and its response: the API that a fault uses to respond."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from kickai_providers_core.testing.faults.encoding import END_OF_CHUNKS, encode_chunk, encode_head, get_content_type
from kickai_providers_core.values.replies import FinishReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.testing.faults.client_connection import ClientConnection
    from kickai_providers_core.testing.faults.wire import Recorded, Response, Wire
    from kickai_providers_core.values.tools import ToolCall
    from kickai_providers_core.values.usage import Usage

__all__ = ["DETAILS", "Answer", "Exchange", "Fault", "GoodAnswer"]

DETAILS = ("tool_calls", "usage", "model", "request_id", "reasoning", "finish_word")
"""The names of the parts of an answer that a wire may support besides its text and its finish reason."""


@frozen
class GoodAnswer:
    """What the model says.

    The fields after ``finish`` are passed to the wire by name, and only when they are set.

    Attributes:
        text: The text.
        pieces: The same text in pieces, for a stream; by default three of about the same length.
        finish: Why the model stopped.
        tool_calls: The tools that the model calls.
        usage: The token counts.
        model: The name of the model that answers.
        request_id: The service's id of the request.
        reasoning: What the model thought before it answered.
        finish_word: The word that the service sends as the finish reason, in place of its word for ``finish``; None
            sends null. Empty for the usual word.
    """

    text: str = "pong"
    pieces: Sequence[str] | None = None
    finish: FinishReason = field(default=FinishReason.STOP, converter=FinishReason)
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    model: str = ""
    request_id: str = ""
    reasoning: str = ""
    finish_word: str | None = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The pieces of a stream."""
        if self.pieces is not None:
            return tuple(self.pieces)
        size = max(1, -(-len(self.text) // 3))
        return tuple(self.text[at : at + size] for at in range(0, len(self.text), size))

    @property
    def unusual_finish(self) -> tuple[FinishReason, ...]:
        """The finish reason as the last argument of a `Wire` method; left out when it is the usual one."""
        return () if self.finish is FinishReason.STOP else (self.finish,)

    @property
    def details(self) -> dict[str, Any]:
        """The fields that are set after ``finish``, as the keyword arguments of a `Wire` method."""
        values = {name: getattr(self, name) for name in DETAILS}
        return {name: value for name, value in values.items() if value or (name == "finish_word" and value is None)}


@frozen(kw_only=True)
class Answer:
    """The bytes of a good answer.

    Attributes:
        head: The status line and the headers.
        parts: The body: one part, or one for each event of a stream.
        end: What ends the body; empty unless it is chunked.
        pieces: How many of the parts, from the first one on, carry text; 0 when the answer is not a stream.
        content_type: The content type in the head.
    """

    head: bytes
    parts: tuple[bytes, ...]
    end: bytes = b""
    pieces: int = 0
    content_type: str = ""


@frozen(kw_only=True)
class Exchange:
    """One request that waits for its response.

    The server cancels the task that plays the fault when the client goes away, so a fault need not check for that.

    Attributes:
        request: The request.
        wire: How the service responds.
        connection: The connection to the client.
        good: What a good answer says.
    """

    request: Recorded
    wire: Wire
    connection: ClientConnection
    good: GoodAnswer

    @property
    def link(self) -> ClientConnection:
        """The old name of `connection`."""
        return self.connection

    @property
    def streamed(self) -> bool:
        """Whether the client asked for a stream."""
        return bool(self.request.body) and self.wire.wants_stream(self.request)

    async def respond(self, response: Response) -> None:
        """Send a whole response."""
        head = encode_head(response, {"content-length": str(len(response.body))})
        await self.connection.send(head + response.body)

    def answer(self, good: GoodAnswer | None = None) -> Answer:
        """Return a good answer in the form that the client asked for."""
        good = good or self.good
        if not self.streamed:
            response = self.wire.reply(self.request, good.text, *good.unusual_finish, **good.details)
            head = encode_head(response, {"content-length": str(len(response.body))})
            return Answer(head=head, parts=(response.body,), content_type=get_content_type(response))
        response, events = self.wire.stream(self.request, good.parts, *good.unusual_finish, **good.details)
        if len(events) < len(good.parts):
            message = (
                f"{type(self.wire).__name__}.stream returned {len(events)} events for {len(good.parts)} pieces: "
                "return at least one event for each piece"
            )
            raise ValueError(message)
        return Answer(
            head=encode_head(response, {"transfer-encoding": "chunked"}),
            parts=tuple(map(encode_chunk, events)),
            end=END_OF_CHUNKS,
            pieces=len(good.parts),
            content_type=get_content_type(response),
        )

    async def send(self, answer: Answer) -> None:
        """Send an answer, event by event."""
        for data in (answer.head, *answer.parts, answer.end):
            await self.connection.send(data)

    async def hold(self) -> None:
        """Do nothing until the client goes away."""
        await asyncio.get_running_loop().create_future()


@frozen
class Fault(ABC):
    """What the server does with one request. A subclass implements `play`."""

    @abstractmethod
    async def play(self, exchange: Exchange) -> None:
        """Respond, or fail to. Called on the server's event loop, and cancelled when the client goes away."""


chunk, head_of = encode_chunk, encode_head
"""The old names of these functions."""
