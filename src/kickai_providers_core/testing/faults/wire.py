"""How a service's responses look on the wire: the part that a provider's author gives to the fault server."""

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
    """A request that the server received.

    Attributes:
        method: The method, in capitals.
        path: The path and the query, as sent.
        headers: Names in lower case; the values of a repeated name are joined by a comma.
        body: The body without its chunked encoding.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        """Return the body's JSON value.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)


@frozen(kw_only=True)
class Response:
    """A response, or the head of a streamed one.

    Attributes:
        status: The HTTP status.
        headers: Names in any case. The server adds ``content-length`` or ``transfer-encoding``.
        body: The body; ignored in the head of a stream.
    """

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """Return a response whose body is a JSON value in UTF-8, without escapes."""
        headers = {"content-type": "application/json", **(headers or {})}
        return cls(status=status, headers=headers, body=json.dumps(value, ensure_ascii=False).encode())


class Wire(Protocol):
    """How a service responds. The fault server calls all methods on its own thread; they must not block.

    ``finish`` is only passed when it is not `FinishReason.STOP`. A wire without the parameter passes all tests except
    those of finish reasons.

    ``reply`` and ``stream`` may take more keyword parameters, each of which is only passed when a test needs it. The
    tests of what a wire does not take are skipped:

    * ``tool_calls``: `ToolCall` values; in a stream, with the arguments in as many pieces as the service sends.
    * ``usage``: the `Usage` to report.
    * ``model``: the name of the model that answers.
    * ``request_id``: the service's id of the request.
    * ``reasoning``: what the model thought.
    * ``finish_word``: the text to send as the finish reason, or None for null.

    A wire may have a method ``read_request(request)``, which returns the fields of `ChatRequest` that the service finds
    in a request, by name, as far as it reads them, and raises when it would refuse the request. The tests compare them
    with what was requested; without the method they search the request for its values, whatever their names are.
    """

    def reply(self, request: Recorded, text: str, finish: FinishReason = ...) -> Response:
        """Return a good answer with this text."""

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = ...
    ) -> tuple[Response, Sequence[bytes]]:
        """Return the head of a streamed answer, and the bytes of each of its events.

        Event ``i`` carries piece ``i``; the first event also holds whatever opens the stream. The events after the
        last piece end the stream: the finish reason, the usage, the ``[DONE]`` or the closing bracket.
        """

    def error(self, request: Recorded, status: int, kind: str) -> Response:
        """Return the service's response with an error status.

        Args:
            request: The request.
            status: The HTTP status, from 400.
            kind: Which error with that status: ``rate_limit``, ``quota``, ``auth``, ``context_length``,
                ``content_filter``, ``model_not_found``, ``invalid_request``, ``unavailable``; empty for the usual one.
        """

    def wants_stream(self, request: Recorded) -> bool:
        """Return whether the request asks for a streamed answer."""
