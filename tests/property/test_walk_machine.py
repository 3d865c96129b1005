"""Request after request down one chain, against a reference model that shares no code with the walk.

The health that a request leaves applies to the next one. Time passes between requests and during their calls; all
times are multiples of a quarter of a second and jitter is fixed, so that walk and model agree to the digit.
"""

from __future__ import annotations

import ast
import inspect
from collections import Counter, defaultdict
from itertools import count
from math import inf
from typing import Any

from attrs import define, evolve, field, frozen
from effort import count_examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from simulator import Fixed, World

from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.values import errors


@frozen
class Kind:
    """A result of a call, and what follows: a row of the table of errors."""

    error: type[errors.ProviderError] | None = None
    fields: dict[str, Any] = field(factory=dict)
    end: str = ""  # how it ends the request, even with targets left
    retry: str = ""  # at once after a "backoff"; only as the "last"; after a "wait" when no other is left
    counts: bool = False  # against the target's breaker
    unreached: bool = False  # and against the provider's
    rests: str = ""  # the target by its "name", or its "provider"
    rest_s: float = 3600.0  # when the error does not say


KINDS = {
    "ok": Kind(end="ok"),
    "limited": Kind(errors.RateLimitedError, retry="wait", rests="name", rest_s=30.0),
    "slow": Kind(errors.ProviderTimeoutError, retry="last", counts=True),
    "unconnected": Kind(errors.ProviderTimeoutError, {"phase": "connect"}, retry="last", counts=True, unreached=True),
    "down": Kind(errors.ProviderUnavailableError, retry="backoff", counts=True),
    "unreached": Kind(
        errors.ProviderUnavailableError, {"reached": False}, retry="backoff", counts=True, unreached=True
    ),
    "garbled": Kind(errors.InvalidReplyError, retry="backoff", counts=True),
    "quota": Kind(errors.QuotaExhaustedError, rests="provider"),
    "key": Kind(errors.AuthenticationError, rests="provider"),
    "gone": Kind(errors.ModelNotFoundError, rests="name"),
    "invalid": Kind(errors.InvalidRequestError, end="invalid"),
    "filtered": Kind(errors.ContentFilteredError, end="filtered"),
}


ENDS = {
    "invalid": errors.InvalidRequestError,
    "filtered": errors.ContentFilteredError,
    "deadline": errors.DeadlineExceededError,
    "exhausted": errors.ChainExhaustedError,
}


@define
class Actor:
    """A target that goes through its calls again and again: kind, delay that an error states, and seconds it takes."""

    name: str
    provider: str
    retries: int
    timeout_s: float
    calls: list[tuple[str, float | None, float]]
    made: int = 0
    latency_s: float = 0.0
    window: int | None = None
    capabilities: frozenset[Any] = frozenset()
    rate_limiter: None = None
    unusable: None = None

    def script(self, _now: float) -> errors.ProviderError | None:
        """Return the result of the next call."""
        kind, stated, self.latency_s = self.call(self.made)
        self.made += 1
        return kind.error("x", retry_after_s=stated, **kind.fields) if kind.error else None

    def call(self, number: int, limit: float = inf) -> tuple[Kind, float | None, float]:
        """Return the result of a call with this timeout."""
        name, stated, took = self.calls[number % len(self.calls)]
        return (KINDS[name], stated, took) if took <= limit else (KINDS["slow"], None, limit)


class Model:
    """The promises in plain code: the health of each target and provider, and the end of a request."""

    def __init__(self, chain: list[Actor]) -> None:
        self.chain, self.now, self.made = chain, 0.0, defaultdict(count)
        self.errors, self.open = Counter(), {}  # of closed breakers; until when others are open, and their cool-down
        self.rests = defaultdict(list)  # number, end, whether a rate limit began it, whether it is stated
        self.order = count(1)

    def due(self, at: int) -> tuple[float, float, bool]:
        keys = (self.chain[at].provider, self.chain[at].name)
        rest, limited = max([(0.0, False)] + [rest[1:3] for key in keys for rest in self.rests[key]])
        return max(self.now, rest, *(self.open.get(key, (0.0, 0.0))[0] for key in keys)), rest, limited

    def forbidden(self, at: int) -> bool:
        keys = (self.chain[at].provider, self.chain[at].name)
        return any(stated and until > self.now for key in keys for _, until, _, stated in self.rests[key])

    def learn(self, actor: Actor, kind: Kind, stated: float | None, began: int) -> None:
        for key, bad in (actor.provider, kind.unreached), (actor.name, kind.counts):
            if kind.end == "ok":
                self.errors[key] = 0 if self.open.pop(key, None) else max(0, self.errors[key] - 1)
                self.rests[key] = [rest for rest in self.rests[key] if rest[0] > began]
            self.errors[key] += bad
            if bad and self.errors[key] >= 3:
                cooldown = min(20.0, 2 * self.open.get(key, (0.0, 2.5))[1])
                self.open[key] = (self.now + cooldown, cooldown)
            if kind.rests and key == getattr(actor, kind.rests):
                until = self.now + (kind.rest_s if stated is None else stated)
                hard = stated is not None or kind is KINDS["quota"]
                self.rests[key].append((next(self.order), until, kind.retry == "wait", hard))

    def ask(self, deadline: float) -> tuple[str, list[tuple[int, float, float]], dict[int, str], bool]:
        ends, least, chain = self.now + deadline, min(0.5, deadline / 2), range(len(self.chain))
        plan, calls, skips, said, end, forced = [*chain], [], {}, {}, "", False

        def again(at: int) -> float:  # when a target may be called again, with no other left
            due, rest, limited = self.due(at)
            retry, ready = said.get(at, ("wait" if due == self.now or (limited and rest > self.now) else "", 0.0))
            return max(due, ready) if retry and (retry != "last" or (at, self.now) == (calls[-1][0], due)) else inf

        while not end:
            if not plan:
                first = min(((self.due(at)[0], at) for at in chain if not self.forbidden(at)), default=(inf, -1))
                back = min((again(at), at) for at in chain)
                late = back[0] + least > ends
                forced = forced or (not calls and first[1] >= 0 and (late or first < back))
                if late and (calls or not forced):
                    return "deadline" if ends - self.now < least else "exhausted", calls, skips, forced
                self.now, plan = (self.now, [first[1]]) if forced and not calls else (back[0], [back[1]])
            at = plan.pop(0)
            actor, (due, rest, _), tries = self.chain[at], self.due(at), [call[0] for call in calls].count(at)
            if ends - self.now < least:
                end = "deadline"
            elif due > self.now and (calls or not forced):
                skips[at] = "suspended" if rest > self.now else "breaker_open"
            else:
                calls.append((at, self.now, min(actor.timeout_s, ends - self.now)))
                kind, stated, took = actor.call(next(self.made[at]), calls[-1][2])
                self.now, end = self.now + took, kind.end
                self.learn(actor, kind, stated, next(self.order))
                retry, ready = kind.retry if tries < actor.retries else "", self.now + (stated or 0)
                said[at] = (retry, 0.0) if retry != "backoff" else (retry if stated is not None else "", ready)
                back_at = max(ready, self.now + 0.25 * 2**tries)
                if retry == "backoff" and self.due(at)[0] <= back_at <= min(self.now + 4, ends - least):
                    self.now, plan = back_at, [at, *plan]
        return end, calls, skips, forced


