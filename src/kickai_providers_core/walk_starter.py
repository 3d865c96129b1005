"""Starts the walk of each request of a chain: from the prompt and the options of a call to its targets."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

from attrs import evolve, field, frozen

from kickai_providers_core.resilience.tokens import estimate_min_tokens
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.resilience.walk_context import RequestContext
from kickai_providers_core.values.errors import ArgumentValueError
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.prompt_masking import Masked
from kickai_providers_core.values.requests import NO_NEEDS, ChatRequest
from kickai_providers_core.values.validation import Number, hide_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.walk_context import ChainContext
    from kickai_providers_core.runtime.candidate_instances import Instances
    from kickai_providers_core.runtime.route import Route
    from kickai_providers_core.values.call_options import CallOptions

__all__ = ["Router", "WalkStarter", "validate_deadline"]

LONGEST_S = 366 * 86400.0
"""The longest deadline in seconds, a year; infinity means this."""

DEADLINE = Number(above=0)


@hide_arguments
def validate_deadline(value: float) -> float:
    """Return the seconds that a request may take, at most `LONGEST_S`.

    Raises:
        TypeError: The value is not a number.
        ValueError: It is not greater than 0.
    """
    if value == inf:
        return LONGEST_S
    DEADLINE.check("deadline_s", value)
    return min(value, LONGEST_S)


class Router(Protocol):
    """Chooses the route of each request."""

    def choose(self, key: str | None) -> Route | None:
        """Return the route of a request by its rollout key; None for the chain's own order."""

    def list_candidates(self) -> Sequence[Candidate]:
        """Return the targets of all routes that it may choose now."""


@frozen(eq=False, repr=False)
class WalkStarter:
    """Starts the walks of one chain. Safe to use from any thread.

    Attributes:
        own: The chain's own route, without a rollout.
        context: What all requests of the chain share.
        rank: Orders the targets of each request; None to keep their order. A rollout keeps its own order.
        router: Chooses the arm of a rollout; None for a chain without one.
        shadow: Sends a copy of a request in the background.
    """

    own: Route
    context: ChainContext
    rank: Callable[[ChatRequest, Sequence[Candidate]], Sequence[Candidate]] | None = None
    router: Router | None = None
    shadow: Callable[[Route, ChainContext, RequestContext], None] | None = None

    _needs_tokens: bool = field(init=False)
    _text_request: ChatRequest | None = field(init=False)

    @_needs_tokens.default
    def _has_window_or_limit(self) -> bool:
        candidates = self.own.candidates
        has_one = any(each.context_window is not None or each.rate_limiter is not None for each in candidates)
        return has_one or self.router is not None  # a rollout may add a target

    @_text_request.default
    def _build_text_request(self) -> ChatRequest | None:
        """Return the request for a text, without the text; None when only a provider knows a target's model."""
        if self.rank is not None or any(each.model is None for each in self.own.candidates):
            return None
        return ChatRequest(
            messages=(Message(role="user"),),
            model=self.own.candidates[0].model,
            temperature=self.context.temperature,
            max_tokens=self.context.max_tokens,
        )

    def start(self, masked: Masked, options: CallOptions, *, streams: bool = False) -> tuple[Walk, Instances]:
        """Start the walk of a request, and return it with the instances of its targets.

        Args:
            masked: The prompt.
            options: What the call states.
            streams: Whether the answer is streamed.

        Raises:
            TypeError: The prompt or an option has the wrong type.
            ValueError: The prompt or an option has a wrong value.
        """
        context, route, model, needs = self.context, self.own, None, NO_NEEDS
        pid = context.fork_guard.renew_if_forked()
        if self.router is not None:
            route = self.router.choose(options.rollout_key) or route
        candidates = route.candidates
        text_request = self._text_request if route is self.own and not options.fields else None
        if text_request is not None and isinstance(masked.reveal(), str):
            request = text_request.with_prompt(masked.reveal())
        else:
            stated = options.apply(ChatRequest.from_prompt(masked.reveal()))
            candidates, model = self._choose_candidates(route, stated)
            if self.rank is not None and route is self.own:
                candidates = self.rank(stated, candidates)
            request = stated.with_defaults(context.temperature, context.max_tokens)
            needs = request.needs
        deadline_s = context.deadline_s if options.deadline_s is None else validate_deadline(options.deadline_s)
        tokens = estimate_min_tokens(request) + (request.max_tokens or 0) if self._needs_tokens else 0
        number = next(context.request_numbers)
        request_context = RequestContext(
            request, deadline_s, needs, tokens, number, streams, model, pid, route.arm, options.response_type
        )
        walk = Walk(candidates, context, request_context, context.time.clock())
        if route.shadow and self.shadow is not None:
            self.shadow(route, context, request_context)
        return walk, route.instances

    def validate(self, masked: Masked, options: CallOptions) -> tuple[Masked, CallOptions]:
        """Return the request of a stream and what else it needs, having validated both before anything begins."""
        if options.deadline_s is not None:
            validate_deadline(options.deadline_s)
        request = options.apply(ChatRequest.from_prompt(masked.reveal()))
        if request.model is not None:
            self._choose_candidates(self.own, request)
        return Masked(request), evolve(options, fields={}, key=options.rollout_key)

    def _choose_candidates(self, route: Route, request: ChatRequest) -> tuple[Sequence[Candidate], str | None]:
        """Return the candidates for a request, and the model to call if the request names one.

        Raises:
            ValueError: The request names a model, and every target names another one.
        """
        if request.model is None:
            return route.candidates, None
        model = self.context.resolve_model(request.model)
        candidates = [each if each.with_model is None else each.with_model(model) for each in route.candidates]
        if all(each.model != model for each in candidates):
            targets = ", ".join(each.target for each in route.candidates)
            raise ArgumentValueError(
                f"the request names the model {request.model!r}, and every target another one: {targets}"
            )
        return candidates, model
