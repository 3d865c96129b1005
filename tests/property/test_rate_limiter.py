"""A rate limiter on a virtual clock: its limits, its order, and requests that arrive, wait, call and leave."""

from __future__ import annotations

import heapq
from itertools import count

from attrs import define, field
from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import Target, World

from kickai_providers_core.resilience.actions import Call, Fail, Sleep, WaitForSlot
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter, Ticket
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.errors import ProviderUnavailableError
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.usage import Usage

limits = st.builds(
    Limits,
    max_concurrency=st.none() | st.integers(1, 3),
    requests_per_minute=st.none() | st.integers(1, 4),
    tokens_per_minute=st.none() | st.integers(1, 50),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["come", "come", "come", "leave", "fail", "finish", "look"]),
        st.integers(0, 7),
        st.sampled_from([0.0, 0.0, 1.0, 20.0, 59.9, 61.0]),
    ),
    max_size=60,
)


@settings(max_examples=count_examples(300), deadline=None)
@given(limits=limits, steps=steps)
def test_limits_and_order_hold_for_any_arrivals(limits: Limits, steps: list[tuple[str, int, float]]) -> None:
    """Admissions stay within the limits, are first come, first served, and no slot stays empty."""
    rate_limiter, now = RateLimiter(limits), 0.0
    queue: list[Ticket] = []
    inside: list[Ticket] = []
    began: list[Ticket] = []
    for what, which, wait_s in steps:
        now += wait_s
        if what == "come":
            ticket = rate_limiter.request_ticket(which * 3, now)
            assert ticket.ahead == len(queue) or ticket.admitted
            queue.append(ticket)
        elif what == "leave" and queue:
            queue.pop(which % len(queue)).release(now, used=False)
        elif what == "fail" and inside:
            gone = inside.pop(which % len(inside))
            gone.release(now, used=False)
            began.remove(gone)
        elif what == "finish" and inside:
            inside.pop(which % len(inside)).release(now)
        waits = [ticket.get_wait_s(now) for ticket in queue]
        went_in = [ticket for ticket in queue if ticket.admitted]
        assert went_in == queue[: len(went_in)]
        assert [wait_s == 0 for wait_s in waits] == [ticket.admitted for ticket in queue]
        assert all(wait_s == float("inf") for wait_s in waits[len(went_in) + 1 :])
        inside += went_in
        began += went_in
        queue = queue[len(went_in) :]
        recent = [ticket for ticket in began if ticket.began > now - 60.0]
        assert (rate_limiter.in_flight, rate_limiter.waiting) == (len(inside), len(queue))
        free = limits.max_concurrency is None or len(inside) < limits.max_concurrency
        assert limits.max_concurrency is None or len(inside) <= limits.max_concurrency
        if limits.requests_per_minute is not None:
            assert len(recent) <= limits.requests_per_minute
            free = free and len(recent) < limits.requests_per_minute
        if limits.tokens_per_minute is not None:
            used = sum(ticket.tokens for ticket in recent)
            large = max((ticket.tokens for ticket in recent), default=0)
            assert used <= limits.tokens_per_minute or large > limits.tokens_per_minute
            first = min(queue[0].tokens, limits.tokens_per_minute) if queue else 0
            free = free and used + first <= limits.tokens_per_minute
        assert not (queue and free)


