"""One attempt of the plugin: its time limits, and the socket that it waits on."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.authoring import AttemptTimeouts

__all__ = ["Attempt", "current_attempt"]

_current: ContextVar[Attempt | None] = ContextVar("kickai_gemini_attempt", default=None)


class Attempt:
    """The time limits of one attempt, and the socket that it waits on.

    HTTP libraries cannot hand an attempt down to their sockets, so it travels in a context variable. One thread or one
    task uses an attempt; `abort` may be called from any thread.

    Args:
        timeouts: The limits. The phase ``connect`` lasts until the request is sent.
        is_tls: Whether the service is reached over TLS: what is sent before, to a proxy, is not the request.
    """

    def __init__(self, timeouts: AttemptTimeouts, *, is_tls: bool) -> None:
        self.timeouts = timeouts
        self._is_tls = is_tls
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._is_aborted = False

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Let this attempt limit what the plugin's sockets do in the block."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def note_sending(self, *, is_tls: bool) -> None:
        """Note that data is about to be sent: with the request itself, the connection is made."""
        if is_tls == self._is_tls and not self.timeouts.is_connected:
            self.timeouts.begin("first_token")

    def use(self, used: socket.socket) -> None:
        """Note the socket that is about to be used, and give it the time that is left.

        Raises:
            ProviderTimeoutError: No time is left.
            OSError: The attempt was aborted.
        """
        with self._lock:
            if self._is_aborted:
                raise OSError("the attempt was aborted")
            self._socket = used
            used.settimeout(self.timeouts.wait_s())

    def release(self) -> None:
        """Forget the socket: it may serve another attempt from now on."""
        with self._lock:
            self._socket = None

    def abort(self) -> None:
        """End the attempt: wake the thread that waits on its socket, and end the connection."""
        with self._lock:
            self._is_aborted = True
            if self._socket is not None:
                # Not the socket's own method: that of a TLS socket discards the session while another thread reads.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def current_attempt() -> Attempt | None:
    """Return the attempt that the running code belongs to; None for a connection that is idle or being closed."""
    return _current.get()
