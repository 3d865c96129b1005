"""Reports the steps of a request, one line each, while they happen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from kickai_providers_core.values.attempts import Outcome, SkipReason
from kickai_providers_core.values.events import AttemptEnded, AttemptStarted, BreakerChanged, TargetSkipped, Waiting
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.values.attempts import Attempt, Skip
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.usage import Usage

__all__ = ["ProgressReporter", "Verbosity"]

Verbosity = Literal["quiet", "normal", "verbose"]

LONG_WAIT_S = 1.0
"""From this time on a wait is reported."""

OF_PROVIDER = {SkipReason.NOT_INSTALLED, SkipReason.NOT_CONFIGURED, SkipReason.RESTING, SkipReason.BREAKER_OPEN}
"""Reasons that apply to all models of a provider, so that they are reported once."""

COLORS = {Outcome.SUCCESS: "green", Outcome.ERROR: "yellow", Outcome.CANCELLED: None}


class ProgressReporter:
    """An observer that reports steps. A first attempt that succeeds is not reported, and no line is repeated.

    Args:
        log: Called with each line and its colour.
        set_status: Called with what is happening at the moment.
        verbosity: ``verbose`` reports everything, ``quiet`` nothing.
    """

    def __init__(
        self, log: Callable[[str, str | None], None], set_status: Callable[[str], None], verbosity: Verbosity
    ) -> None:
        self._log = log
        self._set_status = set_status
        self._verbosity = verbosity
        self._reported: set[object] = set()

    def __call__(self, event: Event) -> None:
        """Report the next step."""
        if self._verbosity == "quiet":
            return
        if isinstance(event, AttemptStarted):
            self._set_status(f"calling {_format_target(event.provider, event.model)}")
        elif isinstance(event, Waiting):
            self._report_wait(event)
        elif isinstance(event, TargetSkipped):
            self._report(_format_skip(event.skip), _skip_key(event.skip), "bright_black")
        elif isinstance(event, AttemptEnded):
            self._report_attempt(event.attempt, event.usage)
        elif isinstance(event, BreakerChanged) and self._verbosity == "verbose":
            self._report(str(event), event, "bright_black")

    def _report_attempt(self, attempt: Attempt, usage: Usage | None) -> None:
        error = attempt.error
        if error is not None:
            line = f"{attempt.target}: {type(error).__name__}: {error.message} (after {attempt.latency_s:.1f} s)"
            self._report(line, (attempt.target, type(error), error.message), COLORS[attempt.outcome])
        elif self._reported or self._verbosity == "verbose":
            number = f" on attempt {attempt.number}" if attempt.number > 1 else ""
            tokens = f" ({format_count(usage.input_tokens, 'token')} in, {usage.output_tokens} out)" if usage else ""
            line = f"{attempt}{number}{tokens if self._verbosity == 'verbose' else ''}"
            self._report(line, attempt, COLORS[attempt.outcome])

    def _report_wait(self, event: Waiting) -> None:
        line = f"{_format_target(event.provider, event.model)}: next attempt in {event.wait_s:.1f} s"
        self._set_status(line)
        if event.wait_s >= LONG_WAIT_S or self._verbosity == "verbose":
            self._report(line, event, "bright_black")

    def _report(self, line: str, key: object, color: str | None) -> None:
        if key in self._reported and self._verbosity != "verbose":
            return
        self._reported.add(key)
        self._log(line, color)


def _format_skip(skip: Skip) -> str:
    if skip.reason not in OF_PROVIDER:
        return str(skip)
    return str(skip).replace(skip.target, skip.provider, 1)


def _skip_key(skip: Skip) -> object:
    """Return a key that is the same for skips that one line can report; the seconds left do not count."""
    place = skip.provider if skip.reason in OF_PROVIDER else skip.target
    return place, skip.reason, re.sub(r"[\d.]+", "", skip.detail)


def _format_target(provider: str, model: str | None) -> str:
    return f"{provider}:{model}" if model else provider
