"""Ends the work for a client as soon as the client is gone. ASGI servers do not: they only report it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from kickai_gateway.http import Receive, Responder

__all__ = ["ClientDisconnected", "run_until_disconnect"]

T = TypeVar("T")


class ClientDisconnected(Exception):  # noqa: N818  nothing went wrong here
    """The client has closed the connection."""


async def run_until_disconnect(work: Coroutine[Any, Any, T], receive: Receive, responder: Responder) -> T:
    """Return the result of the work, which is cancelled when the client disconnects before it has its response.

    Args:
        work: Runs in the current task.
        receive: Returns the events of the connection; the body has been read.
        responder: Writes the response.

    Raises:
        ClientDisconnected: The client has disconnected. The work has ended.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  this is a coroutine
    cancellations, is_gone = task.cancelling(), False

    async def watch() -> None:
        nonlocal is_gone
        while (await receive())["type"] != "http.disconnect":
            pass
        if not responder.is_complete:  # servers report the end of a response as a disconnect
            is_gone = True
            task.cancel()

    watcher = asyncio.ensure_future(watch())
    try:
        return await work
    except BaseException:
        if is_gone and task.uncancel() <= cancellations:  # else the server, too, has cancelled it
            raise ClientDisconnected from None
        raise
    finally:
        watcher.cancel()
