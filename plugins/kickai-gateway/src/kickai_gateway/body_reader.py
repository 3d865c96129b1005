"""Reads the bodies of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_gateway.disconnects import ClientDisconnected
from kickai_gateway.errors import ApiError, ErrorReply

if TYPE_CHECKING:
    from kickai_gateway.http import HttpRequest

__all__ = ["read_body"]


async def read_body(request: HttpRequest, *, max_bytes: int) -> bytes:
    """Return the body of a request.

    Args:
        request: The request; its body has not been read.
        max_bytes: The maximum size. Nothing beyond it is kept.

    Raises:
        ApiError: It is too large.
        ClientDisconnected: The client has disconnected.
    """
    stated = request.find_header("content-length")
    if stated is not None and stated.isdecimal() and int(stated[:20]) > max_bytes:
        raise _build_too_large_error(max_bytes)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        event = await request.receive()
        if event["type"] == "http.disconnect":
            raise ClientDisconnected
        part, more = event.get("body", b""), event.get("more_body", False)
        size += len(part)
        if size > max_bytes:
            raise _build_too_large_error(max_bytes)
        parts.append(part)
    return b"".join(parts)


def _build_too_large_error(max_bytes: int) -> ApiError:
    # The connection stays open, and the server discards the rest of the body within the time that a request may take to
    # arrive. Many clients read no response before they have sent everything; one that is cut off never sees the reason.
    message = f"the body must have at most {max_bytes} bytes"
    return ApiError(ErrorReply(status=413, message=message, code="request_too_large"))
