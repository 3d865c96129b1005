"""A chain: what an application holds and calls."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NoReturn, Self, Unpack

from attrs import field, frozen

from kickai_providers_core.concurrency.forking import ForkAwareAwaitable
from kickai_providers_core.resilience.context import RequestContext
from kickai_providers_core.resilience.tokens import estimate_min_tokens
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.runtime import aio, hedged_calls, streaming, sync
from kickai_providers_core.streams import AsyncReplyStream, ReplyStream, require_event_loop
from kickai_providers_core.values.call_options import CallOptions
from kickai_providers_core.values.messages import Masked, Message
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core.values.validation import Number, OneOf, hide_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kickai_providers_core.plugin_api.hookspecs import Progress
    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.context import ChainContext
    from kickai_providers_core.runtime.streaming import StreamMode
    from kickai_providers_core.values.call_options import CallKeywords
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.requests import Prompt

__all__ = ["Chain", "validate_deadline"]

LONGEST_S = 366 * 86400.0
"""The longest deadline in seconds, a year; infinity means this."""

DEADLINE = Number(above=0)
MODE = OneOf(("live", "restart", "buffered"))


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


@hide_arguments
def _validate_mode(mode: StreamMode) -> StreamMode:
    MODE.check("mode", mode)
    return mode


@frozen(eq=False)
class Chain:
    """An ordered list of targets that answers like one: the first that can answer does.

    Safe to share between threads, event loops and forked processes. Each process opens its own connections, and a call
    that is running when the process forks ends in the child with a `RuntimeError`. A chain holds nothing that must be
    closed; its resolver does. A chain equals only itself, its copies are itself, and it cannot be pickled.

    Each way of calling takes a text, a sequence of messages or of ``{"role", "content"}`` mappings, or a `ChatRequest`.
    Keyword arguments override what the prompt and the chain state; see `CallKeywords`. It raises:

    - `ArgumentTypeError` (a `TypeError`) or `ArgumentValueError` (a `ValueError`): the prompt or another argument is
      malformed, or a keyword is unknown, and nothing was sent;
    - `RejectedRequestError`: a provider refused the request, and every other one would too;
    - `DeadlineExceededError`: the deadline passed;
    - `ChainExhaustedError`: every target failed or was skipped;
    - `RuntimeError`: the resolver is closed; the process forked during the call; or `ainvoke` or `astream` was called
      without a running asyncio event loop.
    """

    _candidates: Sequence[Candidate] = field(repr=False)
    _instances: Sequence[Instance | None] = field(repr=False)
    _context: ChainContext = field(repr=False)
    _rank: Callable[[ChatRequest, Sequence[Candidate]], Sequence[Candidate]] | None = field(default=None, repr=False)

    _needs_tokens: bool = field(init=False, repr=False)
    _text_request: ChatRequest | None = field(init=False, repr=False)

    @_needs_tokens.default
    def _has_window_or_limit(self) -> bool:
        return any(each.context_window is not None or each.rate_limiter is not None for each in self._candidates)

    @_text_request.default
    def _build_text_request(self) -> ChatRequest | None:
        """Return the request for a text, without the text; None when only a provider knows a target's model."""
        if any(each.model is None for each in self._candidates):
            return None
        return ChatRequest(
            messages=(Message(role="user"),),
            model=self._candidates[0].model,
            temperature=self._context.temperature,
            max_tokens=self._context.max_tokens,
        )

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets in order, as written in settings."""
        return tuple(f"{each.provider}:{each.model}" if each.model else each.provider for each in self._candidates)

    @property
    def deadline_s(self) -> float:
        """Seconds that a request may take unless the call says otherwise."""
        return self._context.deadline_s

    @property
    def temperature(self) -> float | None:
        """The temperature of requests that state none; None leaves it to the provider."""
        return self._context.temperature

    @property
    def max_tokens(self) -> int | None:
        """The token limit of requests that state none; None leaves it to the provider."""
        return self._context.max_tokens

    @property
    def role(self) -> str | None:
        """The role that the chain serves, or None."""
        return self._context.role

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a chain cannot be pickled: it holds connections; create a Resolver in the other process")

    def invoke(self, prompt: Prompt, **keywords: Unpack[CallKeywords]) -> Reply:
        """Return the answer, blocking the thread.

        Args:
            prompt: What to ask.
            keywords: Overrides for this call, see `CallKeywords`.
        """
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords  # an error's traceback must not hold them in a frame of ours
        return self._invoke(masked, given)

    def __call__(self, prompt: Prompt, **keywords: Unpack[CallKeywords]) -> Reply:
        """Return the answer; the same as `invoke`."""
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        return self._invoke(masked, given)

    async def ainvoke(self, prompt: Prompt, **keywords: Unpack[CallKeywords]) -> Reply:
        """Return the answer without blocking the event loop. Cancelling it cancels the running attempt.

        Args:
            prompt: What to ask.
            keywords: Overrides for this call, see `CallKeywords`.
        """
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        task = require_event_loop()
        walk = self._start_walk(masked, CallOptions.from_keywords(given))
        driver = aio.ainvoke if self._context.hedge_timer is None else hedged_calls.ainvoke
        call = driver(walk, self._instances)
        return await ForkAwareAwaitable(call, self._context.fork_guard, task, walk.request.pid)  # type: ignore[no-any-return]

    def stream(self, prompt: Prompt, *, mode: StreamMode = "live", **keywords: Unpack[CallKeywords]) -> ReplyStream:
        """Return the answer as a stream of chunks. Nothing is sent before the first chunk is read.

        Args:
            prompt: What to ask.
            mode: ``live`` yields chunks as they arrive and falls back only before the first one. After that, a failure
                raises the attempt's error with the text so far in ``partial_text``. ``restart`` falls back at any time:
                a chunk whose ``restart`` is true means that all earlier chunks are void. ``buffered`` yields nothing
                before the answer is complete.
            keywords: Overrides for this call, see `CallKeywords`.
        """
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        (masked, options), known_mode = self._validate_call(masked, given), _validate_mode(mode)
        return ReplyStream(
            lambda done: streaming.stream(
                self._start_walk(masked, options, streams=True), self._instances, known_mode, done
            ),
            self._context.fork_guard,
        )

    def astream(
        self, prompt: Prompt, *, mode: StreamMode = "live", **keywords: Unpack[CallKeywords]
    ) -> AsyncReplyStream:
        """Return the answer as a stream of chunks, without blocking the event loop; otherwise as `stream`."""
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        (masked, options), known_mode = self._validate_call(masked, given), _validate_mode(mode)
        return AsyncReplyStream(
            lambda done: streaming.astream(
                self._start_walk(masked, options, streams=True), self._instances, known_mode, done
            ),
            self._context.fork_guard,
        )

    def prepare(self) -> Iterator[Progress]:
        """Prepare the first usable target, for example download its model, and yield the progress.

        Calling the chain does not need it. Use it to wait for what a request would fall back from.

        Raises:
            ProviderError: The target cannot be prepared. The chain may answer nevertheless.
        """
        for candidate, instance in zip(self._candidates, self._instances, strict=True):
            if instance is not None and not instance.validation.problems() and candidate.find_obstacle() is None:
                yield from instance.adapter.prepare(instance.settings, candidate.model)
                return

    def _invoke(self, masked: Masked, given: Masked | None) -> Reply:
        walk = self._start_walk(masked, CallOptions.from_keywords(given))
        if self._context.hedge_timer is not None:
            return hedged_calls.invoke(walk, self._instances)
        return sync.invoke(walk, self._instances)

    def _validate_call(self, masked: Masked, given: Masked | None) -> tuple[Masked, CallOptions]:
        """Return the request of a stream and what else it needs, having validated both before anything begins."""
        options = CallOptions.from_keywords(given)
        if options.deadline_s is not None:
            validate_deadline(options.deadline_s)
        request = options.apply(ChatRequest.from_prompt(masked.reveal()))
        self._choose_candidates(request)
        return Masked(request), CallOptions(key=options.rollout_key, deadline_s=options.deadline_s)

    def _choose_candidates(self, request: ChatRequest) -> tuple[Sequence[Candidate], str | None]:
        """Return the candidates for a request, and the model to call if the request names one.

        Raises:
            ValueError: The request names a model, and every target names another one.
        """
        if request.model is None:
            return self._candidates, None
        model = self._context.resolve_model(request.model)
        candidates = [each if each.with_model is None else each.with_model(model) for each in self._candidates]
        if all(each.model != model for each in candidates):
            targets = ", ".join(self.targets)
            raise ValueError(f"the request names the model {request.model!r}, and every target another one: {targets}")
        return candidates, model

    def _start_walk(self, masked: Masked, options: CallOptions, *, streams: bool = False) -> Walk:
        context, deadline_s = self._context, options.deadline_s
        context.fork_guard.renew_if_forked()
        candidates, model = self._candidates, None
        if (
            self._text_request is not None
            and self._rank is None
            and not options.fields
            and isinstance(masked.reveal(), str)
        ):
            request = self._text_request.with_prompt(masked.reveal())
        else:
            stated = options.apply(ChatRequest.from_prompt(masked.reveal()))
            candidates, model = self._choose_candidates(stated)
            if self._rank is not None:
                candidates = self._rank(stated, candidates)
            request = stated.with_defaults(context.temperature, context.max_tokens)
        request_context = RequestContext(
            request=request,
            deadline_s=context.deadline_s if deadline_s is None else validate_deadline(deadline_s),
            needs=request.needs,
            tokens=estimate_min_tokens(request) + (request.max_tokens or 0) if self._needs_tokens else 0,
            number=next(context.request_numbers),
            streams=streams,
            model=model,
            pid=context.fork_guard.pid,
            key=options.rollout_key,
        )
        return Walk(candidates, context, request_context, context.time.clock())
