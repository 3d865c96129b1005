"""Many requests at once in a world without real time: each stands where its walk has put it until something happens."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field

from kickai_providers_core.resilience.actions import Call, Fail, Sleep, WaitForOther, WaitForSlot
from kickai_providers_core.values.errors import ProviderTimeoutError
from kickai_providers_core.values.messages import Usage
from kickai_providers_core.values.replies import FinishReason, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulator import World

    from kickai_providers_core.resilience.actions import Action
    from kickai_providers_core.resilience.walk import Walk
    from kickai_providers_core.values.errors import KickaiError, ProviderError

__all__ = ["Crowd", "Request"]

ANSWER = Reply(text="yes", finish_reason=FinishReason.STOP, usage=Usage(input_tokens=3, output_tokens=4))
PATIENCE = 10_000
"""How many things may happen while time passes; more would go on for ever."""


@define(eq=False)
class Request:
    """One request, and where it stands.

    Attributes:
        walk: Decides for it.
        number: The one that its events carry.
        deadline_s: How long it may take.
        ends: When that is over.
        trying: The calls that are under way, at most two.
        wait: What it waits for, when no call is under way.
        until: When it stops waiting.
        woken: Whether its ticket has woken it, and nobody has looked yet.
        outcome: What it came to; None while it is under way, and when it was cancelled.
        over: Whether it has ended.
    """

    walk: Walk
    number: int
    deadline_s: float
    ends: float
    trying: list[Call] = field(factory=list)
    wait: Sleep | WaitForSlot | None = None
    until: float = 0.0
    woken: bool = False
    outcome: Reply | KickaiError | None = None
    over: bool = False

    def wakes(self, wait: WaitForSlot) -> None:
        """Take it that the ticket it waits for has called; one from an earlier line is too late."""
        self.woken = self.woken or self.wait is wait


@define
class Crowd:
    """Requests that share a world; like a driver, it does what their walks say.

    Attributes:
        world: What they share, and the time.
        requests: All that ever came.
        begun: All calls that ever began, each with its request.
    """

    world: World
    requests: list[Request] = field(factory=list)
    begun: list[tuple[Request, Call]] = field(factory=list)

    @property
    def live(self) -> list[Request]:
        """The requests that have not ended."""
        return [request for request in self.requests if not request.over]

    @property
    def calls(self) -> list[tuple[Request, Call]]:
        """The calls under way, each with its request."""
        return [(request, step) for request in self.live for step in request.trying]

    def comes(self, deadline_s: float, tokens: int = 0) -> Request:
        """Return a new request that has not yet asked what to do."""
        walk = self.world.walk(deadline_s, tokens=tokens)
        self.requests.append(Request(walk, self.world.requests, deadline_s, self.world.now + deadline_s))
        return self.requests[-1]

    def goes_on(self, request: Request) -> None:
        """Have a request ask what to do now."""
        request.wait, request.woken = None, False
        self._follow(request, request.walk.next(self.world.now))

    def returns(self, request: Request, step: Call, error: ProviderError | None, *, final: bool = False) -> None:
        """Let a call end with an answer or with an error."""
        request.trying.remove(step)
        if error is not None:
            self._follow(request, request.walk.record_failure(error, self.world.now, call=step, final=final))
            return
        request.outcome = request.walk.record_success(ANSWER, self.world.now, call=step)
        request.over = True
        request.trying.clear()

    def hedges(self, request: Request) -> None:
        """Have a request ask whether another call is to be started beside the one under way."""
        beside = request.walk.hedge(self.world.now)
        if beside is not None:
            self._begin(request, beside)

    def cancels(self, request: Request) -> None:
        """Cancel a request, wherever it stands."""
        request.walk.record_cancellation(self.world.now)
        request.over = True
        request.trying.clear()

    def passes(self, seconds: float, *, sudden: bool = False) -> None:
        """Let time pass, and happen what is due: each thing at its time, or all too late when it passes suddenly."""
        end = self.world.now + seconds
        if sudden:
            self.world.now = end
        for _ in range(PATIENCE):
            at, happens = min(self._due(), key=lambda due: due[0], default=(None, None))
            if at is None or at > end:
                self.world.now = end
                return
            self.world.now = max(self.world.now, at)
            happens()
        raise AssertionError("it goes on for ever")

    def _due(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """Yield what is to happen next to each request, and when."""
        now = self.world.now
        for request in self.live:
            if request.wait is not None:
                yield now if request.woken else request.until, partial(self.goes_on, request)
            for step in request.trying:
                late = ProviderTimeoutError("too slow")
                yield step.began + step.timeout_s, partial(self.returns, request, step, late)
            hedge_in_s = request.walk.hedge_in_s(now)
            if hedge_in_s is not None:
                yield now + hedge_in_s, partial(self.hedges, request)

    def _begin(self, request: Request, step: Call) -> None:
        request.trying.append(step)
        self.begun.append((request, step))

    def _follow(self, request: Request, step: Action) -> None:
        if isinstance(step, Call):
            self._begin(request, step)
        elif isinstance(step, Fail):
            request.outcome, request.over = step.error, True
            request.trying.clear()
            request.walk.record_cancellation(self.world.now)  # as every driver does when it raises the error
        elif isinstance(step, Sleep | WaitForSlot):
            request.wait, request.until = step, self.world.now + step.wait_s
            if isinstance(step, WaitForSlot):
                step.ticket.on_wake(partial(request.wakes, step))
        else:
            assert isinstance(step, WaitForOther)
            assert request.trying
