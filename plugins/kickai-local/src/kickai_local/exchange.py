"""One HTTP request to llama.cpp's server and its streamed answer: bytes in, events out, no I/O."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from kickai_providers_core import InvalidReplyError
from kickai_providers_core.authoring import EventStreamDecoder, loads

from kickai_local.hidden_bytes import Sealed
from kickai_local.mapping import build_error

if TYPE_CHECKING:
    from kickai_providers_core import Secret
    from kickai_providers_core.authoring import ServerSentEvent

__all__ = ["HttpExchange"]

MAX_EVENT_BYTES = 1 << 20
"""Bytes of the largest event or error that is read; llama.cpp writes a few hundred."""

MAX_ANSWER_BYTES = 32 << 20
"""Bytes of the largest answer that is read: many times what a full context window needs."""


class HttpExchange:
    """One HTTP exchange over a connection of its own. Not safe to share between threads or tasks.

    Args:
        key: The server's key.
        body: The JSON body to send.
        expose: Whether errors have llama.cpp's own words.

    Attributes:
        opening: All bytes to send.
        is_over: Whether the whole answer has arrived.
    """

    def __init__(self, key: Secret, body: Sealed, *, expose: bool = False) -> None:
        self._key = key
        self._expose = expose
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._status = 0
        self._size = 0
        self._error_body = Sealed()
        self._events: list[ServerSentEvent] = []
        self._decoder = EventStreamDecoder(max_event_bytes=MAX_EVENT_BYTES)
        self.opening = self._build_opening(key, body)
        self.is_over = False

    def _build_opening(self, key: Secret, body: Sealed) -> Sealed:
        headers = [
            ("Host", "localhost"),
            ("Authorization", f"Bearer {key.reveal()}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        request = h11.Request(method="POST", target="/v1/chat/completions", headers=headers)
        return Sealed(b"".join(self._http.send(part) or b"" for part in (request, h11.Data(body), h11.EndOfMessage())))

    def receive(self, data: bytes) -> list[ServerSentEvent]:
        """Take received bytes, and return the events that they complete.

        Args:
            data: Empty when the server has closed the connection.

        Raises:
            ConnectionAbortedError: The server closed the connection before its answer was whole.
            InvalidReplyError: The answer is not HTTP, cut, or too large.
            ProviderError: The server refused the request, or failed.
        """
        try:
            self._http.receive_data(data)
            self._read_messages()
        except h11.RemoteProtocolError:
            if data:
                raise InvalidReplyError("the runtime did not answer in HTTP") from None
            raise ConnectionAbortedError from None
        if self.is_over and self._status != HTTPStatus.OK:
            raise build_error(self._status, self._parse_error(), self._key, expose=self._expose)
        if self.is_over and self._decoder.is_unfinished:
            raise InvalidReplyError("the answer was cut inside an event")
        events, self._events = self._events, []
        return events

    def _read_messages(self) -> None:
        while not self.is_over:
            message = self._http.next_event()
            match message:
                case h11.Response():
                    self._status = message.status_code
                case h11.Data():
                    self._take(bytes(message.data))
                case h11.EndOfMessage():
                    self.is_over = True
                case h11.NEED_DATA:
                    return

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > (MAX_ANSWER_BYTES if self._status == HTTPStatus.OK else MAX_EVENT_BYTES):
            raise InvalidReplyError("the answer of the runtime is too large")
        if self._status == HTTPStatus.OK:
            self._events += self._decoder.feed(data)
        else:
            self._error_body = Sealed(self._error_body + data)

    def _parse_error(self) -> Any:
        try:
            return loads(self._error_body)
        except InvalidReplyError:
            return None
