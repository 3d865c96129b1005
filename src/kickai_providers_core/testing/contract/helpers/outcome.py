"""How one call of a provider ended, and assertions on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from attrs import frozen

from kickai_providers_core.values.errors import ProviderError
from kickai_providers_core.values.replies import Reply, ReplyChunk

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["CallOutcome", "NotReturnedError"]

E = TypeVar("E", bound=ProviderError)

LAST_COUNTS = ("usage", "model", "request_id", "omitted")
"""Fields of a chunk of which the last value that is set counts."""


class NotReturnedError(Exception):
    """The call did not return, and the kit stopped waiting for it."""


@frozen(kw_only=True)
class CallOutcome:
    """How one call ended.

    Attributes:
        mode: The mode in which the provider was called.
        value: What it returned; None for a stream.
        chunks: The chunks of its stream, up to the error if there was one.
        raised: What it raised.
        elapsed_s: How long it took, in seconds.
    """

    mode: Mode
    value: object = None
    chunks: tuple[object, ...] = ()
    raised: BaseException | None = None
    elapsed_s: float = 0.0

    @property
    def reply(self) -> Reply:
        """The reply, put together from the chunks for a stream; the test fails when there is none."""
        if self.raised is not None:
            self._fail("a reply", f"{_describe(self.raised)} was raised")
        if self.mode in {"invoke", "ainvoke"}:
            if not isinstance(self.value, Reply):
                self._fail("a Reply", f"{type(self.value).__name__} was returned")
            return self.value
        return self._join_chunks()

    @property
    def text(self) -> str:
        """The reply's text."""
        return self.reply.text

    def _join_chunks(self) -> Reply:
        if not self.chunks:
            self._fail("at least one ReplyChunk", "the stream ended without any")
        chunks = [chunk for chunk in self.chunks if isinstance(chunk, ReplyChunk)]
        if len(chunks) < len(self.chunks):
            other = next(chunk for chunk in self.chunks if not isinstance(chunk, ReplyChunk))
            self._fail("ReplyChunk objects", f"the stream yielded {type(other).__name__}")
        finish_reason = chunks[-1].finish_reason
        if finish_reason is None:
            self._fail("a finish reason in the last chunk", "the stream ended without one")
        last = {name: value for chunk in chunks for name in LAST_COUNTS if (value := getattr(chunk, name))}
        return Reply(
            text="".join(chunk.text for chunk in chunks),
            reasoning="".join(chunk.reasoning for chunk in chunks),
            finish_reason=finish_reason,
            tool_calls=tuple(call for chunk in chunks for call in chunk.tool_calls),
            **last,
        )

    def raises(self, *kinds: type[E]) -> E:
        """Return the error; the test fails when there is none, or one of another class."""
        expected = " or ".join(kind.__name__ for kind in kinds)
        if self.raised is None:
            returned = self.mode in {"invoke", "ainvoke"}
            found = (
                f"{type(self.value).__name__} was returned" if returned else f"{len(self.chunks)} chunks were yielded"
            )
            self._fail(expected, f"no error was raised and {found}")
        if isinstance(self.raised, NotReturnedError):
            self._fail(expected, f"the call had not returned after {self.elapsed_s:.2f} s")
        if not isinstance(self.raised, ProviderError):
            self._fail(
                expected, f"{_describe(self.raised)}, which is not a ProviderError: translate the client's errors"
            )
        if not isinstance(self.raised, kinds):
            self._fail(expected, f"{_describe(self.raised)}")
        return self.raised

    def within(self, limit_s: float) -> CallOutcome:
        """Return the outcome itself; the test fails when the call took longer than this."""
        if isinstance(self.raised, NotReturnedError):
            self._fail(f"an end within {limit_s:.2f} s", f"the call had not returned after {self.elapsed_s:.2f} s")
        if self.elapsed_s > limit_s:
            self._fail(f"an end within {limit_s:.2f} s", f"the call took {self.elapsed_s:.2f} s")
        return self

    def _fail(self, expected: str, found: str) -> NoReturn:
        raise AssertionError(f"{self.mode}: expected {expected}, but {found}") from self.raised


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}({str(error)!r})"
