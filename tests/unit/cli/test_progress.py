"""The story of a request in lines: what is told, what is told once, what is not told."""

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
from kickai_providers_core.cli.progress import ProgressReporter
from kickai_providers_core.resilience.breaker import State
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
    from kickai_providers_core.cli.progress import Verbosity
    from kickai_providers_core.values.events import Event


def skipped(target: str, reason: SkipReason = SkipReason.NOT_CONFIGURED, detail: str = "HF_TOKEN") -> Event:
    """Return the event of a target that was passed over."""
    provider, _, model = target.partition(":")
    return TargetSkipped(
        1, None, skip=Skip(position=0, provider=provider, model=model or None, reason=reason, detail=detail)
    )


def ended(target: str, error: ProviderError | None = None, number: int = 1, usage: Usage | None = None) -> Event:
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


def told(*events: Event, verbosity: Verbosity = "normal") -> list[str]:
    """Return the lines that a narrator makes of events."""
    lines: list[str] = []
    narrator = ProgressReporter(lambda line, _color: lines.append(line), lambda _what: None, verbosity)
    for event in events:
        narrator(event)
    return lines


def test_a_chain_that_falls_back_is_told_step_by_step() -> None:
    """Each provider that is not configured says what is missing, and the one that answers how long it took."""
    assert told(
        skipped("huggingface"),
        skipped("gemini", detail="GOOGLE_API_KEY"),
        ended("local"),
        RequestEnded(1, None, outcome="success", latency_s=0.9, attempts=1),
    ) == [
        "huggingface: not configured (HF_TOKEN)",
        "gemini: not configured (GOOGLE_API_KEY)",
        "local answered in 0.9 s",
    ]


def test_a_plain_first_answer_is_told_in_no_line() -> None:
    """Nothing is worth telling when the first target answers at once."""
    assert told(AttemptStarted(1, None, provider="mock", model="a", number=1, timeout_s=1.0), ended("mock:a")) == []


def test_three_models_of_a_provider_that_is_not_configured_are_one_line() -> None:
    """The same reason at the same provider is told once, without the name of a model."""
    assert told(*(skipped(f"huggingface:{model}") for model in "abc")) == ["huggingface: not configured (HF_TOKEN)"]


def test_a_provider_that_rests_is_told_once_whatever_the_seconds_left() -> None:
    """The time that is left is no other reason."""
    details = ("AuthenticationError, 9.9 s left", "AuthenticationError, 9.8 s left")
    lines = told(*(skipped(f"hf:{at}", SkipReason.RESTING, detail) for at, detail in enumerate(details)))
    assert lines == ["hf: resting (AuthenticationError, 9.9 s left)"]


def test_what_concerns_one_model_is_told_of_each() -> None:
    """Two models that cannot serve a request are two lines."""
    lines = told(*(skipped(f"hf:{model}", SkipReason.INCAPABLE, "no tools") for model in "ab"))
    assert lines == ["hf:a: incapable (no tools)", "hf:b: incapable (no tools)"]


def test_the_failures_of_a_target_that_is_tried_again_are_one_line() -> None:
    """A retry that fails alike adds nothing, and the try that succeeds is counted."""
    down = ProviderUnavailableError("service unavailable")
    assert told(ended("m:a", down), ended("m:a", down, 2), ended("m:a", number=3)) == [
        "m:a: ProviderUnavailableError: service unavailable (after 0.9 s)",
        "m:a answered in 0.9 s on attempt 3",
    ]


def test_two_targets_that_fail_alike_are_two_lines() -> None:
    """Each attempt at another model took its time and is told."""
    late = ProviderTimeoutError("no answer in time")
    assert len(told(ended("m:a", late), ended("m:b", late))) == 2


def test_only_a_long_wait_is_worth_a_line() -> None:
    """A second or more of silence is announced."""
    waits = (Waiting(1, None, provider="m", model="a", wait_s=wait_s) for wait_s in (0.2, 12.0))
    assert told(*waits) == ["m:a: next attempt in 12.0 s"]


def test_quiet_tells_nothing() -> None:
    """Not even a failure."""
    assert told(skipped("hf"), ended("m", ProviderTimeoutError("late")), ended("m"), verbosity="quiet") == []


def test_verbose_tells_everything_each_time() -> None:
    """Repetitions, breakers, short waits and tokens are told."""
    change = BreakerChanged(1, None, provider="m", model="a", before=State.CLOSED, after=State.OPEN, retry_in_s=5.0)
    assert told(
        skipped("hf:a"),
        skipped("hf:b"),
        change,
        Waiting(1, None, provider="m", model="a", wait_s=0.2),
        ended("m:a", usage=Usage(input_tokens=3, output_tokens=4)),
        verbosity="verbose",
    ) == [
        "hf: not configured (HF_TOKEN)",
        "hf: not configured (HF_TOKEN)",
        "m:a: its breaker went from closed to open",
        "m:a: next attempt in 0.2 s",
        "m:a answered in 0.9 s (3 tokens in, 4 out)",
    ]


def test_what_is_waited_for_is_handed_on() -> None:
    """The target that is asked, and the wait before it is asked again."""
    waits: list[str] = []
    narrator = ProgressReporter(lambda _line, _color: None, waits.append, "normal")
    narrator(AttemptStarted(1, None, provider="m", model="a", number=1, timeout_s=1.0))
    narrator(Waiting(1, None, provider="m", model="a", wait_s=0.5))
    assert waits == ["calling m:a", "m:a: next attempt in 0.5 s"]
