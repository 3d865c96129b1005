"""What a provider plugin does beside answering: it may observe, and rank targets."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.resilience.breaker import State
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.values import events
from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.values.errors import RateLimitedError
from kickai_providers_core.values.messages import Usage
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from kickai_providers_core.testing.contract.subject import Subject

__all__ = ["EVENTS", "Observing"]

ERROR = RateLimitedError("too many requests", status_code=429, retry_after_s=7.0)
FAILED = Attempt(
    position=0,
    provider="somebody",
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
RESTING = Skip(position=0, provider="somebody", model=None, reason=SkipReason.RESTING, retry_in_s=7.0)

EVENTS = (
    events.RequestStarted(1, "squad_selector", targets=2, deadline_s=30.0),
    events.TargetSkipped(1, None, RESTING),
    events.AttemptStarted(1, None, provider="other", model="m", number=1, timeout_s=10.0),
    events.AttemptEnded(1, None, FAILED),
    events.AttemptEnded(1, None, ANSWERED, usage=Usage(input_tokens=11, output_tokens=5)),
    events.Waiting(1, None, provider="other", model="m", wait_s=0.2),
    events.BreakerChanged(1, None, provider="other", model=None, before=State.CLOSED, after=State.OPEN, retry_in_s=5.0),
    events.RequestEnded(1, None, outcome="success", latency_s=0.6, attempts=2, provider="other", fell_back=True),
    events.RequestEnded(2, None, outcome="error", latency_s=0.6, attempts=2, error="ChainExhaustedError"),
    events.ProviderCloseFailed(0, None, provider="other", error="OSError"),
    events.Event(0, None),
)
"""One of each kind at least; the last is of a kind that a plugin cannot know."""


TARGETS = (Target("somebody"), Target("other", "m"), Target("other", "n"))


def _copied(event: events.Event) -> events.Event:
    """Return an event for one test alone, with a record of its own."""
    copied = copy.copy(event)
    if isinstance(copied, events.AttemptEnded):
        copied.attempt = copy.copy(copied.attempt)
    return copied


class Observing(Supplied):
    """What is observed and ranked is observed and ranked without harm."""

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
    def test_every_event_is_taken(self, subject: Subject, event: events.Event) -> None:
        """The plugin's observer, if it has one, takes events of every kind, and of kinds that are yet to come."""
        if not subject.hook.kickai_observe.get_hookimpls():
            pytest.skip("not applicable: the plugin does not observe")
        subject.hook.kickai_observe(event=_copied(event))

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
    def test_events_are_left_as_they_are(self, subject: Subject, event: events.Event) -> None:
        """The plugin's observer, if it has one, changes nothing of an event: others are told of the same."""
        if not subject.hook.kickai_observe.get_hookimpls():
            pytest.skip("not applicable: the plugin does not observe")
        given = _copied(event)
        subject.hook.kickai_observe(event=given)
        assert given == event, f"the event was changed: {given}"

    def test_ranking_gives_targets(self, subject: Subject) -> None:
        """The plugin's ranking, if it has one, is a sequence of targets, or None; the request stays as it is."""
        if not subject.hook.kickai_rank_targets.get_hookimpls():
            pytest.skip("not applicable: the plugin does not rank targets")
        request, before = subject.request, copy.deepcopy(subject.request)
        ranked = subject.hook.kickai_rank_targets(request=request, targets=TARGETS)
        assert ranked is None or all(isinstance(target, Target) for target in ranked), f"not targets: {ranked}"
        assert request == before, "the request was changed"
