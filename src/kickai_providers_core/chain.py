"""A chain: what an application holds and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from attrs import frozen

from kickai_providers_core.chain_facts import ChainFacts
from kickai_providers_core.concurrency.forking import ForkAwareAwaitable
from kickai_providers_core.reply_streams import AsyncReplyStream, ReplyStream, require_event_loop
from kickai_providers_core.runtime import aio, hedged_calls, streaming, sync
from kickai_providers_core.values.call_options import BATCH_CONCURRENCY, MAX_TURNS, CallOptions
from kickai_providers_core.values.prompt_masking import Masked
from kickai_providers_core.values.validation import OneOf, hide_arguments

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from kickai_providers_core.batching import BatchItem, BatchProgress
    from kickai_providers_core.plugin_api.hookspecs import Progress
    from kickai_providers_core.runtime.streaming import StreamMode
    from kickai_providers_core.tool_loop import ToolRun
    from kickai_providers_core.values.call_options import CallKeywords, TurnKeywords
    from kickai_providers_core.values.replies import ParsedReply, Reply
    from kickai_providers_core.values.requests import Prompt

__all__ = ["Chain"]

T = TypeVar("T")

MODE = OneOf(("live", "restart", "buffered"))


@hide_arguments
def _validate_mode(mode: StreamMode) -> StreamMode:
    MODE.check("mode", mode)
    return mode


@frozen(eq=False)
class Chain(ChainFacts):
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

    @overload
    def invoke(self, prompt: Prompt, *, response_type: type[T], **keywords: Unpack[CallKeywords]) -> ParsedReply[T]: ...

    @overload
    def invoke(self, prompt: Prompt, *, response_type: None = None, **keywords: Unpack[CallKeywords]) -> Reply: ...

    def invoke(self, prompt: Prompt, *, response_type: type | None = None, **keywords: Unpack[CallKeywords]) -> Reply:
        """Return the answer, blocking the thread.

        Args:
            prompt: What to ask.
            response_type: An attrs class, a dataclass, a TypedDict or a pydantic model. The answer is an object of it,
                in ``reply.parsed``. An answer that does not fit is a failed attempt, and the next target is called.
            keywords: Overrides for this call, see `CallKeywords`.
        """
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords  # an error's traceback must not hold them in a frame of ours
        return self._invoke(masked, given, response_type)

    @overload
    def __call__(
        self, prompt: Prompt, *, response_type: type[T], **keywords: Unpack[CallKeywords]
    ) -> ParsedReply[T]: ...

    @overload
    def __call__(self, prompt: Prompt, *, response_type: None = None, **keywords: Unpack[CallKeywords]) -> Reply: ...

    def __call__(self, prompt: Prompt, *, response_type: type | None = None, **keywords: Unpack[CallKeywords]) -> Reply:
        """Return the answer; the same as `invoke`."""
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        return self._invoke(masked, given, response_type)

    @overload
    async def ainvoke(
        self, prompt: Prompt, *, response_type: type[T], **keywords: Unpack[CallKeywords]
    ) -> ParsedReply[T]: ...

    @overload
    async def ainvoke(
        self, prompt: Prompt, *, response_type: None = None, **keywords: Unpack[CallKeywords]
    ) -> Reply: ...

    async def ainvoke(
        self, prompt: Prompt, *, response_type: type | None = None, **keywords: Unpack[CallKeywords]
    ) -> Reply:
        """Return the answer without blocking the event loop. Cancelling it cancels the running attempt.

        Args:
            prompt: What to ask.
            response_type: An attrs class, a dataclass, a TypedDict or a pydantic model. The answer is an object of it,
                in ``reply.parsed``. An answer that does not fit is a failed attempt, and the next target is called.
            keywords: Overrides for this call, see `CallKeywords`.
        """
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        task = require_event_loop()
        guard = self._context.fork_guard
        drive = aio.ainvoke if self._context.hedge_timer is None else hedged_calls.ainvoke
        call = drive(*self._starter.start(masked, CallOptions.from_keywords(given, response_type)))
        return await ForkAwareAwaitable(call, guard, task, guard.pid)  # type: ignore[no-any-return]

    def stream(
        self,
        prompt: Prompt,
        *,
        mode: StreamMode = "live",
        response_type: type | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> ReplyStream:
        """Return the answer as a stream of chunks. Nothing is sent before the first chunk is read.

        Args:
            prompt: What to ask.
            mode: ``live`` yields chunks as they arrive and falls back only before the first one. After that, a failure
                raises the attempt's error with the text so far in ``partial_text``. Reasoning comes with the first
                text. ``restart`` falls back at any time: a chunk whose ``restart`` is true means that all earlier
                chunks are void. ``buffered`` yields nothing before the answer is complete.
            response_type: As in `invoke`; the object is in ``stream.reply.parsed`` after the last chunk.
            keywords: Overrides for this call, see `CallKeywords`.
        """
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        known_mode, stated = _validate_mode(mode), CallOptions.from_keywords(given, response_type)
        masked, options = self._starter.validate(masked, stated)
        return ReplyStream(
            lambda done: streaming.stream(*self._starter.start(masked, options, streams=True), known_mode, done),
            self._context.fork_guard,
        )

    def astream(
        self,
        prompt: Prompt,
        *,
        mode: StreamMode = "live",
        response_type: type | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> AsyncReplyStream:
        """Return the answer as a stream of chunks, without blocking the event loop; otherwise as `stream`."""
        masked, given = Masked(prompt), Masked(keywords) if keywords else None
        del prompt, keywords
        known_mode, stated = _validate_mode(mode), CallOptions.from_keywords(given, response_type)
        masked, options = self._starter.validate(masked, stated)
        return AsyncReplyStream(
            lambda done: streaming.astream(*self._starter.start(masked, options, streams=True), known_mode, done),
            self._context.fork_guard,
        )

    def run_tools(
        self,
        prompt: Prompt,
        *,
        tools: Sequence[Callable[..., Any]],
        max_turns: int = MAX_TURNS,
        response_type: type | None = None,
        **keywords: Unpack[TurnKeywords],
    ) -> ToolRun:
        """Let the model call Python functions until it answers, and return the answer with the conversation.

        Each turn is a call of its own, with its own deadline, and may be served by another target. A tool's exception
        is reported to the model by the name of its class; raise a `ToolError` to say more.

        Args:
            prompt: What to ask.
            tools: Python functions, which `Tool.from_function` describes; at least one. They run one after the other.
            max_turns: How often the model is called, from 1.
            response_type: As in `invoke`, for the last reply.
            keywords: Overrides for each turn. A ``tool_choice`` applies to the first one only.

        Raises:
            TurnLimitError: The model called tools in the last turn; the error has the messages so far.
            TypeError: A function cannot be a tool, is asynchronous, or returned what JSON has no form for.
        """
        from kickai_providers_core import tool_loop  # noqa: PLC0415  few applications need it

        masked, given = Masked(prompt), Masked({**keywords, "response_type": response_type})
        del prompt, keywords
        return tool_loop.run(self.invoke, tool_loop.ToolLoop(masked, tools, max_turns), given)

    async def arun_tools(
        self,
        prompt: Prompt,
        *,
        tools: Sequence[Callable[..., Any]],
        max_turns: int = MAX_TURNS,
        response_type: type | None = None,
        **keywords: Unpack[TurnKeywords],
    ) -> ToolRun:
        """Let the model call Python functions until it answers, without blocking the event loop; else as `run_tools`.

        The tools of one turn run at the same time: asynchronous functions as tasks, the others in threads.
        """
        from kickai_providers_core import tool_loop  # noqa: PLC0415  few applications need it

        masked, given = Masked(prompt), Masked({**keywords, "response_type": response_type})
        del prompt, keywords
        return await tool_loop.arun(self.ainvoke, tool_loop.ToolLoop(masked, tools, max_turns), given)

    def batch(
        self,
        prompts: Iterable[Prompt],
        *,
        concurrency: int = BATCH_CONCURRENCY,
        on_progress: Callable[[BatchProgress], None] | None = None,
        response_type: type | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> list[BatchItem]:
        """Return the outcome of each prompt, in the order of the prompts. Blocks the thread.

        A prompt that fails does not end the batch: its `BatchItem` has the error. Ctrl-C cancels the running calls.

        Args:
            prompts: Prompts of any form; an iterator is read as calls become free.
            concurrency: The calls at a time, from 1.
            on_progress: Called after each outcome, in another thread but never twice at once. What it raises ends the
                batch.
            response_type: As in `invoke`.
            keywords: Overrides for each call, see `CallKeywords`.
        """
        from kickai_providers_core import batching  # noqa: PLC0415  few applications need it

        masked, given = Masked(prompts), Masked(keywords)
        del prompts, keywords
        ainvoke = self._prepare_batch(masked, given, response_type, concurrency)
        return self._context.portal.run(lambda: batching.abatch(ainvoke, masked, concurrency, on_progress))

    async def abatch(
        self,
        prompts: Iterable[Prompt],
        *,
        concurrency: int = BATCH_CONCURRENCY,
        on_progress: Callable[[BatchProgress], None] | None = None,
        response_type: type | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> list[BatchItem]:
        """Return the outcome of each prompt without blocking the event loop; otherwise as `batch`.

        Cancelling it cancels the running calls. ``on_progress`` is called on the event loop.
        """
        from kickai_providers_core import batching  # noqa: PLC0415  few applications need it

        masked, given = Masked(prompts), Masked(keywords)
        del prompts, keywords
        ainvoke = self._prepare_batch(masked, given, response_type, concurrency)
        return await batching.abatch(ainvoke, masked, concurrency, on_progress)

    def prepare(self) -> Iterator[Progress]:
        """Prepare the first usable target, for example download its model, and yield the progress.

        Calling the chain does not need it. Use it to wait for what a request would fall back from.

        Raises:
            ProviderError: The target cannot be prepared. The chain may answer nevertheless.
        """
        for candidate, instance in zip(self._candidates, self._starter.own.instances, strict=True):
            if instance is not None and not instance.validation.find_problems() and candidate.find_obstacle() is None:
                yield from instance.adapter.prepare(instance.settings, candidate.model)
                return

    def _prepare_batch(
        self, prompts: Masked, given: Masked, response_type: type | None, concurrency: int
    ) -> Callable[[Masked], Awaitable[Reply]]:
        """Return what answers one prompt, having validated the arguments that all prompts share."""
        from kickai_providers_core import batching  # noqa: PLC0415  few applications need it

        batching.validate_batch(prompts, concurrency)
        self._context.fork_guard.renew_if_forked()
        self._starter.validate(Masked("any prompt"), CallOptions.from_keywords(given, response_type))
        return lambda prompt: self.ainvoke(prompt.reveal(), response_type=response_type, **given.reveal())

    def _invoke(self, masked: Masked, given: Masked | None, response_type: type | None) -> Reply:
        drive = sync.invoke if self._context.hedge_timer is None else hedged_calls.invoke
        # No variable holds the walk: it refers to errors, whose frames refer to this one.
        return drive(*self._starter.start(masked, CallOptions.from_keywords(given, response_type)))
