"""A chain: what an application holds and calls."""

from __future__ import annotations

import asyncio
from math import inf
from os import getpid
from typing import TYPE_CHECKING, NoReturn, Self

from attrs import field, frozen

from kickai_providers_core.concurrency.forking import Guarded, raise_forked
from kickai_providers_core.resilience.candidates import Brief, Errand
from kickai_providers_core.resilience.tokens import least_tokens
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.runtime import drivers
from kickai_providers_core.runtime import hedged_calls as hedged
from kickai_providers_core.runtime.drivers import Course
from kickai_providers_core.values.messages import Masked, Message
from kickai_providers_core.values.requests import NOTHING, ChatRequest
from kickai_providers_core.values.validation import Number, OneOf, Text, hides_arguments, with_hidden_arguments

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
    from types import TracebackType

    from kickai_providers_core.concurrency.forking import ForkGuard
    from kickai_providers_core.concurrency.portal import Background
    from kickai_providers_core.plugin_api.hookspecs import Progress
    from kickai_providers_core.plugin_api.registry import Instance
    from kickai_providers_core.resilience.candidates import Link
    from kickai_providers_core.resilience.hedging import Hedges
    from kickai_providers_core.resilience.policy import Policy, Random
    from kickai_providers_core.resilience.retry_budget import Budget
    from kickai_providers_core.runtime.drivers import Clockwork, StreamMode
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.replies import Reply, ReplyChunk
    from kickai_providers_core.values.requests import Prompt

__all__ = ["AsyncReplyStream", "Chain", "ReplyStream", "Runtime", "Terms"]


@frozen(kw_only=True, eq=False, repr=False)
class Runtime:
    """What all chains of one resolver share.

    Attributes:
        policy: The disposition table.
        random: Where jitter comes from.
        retries: How many retries all requests together may make.
        hedges: When a second target is asked beside one that takes long; None for never.
        background: The loop for blocking callers whose request may have two attempts under way.
        guard: Renews all this in a forked child.
        time: Clock and sleeps.
        tell: Hands an event to the observers; None when there are none.
        numbers: Numbers the requests.
        living: Returns the model to call for one that may be retired.
    """

    policy: Policy
    random: Random
    retries: Budget
    hedges: Hedges | None
    background: Background
    guard: ForkGuard
    time: Clockwork
    tell: Callable[[Event], None] | None
    numbers: Iterator[int]
    living: Callable[[str], str]


LONGEST_S = 366 * 86400.0
"""The longest deadline, seconds: what waits for longer, clocks and locks cannot count."""

DEADLINE = Number(above=0)
MODE = OneOf(("live", "restart", "buffered"))


def _seconds_from(value: float) -> float:
    """Return the seconds that a request may take; infinity is the longest deadline there is, a year.

    Raises:
        TypeError: It is no number.
        ValueError: It is not above 0.
    """
    if value == inf:
        return LONGEST_S
    DEADLINE.check("deadline_s", value)
    return min(value, LONGEST_S)


deadline_from = hides_arguments(_seconds_from)


@with_hidden_arguments
@frozen(kw_only=True)
class Terms:
    """What a chain adds to a request that does not say it itself.

    Attributes:
        deadline_s: Seconds that the whole request may take.
        temperature: From 0; None leaves it to the provider.
        max_tokens: The most tokens to answer with; None leaves it to the provider.
        role: The role that the chain was made for.
    """

    deadline_s: float = field(converter=_seconds_from)
    temperature: float | None = field(default=None, validator=Number(least=0, optional=True))
    max_tokens: int | None = field(default=None, validator=Number(whole=True, least=1, optional=True))
    role: str | None = field(default=None, validator=Text(optional=True))