courses = st.lists(
    st.tuples(
        st.sampled_from(["ok", "ok", "down", "slow", *sorted(KINDS)]),
        st.sampled_from([None, None, 0.0, 1.0, 6.0, 20.0]),
        st.sampled_from([0.0, 0.0, 0.25, 1.0, 5.0]),
    ),
    min_size=1,
    max_size=4,
)
chains = st.lists(
    st.builds(
        Actor,
        name=st.just(""),
        provider=st.sampled_from("pqr"),
        retries=st.integers(0, 2),
        timeout_s=st.sampled_from([0.5, 3.0, 10.0]),
        calls=courses,
    ),
    min_size=1,
    max_size=4,
)


class WalkMachine(RuleBasedStateMachine):
    """Promises 1, 2, 3, 4, 5 and 6: whatever its targets do, requests go as the model says."""

    @initialize(chain=chains)
    def opens(self, chain: list[Actor]) -> None:
        """Set up a chain."""
        self.chain = [evolve(actor, name=f"t{place}") for place, actor in enumerate(chain)]
        self.world = World(self.chain, policy=Policy(min_attempt_s=0.5, retry_floor=10**9), random=Fixed(1.0), now=0.0)
        self.model = Model(self.chain)

    @rule(which=st.integers(0, 3), course=courses)
    def changes(self, which: int, course: list[tuple[str, float | None, float]]) -> None:
        """Change the results of a target's calls."""
        self.chain[which % len(self.chain)].calls = course

    @rule(
        after_s=st.sampled_from([0.0, 0.0, 1.0, 4.75, 5.0, 20.0, 60.0, 3600.0]),
        deadline_s=st.sampled_from([0.25, 0.75, 3.0, 8.0, 30.0, 100.0]),
    )
    def asks(self, after_s: float, deadline_s: float) -> None:
        """Send a request after some time, and compare its end, attempts, skips and events."""
        self.world.now, self.model.now = self.world.now + after_s, self.model.now + after_s
        ends = self.world.now + deadline_s
        result = self.world.ask(deadline_s)
        end, calls, skips, forced = self.model.ask(deadline_s)
        assert [(int(call.target[1:]), call.at, call.timeout_s) for call in result.calls] == calls
        outcome = result.reply or result.error
        assert (type(result.error) if result.error else "ok") == ENDS.get(end, end)
        called = [place for place, _, _ in calls]
        reasons = {skip.position: skip.reason.value for skip in outcome.skipped}
        assert reasons == {place: reason for place, reason in skips.items() if place not in called}
        assert self.world.now == self.model.now <= ends
        if result.reply is not None:
            assert (result.reply.last_resort, result.reply.fell_back) == (forced, called[-1] != 0)
        failed = [attempt.error for attempt in outcome.attempts if attempt.error is not None]
        assert [attempt.position for attempt in outcome.attempts] == called
        assert len(failed) == len(calls) - (end == "ok")
        if isinstance(outcome, errors.ChainExhaustedError) and calls:
            assert list(outcome.exceptions) == failed

    @invariant()
    def agrees(self) -> None:
        """A target says when it may be called again."""
        for place, candidate in enumerate(self.world.candidates):
            assert candidate.health.get_available_at(self.world.now) == self.model.due(place)[0]


TestWalk = WalkMachine.TestCase
TestWalk.settings = settings(max_examples=count_examples(300), stateful_step_count=25, deadline=None)


def test_the_model_is_short_and_independent() -> None:
    """It has at most eighty lines, and calls nothing of the project or its simulator."""
    source = inspect.getsource(Model)
    assert len(source.splitlines()) <= 80
    used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)} & set(globals())
    things = [globals()[name] for name in used]
    homes = {getattr(thing, "__module__", getattr(thing, "__name__", "builtins")) for thing in things}
    assert homes <= {__name__, "builtins", "collections", "itertools", "typing"}
