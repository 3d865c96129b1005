"""The walk against a reference model that shares no code with it, for any chain and any course of its targets."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import Fixed, Target, World, script

from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.values import errors

KINDS: dict[str, Any] = {
    "ok": lambda _x: None,
    "limited": lambda x: errors.RateLimitedError("x", retry_after_s=x),
    "timeout": lambda _x: errors.ProviderTimeoutError("x"),
    "down": lambda _x: errors.ProviderUnavailableError("x", status_code=503),
    "garbled": lambda _x: errors.InvalidReplyError("x"),
    "quota": lambda _x: errors.QuotaExhaustedError("x"),
    "key": lambda _x: errors.AuthenticationError("x"),
    "gone": lambda _x: errors.ModelNotFoundError("x"),
    "invalid": lambda _x: errors.InvalidRequestError("x"),
    "long": lambda _x: errors.ContextLengthExceededError("x"),
    "filtered": lambda _x: errors.ContentFilteredError("x"),
}


@frozen
class Plan:
    """One target: its provider, its retries, its window, and what its calls come to."""

    provider: str
    retries: int
    window: int
    course: tuple[tuple[str, int], ...]


plans = st.builds(
    Plan,
    provider=st.sampled_from("pq"),
    retries=st.integers(0, 2),
    window=st.integers(1, 3),
    course=st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 40)), max_size=5).map(tuple),
)


def model(chain: list[Plan], deadline: int) -> tuple[list[int], str, int]:  # noqa: C901  the promise, in one place
    """Return the targets that are called, in order, how the request ends, and how far down the chain it came."""
    courses = [iter(plan.course) for plan in chain]
    calls: list[int] = []
    shut: set[str] = set()  # providers that are suspended as a whole
    due: dict[int, int] = {}  # rate-limited targets, and when they may be called again
    now, floor, last = 0, 0, ""

    def ask(place: int) -> str:
        """Call a target as often as its retries allow; return the last result."""
        nonlocal now, floor
        while True:
            kind, delay = next(courses[place], ("ok", 0))
            calls.append(place)
            tries = calls.count(place)
            due.pop(place, None)
            if kind == "limited" and tries <= chain[place].retries:
                due[place] = now + delay
            elif kind in {"quota", "key"}:
                shut.add(chain[place].provider)
            elif kind == "long":
                floor = max(floor, chain[place].window)
            if kind not in {"down", "garbled"} or tries > chain[place].retries:
                return kind

    def usable(place: int) -> bool:
        return chain[place].provider not in shut and chain[place].window > floor

    for place in range(len(chain)):
        if not usable(place):
            continue
        last = ask(place)
        if last in {"ok", "invalid", "filtered"}:
            return calls, last, place + 1
    while True:
        place = calls[-1]
        if last == "timeout" and usable(place) and calls.count(place) <= chain[place].retries:
            soonest = (now, place)
        else:
            waits = [(when, at) for at, when in due.items() if usable(at) and when + 0.05 <= deadline]
            soonest = min(waits, default=(0, -1))
        if last == "timeout" and (waiting := [(w, a) for a, w in due.items() if usable(a) and w <= now]):
            soonest = min([soonest, *waiting]) if soonest[1] >= 0 else min(waiting)
        if soonest[1] < 0:
            return calls, "long" if last == "long" else "exhausted", len(chain)
        now, place = max(now, soonest[0]), soonest[1]
        last = ask(place)
        if last in {"ok", "invalid", "filtered"}:
            return calls, last, len(chain)


ENDS = {
    "invalid": errors.InvalidRequestError,
    "filtered": errors.ContentFilteredError,
    "long": errors.ContextLengthExceededError,
    "exhausted": errors.ChainExhaustedError,
}


@settings(max_examples=count_examples(500))
@given(chain=st.lists(plans, min_size=1, max_size=4), deadline=st.integers(5, 60))
def test_the_walk_does_what_the_model_says(chain: list[Plan], deadline: int) -> None:
    """Promises 1, 4 and 5: the calls, their order and the end are those of the model, for any course of events."""
    targets = [
        Target(
            name=f"t{place}",
            provider=plan.provider,
            retries=plan.retries,
            window=plan.window,
            script=script(*(KINDS[kind](float(delay)) for kind, delay in plan.course)),
        )
        for place, plan in enumerate(chain)
    ]
    world = World(targets, random=Fixed(0.0), breaker=BreakerSettings(max_errors=1000), now=0.0)
    result = world.ask(deadline_s=float(deadline))
    calls, end, came = model(chain, deadline)
    assert [int(name[1:]) for name in result.order] == calls
    if end == "ok":
        assert result.reply is not None
        attempts, skipped = result.reply.attempts, result.reply.skipped
    else:
        assert type(result.error) is ENDS[end]
        attempts, skipped = result.error.attempts, result.error.skipped
    assert [int(attempt.model[1:]) for attempt in attempts] == calls
    assert len(calls) <= sum(1 + plan.retries for plan in chain)
    assert {skip.position for skip in skipped} == set(range(came)) - set(calls)
    if isinstance(result.error, errors.ChainExhaustedError):
        assert list(result.error.exceptions) == [attempt.error for attempt in attempts]
