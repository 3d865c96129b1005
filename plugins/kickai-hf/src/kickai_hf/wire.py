"""The requests of one route, and how their answers are read: bounded in size, whatever comes."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpx2
from kickai_providers_core.errors import InvalidReplyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kickai_hf.routes import Route

__all__ = ["DONE", "Gathering", "Lines", "Requests"]

MAX_ANSWER_BYTES = 8 * 2**20
"""The most that an answer may have: ten times what the longest of today's models needs (128,000 tokens of 6 bytes)."""

MAX_LINE_BYTES = 2**20
"""The most that one event of a stream may have: it carries a token, or the arguments of a tool call at most."""

DONE = "[DONE]"
"""What ends a stream of server-sent events in OpenAI's API."""


class Requests:
    """Makes the requests of one route. Safe to share between threads and loops.

    Attributes:
        public: Whether they go to Hugging Face's router.
        anonymous: Whether no token goes along.
        encrypted: Whether they go through TLS.
    """

    def __init__(self, route: Route) -> None:
        self.public = route.public
        self.anonymous = not route.token
        self.encrypted = route.url.startswith("https:")
        self._url = httpx2.URL(route.url)
        self._route = route
        self._headers = {
            "accept": "*/*",
            "accept-encoding": "gzip, deflate",
            "connection": "keep-alive",
            "user-agent": (
                f"kickai-hf/{version('kickai-hf')}; hf_hub/{version('huggingface_hub')};"
                f" python/{platform.python_version()}"
            ),
        }

    def post(self, body: bytes, timeouts: Mapping[str, float | None]) -> httpx2.Request:
        """Return a request with a JSON body."""
        return self._request("POST", self._url, timeouts, body)

    def get(self, path: str, timeouts: Mapping[str, float | None]) -> httpx2.Request:
        """Return a request for what is at a path below the route's address."""
        return self._request("GET", httpx2.URL(f"{self._url}{path}"), timeouts)

    def _request(
        self, method: str, url: httpx2.URL, timeouts: Mapping[str, float | None], body: bytes | None = None
    ) -> httpx2.Request:
        request = httpx2.Request(method, url, headers=self._headers, content=body, extensions={"timeout": timeouts})
        if body is not None:
            request.headers["content-type"] = "application/json"
        # Only here are secrets revealed, so that no other value has them in it.
        for name, value in self._route.headers.items():
            request.headers[name] = value.reveal()
        if self._route.token:
            request.headers["authorization"] = f"Bearer {self._route.token.reveal()}"
        return request


class Gathering:
    """The parts of a body, up to a size."""

    def __init__(self, most: int = MAX_ANSWER_BYTES) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def full(self) -> bool:
        """Whether there is more than may be."""
        return self._size > self._most

    def add(self, part: bytes) -> None:
        """Take a part."""
        self._parts.append(part)
        self._size += len(part)

    def check(self) -> None:
        """Do nothing when there is no more than may be.

        Raises:
            InvalidReplyError: There is.
        """
        if self.full:
            raise InvalidReplyError(f"the answer, or one event of it, is larger than {self._most} bytes")

    def body(self) -> bytes:
        """Return the body.

        Raises:
            InvalidReplyError: It is too large.
        """
        self.check()
        return self.beginning()

    def beginning(self) -> bytes:
        """Return what there is of the body."""
        return b"".join(self._parts)


class Lines:
    """Splits a stream of server-sent events into the lines that carry data.

    At line feeds alone: the vendor's client would split at every character that Unicode calls a line break, although
    JSON may hold some of them as they are. Nor does it know ``[DONE]`` without a space before it.
    """

    def __init__(self) -> None:
        self._begun = Gathering(MAX_LINE_BYTES)

    def feed(self, part: bytes) -> Iterator[str]:
        """Take bytes; yield the data of each line that is whole now, as ``data: …`` or as `DONE`.

        Raises:
            InvalidReplyError: A line is too long.
            UnicodeDecodeError: A line is no UTF-8.
        """
        first, *others = part.split(b"\n")
        self._begun.add(first)
        self._begun.check()
        if others:
            yield from _data((self._begun.beginning(), *others[:-1]))
            self._begun = Gathering(MAX_LINE_BYTES)
            self._begun.add(others[-1])

    def end(self) -> Iterator[str]:
        """Yield the data of the last line, if it had no line feed."""
        return self.feed(b"\n")


def _data(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        if line.startswith(b"data:"):
            data = line[5:].strip().decode()
            yield DONE if data == DONE else f"data: {data}"
