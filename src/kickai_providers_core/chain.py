"""A chain: what an application holds and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self, Unpack

from attrs import field, frozen

from kickai_providers_core.concurrency.forking import ForkAwareAwaitable
from kickai_providers_core.resilience.candidates import find_common_capabilities, find_smallest_window
from kickai_providers_core.runtime import aio, hedged_calls, streaming, sync
from kickai_providers_core.streams import AsyncReplyStream, ReplyStream, require_event_loop
from kickai_providers_core.values.call_options import CallOptions
from kickai_providers_core.values.messages import Masked
from kickai_providers_core.values.validation import OneOf, hide_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kickai_providers_core.plugin_api.hookspecs import Progress
    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.context import ChainContext
    from kickai_providers_core.runtime.streaming import StreamMode
    from kickai_providers_core.values.call_options import CallKeywords
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.requests import Capability, Prompt
    from kickai_providers_core.walk_starter import WalkStarter

__all__ = ["Chain"]

MODE = OneOf(("live", "restart", "buffered"))


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

    _starter: WalkStarter = field(repr=False)

    @property
    def _candidates(self) -> Sequence[Candidate]:
        return self._starter.own.candidates

    @property
    def _context(self) -> ChainContext:
        return self._starter.context

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets in order, as written in settings. A rollout may move its candidate, or add it."""
        return tuple(each.target for each in self._candidates)

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

    @property
    def context_window(self) -> int | None:
        """Tokens that prompt and answer may have together at the target with the smallest known context window.

        Targets that cannot be used, for example because a plugin or a key is missing, do not count as soon as that is
        known. None when no window is known. A rollout's candidate counts only if the chain lists it.
        """
        return find_smallest_window(self._candidates)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What every target can do, so that a request which needs it can fall back to all of them.

        Targets count as in ``context_window``. A request that needs more still goes to those targets that can serve it.
        """
        return find_common_capabilities(self._candidates)

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
        walk, instances = self._starter.start(masked, CallOptions.from_keywords(given))
        driver = aio.ainvoke if self._context.hedge_timer is None else hedged_calls.ainvoke
        call = driver(walk, instances)
        return await ForkAwareAwaitable(call, self._context.fork_guard, task, walk.request.pid)  # type: ignore[no-any-return]

    def stream(self, prompt: Prompt, *, mode: StreamMode = "live", **keywords: Unpack[CallKeywords]) -> ReplyStream:
        """Return the answer as a stream of chunks. Nothing is sent before the first chunk is read.

        Args:
            prompt: What to ask.
            mode: ``live`` yields chunks as they arrive and falls back only before the first one. After that, a failure
                raises the attempt's error with the text so far in ``partial_text``. Reasoning comes with the first
                text. ``restart`` falls back at any time:
                a chunk whose ``restart`` is true means that all earlier chunks are void. ``buffered`` yields nothing
                before the answer is complete.
            keywords: Overrides for this call, see `CallKeywords`.
        """
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        (masked, options), known_mode = self._starter.validate(masked, given), _validate_mode(mode)
        return ReplyStream(
            lambda done: streaming.stream(*self._starter.start(masked, options, streams=True), known_mode, done),
            self._context.fork_guard,
        )

    def astream(
        self, prompt: Prompt, *, mode: StreamMode = "live", **keywords: Unpack[CallKeywords]
    ) -> AsyncReplyStream:
        """Return the answer as a stream of chunks, without blocking the event loop; otherwise as `stream`."""
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        (masked, options), known_mode = self._starter.validate(masked, given), _validate_mode(mode)
        return AsyncReplyStream(
            lambda done: streaming.astream(*self._starter.start(masked, options, streams=True), known_mode, done),
            self._context.fork_guard,
        )

    def prepare(self) -> Iterator[Progress]:
        """Prepare the first usable target, for example download its model, and yield the progress.

        Calling the chain does not need it. Use it to wait for what a request would fall back from.

        Raises:
            ProviderError: The target cannot be prepared. The chain may answer nevertheless.
        """
        for candidate, instance in zip(self._candidates, self._starter.own.instances, strict=True):
            if instance is not None and not instance.validation.problems() and candidate.find_obstacle() is None:
                yield from instance.adapter.prepare(instance.settings, candidate.model)
                return

    def _invoke(self, masked: Masked, given: Masked | None) -> Reply:
        walk, instances = self._starter.start(masked, CallOptions.from_keywords(given))
        if self._context.hedge_timer is not None:
            return hedged_calls.invoke(walk, instances)
        return sync.invoke(walk, instances)
