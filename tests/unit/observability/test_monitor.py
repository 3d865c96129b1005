"""The monitor: sums that are exact with threads, limits on names and cells, and what a fork does."""

from __future__ import annotations

import sys
from collections import Counter
from threading import Barrier, Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickai_providers_core.observability import unwritten_sums
from kickai_providers_core.observability.monitor import QUEUED, Monitor
from kickai_providers_core.stores.cells import MAX_NAMES, OTHER
from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.errors import (
    ContentFilteredError,
    InvalidReplyError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
)
from kickai_providers_core.values.events import (
    AttemptEnded,
    BreakerChanged,
    Queued,
    RequestEnded,
    RequestStarted,
    RetryWithheld,
    TargetSkipped,
    Waiting,
)
from kickai_providers_core.values.feedback_events import FeedbackGiven
from kickai_providers_core.values.histogram import find_bucket
from kickai_providers_core.values.metrics import SIZE_BOUNDS, CellKey
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kickai_providers_core.values.events import Event as KickaiEvent
    from kickai_providers_core.values.metrics import Cell

NOW = 1_700_000_040.0
PROVIDERS = st.sampled_from(["hf", "gemini"])
MODELS = st.sampled_from(["a", "b"])
OPTIONAL_MODELS = st.none() | MODELS
SECONDS = st.floats(0, 100)
TOKENS = st.integers(0, 100) | st.sampled_from(SIZE_BOUNDS) | st.integers(0, 2_000_000)
WHO = {"request": st.just(1), "role": st.none() | st.just("scout"), "arm": st.none() | st.just("control")}
ERRORS = st.sampled_from(
    [
        ProviderTimeoutError("late", phase="connect"),
        ProviderTimeoutError("late", phase="idle"),
        ProviderUnavailableError("down", status_code=500),
        ProviderUnavailableError("cut"),
        ProviderUnavailableError("refused", reached=False),
        InvalidReplyError("empty"),
        ContentFilteredError("withheld"),
        QuotaExhaustedError("used up"),
    ]
)
USAGES = st.builds(
    Usage,
    input_tokens=TOKENS,
    output_tokens=TOKENS,
    cached_tokens=TOKENS,
    reasoning_tokens=TOKENS,
    cost_nano_usd=st.none() | st.integers(0, 10**12),
)


@st.composite
def ended_attempts(draw: st.DrawFn) -> AttemptEnded:
    """Draw an attempt and how it ended."""
    outcome = draw(st.sampled_from(Outcome))
    attempt = Attempt(
        position=0,
        provider=draw(PROVIDERS),
        model=draw(OPTIONAL_MODELS),
        number=draw(st.integers(1, 3)),
        started_s=0.0,
        latency_s=draw(SECONDS),
        outcome=outcome,
        error=draw(ERRORS) if outcome is Outcome.ERROR else None,
    )
    has_reply = outcome is Outcome.SUCCESS
    return AttemptEnded(
        **{name: draw(values) for name, values in WHO.items()},
        attempt=attempt,
        usage=draw(st.none() | USAGES) if has_reply else None,
        reply_model=draw(st.just("") | MODELS) if has_reply else "",
        finish_reason=draw(st.sampled_from(["stop", "length"])) if has_reply else None,
        first_token_s=draw(st.none() | SECONDS),
        is_hedge=draw(st.booleans()),
        is_probe=draw(st.booleans()),
        prompt_tokens=draw(TOKENS),
    )


@st.composite
def ended_requests(draw: st.DrawFn) -> RequestEnded:
    """Draw a request and how it ended."""
    outcome = draw(st.sampled_from(["success", "error", "cancelled"]))
    has_reply, fell_back = outcome == "success", draw(st.booleans())
    return RequestEnded(
        **{name: draw(values) for name, values in WHO.items()},
        outcome=outcome,
        latency_s=draw(SECONDS),
        attempts=1,
        error=draw(st.sampled_from(["A", "B"])) if outcome == "error" else None,
        provider=draw(PROVIDERS) if has_reply else "",
        model=draw(MODELS) if has_reply else "",
        fallback_provider=draw(PROVIDERS) if has_reply and fell_back else "",
        fallback_reason=draw(st.sampled_from(["slow", "busy"])) if has_reply and fell_back else None,
        is_streamed=draw(st.booleans()),
    )


