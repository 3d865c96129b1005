"""Many requests at once on a virtual clock: each waits or calls as its walk says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field

from kickai_providers_core.resilience.actions import Call, Fail, Sleep, WaitForOther, WaitForSlot
from kickai_providers_core.values.errors import ProviderTimeoutError
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulator import World

    from kickai_providers_core.resilience.actions import Action
    from kickai_providers_core.resilience.walk import Walk
    from kickai_providers_core.values.errors import KickaiError, ProviderError

__all__ = ["Crowd", "Request"]

ANSWER = Reply(text="yes", finish_reason=FinishReason.STOP, usage=Usage(input_tokens=3, output_tokens=4))
PATIENCE = 10_000
"""The most events while time passes; more would be an endless loop."""


@define(eq=False)
class Request:
    """One request, and its state.

    Attributes:
        walk: Its walk.
        number: Its number in events.
        deadline_s: Its deadline in seconds.
        ends: When the deadline passes.
        under_way: The calls under way, at most two.
        wait: The action that it waits for, when no call is under way.
        until: When it stops waiting.
        woken: Whether its ticket has woken it since its last action.
        outcome: Its reply or error; None while it is under way, and when it was cancelled.
        over: Whether it has ended.
    """

    walk: Walk
    number: int
    deadline_s: float
    ends: float
    under_way: list[Call] = field(factory=list)
    wait: Sleep | WaitForSlot | None = None
    until: float = 0.0
    woken: bool = False
    outcome: Reply | KickaiError | None = None
    over: bool = False

    def wake(self, wait: WaitForSlot) -> None:
        """Note that its ticket has woken it; a ticket of an earlier wait is ignored."""
        self.woken = self.woken or self.wait is wait


@define
class Crowd:
    """Requests that share a world; it executes their actions as a driver does.

    Attributes:
        world: The targets that they share, and the time.
        requests: All requests so far.
        started: All calls so far, each with its request.
    """

    world: World
    requests: list[Request] = field(factory=list)
    started: list[tuple[Request, Call]] = field(factory=list)

    @property
    def live(self) -> list[Request]:
        """The requests that have not ended."""
        return [request for request in self.requests if not request.over]

    @property
    def calls(self) -> list[tuple[Request, Call]]:
        """The calls under way, each with its request."""
        return [(request, action) for request in self.live for action in request.under_way]

    def add_request(self, deadline_s: float, tokens: int = 0) -> Request:
        """Return a new request, before its first action."""
        walk = self.world.walk(deadline_s, tokens=tokens)
        self.requests.append(Request(walk, self.world.requests, deadline_s, self.world.now + deadline_s))
        return self.requests[-1]

    def advance(self, request: Request) -> None:
        """Get the next action of a request, and follow it."""
        request.wait, request.woken = None, False
        self._follow(request, request.walk.next(self.world.now))

    def end_call(self, request: Request, action: Call, error: ProviderError | None, *, final: bool = False) -> None:
        """End a call with an answer or with an error."""
        request.under_way.remove(action)
        if error is not None:
            self._follow(request, request.walk.record_failure(error, self.world.now, call=action, final=final))
            return
        request.outcome = request.walk.record_success(ANSWER, self.world.now, call=action)
        request.over = True
        request.under_way.clear()

    def start_hedge(self, request: Request) -> None:
        """Start a second call of a request if its walk says so."""
        extra_call = request.walk.hedge(self.world.now)
        if extra_call is not None:
            self._begin(request, extra_call)

    def cancel(self, request: Request) -> None:
        """Cancel a request in any state."""
        request.walk.record_cancellation(self.world.now)
        request.over = True
        request.under_way.clear()

    def pass_time(self, seconds: float, *, sudden: bool = False) -> None:
        """Advance the clock and run what is due: each event at its time, or all at the end when `sudden`."""
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
        raise AssertionError("the events never end")

    def _due(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """Yield the next event of each request, and its time."""
        now = self.world.now
        for request in self.live:
            if request.wait is not None:
                yield now if request.woken else request.until, partial(self.advance, request)
            for action in request.under_way:
                late = ProviderTimeoutError("too slow")
                yield action.began + action.timeout_s, partial(self.end_call, request, action, late)
            hedge_in_s = request.walk.find_hedge_wait_s(now)
            if hedge_in_s is not None:
                yield now + hedge_in_s, partial(self.start_hedge, request)

    def _begin(self, request: Request, action: Call) -> None:
        request.under_way.append(action)
        self.started.append((request, action))

    def _follow(self, request: Request, action: Action) -> None:
        if isinstance(action, Call):
            self._begin(request, action)
        elif isinstance(action, Fail):
            request.outcome, request.over = action.error, True
            request.under_way.clear()
            request.walk.record_cancellation(self.world.now)  # as every driver does when it raises the error
        elif isinstance(action, Sleep | WaitForSlot):
            request.wait, request.until = action, self.world.now + action.wait_s
            if isinstance(action, WaitForSlot):
                action.ticket.on_wake(partial(request.wake, action))
        else:
            assert isinstance(action, WaitForOther)
            assert request.under_way
