"""What the author of a provider supplies to the fault server: how one answer of the service looks on the wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, Self

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.values.replies import FinishReason

__all__ = ["Recorded", "Response", "Wire"]


@frozen(kw_only=True)
class Recorded:
    """One request as it came in.

    Attributes:
        method: In capitals.
        path: As sent, with the query.
        headers: Names in lower case; the values of a repeated name are joined by a comma.
        body: The decoded body; chunks are put together.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        """Return the body's JSON value.

        Raises:
            ValueError: The body is none.
        """
        return json.loads(self.body)


@frozen(kw_only=True)
class Response:
    """One answer, or the head of a streamed one.

    Attributes:
        status: The HTTP status.
        headers: Names in any case. The server adds ``content-length`` or ``transfer-encoding``.
        body: Ignored in the head of a stream.
    """

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """Return a response whose body is a JSON value, its text in UTF-8 as it is."""
        told = {"content-type": "application/json", **(headers or {})}
        return cls(status=status, headers=told, body=json.dumps(value, ensure_ascii=False).encode())


class Wire(Protocol):
    """How a service answers. All methods are called on the fault server's thread; they must not block.

    ``finish`` is `FinishReason.STOP` and not passed, unless a test asks for another: a wire that leaves the
    parameter out serves every test but those of finish reasons.
    """

    def reply(self, request: Recorded, text: str, finish: FinishReason = ...) -> Response:
        """Return a whole, good answer with this text."""

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = ...
    ) -> tuple[Response, Sequence[bytes]]:
        """Return the head of a streamed answer, and the bytes of each of its events.

        Event ``i`` carries piece ``i`` (whatever opens the stream goes into the first one); those that follow
        the last piece end the stream: the finish reason, the usage, the ``[DONE]`` or the closing bracket.
        """

    def error(self, request: Recorded, status: int, kind: str) -> Response:
        """Return what the service sends with a status that is no success.

        Args:
            request: What was asked.
            status: From 400.
            kind: Which of the errors with that status: ``rate_limit``, ``quota``, ``auth``, ``context_length``,
                ``content_filter``, ``model_not_found``, ``invalid_request``, ``unavailable``; empty for the usual one.
        """

    def wants_stream(self, request: Recorded) -> bool:
        """Say whether the request asks for a streamed answer."""
