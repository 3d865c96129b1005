"""The two records that a walk and its driver share: one for each chain, one for each request."""

from __future__ import annotations

from itertools import count
from os import getpid
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, field, frozen

from kickai_providers_core.concurrency.clock import REAL_TIME, Clockwork
from kickai_providers_core.concurrency.forking import ForkGuard
from kickai_providers_core.concurrency.portal import Portal
from kickai_providers_core.concurrency.process_name import ProcessName
from kickai_providers_core.values.requests import NO_NEEDS, Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core.resilience.hedging import HedgeTimer
    from kickai_providers_core.resilience.policy import Policy, Random
    from kickai_providers_core.resilience.retry_budget import RetryBudget
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.requests import ChatRequest
    from kickai_providers_core.values.response_types import ResponseType

__all__ = ["ChainContext", "RequestContext"]


def _ignore(_event: Event) -> None:
    """Ignore an event."""


@frozen(kw_only=True, eq=False, repr=False)
class ChainContext:
    """What all requests of a chain share. The chains of one resolver differ in the last four attributes only.

    Attributes:
        policy: What follows from each class of errors.
        random: The source of jitter.
        retry_budget: Limits the retries of all requests.
        hedge_timer: Decides when a second target is called; None when hedging is off.
        emit: Passes an event to the observers.
        time: Clock and sleeps.
        fork_guard: Renews the resolver in a forked process.
        portal: The event loop for blocking callers whose request may have two attempts at once.
        request_numbers: Numbers the requests.
        process: Makes ids for requests to which the provider gives none.
        resolve_model: Returns the successor of a retired model, or the model itself.
        deadline_s: Seconds that a request may take, above 0.
        temperature: For requests that state none, from 0; None leaves it to the provider.
        max_tokens: The token limit for requests that state none; None leaves it to the provider.
        role: The role that the chain serves, or None.
    """

    policy: Policy
    random: Random
    retry_budget: RetryBudget
    hedge_timer: HedgeTimer | None = None
    emit: Callable[[Event], None] = _ignore
    time: Clockwork = REAL_TIME
    fork_guard: ForkGuard = Factory(ForkGuard)
    portal: Portal = Factory(Portal)
    request_numbers: Iterator[int] = field(factory=lambda: count(1))
    process: ProcessName = Factory(ProcessName)
    resolve_model: Callable[[str], str] = str
    deadline_s: float = 30.0
    temperature: float | None = None
    max_tokens: int | None = None
    role: str | None = None


@define(eq=False, repr=False)
class RequestContext:
    """What one request is about.

    Attributes:
        request: The request, with the chain's temperature and token limit filled in.
        deadline_s: Seconds that the whole request may take.
        needs: Capabilities without which a target is skipped.
        tokens: A low estimate of the tokens of prompt and answer; 0 when no target has a window or a limit.
        number: The number that the request's events carry.
        streams: Whether the answer is streamed. Then only the deadline bounds an attempt as a whole.
        model: The model that the request itself names; None for each target's own.
        pid: The process in which the request began.
        arm: The arm of the rollout that serves the request; None without a rollout.
        response_type: What the answer becomes; None for text only.
    """

    request: ChatRequest
    deadline_s: float
    needs: frozenset[Capability] = NO_NEEDS
    tokens: int = 0
    number: int = 0
    streams: bool = False
    model: str | None = None
    pid: int = Factory(getpid)
    arm: str | None = None
    response_type: ResponseType[Any] | None = None

    def parse(self, reply: Reply) -> Reply:
        """Return an answer in the form that was requested.

        Raises:
            InvalidReplyError: It does not fit the response type.
        """
        return reply if self.response_type is None else self.response_type.parse(reply)
