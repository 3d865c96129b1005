"""Many requests at once that share breakers, suspensions, limits and budgets, in any order of events."""

from __future__ import annotations

from collections import Counter
from typing import Any

from crowd import Crowd
from effort import count_examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulator import Fixed, Target, World

from kickai_providers_core.resilience.actions import Call, WaitForSlot
from kickai_providers_core.resilience.breaker import BreakerSettings, Permit
from kickai_providers_core.resilience.health import HealthState
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.resilience.retry_budget import RetryBudget
from kickai_providers_core.values import errors
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.events import AttemptEnded, AttemptStarted, Hedged, Queued, RequestEnded
from kickai_providers_core.values.replies import Reply

RETRIES, LEAST_S, LONGEST_S = 2, 0.5, 100.0

ERRORS: dict[str, Any] = {
    "ok": lambda: None,
    "down": lambda: errors.ProviderUnavailableError("down", status_code=503),
    "unreached": lambda: errors.ProviderUnavailableError("refused", reached=False),
    "slow": lambda: errors.ProviderTimeoutError("slow"),
    "limited": lambda: errors.RateLimitedError("slow down", retry_after_s=3.0),
    "quota": lambda: errors.QuotaExhaustedError("used up", retry_after_s=8.0),
    "refused": lambda: errors.InvalidRequestError("no"),
}
limits = st.builds(
    Limits,
    max_concurrency=st.sampled_from([None, 1, 2, 4]),
    requests_per_minute=st.sampled_from([None, None, None, None, 3]),
    tokens_per_minute=st.sampled_from([None, None, None, None, 30]),
)
which = st.integers(0, 7)
few = st.integers(1, 4)


class Counted(RetryBudget):
    """A budget that records for which request and when it was used."""

    def __init__(self, share: float, floor: int) -> None:
        super().__init__(share, floor)
        self.share, self.floor = share, floor
        self.withdrawals: list[tuple[int, float]] = []

    def try_withdraw(self, requests: int, now: float) -> bool:
        """Withdraw one extra call, if there is one."""
        granted = super().try_withdraw(requests, now)
        if granted:
            self.withdrawals.append((requests, now))
        return granted

    def refund(self, since: float) -> None:
        """Return the latest extra call, which was not made."""
        super().refund(since)
        assert self.withdrawals.pop()[1] == since


def permits(action: Call) -> list[tuple[HealthState, Permit]]:
    """Return the permits of a call, each with its health state."""
    health, admission = action.candidate.health, action.admission
    return [(health.provider, admission.provider.permit), (health.target, admission.target.permit)]


def marks(state: HealthState) -> tuple[int, int, float]:
    """Return the fields of a breaker that results change, without its probe."""
    breaker = state.breaker
    return breaker.errors, breaker.failed_probes, breaker.opens_until


