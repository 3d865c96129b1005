"""One request of llama.cpp's server and its streamed answer, sans I/O: bytes in, events out."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from kickai_providers_core.errors import InvalidReplyError

from kickai_local.mapping import refusal
from kickai_local.sealed import Sealed

if TYPE_CHECKING:
    from kickai_providers_core.secret import Secret

__all__ = ["Exchange"]

LONGEST = 1 << 20
"""Bytes of the longest event or refusal that is read; llama.cpp writes a few hundred."""


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
        self._unread = Sealed()
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
        if self._status == HTTPStatus.OK:
            *lines, rest = self._unread.split(b"\n")
            self._unread = Sealed(rest)
            return [Sealed(line[6:].rstrip(b"\r")) for line in lines if line.startswith(b"data: ")]
        if self.over:
            raise refusal(self._status, self._parsed())
        return []

    def _read_on(self) -> None:
        while not self.over:
            event = self._http.next_event()
            match event:
                case h11.Response():
                    self._status = event.status_code
                case h11.Data():
                    self._unread = Sealed(self._unread + event.data)
                    if len(self._unread) > LONGEST:
                        raise InvalidReplyError("the runtime writes without end")
                case h11.EndOfMessage():
                    self.over = True
                case h11.NEED_DATA:
                    return

    def _parsed(self) -> Any:
        try:
            return json.loads(self._unread)
        except (ValueError, RecursionError):
            return None
