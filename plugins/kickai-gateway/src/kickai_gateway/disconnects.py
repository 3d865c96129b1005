"""Ends the work for a client as soon as the client is gone. ASGI servers do not: they only report it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from kickai_gateway.http import Receive

__all__ = ["ClientDisconnected", "run_until_disconnect"]

T = TypeVar("T")


class ClientDisconnected(Exception):  # noqa: N818  nothing went wrong here
    """The client has closed the connection."""


async def run_until_disconnect(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Return the result of the work, which is cancelled when the client disconnects.

    Args:
        work: Runs in a task of its own.
        receive: Returns the events of the connection; the body has been read.

    Raises:
        ClientDisconnected: The client has disconnected. The work has ended.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnected
    finally:
        watcher.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            if not task.cancelled():
                task.exception()  # it is of no interest any more


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
