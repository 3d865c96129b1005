"""Calls without a chain count in health and metrics as those of chains do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import define

from kickai_providers_core import (
    ArgumentTypeError,
    BreakerSettings,
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    RateLimitedError,
    Reply,
    Resolver,
    Settings,
    UnknownProviderError,
    Usage,
    hookimpl,
)
from kickai_providers_core.concurrency.clock import Clockwork
from kickai_providers_core.outside_calls import OutsideCall
from kickai_providers_core.resilience.suspensions import Suspension
from kickai_providers_core.values.events import AttemptEnded, BreakerChanged, Event, RequestEnded

if TYPE_CHECKING:
    from collections.abc import Iterator


class Plugin:
    """A provider that answers."""

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe it."""
        return ProviderInfo(name="plain", summary="answers", aliases=("simple",))

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Create nothing."""
        return self

    @hookimpl
    def kickai_invoke_provider(self, provider: object) -> Reply:
        """Answer."""
        return Reply(text="yes", provider="", model="m", finish_reason=FinishReason.STOP)


@define
class Setup:
    """A resolver, its events and its time."""

    resolver: Resolver
    events: list[Event]
    now_s: float = 0.0

    def record(self, outcomes: str, provider: str = "plain") -> None:
        """Record outcomes one after the other: ``+`` is an answer, ``-`` a failure."""
        for outcome in outcomes:
            self.resolver.outside_calls.record_outcome(provider, ok=outcome == "+")

    def states(self) -> list[str]:
        """Return the states that the provider's breaker has changed to."""
        return [event.after.value for event in self.events if isinstance(event, BreakerChanged)]


@pytest.fixture
def setup() -> Iterator[Setup]:
    """A resolver on a virtual clock."""

    def sleep(_wait_s: float) -> None:
        raise AssertionError("nothing waits")

    async def asleep(_wait_s: float) -> None:
        raise AssertionError("nothing waits")

    events: list[Event] = []
    time = Clockwork(clock=lambda: made.now_s, sleep=sleep, asleep=asleep)
    settings = Settings(
        kickai=KickaiSettings(primary="plain", fallback=(), plugins=("plain",)),
        breaker=BreakerSettings(max_errors=3, cooldown_s=5, max_cooldown_s=20),
    )
    with Resolver.from_settings(
        settings, plugins={"plain": Plugin()}, observers=[events.append], time=time
    ) as resolver:
        made = Setup(resolver, events)
        yield made


def test_failures_open_the_breaker_and_a_success_closes_it(setup: Setup) -> None:
    """Each change is an event, and an alias means the same instance."""
    setup.record("--", provider="simple")
    assert setup.states() == []
    setup.record("-")
    assert setup.states() == ["open"]
    (opened,) = setup.events
    assert isinstance(opened, BreakerChanged)
    assert (opened.provider, opened.model) == ("plain", None)
    assert 4.0 <= opened.retry_in_s <= 5.0
    setup.record("-")  # nothing was to be called, so it says nothing
    assert setup.states() == ["open"]
    setup.record("+")
    assert setup.states() == ["open", "closed"]


def test_a_failure_after_the_cool_down_is_a_failed_probe(setup: Setup) -> None:
    """The next cool-down is longer."""
    setup.record("---")
    setup.now_s = 5.0
    setup.record("-")
    (state,) = setup.resolver.health().providers
    assert state.breaker == "open"
    assert 8.0 <= state.available_in_s <= 10.0


def test_a_success_offsets_a_failure(setup: Setup) -> None:
    """Two failures, a success and two failures open the breaker with the last one."""
    setup.record("--+-")
    assert setup.states() == []
    setup.record("-")
    assert setup.states() == ["open"]


def test_a_stated_delay_stays(setup: Setup) -> None:
    """Neither a success nor a failure without a chain changes what the service has stated."""
    setup.record("+")
    state = setup.resolver._health.get_target("plain", None).provider
    state.suspend(Suspension(until=60.0, reason="QuotaExhaustedError", stated=True))
    setup.record("+---")
    (report,) = setup.resolver.health().providers
    assert (report.suspended_s, report.errors, report.breaker) == (60.0, 0, "closed")


def test_a_call_is_a_request_with_one_attempt(setup: Setup) -> None:
    """Both events have the same number, and no health changes."""
    usage = Usage(input_tokens=3, output_tokens=4)
    setup.resolver.outside_calls.record_call(
        OutsideCall(provider="plain", model="m", role="team_manager", latency_s=0.5, usage=usage)
    )
    attempt, request = setup.events
    assert isinstance(attempt, AttemptEnded)
    assert isinstance(request, RequestEnded)
    assert attempt.request == request.request > 0
    assert (attempt.attempt.target, attempt.usage, attempt.failed) == ("plain:m", usage, False)
    assert (request.outcome, request.provider, request.model, request.latency_s) == ("success", "plain", "m", 0.5)
    assert request.role == "team_manager"


@pytest.mark.parametrize("error", [RateLimitedError("slow down"), TimeoutError("my prompt")])
def test_a_failed_call_has_the_class_of_its_error(setup: Setup, error: Exception) -> None:
    """No provider has answered it."""
    setup.resolver.outside_calls.record_call(OutsideCall(provider="plain", model="m", error=error))
    attempt, request = setup.events
    assert isinstance(attempt, AttemptEnded)
    assert isinstance(request, RequestEnded)
    assert attempt.failed
    assert (request.outcome, request.error) == ("error", type(error).__name__)
    assert (request.provider, request.model) == ("", "")
    assert "my prompt" not in f"{attempt.as_dict()}{request.as_dict()}{attempt}"


def test_bad_arguments_are_refused(setup: Setup) -> None:
    """The error says what was expected."""
    with pytest.raises(ArgumentTypeError, match="ok must be True or False, got 1 "):
        setup.resolver.outside_calls.record_outcome("plain", ok=1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="provider must be a string, got 5"):
        setup.resolver.outside_calls.record_outcome(5, ok=True)  # type: ignore[arg-type]
    with pytest.raises(UnknownProviderError):
        setup.resolver.outside_calls.record_outcome("plane", ok=True)
    with pytest.raises(ArgumentTypeError, match=r"OutsideCall.usage must be an? Usage, got dict"):
        OutsideCall(provider="plain", usage={})  # type: ignore[arg-type]
    assert setup.resolver.flush()
    assert setup.resolver.store is None
