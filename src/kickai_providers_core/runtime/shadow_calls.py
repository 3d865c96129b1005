"""Shadow calls: copies of requests that go to the candidate of a rollout in the background, to measure it."""

from __future__ import annotations

from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from attrs import evolve

from kickai_providers_core.concurrency import threads
from kickai_providers_core.resilience.retry_budget import RetryBudget
from kickai_providers_core.resilience.rollout_shares import SHADOW
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.runtime import sync

if TYPE_CHECKING:
    from kickai_providers_core.resilience.walk_context import ChainContext, RequestContext
    from kickai_providers_core.runtime.route import Route

__all__ = ["ShadowCalls"]

MAX_RUNNING = 4
"""The number of shadow calls that may run at once. Further requests get no copy."""


class ShadowCalls:
    """Sends copies of requests in the background. Safe to use from any thread and event loop.

    A copy is sent only when the retry budget of the chain allows one more call. It never retries, nobody gets its
    answer, and no request waits for it. Its attempts emit events of the arm ``shadow``.
    """

    def __init__(self) -> None:
        self._free = _build_permits()

    def renew_after_fork(self) -> None:
        """Forget the parent's running copies in a child."""
        self._free = _build_permits()

    def send(self, route: Route, context: ChainContext, request: RequestContext) -> None:
        """Send a copy of a request to the route's shadow targets, or do nothing when that is not allowed.

        Args:
            route: The route of the request.
            context: What all requests of its chain share.
            request: What the request is about.
        """
        try:
            self._free.get_nowait()
        except Empty:
            return
        if not context.retry_budget.try_withdraw(request.number, context.time.clock()):
            self._free.put(None)
            return
        copy = evolve(request, arm=SHADOW, streams=False, number=next(context.request_numbers))
        apart = evolve(context, retry_budget=RetryBudget(0.0, 0), hedge_timer=None)
        try:
            threads.start(partial(self._run, route, apart, copy, self._free))
        except RuntimeError:  # there are too many threads, or the interpreter is ending
            self._free.put(None)

    @staticmethod
    def _run(route: Route, context: ChainContext, request: RequestContext, free: SimpleQueue[None]) -> None:
        try:
            sync.invoke(Walk(route.shadow, context, request, context.time.clock()), route.instances)
        except Exception:  # noqa: BLE001  its events have recorded the failure, and nobody waits for it
            return
        finally:
            free.put(None)


def _build_permits() -> SimpleQueue[None]:
    """Return one item for each call that may run. Unlike a `Semaphore`, Ctrl-C cannot leave it locked; see `Flag`."""
    permits: SimpleQueue[None] = SimpleQueue()
    for _ in range(MAX_RUNNING):
        permits.put(None)
    return permits
