"""Laws for any sequence of events, also for those that no resolver emits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from kickai_providers_core import ProviderUnavailableError, Usage
from kickai_providers_core.values import events
from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.values.breaker_state import BreakerState
from scene import Scene

from kickai_otel import OtelSettings

LIMIT = 3

numbers = st.integers(0, 6)
roles = st.sampled_from([None, "scout"])
instances = st.sampled_from(["actor", "gemini"])
models = st.sampled_from([None, "a", "b"])
seconds = st.floats(0, 100)
usages = st.none() | st.builds(
    Usage,
    input_tokens=st.integers(0, 99),
    output_tokens=st.integers(9, 99),
    cached_tokens=st.just(0),
    reasoning_tokens=st.integers(0, 9),
)
attempts = st.builds(
    Attempt,
    position=st.integers(0, 3),
    provider=instances,
    model=models,
    number=st.integers(1, 2),
    started_s=seconds,
    latency_s=seconds,
    outcome=st.sampled_from([Outcome.SUCCESS, Outcome.CANCELLED]),
) | st.builds(
    Attempt,
    position=st.just(0),
    provider=instances,
    model=models,
    number=st.just(1),
    started_s=seconds,
    latency_s=seconds,
    outcome=st.just(Outcome.ERROR),
    error=st.builds(ProviderUnavailableError, st.just("down")),
)
skips = st.builds(
    Skip, position=st.integers(0, 3), provider=instances, model=models, reason=st.sampled_from(list(SkipReason))
)
target = {"request": numbers, "role": roles, "provider": instances, "model": models}
any_event = st.one_of(
    st.builds(events.RequestStarted, numbers, roles, st.integers(1, 9), seconds),
    st.builds(
        events.RequestEnded,
        numbers,
        roles,
        outcome=st.sampled_from(["success", "error", "cancelled"]),
        latency_s=seconds,
        attempts=st.integers(0, 9),
        provider=instances,
        fell_back=st.booleans(),
    ),
    st.builds(events.AttemptStarted, **target, number=st.integers(1, 2), timeout_s=seconds),
    st.builds(
        events.AttemptEnded,
        numbers,
        roles,
        attempts,
        usage=usages,
        reply_model=st.sampled_from(["", "a-1"]),
        first_token_s=st.none() | seconds,
    ),
    st.builds(events.TargetSkipped, numbers, roles, skips),
    st.builds(events.Queued, **target, ahead=st.integers(0, 9), patience_s=seconds),
    st.builds(events.Waiting, **target, wait_s=seconds),
    st.builds(events.Hedged, **target, after_s=seconds),
    st.builds(events.RetryWithheld, **target),
    st.builds(
        events.BreakerChanged,
        **target,
        before=st.sampled_from(list(BreakerState)),
        after=st.sampled_from(list(BreakerState)),
        retry_in_s=seconds,
    ),
    st.builds(events.ProviderCloseFailed, numbers, roles, instances, st.just("RuntimeError")),
)


def count(found, name, of=lambda value: value):
    """Return the sum over all series of a metric."""
    return sum(of(value) for _, value in found.get(name, []))


@settings(max_examples=100, deadline=None)
@given(st.lists(any_event, max_size=40))
def test_any_sequence_of_events_is_counted_once_and_keeps_the_bounds(sequence):
    """Nothing raises, no request is kept beyond the limit, and each event is in the metrics once."""
    scene = Scene(settings=OtelSettings(max_open_requests=LIMIT))
    scene.observer(events.ProviderCloseFailed(0, None, "actor", "RuntimeError"))  # the metrics are active from here
    for event in sequence:
        scene.observer(event)
        assert len(scene.observer._open) <= LIMIT
    found, kinds = scene.collect(), [type(event) for event in sequence]
    usage = [event.usage for event in sequence if isinstance(event, events.AttemptEnded) and event.usage is not None]
    scene.close()

    assert count(found, "kickai.request.duration", lambda value: value[0]) == kinds.count(events.RequestEnded)
    assert count(found, "kickai.attempts") == kinds.count(events.AttemptEnded)
    assert count(found, "kickai.skips") == kinds.count(events.TargetSkipped)
    assert count(found, "kickai.hedges") == kinds.count(events.Hedged)
    assert count(found, "kickai.retries.withheld") == kinds.count(events.RetryWithheld)
    assert count(found, "kickai.breaker.changes") == kinds.count(events.BreakerChanged)
    assert count(found, "kickai.events") == kinds.count(events.ProviderCloseFailed) + 1
    for name in ("input", "output"):
        total = sum(getattr(each, f"{name}_tokens") for each in usage)
        assert count(found, f"gen_ai.client.inference.usage.{name}_tokens") == total
    assert count(found, "kickai.queue.duration", lambda value: value[0]) <= kinds.count(events.Queued)
    started = len(scene.find_spans("kickai.request")) + len(scene.observer._open)
    assert started == kinds.count(events.RequestStarted)
    for span in scene.spans:
        assert span.start_time <= span.end_time
        assert not any(value is None for value in span.attributes.values())