TARGET = {**WHO, "provider": PROVIDERS, "model": OPTIONAL_MODELS}
SKIPS = st.builds(
    Skip, position=st.just(0), provider=PROVIDERS, model=OPTIONAL_MODELS, reason=st.sampled_from(SkipReason)
)
EVENTS = st.one_of(
    ended_attempts(),
    ended_requests(),
    st.builds(RequestStarted, **WHO, targets=st.just(1), deadline_s=st.just(1.0)),
    st.builds(TargetSkipped, **WHO, skip=SKIPS),
    st.builds(
        BreakerChanged,
        **TARGET,
        before=st.sampled_from(BreakerState),
        after=st.sampled_from(BreakerState),
        retry_in_s=st.just(1.0),
    ),
    st.builds(RetryWithheld, **TARGET),
    st.builds(Queued, **TARGET, ahead=st.just(1), patience_s=st.just(1.0)),
    st.builds(Waiting, **TARGET, wait_s=SECONDS),
    st.builds(
        FeedbackGiven,
        **WHO,
        provider=PROVIDERS,
        model=MODELS,
        name=st.sampled_from(["answer", "tone"]),
        ok=st.booleans(),
    ),
)

Sums = Counter[tuple[object, ...]]


def model_attempt(event: AttemptEnded) -> Iterable[tuple[str, int]]:
    """Yield what an attempt adds, in the words of docs/metrics.md."""
    attempt, usage = event.attempt, event.usage
    kind = None if attempt.error is None else type(attempt.error).__name__
    yield f"attempts.{attempt.outcome.value}", 1
    yield "attempts.latency_us", round(attempt.latency_s * 1e6)
    yield f"attempts.error.{kind}", kind is not None
    yield "attempts.retry", attempt.number != 1
    yield "attempts.hedge", event.is_hedge
    yield "attempts.probe", event.is_probe
    yield "attempts.truncated", event.finish_reason == "length"
    if event.first_token_s is not None:
        yield f"first_token {find_bucket(event.first_token_s)}", 1
    if usage is not None:
        k = next((bound for bound in SIZE_BOUNDS if usage.input_tokens <= bound), "larger")
        priced = usage.cost_nano_usd is not None
        yield "reported.attempts" if priced else f"usage.{k}", 1
        yield "cost.reported_nano_usd", usage.cost_nano_usd or 0
        for name in ("input", "output", "cached", "reasoning"):
            yield f"reported.{name}" if priced else f"tokens.{name}.{k}", getattr(usage, f"{name}_tokens")
        return
    refused = {"QuotaExhaustedError": True, "ProviderUnavailableError": str(attempt.error) != "cut"}
    if not refused.get(kind or "", getattr(attempt.error, "phase", "") == "connect"):
        k = next((bound for bound in SIZE_BOUNDS if event.prompt_tokens <= bound), "larger")
        yield f"estimated.{k}", 1
        yield f"tokens.estimated.{k}", event.prompt_tokens


def model_request(event: RequestEnded) -> Iterable[tuple[str, int]]:
    """Yield what a request adds, in the words of docs/metrics.md."""
    yield f"requests.{event.outcome}", 1
    yield f"requests.error.{event.error}", event.outcome == "error"
    if event.outcome == "success":
        yield "requests.streamed", event.is_streamed
        yield "requests.stream_us" if event.is_streamed else "requests.latency_us", round(event.latency_s * 1e6)
        yield f"latency {find_bucket(event.latency_s)}", not event.is_streamed
        yield f"fallback.{event.fallback_provider}.{event.fallback_reason}", event.fallback_reason is not None


def model_other(event: KickaiEvent) -> Iterable[tuple[str, int]]:
    """Yield what any other event adds, in the words of docs/metrics.md."""
    match event:
        case TargetSkipped():
            yield f"skips.{event.skip.reason.value}", 1
        case BreakerChanged():
            yield "breaker.opened", event.after.value == "open"
        case RetryWithheld():
            yield "retries.withheld", 1
        case Queued():
            yield "queued", 1
        case Waiting():
            yield "waits_us", round(event.wait_s * 1e6)
        case FeedbackGiven():
            yield f"feedback.{event.name}.{'ok' if event.ok else 'bad'}", 1


def model_sums(timed: Iterable[tuple[float, KickaiEvent]]) -> Sums:
    """Return the sums of the events by cell and name, computed without the code under test."""
    sums: Sums = Counter()
    for wall, event in timed:
        target: Any = getattr(event, "attempt", getattr(event, "skip", event))
        if isinstance(event, AttemptEnded):
            additions = model_attempt(event)
        elif isinstance(event, RequestEnded):
            additions = model_request(event)
        else:
            additions = model_other(event)
        for name, number in additions:
            model = getattr(event, "reply_model", "") or target.model or ""
            minute = int(wall) - int(wall) % 60
            sums[minute, target.provider, model, event.role or "", event.arm or "", name] += int(number)
    return +sums


