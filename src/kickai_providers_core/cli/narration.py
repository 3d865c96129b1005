"""The story of a request, told line by line while it happens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from kickai_providers_core.values.attempts import Outcome, SkipReason
from kickai_providers_core.values.events import AttemptEnded, AttemptStarted, BreakerChanged, TargetSkipped, Waiting
from kickai_providers_core.values.plain_text import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.values.attempts import Attempt, Skip
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.messages import Usage

__all__ = ["Narrator", "Verbosity"]

Verbosity = Literal["quiet", "story", "verbose"]

LONG_WAIT_S = 1.0
"""A wait that is worth a line."""

OF_PROVIDER = {SkipReason.NOT_INSTALLED, SkipReason.NOT_CONFIGURED, SkipReason.RESTING, SkipReason.BREAKER_OPEN}
"""Reasons that hold for all models of a provider alike, so that they are told once. In a process that makes a single
request nothing else rests: a target that was tried is not passed over as well."""

COLORS = {Outcome.SUCCESS: "green", Outcome.ERROR: "yellow", Outcome.CANCELLED: None}


class Narrator:
    """An observer that tells each step in a line, and each reason once; a plain first answer is told in none.

    Args:
        tell: Takes a line and its colour.
        wait_for: Takes what is being waited for.
        verbosity: ``verbose`` tells everything, ``quiet`` nothing.
    """

    def __init__(
        self, tell: Callable[[str, str | None], None], wait_for: Callable[[str], None], verbosity: Verbosity
    ) -> None:
        self._tell = tell
        self._wait_for = wait_for
        self._verbosity = verbosity
        self._told: set[object] = set()

    def __call__(self, event: Event) -> None:
        """Take the next step of the story."""
        if self._verbosity == "quiet":
            return
        if isinstance(event, AttemptStarted):
            self._wait_for(f"asking {_target(event.provider, event.model)}")
        elif isinstance(event, Waiting):
            self._waits(event)
        elif isinstance(event, TargetSkipped):
            self._once(_skipped(event.skip), _reason(event.skip), "bright_black")
        elif isinstance(event, AttemptEnded):
            self._attempted(event.attempt, event.usage)
        elif isinstance(event, BreakerChanged) and self._verbosity == "verbose":
            self._once(str(event), event, "bright_black")

    def _attempted(self, attempt: Attempt, usage: Usage | None) -> None:
        error = attempt.error
        if error is not None:
            told = f"{attempt.target}: {type(error).__name__}: {error.message} (after {attempt.latency_s:.1f} s)"
            self._once(told, (attempt.target, type(error), error.message), COLORS[attempt.outcome])
        elif self._told or self._verbosity == "verbose":
            again = f" at try {attempt.number}" if attempt.number > 1 else ""
            counted = f" ({count(usage.input_tokens, 'token')} in, {usage.output_tokens} out)" if usage else ""
            told = f"{attempt}{again}{counted if self._verbosity == 'verbose' else ''}"
            self._once(told, attempt, COLORS[attempt.outcome])

    def _waits(self, event: Waiting) -> None:
        told = f"{_target(event.provider, event.model)}: again in {event.wait_s:.1f} s"
        self._wait_for(told)
        if event.wait_s >= LONG_WAIT_S or self._verbosity == "verbose":
            self._once(told, event, "bright_black")

    def _once(self, line: str, reason: object, color: str | None) -> None:
        if reason in self._told and self._verbosity != "verbose":
            return
        self._told.add(reason)
        self._tell(line, color)


def _skipped(skip: Skip) -> str:
    if skip.reason not in OF_PROVIDER:
        return str(skip)
    return str(skip).replace(skip.target, skip.provider, 1)


def _reason(skip: Skip) -> object:
    """Return what two skips have in common when one line can stand for both; the seconds left do not count."""
    place = skip.provider if skip.reason in OF_PROVIDER else skip.target
    return place, skip.reason, re.sub(r"[\d.]+", "", skip.detail)


def _target(provider: str, model: str | None) -> str:
    return f"{provider}:{model}" if model else provider
