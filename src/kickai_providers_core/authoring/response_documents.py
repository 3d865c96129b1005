"""The JSON documents of a response: one, or those of a stream of server-sent events. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kickai_providers_core.authoring.event_stream import EventStreamDecoder
from kickai_providers_core.authoring.openai_chat.events import DONE, parse_event
from kickai_providers_core.authoring.strict_json import loads
from kickai_providers_core.values.errors import InvalidReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.authoring.reply_builder import ReplyBuilder
    from kickai_providers_core.values.replies import ReplyChunk

__all__ = ["MAX_DOCUMENT_BYTES", "MAX_EVENT_BYTES", "MAX_STREAM_BYTES", "DocumentDecoder", "DocumentStream"]

MAX_DOCUMENT_BYTES = 8 * 2**20
"""The largest answer: ten times what the longest of today's models needs (128,000 tokens of 6 bytes)."""

MAX_EVENT_BYTES = 2**20
"""The largest event of a stream: it carries a token, or the arguments of a tool call at most."""

MAX_STREAM_BYTES = 2**26
"""The largest stream: 128,000 tokens, the longest of today's answers, in events of 512 bytes each."""


class DocumentDecoder(Protocol):
    """Turns the JSON documents of a response into chunks: `openai_chat.ChatDecoder` and its like."""

    builder: ReplyBuilder

    @property
    def is_finished(self) -> bool:
        """Whether the service has stated a finish reason and has sent nothing of the answer since."""

    def add(self, document: object) -> ReplyChunk | None:
        """Take the next document; return a chunk, or None when the document brings nothing."""

    def finish(self) -> ReplyChunk:
        """Return the last chunk."""


class DocumentStream:
    """Turns the bytes of a streamed response into chunks. Not safe to share between threads or tasks.

    An event that cannot be read may contain a part of the answer, so it is an error and never skipped.

    Args:
        decoder: A decoder for the documents.
        is_json: Whether the server ignored ``stream`` and sends one JSON document.

    Attributes:
        is_done: Whether the stream has ended.
    """

    def __init__(self, decoder: DocumentDecoder, *, is_json: bool) -> None:
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
            documents = map(parse_event, events)
        for document in documents:
            if document is DONE:
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
        if len(self._document) > MAX_DOCUMENT_BYTES:
            raise InvalidReplyError(f"the answer is larger than {MAX_DOCUMENT_BYTES} bytes")
        if not data:
            yield loads(self._document)
