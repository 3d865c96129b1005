"""The progress of a request: which steps are reported, which once, and which not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import (
    Attempt,
    Outcome,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Skip,
    SkipReason,
    Usage,
)
from kickai_providers_core.cli.request_progress import ProgressReporter
from kickai_providers_core.values.breaker_state import BreakerState as State
from kickai_providers_core.values.events import (
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    RequestEnded,
    TargetSkipped,
    Waiting,
)

if TYPE_CHECKING:
    from kickai_providers_core import ProviderError
    from kickai_providers_core.cli.request_progress import Verbosity
    from kickai_providers_core.values.events import Event


def make_skip(target: str, reason: SkipReason = SkipReason.NOT_CONFIGURED, detail: str = "HF_TOKEN") -> Event:
    """Return the event of a target that was skipped."""
    provider, _, model = target.partition(":")
    return TargetSkipped(
        1, None, skip=Skip(position=0, provider=provider, model=model or None, reason=reason, detail=detail)
    )


def make_end(target: str, error: ProviderError | None = None, number: int = 1, usage: Usage | None = None) -> Event:
    """Return the event of an attempt that has ended."""
    provider, _, model = target.partition(":")
    attempt = Attempt(
        position=0,
        provider=provider,
        model=model or None,
        number=number,
        started_s=0.0,
        latency_s=0.9,
        outcome=Outcome.ERROR if error else Outcome.SUCCESS,
        error=error,
    )
    return AttemptEnded(1, None, attempt, usage)


def report(*events: Event, verbosity: Verbosity = "normal") -> list[str]:
    """Return the lines that a reporter logs for events."""
    lines: list[str] = []
    narrator = ProgressReporter(lambda line, _color: lines.append(line), lambda _what: None, verbosity)
    for event in events:
        narrator(event)
    return lines


def test_each_step_of_a_fallback_is_reported() -> None:
    """What is missing for each provider, and how long the answer took."""
    assert report(
        make_skip("huggingface"),
        make_skip("gemini", detail="GOOGLE_API_KEY"),
        make_end("local"),
        RequestEnded(1, None, outcome="success", latency_s=0.9, attempts=1),
    ) == [
        "huggingface: not configured (HF_TOKEN)",
        "gemini: not configured (GOOGLE_API_KEY)",
        "local answered in 0.9 s",
    ]


def test_a_first_attempt_that_succeeds_is_not_reported() -> None:
    """There are no lines."""
    assert (
        report(AttemptStarted(1, None, provider="mock", model="a", number=1, timeout_s=1.0), make_end("mock:a")) == []
    )


def test_models_of_a_provider_that_is_not_configured_are_one_line() -> None:
    """The line has the provider without a model."""
    assert report(*(make_skip(f"huggingface:{model}") for model in "abc")) == ["huggingface: not configured (HF_TOKEN)"]


def test_a_suspended_provider_is_reported_once() -> None:
    """The remaining seconds do not count."""
    details = ("AuthenticationError, 9.9 s left", "AuthenticationError, 9.8 s left")
    lines = report(*(make_skip(f"hf:{at}", SkipReason.RESTING, detail) for at, detail in enumerate(details)))
    assert lines == ["hf: suspended (AuthenticationError, 9.9 s left)"]


def test_a_reason_of_a_single_model_is_reported_for_each_model() -> None:
    """Two models are two lines."""
    lines = report(*(make_skip(f"hf:{model}", SkipReason.INCAPABLE, "no tools") for model in "ab"))
    assert lines == ["hf:a: incapable (no tools)", "hf:b: incapable (no tools)"]


def test_the_same_failure_of_a_target_is_reported_once() -> None:
    """The attempt that succeeds has its number."""
    down = ProviderUnavailableError("service unavailable")
    assert report(make_end("m:a", down), make_end("m:a", down, 2), make_end("m:a", number=3)) == [
        "m:a: ProviderUnavailableError: service unavailable (after 0.9 s)",
        "m:a answered in 0.9 s on attempt 3",
    ]


def test_the_same_failure_of_two_targets_is_reported_twice() -> None:
    """Each attempt took time."""
    late = ProviderTimeoutError("no answer in time")
    assert len(report(make_end("m:a", late), make_end("m:b", late))) == 2


def test_only_a_long_wait_is_reported() -> None:
    """From one second on."""
    waits = (Waiting(1, None, provider="m", model="a", wait_s=wait_s) for wait_s in (0.2, 12.0))
    assert report(*waits) == ["m:a: next attempt in 12.0 s"]


def test_quiet_reports_nothing() -> None:
    """Not even a failure."""
    assert report(make_skip("hf"), make_end("m", ProviderTimeoutError("late")), make_end("m"), verbosity="quiet") == []


def test_verbose_reports_everything() -> None:
    """Including repetitions, breakers, short waits and tokens."""
    change = BreakerChanged(1, None, provider="m", model="a", before=State.CLOSED, after=State.OPEN, retry_in_s=5.0)
    assert report(
        make_skip("hf:a"),
        make_skip("hf:b"),
        change,
        Waiting(1, None, provider="m", model="a", wait_s=0.2),
        make_end("m:a", usage=Usage(input_tokens=3, output_tokens=4)),
        verbosity="verbose",
    ) == [
        "hf: not configured (HF_TOKEN)",
        "hf: not configured (HF_TOKEN)",
        "m:a: circuit breaker closed -> open",
        "m:a: next attempt in 0.2 s",
        "m:a answered in 0.9 s (3 tokens in, 4 out)",
    ]


def test_the_status_has_the_current_step() -> None:
    """The target that is called, and the wait before the next attempt."""
    waits: list[str] = []
    narrator = ProgressReporter(lambda _line, _color: None, waits.append, "normal")
    narrator(AttemptStarted(1, None, provider="m", model="a", number=1, timeout_s=1.0))
    narrator(Waiting(1, None, provider="m", model="a", wait_s=0.5))
    assert waits == ["calling m:a", "m:a: next attempt in 0.5 s"]
