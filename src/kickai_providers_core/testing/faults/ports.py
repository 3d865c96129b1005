"""Addresses at which nobody answers."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["blackhole", "closed_port"]

FILL = 64
"""More connections than a listener with a backlog of zero completes on any system."""


def closed_port() -> int:
    """Return a port of 127.0.0.1 with nobody listening: connecting to it is refused.

    It is one of those below 1024, which no system hands out by itself, so that it stays closed.

    Raises:
        RuntimeError: Every one of them has a listener, or is filtered.
    """
    for port in range(1, 1024):
        with socket.socket() as visitor:
            visitor.settimeout(0.1)
            try:
                visitor.connect(("127.0.0.1", port))
            except ConnectionRefusedError:
                return port
            except OSError:
                continue
    message = "no port below 1024 refuses connections"
    raise RuntimeError(message)


@contextmanager
def blackhole() -> Iterator[int]:
    """Give a port of 127.0.0.1 that accepts nothing: connecting to it hangs until the client gives up.

    The listener's queue is filled and never emptied, so that the kernel drops further attempts, as Linux does.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(FILL):
            visitor = stack.enter_context(socket.socket())
            visitor.settimeout(0.05)
            try:
                visitor.connect(listener.getsockname())
            except TimeoutError:
                break
        yield int(listener.getsockname()[1])
