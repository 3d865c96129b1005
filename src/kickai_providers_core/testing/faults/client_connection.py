"""The connection from the fault server to a client."""

from __future__ import annotations

import asyncio
import socket
import struct

__all__ = ["ClientConnection"]

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""The SO_LINGER value that makes closing a socket send RST instead of FIN."""

SETTLE_S = 0.02
"""The time that the client has to read what was sent before a reset, which may overtake it."""


class ClientConnection:
    """The connection to the client. Only used on the fault server's event loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()
        # With a limit of zero, "writable again" means that the kernel has taken all bytes.
        transport.set_write_buffer_limits(high=0)

    def pause(self) -> None:
        """Make `send` wait: the kernel has not taken all bytes."""
        self._writable.clear()

    def resume(self) -> None:
        """Let `send` return: the kernel has taken all bytes, or the client has gone."""
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Send bytes, and return when the kernel has taken all of them."""
        self._transport.write(data)
        if self._transport.is_closing():  # writing does nothing, and lets nothing cancel a fault without end
            await asyncio.sleep(0)
        await self._writable.wait()

    def close(self) -> None:
        """End the connection with FIN."""
        self._transport.close()

    async def reset(self) -> None:
        """End the connection with RST."""
        await asyncio.sleep(SETTLE_S)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    @property
    def closing(self) -> bool:
        """Whether the connection has ended or is about to."""
        return self._transport.is_closing()
