"""The trace of one request: each attempt and each skipped target, and the same as text for a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen

from kickai_providers_core.values.attempts import Attempt, Outcome, Skip
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.plain_text import format_count
from kickai_providers_core.values.validation import (
    Boolean,
    Number,
    Text,
    require_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["EMPTY_TRACE", "EndsRequest", "RequestTrace"]

WAIT_S = 0.005
"""A gap between two calls that is shorter than this, in seconds, is not shown: it would read as 0.00 s."""


def _convert_attempts(value: Iterable[Attempt]) -> tuple[Attempt, ...]:
    return require_all(Attempt, "RequestTrace.attempts", value)


def _convert_skips(value: Iterable[Skip]) -> tuple[Skip, ...]:
    return require_all(Skip, "RequestTrace.skipped", value)


@frozen(kw_only=True, slots=False, eq=False, repr=False)
class RequestTrace(Value):
    """What one request did. It holds names, numbers and error messages; no prompt, answer or key.

    Attributes:
        attempts: Every attempt that has ended, in order.
        skipped: Every target that was not called, with the reason.
        elapsed_s: Seconds from the start of the request to its end.
        deadline_s: Seconds that the request was allowed to take; None when unknown.
        fell_back: Whether a target other than the request's first one answered.
        last_resort: Whether one target was called although all were unavailable.
        role: The role that the request was made for, or None.
        arm: The arm of a rollout that served the request, or None.
    """

    attempts: tuple[Attempt, ...] = field(default=(), converter=_convert_attempts)
    skipped: tuple[Skip, ...] = field(default=(), converter=_convert_skips)
    elapsed_s: float = field(default=0.0, validator=Number(minimum=0))
    deadline_s: float | None = field(default=None, validator=Number(above=0, optional=True))
    fell_back: bool = field(default=False, validator=Boolean())
    last_resort: bool = field(default=False, validator=Boolean())
    role: str | None = field(default=None, validator=Text(optional=True))
    arm: str | None = field(default=None, validator=Text(optional=True))

    @property
    def steps(self) -> list[Attempt | Skip]:
        """The attempts and skips in the order in which they happened."""
        steps: list[Attempt | Skip] = [*self.attempts, *self.skipped]
        return sorted(steps, key=lambda s: (s.started_s if isinstance(s, Attempt) else s.at_s, s.position))

    def summarize(self, empty: str) -> str:
        """Return the steps on one line, or ``empty`` when there are none."""
        return " → ".join(map(str, self.steps)) or empty

    def render(self, end: str) -> str:
        """Return one line for each attempt, wait and skip, and a last line for how the time was used.

        Args:
            end: How the request ended, in a few words.
        """
        lines = list(self._format_lines()) or ["no target was called"]
        called_s = sum(attempt.latency_s for attempt in self.attempts)
        allowed = f" of {self.deadline_s:g} s" if self.deadline_s is not None else ""
        between_s = max(0.0, self.elapsed_s - called_s)
        used = f"{called_s:.2f} s in {format_count(len(self.attempts), 'call')}, {between_s:.2f} s between them"
        return "\n".join([*lines, f"{end} after {self.elapsed_s:.2f} s{allowed}: {used}"])

    def _format_lines(self) -> Iterator[str]:
        idle_since = 0.0
        for step in self.steps:
            if not isinstance(step, Attempt):
                yield f"{step.at_s:7.2f} s  {_describe_skip(step)}"
                continue
            if step.started_s - idle_since > WAIT_S:
                yield f"{idle_since:7.2f} s  waited {step.started_s - idle_since:.2f} s"
            idle_since = max(idle_since, step.started_s + step.latency_s)
            yield f"{step.started_s:7.2f} s  {step.target}: {_describe_end(step)}"


EMPTY_TRACE = RequestTrace()
"""The trace of a reply or an error that has not passed through a chain."""


def _describe_skip(skip: Skip) -> str:
    detail = f" ({skip.detail})" if skip.detail else ""
    retry = f"; available in {skip.retry_in_s:.1f} s" if skip.retry_in_s else ""
    return f"{skip.target}: skipped, {skip.reason.value.replace('_', ' ')}{detail}{retry}"


def _describe_end(attempt: Attempt) -> str:
    """Return how one attempt ended, and what follows for its target."""
    number = f"attempt {attempt.number}, " if attempt.number > 1 else ""
    if attempt.error is None:
        end = "answered" if attempt.outcome is Outcome.SUCCESS else "cancelled"
        return f"{number}{end} after {attempt.latency_s:.2f} s"
    error = attempt.error
    status = f", HTTP {error.status_code}" if error.status_code is not None else ""
    end = f"{number}{type(error).__name__} after {attempt.latency_s:.2f} s ({error.message}{status})"
    suspended = f"; suspended for {attempt.rests_s:.1f} s" if attempt.rests_s > 0 else ""
    withheld = "; not retried, the retry budget is used up" if attempt.retry_withheld else ""
    return end + suspended + withheld


class EndsRequest:
    """Mixin of the errors that can end a request: they carry its trace."""

    RECORDED: ClassVar[tuple[str, ...]] = ("attempts", "skipped", "deadline_s", "elapsed_s")

    trace: RequestTrace = EMPTY_TRACE

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt of the request that this error ended; empty when it ended none."""
        return self.trace.attempts

    @property
    def skipped(self) -> tuple[Skip, ...]:
        """Every target of that request that was not called."""
        return self.trace.skipped

    @property
    def deadline_s(self) -> float | None:
        """Seconds that the request was allowed to take."""
        return self.trace.deadline_s

    @property
    def elapsed_s(self) -> float:
        """Seconds that the request took."""
        return self.trace.elapsed_s

    def explain(self) -> str:
        """Return a readable report of the request, with one line for each attempt, wait and skip, and the time used."""
        return self.trace.render(type(self).__name__)
