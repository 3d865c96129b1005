"""The body of an answer over the connections of `kickai_providers_core.authoring.http_transport`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Self

from kickai_providers_core.authoring.async_generators import Untracked
from kickai_providers_core.authoring.decompression import Decompressor
from kickai_providers_core.authoring.loop_pauses import Pauses
from kickai_providers_core.values.errors import InvalidReplyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from kickai_providers_core.authoring.http_attempt import HttpAttempt

__all__ = ["HttpBody"]


class HttpBody:
    """The decompressed bytes of an answer, up to a limit; an error's body ends there.

    Args:
        httpcore: The module below httpx.
        stream: The body of httpcore's response.
        attempt: The attempt that it belongs to.
        encoding: The value of ``content-encoding``.
        limit_bytes: The most bytes, after decompression.
    """

    def __init__(
        self, httpcore: ModuleType, stream: Any, attempt: HttpAttempt, encoding: str, limit_bytes: int
    ) -> None:
        self._httpcore = httpcore
        self._encoding = encoding
        self._limit_bytes = limit_bytes
        self._raws: Any = None
        self.stream = stream
        self.attempt = attempt

    def __iter__(self) -> Iterator[bytes]:
        with self.attempt.raise_as_httpx():
            unpacker = self.create_decompressor()
            for raw in self.stream:
                for part in self.unpack(unpacker, raw):
                    if part is None:
                        return
                    yield part
            self.finish(unpacker)

    def __aiter__(self) -> _AsyncParts:
        raws = aiter(self.stream)
        self._raws = Untracked(raws) if isinstance(raws, AsyncGenerator) else raws  # kept: an iterator may be dropped
        return _AsyncParts(self, self._raws)

    def close(self) -> None:
        """Give the connection back, or close it when something is still to come on it."""
        self.stream.close()

    async def aclose(self) -> None:
        """Give the connection back, or close it when something is still to come on it."""
        await self.stream.aclose()  # first: the generators of httpcore then have nothing left to close
        if self._raws is not None:
            await self._raws.aclose()

    def create_decompressor(self) -> Decompressor:
        """Return what decompresses the body; of an error in an unknown encoding nothing is read."""
        try:
            return Decompressor(self._encoding, limit_bytes=self._limit_bytes)
        except InvalidReplyError:
            if self.attempt.has_begun:
                raise
            return Decompressor(limit_bytes=0)  # the status says enough

    def unpack(self, unpacker: Decompressor, raw: bytes) -> Iterator[bytes | None]:
        """Yield the decompressed bytes; None where the rest of an error's body is left unread."""
        try:
            for part in unpacker.feed(raw):
                if self.attempt.timeouts.is_expired():
                    raise self._httpcore.ReadTimeout("the time is over")
                yield part
        except InvalidReplyError:
            if self.attempt.has_begun:
                raise
            yield None

    def finish(self, unpacker: Decompressor) -> None:
        """Raise when the compressed body of an answer ended early."""
        if self.attempt.has_begun:
            unpacker.finish()


class _AsyncParts:
    """The parts of a body on an event loop.

    Not an asynchronous generator: some clients drop their iterators instead of closing them, and a dropped generator
    cannot await the end of its connection. Closing the body closes the connection in any case.
    """

    def __init__(self, body: HttpBody, raws: Any) -> None:
        self._body = body
        self._raws = raws
        self._unpacker: Decompressor | None = None
        self._parts: Iterator[bytes | None] = iter(())
        self._pauses = Pauses()
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._is_closed:
            raise StopAsyncIteration
        try:
            await self._pauses.pause()
            part = await self._next()
        except BaseException as exc:
            await self.aclose()
            self._body.attempt.raise_if_network(exc)
            raise
        if part is None:
            await self.aclose()
            raise StopAsyncIteration
        return part

    async def _next(self) -> bytes | None:
        """Return the next part; None at the end."""
        if self._unpacker is None:
            self._unpacker = self._body.create_decompressor()
        while True:
            for part in self._parts:
                return part
            raw = await anext(self._raws, None)
            if raw is None:
                self._body.finish(self._unpacker)
                return None
            self._parts = self._body.unpack(self._unpacker, raw)

    async def aclose(self) -> None:
        """Close the connection when something is still to come on it."""
        self._is_closed = True
        await self._body.aclose()