class InterleavingsMachine(RuleBasedStateMachine):
    """Promises 3, 4, 5, 6, 8 and 9: however requests interleave, no limit is exceeded and nothing is lost."""

    @initialize(
        first=limits,
        second=st.none() | limits,
        hedged=st.sampled_from([None, 0.25, 1.0]),
        floor=st.sampled_from([0, 2, 20, 20]),
        max_errors=st.sampled_from([1, 2, 5]),
    )
    def opens(self, first: Limits, second: Limits | None, floor: int, max_errors: int, hedged: float | None) -> None:
        """Set up two providers, the first of them with limits."""
        self.limits = [(RateLimiter(limits), limits) for limits in (first, second) if limits is not None]
        rate_limiters = [rate_limiter for rate_limiter, _ in self.limits]
        self.world = World(
            [
                Target(name="a", provider="p", rate_limiter=rate_limiters[0], retries=RETRIES),
                Target(name="b", provider="p", rate_limiter=rate_limiters[0], retries=RETRIES),
                Target(name="c", provider="q", rate_limiter=rate_limiters[1] if second else None, retries=RETRIES),
            ],
            policy=Policy(retry_share=0.2, retry_floor=floor, min_attempt_s=LEAST_S),
            breaker=BreakerSettings(max_errors=max_errors),
            hedging=Hedging(after_s=hedged, budget=0.3, floor=floor),
            random=Fixed(1.0),
        )
        self.crowd = Crowd(self.world)
        self.world.retries = self.retries = Counted(0.2, floor)
        self.budgets = [self.retries]
        if self.world.hedges is not None:
            self.world.hedges.budget = Counted(0.3, floor)
            self.budgets.append(self.world.hedges.budget)
        self.came: list[float] = []

    # What happens

    @rule(deadline_s=st.sampled_from([0.75, 3.0, 8.0, 30.0, LONGEST_S]), tokens=st.sampled_from([0, 7, 40]), many=few)
    def come(self, deadline_s: float, tokens: int, many: int) -> None:
        """Requests arrive, and get their first action."""
        for _ in range(many):
            self.came.append(self.world.now)
            self.crowd.advance(self.crowd.add_request(deadline_s, tokens))

    @precondition(lambda self: self.crowd.calls)
    @rule(which=which, kind=st.sampled_from(["ok", "ok", "down", "down", *ERRORS]), many=few)
    def return_(self, which: int, kind: str, many: int) -> None:
        """Calls end, one after the other."""
        for _ in range(many):
            if calls := self.crowd.calls:
                request, action = calls[which % len(calls)]
                late = [state for state, permit in permits(action) if permit.generation != state.breaker.generation]
                before = [marks(state) for state in late]
                self.crowd.end_call(request, action, ERRORS[kind]())
                assert [marks(state) for state in late] == before

    @precondition(lambda self: any(request.woken for request in self.crowd.live))
    @rule(which=which)
    def looks(self, which: int) -> None:
        """A request that was woken gets its next action."""
        woken = [request for request in self.crowd.live if request.woken]
        self.crowd.advance(woken[which % len(woken)])

    @precondition(lambda self: self.crowd.live)
    @rule(which=which)
    def is_cancelled(self, which: int) -> None:
        """A request is cancelled in any state."""
        live = self.crowd.live
        self.crowd.cancel(live[which % len(live)])

    @rule(seconds=st.sampled_from([0.25, 1.0, 4.0, 10.0, 60.0]), sudden=st.booleans())
    def time_passes(self, seconds: float, *, sudden: bool) -> None:
        """Time passes, step by step or suddenly."""
        self.crowd.pass_time(seconds, sudden=sudden)

    @rule(answered=st.booleans())
    def all_end(self, *, answered: bool) -> None:
        """Every call is answered and every waiting request admitted; or every request is cancelled."""
        while answered and (self.crowd.calls or any(request.woken for request in self.crowd.live)):
            for request, action in self.crowd.calls[:1]:
                self.crowd.end_call(request, action, None)
            for request in [request for request in self.crowd.live if request.woken]:
                self.crowd.advance(request)
        for request in self.crowd.live if not answered else ():
            self.crowd.cancel(request)
        assert answered or all(
            (rate_limiter.in_flight, rate_limiter.waiting) == (0, 0) for rate_limiter, _ in self.limits
        )

    def teardown(self) -> None:
        """In the end no request is left, no permit is held, and each target is called again."""
        if not hasattr(self, "crowd"):
            return
        self.crowd.pass_time(LONGEST_S)
        assert not self.crowd.live
        assert [(rate_limiter.in_flight, rate_limiter.waiting) for rate_limiter, _ in self.limits] == [(0, 0)] * len(
            self.limits
        )
        self.world.now += 7200.0
        for candidate in self.world.candidates:
            admission = candidate.health.admit(self.world.now)
            assert admission is not None
            candidate.health.release(admission)
        result = self.world.ask()
        assert result.order == ["a"]

    # What holds

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """Every queued request will be woken: by a call that ends, or by the first in the queue, which is awake."""
        for rate_limiter, limits in self.limits:
            here = [r for r in self.crowd.live if self.lines.get(r.number) is rate_limiter and r.wait is not None]
            asleep = [r for r in here if isinstance(r.wait, WaitForSlot) and not r.woken]
            calling = sum(action.candidate.rate_limiter is rate_limiter for _, action in self.crowd.calls)
            assert not any(r.wait.ticket.admitted for r in asleep)
            free = limits.max_concurrency is None or rate_limiter.in_flight < limits.max_concurrency
            assert not asleep or len(here) > len(asleep) or not free
            assert not asleep or len(here) > len(asleep) or calling
            let_in = sum(isinstance(r.wait, WaitForSlot) and r.wait.ticket.admitted for r in here)
            paused = sum(not isinstance(r.wait, WaitForSlot) for r in here)
            assert calling + let_in <= rate_limiter.in_flight <= calling + let_in + paused

    @invariant()
    def limits_hold(self) -> None:
        """Calls at once and per minute stay within a provider's limits."""
        for rate_limiter, limits in self.limits:
            calls = [action for _, action in self.crowd.started if action.candidate.rate_limiter is rate_limiter]
            if limits.max_concurrency is not None:
                assert rate_limiter.in_flight <= limits.max_concurrency
            if limits.requests_per_minute is not None:
                assert (
                    sum(action.ticket.began > self.world.now - 60.0 for action in calls) <= limits.requests_per_minute
                )

    @invariant()
    def one_probe_is_out(self) -> None:
        """A half-open breaker has exactly one probe under way, and other breakers have none."""
        states = {
            id(c): c
            for candidate in self.world.candidates
            for c in (candidate.health.provider, candidate.health.target)
        }
        probes = Counter()
        for _, action in self.crowd.calls:
            for state, permit in permits(action):
                probes[id(state)] += permit.probe
        for key, state in states.items():
            assert probes[key] == (state.breaker.state is BreakerState.HALF_OPEN)

    @invariant()
    def budgets_hold(self) -> None:
        """Extra calls stay within the share of any minute, and each was withdrawn from a budget."""
        for budget in self.budgets:
            for _, end in budget.withdrawals[-1:]:
                extra = sum(end - 60.0 < at for _, at in budget.withdrawals)
                assert extra <= max(budget.floor, budget.share * sum(end - 61.0 < at for at in self.came))
        again = Counter(
            event.request for event in self.world.events if isinstance(event, AttemptStarted) and event.number > 1
        )
        assert again <= Counter(number for number, _ in self.retries.withdrawals)
        hedged = Counter(event.request for event in self.world.events if isinstance(event, Hedged))
        assert hedged <= Counter(number for budget in self.budgets[1:] for number, _ in budget.withdrawals)

    @invariant()
    def each_request_ends_once(self) -> None:
        """Each request emits its end once, when it has ended; each call that started has one end."""
        began = Counter(event.request for event in self.world.events if isinstance(event, AttemptStarted))
        ended = Counter(event.request for event in self.world.events if isinstance(event, AttemptEnded))
        over = {}
        for event in self.world.events:
            if isinstance(event, RequestEnded):
                assert event.request not in over
                over[event.request] = event
        for request in self.crowd.requests:
            assert began[request.number] == ended[request.number] + len(request.under_way)
            assert (request.number in over) == request.over
            assert request.over or bool(request.under_way) != (request.wait is not None)
            if request.over:
                came = "success" if isinstance(request.outcome, Reply) else "error" if request.outcome else "cancelled"
                assert over[request.number].outcome == came

    @invariant()
    def deadlines_hold(self) -> None:
        """No request is under way after its deadline, and no call begins that could not finish before it."""
        assert all(request.ends >= self.world.now for request in self.crowd.live)
        for request, action in self.crowd.started:
            assert action.began + action.timeout_s <= request.ends
            assert action.timeout_s >= min(LEAST_S, request.deadline_s / 2)
            assert action.number <= 1 + RETRIES

    @property
    def lines(self) -> dict[int, RateLimiter | None]:
        """The rate limiter at which each request queued last."""
        rate_limiters = {candidate.model: candidate.rate_limiter for candidate in self.world.candidates}
        return {event.request: rate_limiters[event.model] for event in self.world.events if isinstance(event, Queued)}


TestInterleavings = InterleavingsMachine.TestCase
TestInterleavings.settings = settings(max_examples=count_examples(200), stateful_step_count=40, deadline=None)
