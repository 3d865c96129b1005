"""How the provider and an HTTP library meet: what the provider sends, and what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kickai_gemini.mapping import GeminiRequest

__all__ = ["API_VERSION", "Answer", "AsyncAnswer", "AsyncWire", "Wire"]

API_VERSION = "v1beta"
"""The version of the API that has everything used here, and the names ``gemini-flash-latest`` and its like."""


@frozen
class Answer:
    """An HTTP response whose body is still to be read.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        read: Returns the next bytes of the body as they came; empty at its end.
        close: Returns the connection to its pool, or closes it when the body is not at its end.
    """

    status: int
    headers: Mapping[str, str]
    read: Callable[[], bytes]
    close: Callable[[], None]


@frozen
class AsyncAnswer:
    """The same on an event loop."""

    status: int
    headers: Mapping[str, str]
    read: Callable[[], Awaitable[bytes]]
    close: Callable[[], Awaitable[None]]


class Wire(Protocol):
    """Sends requests over one HTTP library, within the current `kickai_gemini.attempt.Attempt`.

    It raises whatever the library raises. Safe to share between threads.

    Attributes:
        is_current: Whether the client that it stands for can send everything that the API takes today.
    """

    is_current: bool

    def send(self, request: GeminiRequest, *, is_stream: bool) -> Answer:
        """Send a request and return its response."""

    def send_list(self) -> Answer:
        """Request the list of models and return the response."""

    def close(self) -> None:
        """Close all connections."""


class AsyncWire(Wire, Protocol):
    """A wire with asynchronous connections as well."""

    async def asend(self, request: GeminiRequest, *, is_stream: bool) -> AsyncAnswer:
        """Send a request and return its response."""

    async def aclose(self) -> None:
        """Close all connections."""
