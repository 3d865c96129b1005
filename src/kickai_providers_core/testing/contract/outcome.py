"""How one call of a provider ended, and what a test may expect of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

from attrs import frozen

from kickai_providers_core.values.errors import ProviderError
from kickai_providers_core.values.replies import Reply, ReplyChunk

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["LeftAloneError", "Outcome"]

E = TypeVar("E", bound=ProviderError)


class LeftAloneError(Exception):
    """The call did not come back, and the kit stopped waiting for it."""


@frozen(kw_only=True)
class Outcome:
    """How one call ended.

    Attributes:
        mode: How the provider was called.
        value: What it returned; None for a stream.
        chunks: What its stream handed out, up to the error if there was one.
        raised: What it raised.
        elapsed_s: How long it took, seconds.
    """

    mode: Mode
    value: object = None
    chunks: tuple[object, ...] = ()
    raised: BaseException | None = None
    elapsed_s: float = 0.0

    @property
    def reply(self) -> Reply:
        """The answer, a stream's put together; the test fails when there is none."""
        if self.raised is not None:
            self._fail(f"raised {_told(self.raised)} where an answer was due")
        if self.mode in {"invoke", "ainvoke"}:
            if not isinstance(self.value, Reply):
                self._fail(f"returned {type(self.value).__name__} where a Reply was due")
            return self.value
        return self._gathered()

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.reply.text

    def _gathered(self) -> Reply:
        if not self.chunks:
            self._fail("ended its stream without a chunk")
        chunks = [chunk for chunk in self.chunks if isinstance(chunk, ReplyChunk)]
        if len(chunks) < len(self.chunks):
            strange = next(chunk for chunk in self.chunks if not isinstance(chunk, ReplyChunk))
            self._fail(f"yielded {type(strange).__name__} where a ReplyChunk was due")
        finish_reason = chunks[-1].finish_reason
        if finish_reason is None:
            self._fail("ended its stream without a finish reason in the last chunk")
        last = {name: value for chunk in chunks for name in FIELDS if (value := getattr(chunk, name))}
        return Reply(
            text="".join(chunk.text for chunk in chunks),
            finish_reason=finish_reason,
            tool_calls=tuple(call for chunk in chunks for call in chunk.tool_calls),
            **last,
        )

    def raises(self, *kinds: type[E]) -> E:
        """Return the error; the test fails when there is none, or one of another kind."""
        wanted = " or ".join(kind.__name__ for kind in kinds)
        if self.raised is None:
            told = type(self.value).__name__ if self.mode in {"invoke", "ainvoke"} else f"{len(self.chunks)} chunks"
            self._fail(f"gave {told} where {wanted} was due")
        if isinstance(self.raised, LeftAloneError):
            self._fail(f"had not come back after {self.elapsed_s:.2f} s, where {wanted} was due")
        if not isinstance(self.raised, ProviderError):
            self._fail(f"let {_told(self.raised)} through where {wanted} was due")
        if not isinstance(self.raised, kinds):
            self._fail(f"raised {_told(self.raised)} where {wanted} was due")
        return self.raised

    def within(self, limit_s: float) -> Outcome:
        """Return the outcome itself; the test fails when it took longer than that."""
        if isinstance(self.raised, LeftAloneError) or self.elapsed_s > limit_s:
            self._fail(f"took {self.elapsed_s:.2f} s where at most {limit_s:.2f} s were due")
        return self

    def _fail(self, told: str) -> NoReturn:
        raise AssertionError(f"{self.mode} {told}") from self.raised


FIELDS = ("usage", "model", "request_id", "omitted")
"""Fields of a chunk of which the last that is set counts."""


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}({str(error)!r})"