def flatten(drained: Iterable[Mapping[CellKey, Cell]]) -> Sums:
    """Return the sums of drained cells by cell and name."""
    sums: Sums = Counter()
    for cells in drained:
        for key, cell in cells.items():
            named = {
                **cell.counters,
                **{f"latency {bucket}": number for bucket, number in cell.latency.items()},
                **{f"first_token {bucket}": number for bucket, number in cell.first_token.items()},
            }
            assert all(number > 0 for number in named.values())
            for name, number in named.items():
                sums[key.start_s, key.provider, key.model, key.role, key.arm, name] += number
    return sums


@given(st.lists(st.tuples(st.floats(NOW, NOW + 300), EVENTS, st.booleans()), max_size=60))
def test_the_drained_cells_are_the_sums_of_the_events(timed: Sequence[tuple[float, KickaiEvent, bool]]) -> None:
    """Whatever the events and the moments of draining, nothing is lost and nothing is counted twice."""
    walls = iter([wall for wall, event, _ in timed if not isinstance(event, RequestStarted)])
    monitor, drained = Monitor(lambda: next(walls)), []
    for _, event, drains in timed:
        monitor.observe(event)
        if drains:
            drained.append(monitor.drain())
    drained.append(monitor.drain())
    assert monitor.is_empty
    assert flatten(drained) == model_sums((wall, event) for wall, event, _ in timed)


@settings(max_examples=10, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=40))
def test_threads_lose_nothing(events: Sequence[KickaiEvent]) -> None:
    """The sums of many threads are exact while another one drains."""
    monitor, drained, done = Monitor(lambda: NOW), [], Event()
    threads, rounds = 4, 25
    together = Barrier(threads + 1)

    def observe() -> None:
        together.wait()
        for _ in range(rounds):
            for event in events:
                monitor.observe(event)

    def drain() -> None:
        together.wait()
        while not done.is_set():
            drained.append(monitor.drain())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        observing = [Thread(target=observe) for _ in range(threads)]
        draining = Thread(target=drain)
        for thread in (*observing, draining):
            thread.start()
        for thread in observing:
            thread.join()
        done.set()
        draining.join()
    finally:
        sys.setswitchinterval(interval)
    drained.append(monitor.drain())
    once = model_sums((NOW, event) for event in events)
    assert flatten(drained) == Counter({key: number * threads * rounds for key, number in once.items()})


def answered(model: str = "m", role: str | None = None, provider: str = "hf") -> RequestEnded:
    """Return an answered request."""
    return RequestEnded(1, role, outcome="success", latency_s=0.5, attempts=1, provider=provider, model=model)


def test_an_event_in_the_middle_of_another_waits_for_nothing() -> None:
    """A finalizer that runs while its own thread adds an event can add one too, which the next batch has."""
    monitor = Monitor(lambda: NOW)

    class Reentrant(str):
        """A model whose use as a key adds another event, as the garbage collector may."""

        __slots__ = ()

        def __hash__(self) -> int:
            monitor.observe(answered("inner"))
            return super().__hash__()

    monitor.observe(answered(Reentrant("outer")))
    counts = Counter[str]()
    for _ in range(2):
        counts.update({key.model: cell.counters["requests.success"] for key, cell in monitor.drain().items()})
    assert counts["outer"] == 1
    assert counts["inner"] >= 1


def test_an_interrupt_loses_no_other_event() -> None:
    """After Ctrl-C in the middle of adding events, the next batch has those before and after the one at hand."""
    monitor = Monitor(lambda: NOW)

    class Interrupting(str):
        """A model whose use as a key is interrupted."""

        __slots__ = ()

        def __hash__(self) -> int:
            raise KeyboardInterrupt

    for model in ("before", Interrupting("at hand"), "after"):
        monitor.observe(answered(model))
    with pytest.raises(KeyboardInterrupt):
        monitor.drain()
    assert not monitor.is_empty
    assert {key.model for key in monitor.drain()} == {"before", "after"}


