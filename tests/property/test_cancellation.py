"""A request cancelled after any of its steps leaves the shared state as if that step had not been taken."""

from __future__ import annotations

from itertools import count
from typing import Any

from attrs import frozen
from crowd import Crowd, Request
from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import Fixed, Result, Target, World

from kickai_providers_core.resilience.actions import Call
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.values import errors
from kickai_providers_core.values.attempts import Outcome
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.events import RequestEnded

KINDS: dict[str, Any] = {
    "ok": lambda: None,
    "down": lambda: errors.ProviderUnavailableError("down", status_code=503),
    "unreached": lambda: errors.ProviderUnavailableError("refused", reached=False),
    "limited": lambda: errors.RateLimitedError("slow down", retry_after_s=6.0),
    "quota": lambda: errors.QuotaExhaustedError("used up", retry_after_s=90.0),
    "gone": lambda: errors.ModelNotFoundError("gone"),
}
kinds = st.sampled_from(["down", "down", *KINDS])


@frozen(kw_only=True)
class Plot:
    """The history of a world, and the course of one request.

    Attributes:
        providers: The provider of each target; the first admits two calls.
        history: The earlier requests: the results of their calls, and the seconds after each.
        taken: How many of the two slots others hold.
        hedged: Whether a slow target is hedged.
        course: Seconds, and the event after them: the end of a call under way, or ``room`` for one more call.
    """

    providers: str
    history: list[tuple[list[str], float]]
    taken: int
    hedged: bool
    course: list[tuple[float, str, int]]


plots = st.builds(
    Plot,
    providers=st.text("pq", min_size=1, max_size=3),
    history=st.lists(st.tuples(st.lists(kinds, max_size=5), st.sampled_from([0.0, 2.0, 5.0, 20.0])), max_size=3),
    taken=st.sampled_from([0, 0, 2]),
    hedged=st.booleans(),
    course=st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 2.0]), kinds | st.just("room"), st.integers(0, 1)), max_size=8
    ),
)


class Cut(Crowd):
    """A crowd whose one request ends after a number of actions: it is cancelled, or its error there is its last.

    Attributes:
        rate_limiter: The limiter of the first target's provider.
        made: How many actions it has taken.
        failures: The numbers of actions after which an error came.
        abandoned: How many calls were under way when it was cancelled; None when it was not.
    """

    def __init__(self, plot: Plot, steps: int, *, final: bool = False) -> None:
        said: list[str] = []
        self.rate_limiter = RateLimiter(Limits(max_concurrency=2))
        targets = [
            Target(
                name=f"t{place}",
                provider=provider,
                rate_limiter=self.rate_limiter if provider == plot.providers[0] else None,
                script=lambda _now: KINDS[said.pop(0)]() if said else None,
            )
            for place, provider in enumerate(plot.providers)
        ]
        world = World(
            targets,
            policy=Policy(retry_floor=1000),
            breaker=BreakerSettings(max_errors=2),
            hedging=Hedging(after_s=1.0 if plot.hedged else None, floor=1000),
            random=Fixed(1.0),
        )
        super().__init__(world)
        for said[:], seconds in plot.history:
            world.ask()
            world.now += seconds
        said.clear()
        self.steps, self.final = steps, final
        self.made, self.failures, self.abandoned = 0, [0], None
        self.others = [self.rate_limiter.request_ticket(0, world.now) for _ in range(plot.taken)]
        self.request = self.add_request(30.0)
        if steps:
            self.advance(self.request)
        else:
            self.cancel(self.request)
        for seconds, what, which in plot.course:
            self.pass_time(seconds)
            if what == "room":
                for ticket in self.others[:1]:
                    self.others.remove(ticket)
                    ticket.release(world.now)
                    self.steps_on()
            elif self.calls:
                self.end_call(*self.calls[which % len(self.calls)], KINDS[what]())

    def advance(self, request: Request) -> None:
        """Take an action that no call has led to."""
        super().advance(request)
        self.steps_on()

    def start_hedge(self, request: Request) -> None:
        """Start a second call next to a slow one."""
        super().start_hedge(request)
        self.steps_on()

    def end_call(
        self, request: Request, action: Call, error: errors.ProviderError | None, *, final: bool = False
    ) -> None:
        """Take the action that follows the end of a call."""
        super().end_call(request, action, error, final=final or (self.final and self.made + 1 == self.steps))
        self.failures += [self.made + 1] if error is not None else []
        self.steps_on()

    def steps_on(self) -> None:
        """Count an action, and cancel the request when it was the last."""
        self.made += 1
        if self.made == self.steps and not self.request.over:
            self.cancel(self.request)

    def cancel(self, request: Request) -> None:
        """Cancel the request at its current action."""
        self.abandoned = len(request.under_way)
        super().cancel(request)

    def health(self) -> list[Any]:
        """Return the health of all targets and their providers."""
        known = [
            state
            for candidate in self.world.candidates
            for state in (candidate.health.provider, candidate.health.target)
        ]
        return [
            (
                state.breaker.state,
                state.breaker.errors,
                state.breaker.failed_probes,
                state.get_available_at(self.world.now),
                state.suspensions.longest,
            )
            for state in known
        ]


def summarize(result: Result) -> tuple[Any, ...]:
    """Return how a request ended, in a form to compare."""
    outcome = result.reply or result.error
    assert outcome is not None
    return type(outcome), result.order, [(skip.position, skip.reason) for skip in outcome.skipped]


@settings(max_examples=count_examples(400), deadline=None)
@given(plot=plots)
def test_a_cancelled_request_releases_everything_it_held(plot: Plot) -> None:
    """Promises 6, 8 and 9: at every action, breakers, probes, slots and suspensions are as after its last error."""
    for steps in count():
        cut = Cut(plot, steps)
        if cut.abandoned is None:
            break  # it has ended, or is at its last action
        outcomes = [attempt.outcome for attempt in cut.request.walk._recorder.attempts]
        assert outcomes.count(Outcome.CANCELLED) == cut.abandoned
        assert [e.outcome for e in cut.world.events if isinstance(e, RequestEnded)][-1] == "cancelled"
        twin = Cut(plot, cut.failures[-1], final=True)
        assert twin.world.now == cut.world.now
        assert (cut.rate_limiter.in_flight, cut.rate_limiter.waiting) == (len(cut.others), 0)
        assert not any(
            BreakerState.HALF_OPEN in candidate.health.get_breaker_states() for candidate in cut.world.candidates
        )
        assert cut.health() == twin.health()
        for ticket in [*cut.others, *twin.others]:
            ticket.release(cut.world.now)
        assert summarize(cut.world.ask()) == summarize(twin.world.ask())
        cut.world.now += 7200.0
        assert cut.world.ask().order == ["t0"]