@frozen(eq=False)
class Chain:
    """An ordered list of targets that answers as one: the first that can, does.

    Safe to share between threads, event loops and forked processes: each process opens its own connections, and a call
    that was under way when the process forked ends in the child with a `RuntimeError`. It holds nothing that must be
    closed; its resolver does. A chain is a handle: it equals only itself, and its copies are itself. It cannot be
    pickled.

    Every way of calling takes a text, a sequence of messages or of ``{"role", "content"}`` mappings, or a
    `ChatRequest`, and raises:

    - `ArgumentTypeError` (a `TypeError`) or `ArgumentValueError` (a `ValueError`): the prompt or another argument is
      malformed, and nothing was sent;
    - `RejectedRequestError`: a provider refused the request in a way that no other would mend;
    - `DeadlineExceededError`: the deadline passed;
    - `ChainExhaustedError`: every target failed or was skipped;
    - `RuntimeError`: the resolver is closed; the process forked while the call was under way; or no event loop of
      asyncio is running, which `ainvoke` and `astream` need.
    """

    _links: Sequence[Link] = field(repr=False)
    _instances: Sequence[Instance | None] = field(repr=False)
    _runtime: Runtime = field(repr=False)
    terms: Terms
    _rank: Callable[[ChatRequest, Sequence[Link]], Sequence[Link]] | None = field(default=None, repr=False)
    _brief: Brief = field(init=False, repr=False)
    _opening: ChatRequest = field(init=False, repr=False)
    _measured: bool = field(init=False, repr=False)

    @_brief.default
    def _brief_of_the_chain(self) -> Brief:
        runtime = self._runtime
        return Brief(
            policy=runtime.policy,
            random=runtime.random,
            retries=runtime.retries,
            hedges=runtime.hedges,
            tell=runtime.tell,
            role=self.terms.role,
        )

    @_opening.default
    def _request_without_its_message(self) -> ChatRequest:
        # Made for the first target already, unless there is one that leaves the model to its provider.
        model = self._links[0].model if all(link.model for link in self._links) else None
        return ChatRequest(
            messages=(Message(role="user"),),
            model=model,
            temperature=self.terms.temperature,
            max_tokens=self.terms.max_tokens,
        )

    @_measured.default
    def _any_window_or_gate(self) -> bool:
        return any(link.context_window is not None or link.gate is not None for link in self._links)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets in order, as they are written in settings."""
        return tuple(f"{link.provider}:{link.model}" if link.model else link.provider for link in self._links)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a chain cannot be pickled: it holds connections; make a Resolver in the other process"
        raise TypeError(message)

    def invoke(self, prompt: Prompt, *, deadline_s: float | None = None) -> Reply:
        """Return the answer, blocking the thread.

        Args:
            prompt: What to ask.
            deadline_s: Seconds that the request may take, instead of the chain's own.
        """
        asked = Masked(prompt)
        del prompt  # no frame of ours that an error passes shows it
        return self._invoke(asked, deadline_s)

    def __call__(self, prompt: Prompt, *, deadline_s: float | None = None) -> Reply:
        """Return the answer; the same as `invoke`."""
        asked = Masked(prompt)
        del prompt
        return self._invoke(asked, deadline_s)

    async def ainvoke(self, prompt: Prompt, *, deadline_s: float | None = None) -> Reply:
        """Return the answer without blocking the event loop; cancelling it cancels the attempt under way.

        Args:
            prompt: What to ask.
            deadline_s: Seconds that the request may take, instead of the chain's own.
        """
        asked = Masked(prompt)
        del prompt
        task = _current_task()
        course = self._course(asked, deadline_s)
        call = drivers.ainvoke(course) if self._brief.hedges is None else hedged.ainvoke(course)
        return await Guarded(call, course.guard, task, course.pid)  # type: ignore[no-any-return]

    def stream(self, prompt: Prompt, *, mode: StreamMode = "live", deadline_s: float | None = None) -> ReplyStream:
        """Return the answer piece by piece. Nothing is sent before the first piece is asked for.

        Args:
            prompt: What to ask.
            mode: ``live`` hands out pieces as they come and falls back only before the first; after it, a failure
                raises that attempt's error, with the text so far in ``partial_text``. ``restart`` goes on with
                another try, marked by a chunk whose ``restart`` is true: discard what came before. ``buffered``
                hands out nothing before the answer is whole.
            deadline_s: Seconds that the whole stream may take, instead of the chain's own.
        """
        asked = Masked(prompt)
        del prompt
        asked, known = self._checked(asked, deadline_s), _known(mode)
        return ReplyStream(
            lambda done: drivers.stream(self._course(asked, deadline_s, streams=True), known, done),
            self._runtime.guard,
        )

    def astream(
        self, prompt: Prompt, *, mode: StreamMode = "live", deadline_s: float | None = None
    ) -> AsyncReplyStream:
        """Return the answer piece by piece, without blocking the event loop; otherwise as `stream`."""
        asked = Masked(prompt)
        del prompt
        asked, known = self._checked(asked, deadline_s), _known(mode)
        return AsyncReplyStream(
            lambda done: drivers.astream(self._course(asked, deadline_s, streams=True), known, done),
            self._runtime.guard,
        )

    def prepare(self) -> Iterator[Progress]:
        """Make the first target that can be used ready, and yield how far that is; nothing when all is ready.

        Calling does not need it. It is for whoever would rather wait and watch than be answered by the next target
        while, say, a model is downloaded.

        Raises:
            ProviderError: It cannot be made ready; the chain may still answer.
        """
        for link, instance in zip(self._links, self._instances, strict=True):
            if instance is not None and not instance.problems() and link.unusable() is None:
                yield from instance.seam.prepare(instance.settings, link.model)
                return

    def _checked(self, asked: Masked, deadline_s: float | None) -> Masked:
        """Return the prompt of a stream, having found what is wrong with the call before anything begins."""
        if deadline_s is not None:
            deadline_from(deadline_s)
        if isinstance(asked.reveal(), str):
            return asked
        given = ChatRequest.of(asked.reveal())
        if given.model is not None:
            self._links_for(given.model)
        return Masked(given)

    def _invoke(self, asked: Masked, deadline_s: float | None) -> Reply:
        course = self._course(asked, deadline_s)
        if self._brief.hedges is not None:
            return hedged.invoke(course, self._runtime.background)
        return drivers.invoke(course)

    def _links_for(self, asked: str) -> tuple[Sequence[Link], str]:
        """Return the links for a request that asks for a model itself, and the model to call for it.

        Raises:
            ValueError: Every target names another model.
        """
        model = self._runtime.living(asked)
        links = [link if link.for_model is None else link.for_model(model) for link in self._links]
        if all(link.model != model for link in links):
            told = (
                f"the request asks for the model {asked!r}, and every target names another: {', '.join(self.targets)}"
            )
            raise ValueError(told)
        return links, model

    def _course(self, asked: Masked, deadline_s: float | None, *, streams: bool = False) -> Course:
        runtime, links = self._runtime, self._links
        runtime.guard.renew_if_forked()
        deadline_s = self.terms.deadline_s if deadline_s is None else deadline_from(deadline_s)
        model: str | None = None
        if self._rank is None and isinstance(asked.reveal(), str):
            request, needs = self._opening.saying(asked.reveal()), NOTHING
        else:
            given = ChatRequest.of(asked.reveal())
            model = given.model
            if model is not None:
                links, model = self._links_for(model)
            if self._rank is not None:
                links = self._rank(given, links)
            request, needs = given.filled(self.terms.temperature, self.terms.max_tokens), given.needs
        tokens = least_tokens(request) + (request.max_tokens or 0) if self._measured else 0
        errand = Errand(deadline_s, needs, tokens, next(runtime.numbers), streams, model=model)
        walk = Walk(links, self._brief, errand, runtime.time.clock())
        return Course(walk, self._instances, request, runtime.time, runtime.guard, runtime.guard.pid)


class ReplyStream:
    """An answer that comes in pieces: iterate over it once; leave it early with ``close()`` or ``with``.

    The request begins with the first iteration: a stream that nobody reads sends nothing, emits no event and starts no
    deadline. Not to be shared between threads. An abandoned stream closes its connection when it is closed or
    collected. In a child that was forked meanwhile it ends with a `RuntimeError`.

    Attributes:
        reply: The whole answer, once the last piece was taken; None before.
    """

    def __init__(
        self, open_: Callable[[Callable[[Reply], None]], Generator[ReplyChunk, None, None]], guard: ForkGuard
    ) -> None:
        # The generator must not know its stream: one that is dropped would wait for the collector to be closed.
        self._whole: list[Reply] = []
        self._open: Callable[[Callable[[Reply], None]], Generator[ReplyChunk, None, None]] | None = open_
        self._chunks: Generator[ReplyChunk, None, None] | None = None
        self._guard = guard
        self._pid: int | None = None

    @property
    def reply(self) -> Reply | None:
        """The whole answer, once the last piece was taken; None before."""
        return self._whole[0] if self._whole else None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ReplyChunk:
        if self._pid is not None and self._pid != getpid():
            raise_forked(self._pid)
        if self._open is not None:
            open_, self._open = self._open, None
            self._chunks = open_(self._whole.append)
            self._pid = getpid()
            self._guard.begin_stream(self._chunks)
        if self._chunks is None:
            raise StopIteration
        return next(self._chunks)

    def close(self) -> None:
        """End the stream, and the request behind it; in a child that was forked meanwhile, do nothing."""
        self._open = None
        if self._chunks is not None and self._pid == getpid():
            self._chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncReplyStream:
    """An answer that comes in pieces: iterate over it once with ``async for``; leave it early with ``async with``.

    The request begins with the first iteration, as in `ReplyStream`. Belongs to one event loop.

    Attributes:
        reply: The whole answer, once the last piece was taken; None before.
    """

    def __init__(
        self, open_: Callable[[Callable[[Reply], None]], AsyncGenerator[ReplyChunk, None]], guard: ForkGuard
    ) -> None:
        self._whole: list[Reply] = []  # as in `ReplyStream`
        self._open: Callable[[Callable[[Reply], None]], AsyncGenerator[ReplyChunk, None]] | None = open_
        self._chunks: AsyncGenerator[ReplyChunk, None] | None = None
        self._guard = guard
        self._pid: int | None = None

    @property
    def reply(self) -> Reply | None:
        """The whole answer, once the last piece was taken; None before."""
        return self._whole[0] if self._whole else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReplyChunk:
        task = _current_task()
        if self._pid is not None and self._pid != getpid():
            raise_forked(self._pid)
        if self._open is not None:
            open_, self._open = self._open, None
            self._chunks = open_(self._whole.append)
            self._pid = getpid()
            self._guard.begin_stream(self._chunks)
        if self._chunks is None:
            raise StopAsyncIteration
        return await Guarded(anext(self._chunks), self._guard, task, self._pid or getpid())  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """End the stream, and the request behind it; in a child that was forked meanwhile, do nothing."""
        self._open = None
        if self._chunks is not None and self._pid == getpid():
            await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _current_task() -> asyncio.Task[object] | None:
    """Return the task that is running.

    Raises:
        RuntimeError: No event loop of asyncio is running, as in a program that uses trio or curio.
    """
    try:
        return asyncio.current_task()
    except RuntimeError:
        message = (
            "ainvoke and astream need a running event loop of asyncio, and there is none; with trio or curio, call "
            "invoke in a worker thread"
        )
        raise RuntimeError(message) from None


@hides_arguments
def _known(mode: StreamMode) -> StreamMode:
    MODE.check("mode", mode)
    return mode
