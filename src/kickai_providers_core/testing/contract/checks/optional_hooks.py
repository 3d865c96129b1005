"""Hooks that a provider plugin may implement in addition: observing events and ranking targets."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.values import events
from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.errors import RateLimitedError
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness

__all__ = ["EVENTS", "OptionalHookTests"]

ERROR = RateLimitedError("too many requests", status_code=429, retry_after_s=7.0)
FAILED = Attempt(
    position=0,
    provider="first",
    model=None,
    number=1,
    started_s=0.0,
    latency_s=0.5,
    outcome=Outcome.ERROR,
    error=ERROR,
)
ANSWERED = Attempt(
    position=1, provider="other", model="m", number=1, started_s=0.5, latency_s=0.1, outcome=Outcome.SUCCESS
)
SUSPENDED = Skip(position=0, provider="first", model=None, reason=SkipReason.RESTING, retry_in_s=7.0)

EVENTS = (
    events.RequestStarted(1, "squad_selector", targets=2, deadline_s=30.0),
    events.TargetSkipped(1, None, SUSPENDED),
    events.AttemptStarted(1, None, provider="other", model="m", number=1, timeout_s=10.0),
    events.AttemptEnded(1, None, FAILED),
    events.AttemptEnded(1, None, ANSWERED, usage=Usage(input_tokens=11, output_tokens=5)),
    events.Waiting(1, None, provider="other", model="m", wait_s=0.2),
    events.BreakerChanged(
        1, None, provider="other", model=None, before=BreakerState.CLOSED, after=BreakerState.OPEN, retry_in_s=5.0
    ),
    events.RequestEnded(1, None, outcome="success", latency_s=0.6, attempts=2, provider="other", fell_back=True),
    events.RequestEnded(2, None, outcome="error", latency_s=0.6, attempts=2, error="ChainExhaustedError"),
    events.ProviderCloseFailed(0, None, provider="other", error="OSError"),
    events.Event(0, None),
)
"""Events of each class; the last one is of a class that a plugin cannot know."""

TARGETS = (Target("first"), Target("other", "m"), Target("other", "n"))


class OptionalHookTests(ProviderSpec):
    """Observing and ranking do no harm."""

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
    def test_every_event_is_accepted(self, harness: ProviderHarness, event: events.Event) -> None:
        """The plugin's observer accepts events of every class, including future ones."""
        _require_observer(harness)
        harness.hook.kickai_observe(event=_copy_event(event))

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
    def test_events_are_not_changed(self, harness: ProviderHarness, event: events.Event) -> None:
        """The plugin's observer does not change an event: other observers get the same object."""
        _require_observer(harness)
        given = _copy_event(event)
        harness.hook.kickai_observe(event=given)
        assert given == event, f"kickai_observe changed the event to {given}"

    def test_ranking_gives_targets(self, harness: ProviderHarness) -> None:
        """The plugin's ranking is a sequence of targets or None, and does not change the request."""
        if not harness.hook.kickai_rank_targets.get_hookimpls():
            pytest.skip("not applicable: the plugin does not implement kickai_rank_targets")
        request, before = harness.request, copy.deepcopy(harness.request)
        ranked = harness.hook.kickai_rank_targets(request=request, targets=TARGETS)
        assert ranked is None or all(isinstance(target, Target) for target in ranked), (
            f"kickai_rank_targets must return targets or None, got {ranked!r}"
        )
        assert request == before, "kickai_rank_targets changed the request"


def _require_observer(harness: ProviderHarness) -> None:
    if not harness.hook.kickai_observe.get_hookimpls():
        pytest.skip("not applicable: the plugin does not implement kickai_observe")


def _copy_event(event: events.Event) -> events.Event:
    """Return an event for one test alone, with its own record."""
    if isinstance(event, events.AttemptEnded):
        return evolve(event, attempt=copy.copy(event.attempt))
    return copy.copy(event)
