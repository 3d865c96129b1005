"""One request of llama.cpp's server and its streamed answer, sans I/O: bytes in, events out."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from kickai_providers_core import InvalidReplyError
from kickai_providers_core.authoring import EventStreamDecoder, loads

from kickai_local.mapping import refusal
from kickai_local.sealed import Sealed

if TYPE_CHECKING:
    from kickai_providers_core import Secret

__all__ = ["Exchange"]

LONGEST = 1 << 20
"""Bytes of the longest event or refusal that is read; llama.cpp writes a few hundred."""

LARGEST = 32 << 20
"""Bytes of the largest answer that is read: many times what a full window needs."""


class Exchange:
    """One HTTP exchange over a connection of its own.

    Args:
        key: What the server must be shown.
        body: The JSON body to send.

    Attributes:
        opening: All that is to be sent.
        over: Whether the answer has come to its end.
    """

    def __init__(self, key: Secret, body: Sealed) -> None:
        self._http = h11.Connection(our_role=h11.CLIENT)
        self._status = 0
        self._size = 0
        self._unread = Sealed()
        self._events: list[Sealed] = []
        self._decoder = EventStreamDecoder(max_event_bytes=LONGEST)
        self.opening = self._open(key, body)
        self.over = False

    def _open(self, key: Secret, body: Sealed) -> Sealed:
        headers = [
            ("Host", "localhost"),
            ("Authorization", f"Bearer {key.reveal()}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        request = h11.Request(method="POST", target="/v1/chat/completions", headers=headers)
        return Sealed(b"".join(self._http.send(part) or b"" for part in (request, h11.Data(body), h11.EndOfMessage())))

    def receive(self, data: bytes) -> list[Sealed]:
        """Take what has come in, and return the server-sent events that it completes.

        Args:
            data: Empty when the server has closed the connection.

        Raises:
            ConnectionAbortedError: The server hung up before its answer was whole.
            InvalidReplyError: It did not speak HTTP, or without end.
            ProviderError: It refused the request, or failed.
        """
        try:
            self._http.receive_data(data)
            self._read_on()
        except h11.RemoteProtocolError:
            if data:
                raise InvalidReplyError("the runtime did not answer in HTTP") from None
            raise ConnectionAbortedError from None
        if self.over and self._status != HTTPStatus.OK:
            raise refusal(self._status, self._parsed())
        if self.over and self._decoder.is_unfinished:
            raise InvalidReplyError("the answer was cut inside an event")
        events, self._events = self._events, []
        return events

    def _read_on(self) -> None:
        while not self.over:
            event = self._http.next_event()
            match event:
                case h11.Response():
                    self._status = event.status_code
                case h11.Data():
                    self._take(bytes(event.data))
                case h11.EndOfMessage():
                    self.over = True
                case h11.NEED_DATA:
                    return

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > (LARGEST if self._status == HTTPStatus.OK else LONGEST):
            raise InvalidReplyError("the runtime writes without end")
        if self._status == HTTPStatus.OK:
            self._events += [Sealed(event.data.encode()) for event in self._decoder.feed(data)]
        else:
            self._unread = Sealed(self._unread + data)

    def _parsed(self) -> Any:
        try:
            return loads(self._unread)
        except InvalidReplyError:
            return None