@define
class Bustle:
    """Many requests at once, each a walk; a heap holds what each does next."""

    world: World
    heap: list[tuple[float, int, str, Walk]] = field(factory=list)
    numbers: count[int] = field(factory=count)
    versions: dict[int, int] = field(factory=dict)
    under_way: dict[int, Call] = field(factory=dict)
    ended: dict[int, tuple[float, Reply | Exception | None]] = field(factory=dict)
    most: int = 0

    def put(self, at: float, what: str, walk: Walk) -> None:
        """Replace what a request does next."""
        number = next(self.numbers)
        self.versions[id(walk)] = number
        heapq.heappush(self.heap, (at, number, what, walk))

    def run(self, calls_s: list[float]) -> None:
        """Run all events."""
        durations = iter(calls_s * 1000)
        while self.heap:
            at, number, what, walk = heapq.heappop(self.heap)
            if what != "cancel" and self.versions.get(id(walk)) != number:
                continue
            if id(walk) in self.ended:
                continue
            now = self.world.now = max(self.world.now, at)
            if what == "cancel":
                self.under_way.pop(id(walk), None)
                walk.record_cancellation(now)
                self.ended[id(walk)] = (now, None)
                continue
            self.act(walk, what, now, durations)

    def act(self, walk: Walk, what: str, now: float, durations: object) -> None:
        """Take one step of one request."""
        if what == "return":
            action = self.under_way.pop(id(walk))
            outcome = self.world.targets[action.candidate.position].script(now)
            if outcome is None:
                reply = Reply(text="x", finish_reason=FinishReason.STOP, usage=Usage(input_tokens=5, output_tokens=5))
                self.ended[id(walk)] = (now, walk.record_success(reply, now))
                return
            following = walk.record_failure(outcome, now)
        else:
            following = walk.next(now)
        if isinstance(following, Fail):
            self.ended[id(walk)] = (now, following.error)
        elif isinstance(following, Call):
            self.under_way[id(walk)] = following
            at_first = sum(action.candidate.position == 0 for action in self.under_way.values())
            self.most = max(self.most, at_first)
            self.put(now + min(next(durations), following.timeout_s), "return", walk)  # type: ignore[call-overload]
        elif isinstance(following, Sleep):
            self.put(now + following.wait_s, "next", walk)
        else:
            assert isinstance(following, WaitForSlot)
            self.put(now + following.wait_s, "next", walk)
            following.ticket.on_wake(lambda: self.put(self.world.now, "next", walk))


@settings(max_examples=count_examples(200), deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(st.floats(0, 5), st.sampled_from([0.2, 1.0, 5.0, 90.0]), st.none() | st.floats(0, 3)), max_size=12
    ),
    calls_s=st.lists(st.sampled_from([0.0, 0.3, 2.0, 8.0]), min_size=1, max_size=5),
    limits=limits.filter(lambda limits: limits != Limits()),
    fails=st.booleans(),
    alone=st.booleans(),
)
def test_requests_that_share_a_rate_limiter_all_end_in_time(
    arrivals: list[tuple[float, float, float | None]], calls_s: list[float], limits: Limits, *, fails: bool, alone: bool
) -> None:
    """Promises 1, 3 and 9: however they interleave, fail, wait and are cancelled, each ends, and no permit is lost."""
    rate_limiter = RateLimiter(limits)
    first = Target(
        name="a", rate_limiter=rate_limiter, script=lambda _now: ProviderUnavailableError("down") if fails else None
    )
    world = World([first] if alone else [first, Target(name="b")], now=0.0)
    bustle = Bustle(world)
    walks = []
    for at, deadline_s, cancel_s in sorted(arrivals, key=lambda arrival: arrival[0]):
        world.now = at
        walk = world.walk(deadline_s, tokens=7)
        walks.append((walk, at + deadline_s))
        bustle.put(at, "next", walk)
        if cancel_s is not None:
            heapq.heappush(bustle.heap, (at + cancel_s, next(bustle.numbers), "cancel", walk))
    world.now = 0.0
    bustle.run(calls_s)
    assert len(bustle.ended) == len(walks)
    for walk, ends in walks:
        at, outcome = bustle.ended[id(walk)]
        assert at <= ends + 0.001
        if isinstance(outcome, Reply) and outcome.fell_back and not fails:
            assert [skip.reason for skip in outcome.skipped] == [SkipReason.BUSY]
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (0, 0)
    assert limits.max_concurrency is None or bustle.most <= limits.max_concurrency
