"""Walks over scripted targets on a virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen

from kickai_providers_core.resilience.actions import Call, Fail, Sleep, WaitForSlot
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.candidates import Candidate
from kickai_providers_core.resilience.health import Health
from kickai_providers_core.resilience.hedging import HedgeTimer, Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.retry_budget import RetryBudget
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.resilience.walk_context import ChainContext, RequestContext
from kickai_providers_core.values.errors import ProviderError, ProviderTimeoutError
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.requests import Capability, ChatRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kickai_providers_core.resilience.rate_limiter import RateLimiter
    from kickai_providers_core.values.attempts import SkipReason
    from kickai_providers_core.values.errors import KickaiError
    from kickai_providers_core.values.events import Event

REQUEST = ChatRequest.from_prompt("Who can play?")

MOST_ACTIONS = 10_000
"""More than any request of the tests needs: one that takes more of them never ends."""

Outcome = ProviderError | None
"""The result of one call: an error, or None for an answer."""


class Fixed:
    """A source of randomness that always draws the same share of the range."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def uniform(self, low: float, high: float, /) -> float:
        return low + (high - low) * self.share


@frozen(kw_only=True)
class Target:
    """A scripted target: the result and latency of its calls, and the properties that the walk knows."""

    name: str
    script: Callable[[float], Outcome] = lambda _now: None
    latency_s: float = 0.0
    provider: str = ""
    timeout_s: float = 10.0
    retries: int = 2
    window: int | None = None
    rate_limiter: RateLimiter | None = None
    capabilities: frozenset[Capability] = frozenset()
    unusable: tuple[SkipReason, str] | None = None


def script(*outcomes: Outcome) -> Callable[[float], Outcome]:
    """Return a script that gives each outcome once and then always answers."""
    rest = iter(outcomes)
    return lambda _now: next(rest, None)


def always(make: Callable[[], Outcome]) -> Callable[[float], Outcome]:
    """Return a script that makes a new outcome for every call."""
    return lambda _now: make()


@frozen
class Made:
    """One call of a target, with its start and its timeout."""

    at: float
    target: str
    timeout_s: float


@define
class Result:
    """The result of a request."""

    walk: Walk
    calls: list[Made]
    reply: Reply | None = None
    error: KickaiError | None = None

    @property
    def order(self) -> list[str]:
        """The names of the targets that were called, in order."""
        return [call.target for call in self.calls]


@define
class World:
    """Targets, their shared health, and the time."""

    targets: list[Target]
    policy: Policy = field(factory=Policy)
    breaker: BreakerSettings = field(factory=BreakerSettings)
    random: Fixed = field(factory=Fixed)
    now: float = 1000.0
    events: list[Event] = field(factory=list)
    hedging: Hedging = field(factory=Hedging)
    requests: int = 0
    retries: RetryBudget = field(init=False)
    hedges: HedgeTimer | None = field(init=False)
    health: Health = field(init=False)
    candidates: list[Candidate] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.retries = RetryBudget(self.policy.retry_share, self.policy.retry_floor)
        self.hedges = HedgeTimer(self.hedging) if self.hedging.on else None
        self.health = Health(self.breaker, self.random)
        self.candidates = [self._candidate(position, target) for position, target in enumerate(self.targets)]

    def _candidate(self, position: int, target: Target) -> Candidate:
        provider = target.provider or target.name
        return Candidate(
            position=position,
            provider=provider,
            model=target.name,
            timeout_s=target.timeout_s,
            retries=target.retries,
            context_window=target.window,
            capabilities=target.capabilities,
            health=self.health.get_target(provider, target.name),
            find_obstacle=lambda: target.unusable,
            rate_limiter=target.rate_limiter,
        )

    def walk(self, deadline_s: float = 30.0, needs: Iterable[Capability] = (), tokens: int = 0) -> Walk:
        """Return a new request's walk."""
        self.requests += 1
        chain = ChainContext(
            policy=self.policy,
            random=self.random,
            retry_budget=self.retries,
            hedge_timer=self.hedges,
            emit=self.events.append,
        )
        request = RequestContext(
            request=REQUEST, deadline_s=deadline_s, needs=frozenset(needs), tokens=tokens, number=self.requests
        )
        return Walk(self.candidates, chain, request, self.now)

    def ask(self, deadline_s: float = 30.0, needs: Iterable[Capability] = (), tokens: int = 0) -> Result:
        """Drive one request to its end; its calls and waits advance the clock."""
        walk = self.walk(deadline_s, needs, tokens)
        result = Result(walk, [])
        action = walk.next(self.now)
        for _ in range(MOST_ACTIONS):
            if isinstance(action, Fail):
                result.error = action.error
                return result
            if isinstance(action, Sleep | WaitForSlot):  # no other request can wake it
                assert action.wait_s > 0
                self.now += action.wait_s
                action = walk.next(self.now)
                continue
            outcome = self._call(action, result)
            if outcome is None:
                result.reply = walk.record_success(Reply(text="yes", finish_reason=FinishReason.STOP), self.now)
                return result
            action = walk.record_failure(outcome, self.now)
        message = f"the request did not end within {MOST_ACTIONS} actions"
        raise AssertionError(message)

    def _call(self, action: Call, result: Result) -> Outcome:
        target = self.targets[action.candidate.position]
        result.calls.append(Made(self.now, target.name, action.timeout_s))
        outcome = target.script(self.now)
        if target.latency_s > action.timeout_s:
            self.now += action.timeout_s
            return ProviderTimeoutError("too slow")
        self.now += target.latency_s
        return outcome