def test_the_queue_is_emptied_without_a_drain() -> None:
    """While the store fails nobody drains, and an event with an error would keep its traceback's frames alive."""
    monitor = Monitor(lambda: NOW)
    for _ in range(10 * QUEUED):
        monitor.observe(answered())
        assert len(monitor._queue) < QUEUED
    monitor.observe(answered())
    failed = Attempt(
        position=0,
        provider="hf",
        model="m",
        number=1,
        started_s=0.0,
        latency_s=1.0,
        outcome=Outcome.ERROR,
        error=ProviderUnavailableError("down"),
    )
    monitor.observe(AttemptEnded(1, None, attempt=failed))
    assert not monitor._queue


def test_too_many_names_become_other() -> None:
    """Models, roles and classes of errors beyond the limit are counted together, until the next day."""
    wall = [NOW]
    monitor = Monitor(lambda: wall[0])
    for number in range(MAX_NAMES + 50):
        monitor.observe(answered(f"m{number}"))
        monitor.observe(answered("m0", role=f"r{number}"))
        monitor.observe(RequestEnded(1, None, outcome="error", latency_s=1.0, attempts=1, error=f"E{number}"))
    cells = monitor.drain()
    assert len({key.model for key in cells}) == MAX_NAMES + 2
    assert len({key.role for key in cells}) == MAX_NAMES + 2
    others = {
        key.model: cell.counters["requests.success"] for key, cell in cells.items() if key.provider and not key.role
    }
    assert others[OTHER] == 50
    errors = next(cell.counters for key, cell in cells.items() if key.provider == "" and key.role == "")
    assert errors[f"requests.error.{OTHER}"] == 50
    assert sum(name.startswith("requests.error.") for name in errors) == MAX_NAMES + 1
    wall[0] += 86400.0
    monitor.observe(answered("m249"))
    assert [key.model for key in monitor.drain()] == ["m249"]


def test_names_from_outside_are_made_printable() -> None:
    """Control characters and lone surrogates do not reach a store."""
    monitor = Monitor(lambda: NOW)
    monitor.observe(answered("a\x1b[31m\ud800b", role="x\ny"))
    ((key, _),) = monitor.drain().items()
    assert (key.model, key.role) == ("a [31m b", "x y")


def test_a_store_that_fails_for_long_costs_the_oldest_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the oldest cells go, and how much they counted is kept."""
    monkeypatch.setattr(unwritten_sums, "MAX_CELLS", 10)
    wall = [NOW]
    monitor = Monitor(lambda: wall[0])
    for _ in range(25):
        monitor.observe(answered())
        wall[0] += 60.0
    cells = monitor.drain()
    assert len(cells) == 11
    assert sum(cell.counters.get("requests.success", 0) for cell in cells.values()) == 10
    latest = max(key.start_s for key in cells)
    assert cells[CellKey(start_s=latest)].counters == {"lost.requests": 15}
    assert monitor.drain() == {}


def test_many_names_for_one_cell_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of the given names is bounded like the cells."""
    monkeypatch.setattr(unwritten_sums, "MAX_NAMES", 2)
    monkeypatch.setattr(unwritten_sums, "MAX_CELLS", 4)
    monitor = Monitor(lambda: NOW)
    for number in range(20):
        monitor.observe(answered(f"m{number}"))
    counts = {key.model: cell.counters["requests.success"] for key, cell in monitor.drain().items()}
    assert counts == {"m0": 1, "m1": 1, OTHER: 18}


def test_a_child_drops_what_its_parent_writes() -> None:
    """After a fork, the child starts from nothing, even if another thread was adding an event."""
    monitor = Monitor(lambda: NOW)
    monitor.observe(answered())
    monitor._lock.acquire()
    monitor.observe(answered())
    monitor.renew_after_fork()
    assert monitor.is_empty
    monitor.observe(answered("child"))
    assert [key.model for key in monitor.drain()] == ["child"]


def test_an_event_that_meets_another_thread_is_queued() -> None:
    """While another thread adds an event, this one only appends to the queue, and drain takes both."""
    monitor = Monitor(lambda: NOW)
    monitor._lock.acquire()
    monitor.observe(RequestEnded(1, None, outcome="error", latency_s=1.0, attempts=1, error="E"))
    monitor._lock.release()
    assert not monitor.is_empty
    ((_, cell),) = monitor.drain().items()
    assert cell.counters == {"requests.error": 1, "requests.error.E": 1}


def test_the_first_event_after_each_batch_is_announced() -> None:
    """What writes the sums is started when there is something to write, and not again for each event."""
    monitor, started = Monitor(lambda: NOW), Counter[str]()
    monitor.on_first = lambda: started.update(["started"])
    for _ in range(2):
        for _ in range(QUEUED - 1):
            monitor.observe(answered())
        monitor.drain()
    assert started["started"] == 2
