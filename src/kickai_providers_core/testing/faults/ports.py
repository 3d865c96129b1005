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
    """Return a port of 127.0.0.1 with nobody listening: connecting to it is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


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
