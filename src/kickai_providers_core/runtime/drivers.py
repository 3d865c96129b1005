"""The four shells that carry out what a walk asks for: the only callers of a provider.

None of them decides anything. Whatever is not a `ProviderError` (cancellation, KeyboardInterrupt, an abandoned
stream) gives back what the attempt under way held and propagates untouched.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing, suppress
from os import getpid
from threading import Event
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from kickai_providers_core.concurrency.forking import ForkGuard, raise_forked
from kickai_providers_core.concurrency.threads import LONGEST_WAIT_S
from kickai_providers_core.resilience.actions import GiveUp, Pause, Queue, Try, Validate
from kickai_providers_core.values.errors import ProviderError, ProviderTimeoutError
from kickai_providers_core.values.replies import ReplyChunk
from kickai_providers_core.values.reply_assembly import Gathered

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence

    from kickai_providers_core.plugin_api.registry import Instance
    from kickai_providers_core.resilience.actions import Step
    from kickai_providers_core.resilience.walk import Walk
    from kickai_providers_core.values.replies import Reply
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["Clockwork", "Course", "StreamMode", "ainvoke", "apaced", "astream", "invoke", "stream"]

Call = tuple["Instance", object, "ChatRequest", float]
"""The instance to call, its provider, the request as it gets it, and the seconds that the attempt has."""

StreamMode = Literal["live", "restart", "buffered"]
"""When a stream may fall back: before its first chunk, at any time with a fresh start, or unseen."""


@frozen(kw_only=True, eq=False, repr=False)
class Clockwork:
    """Time, as the drivers see it.

    Attributes:
        clock: Returns the time in seconds, monotonic.
        sleep: Blocks the thread for so many seconds.
        asleep: Waits so many seconds without blocking the event loop.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    asleep: Callable[[float], Awaitable[None]]


@define(eq=False, repr=False)
class Course:
    """What one request needs to be carried down its chain; a record that lives as long as the request.

    Attributes:
        walk: Decides.
        instances: The provider instance of each link, by its position; None for a link that is not usable.
        request: What is asked, with what the chain says filled in.
        time: Clock and sleeps.
        guard: Knows of forks.
        pid: The process in which the request began.
    """

    walk: Walk
    instances: Sequence[Instance | None]
    request: ChatRequest
    time: Clockwork
    guard: ForkGuard = field(factory=ForkGuard)
    pid: int = field(factory=getpid)

    def require_same_process(self) -> None:
        """Refuse to go on in a child that was forked meanwhile.

        Raises:
            RuntimeError: The request began in the parent.
        """
        if self.pid != getpid():
            raise_forked(self.pid)

    def cancel(self) -> None:
        """Take it that the request was cancelled; a child that was forked meanwhile leaves that to its parent.

        Raises:
            RuntimeError: The request began in the parent.
        """
        self.require_same_process()
        self.walk.cancelled(self.time.clock())

    def call(self, step: Try) -> Call | None:
        """Return what an attempt calls, or None while its provider is yet to be created."""
        link = step.link
        instance = self.instances[link.position]
        if instance is None:
            message = f"{link.provider} has no instance, and a walk must not come to it"
            raise RuntimeError(message)
        if (provider := instance.ready) is None:
            return None
        timeout_s = step.timeout_s if step.timeout_s < LONGEST_WAIT_S else LONGEST_WAIT_S
        return instance, provider, self.request.meant_for(link.model), timeout_s

    def created(self, step: Try) -> Call:
        """Return what an attempt calls, once its provider is created, which is a part of the attempt."""
        instance = self.instances[step.link.position]
        assert instance is not None  # noqa: S101  as `call` has seen
        return self._call(step, instance, instance.provider(_creation_s(step)))

    async def acreated(self, step: Try) -> Call:
        """Do as `created` does, without blocking the event loop: a vendor's import may take a second."""
        instance = self.instances[step.link.position]
        assert instance is not None  # noqa: S101  as `call` has seen
        return self._call(step, instance, await instance.aprovider(_creation_s(step)))

    def _call(self, step: Try, instance: Instance, provider: object) -> Call:
        left_s = step.timeout_s - (self.time.clock() - step.began)
        if left_s <= 0:
            raise ProviderTimeoutError("creating the provider took all the time")
        return instance, provider, self.request.meant_for(step.link.model), min(left_s, LONGEST_WAIT_S)

    def validate(self, step: Validate) -> None:
        """Have the settings of a target validated, blocking the thread for as long as the walk allows."""
        instance = self.instances[step.link.position]
        if instance is not None:
            instance.validate(step.timeout_s)

    async def avalidate(self, step: Validate) -> None:
        """Do as `validate` does, without blocking the event loop."""
        instance = self.instances[step.link.position]
        if instance is not None:
            await instance.avalidate(step.timeout_s)


def _creation_s(step: Try) -> float:
    """Return how long an attempt may wait for its provider: as long as for a whole answer, in every mode."""
    return min(step.timeout_s, step.link.timeout_s)


def invoke(course: Course) -> Reply:
    """Return the first answer, blocking the thread.

    Raises:
        KickaiError: As the walk decides.
    """
    walk, clock = course.walk, course.time.clock
    try:
        step = walk.next(clock())
        while True:
            attempt = step if isinstance(step, Try) else _paced(course, step)
            try:
                instance, provider, request, timeout_s = course.call(attempt) or course.created(attempt)
                reply = instance.seam.invoke(provider, request, timeout_s)
            except ProviderError as error:
                course.require_same_process()
                step = walk.failed(error, clock())
            else:
                course.require_same_process()
                return walk.succeeded(reply, clock())
    except BaseException:
        course.cancel()
        raise


async def ainvoke(course: Course) -> Reply:
    """Return the first answer without blocking the event loop.

    Raises:
        KickaiError: As the walk decides.
    """
    walk, clock = course.walk, course.time.clock
    try:
        step = walk.next(clock())
        while True:
            attempt = step if isinstance(step, Try) else await apaced(course, step)
            try:
                instance, provider, request, timeout_s = course.call(attempt) or await course.acreated(attempt)
                reply = await instance.seam.ainvoke(provider, request, timeout_s)
            except ProviderError as error:
                step = walk.failed(error, clock())
            else:
                return walk.succeeded(reply, clock())
    except BaseException:
        course.cancel()
        raise


def stream(course: Course, mode: StreamMode, done: Callable[[Reply], None]) -> Generator[ReplyChunk, None, None]:
    """Yield the chunks of the first answer, blocking the thread for each, and hand the whole to ``done``.

    Raises:
        KickaiError: As the walk decides; after the first chunk in mode ``live``, the error of that attempt, with
            the text so far.
    """
    walk, clock = course.walk, course.time.clock
    try:
        step = walk.next(clock())
        while True:
            attempt = step if isinstance(step, Try) else _paced(course, step)
            part = _Part(mode)
            try:
                instance, provider, request, timeout_s = course.call(attempt) or course.created(attempt)
                with closing(instance.seam.stream(provider, request, timeout_s, instance.settings)) as chunks:
                    for chunk in chunks:
                        course.require_same_process()
                        whole = part.gathered.normalise(chunk)
                        if part.hands_out(whole):
                            yield whole
                reply = part.gathered.reply()
            except ProviderError as error:
                course.require_same_process()
                step = part.signed(walk.failed(error, clock(), final=part.final), error)
                if part.discarded(step):
                    yield ReplyChunk(restart=True)
            else:
                done(walk.succeeded(reply, clock()))
                yield from part.kept
                return
    except BaseException:
        course.cancel()
        raise


async def astream(course: Course, mode: StreamMode, done: Callable[[Reply], None]) -> AsyncGenerator[ReplyChunk, None]:
    """Yield the chunks of the first answer without blocking the event loop, and hand the whole to ``done``.

    Raises:
        KickaiError: As `stream`.
    """
    walk, clock = course.walk, course.time.clock
    try:
        step = walk.next(clock())
        while True:
            attempt = step if isinstance(step, Try) else await apaced(course, step)
            part = _Part(mode)
            try:
                instance, provider, request, timeout_s = course.call(attempt) or await course.acreated(attempt)
                async with aclosing(instance.seam.astream(provider, request, timeout_s, instance.settings)) as chunks:
                    async for chunk in chunks:
                        whole = part.gathered.normalise(chunk)
                        if part.hands_out(whole):
                            yield whole
                reply = part.gathered.reply()
            except ProviderError as error:
                step = part.signed(walk.failed(error, clock(), final=part.final), error)
                if part.discarded(step):
                    yield ReplyChunk(restart=True)
            else:
                done(walk.succeeded(reply, clock()))
                for chunk in part.kept:
                    yield chunk
                return
    except BaseException:
        course.cancel()
        raise


def _paced(course: Course, step: Step) -> Try:
    """Wait as the walk asks, and return the attempt that it comes to."""
    while not isinstance(step, Try):
        if isinstance(step, GiveUp):
            raise step.error
        if isinstance(step, Queue):
            _stand(step)
        elif isinstance(step, Validate):
            course.validate(step)
        elif isinstance(step, Pause):
            course.time.sleep(min(step.wait_s, LONGEST_WAIT_S))
        step = course.walk.next(course.time.clock())
    return step


async def apaced(course: Course, step: Step) -> Try:
    """Wait as the walk asks, and return the attempt that it comes to."""
    while not isinstance(step, Try):
        if isinstance(step, GiveUp):
            raise step.error
        if isinstance(step, Queue):
            await _astand(step)
        elif isinstance(step, Validate):
            await course.avalidate(step)
        elif isinstance(step, Pause):
            await course.time.asleep(min(step.wait_s, LONGEST_WAIT_S))
        step = course.walk.next(course.time.clock())
    return step


def _stand(step: Queue) -> None:
    """Wait for a turn, blocking the thread."""
    woken = Event()
    step.turn.wake_with(woken.set)
    woken.wait(min(step.wait_s, LONGEST_WAIT_S))


async def _astand(step: Queue) -> None:
    """Wait for a turn without blocking the event loop."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended, and whoever waited on it has left the line
            loop.call_soon_threadsafe(_settle, woken)

    step.turn.wake_with(wake)
    await asyncio.wait((woken,), timeout=min(step.wait_s, LONGEST_WAIT_S))


def _settle(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


class _Part:
    """What one target has streamed so far, and what the caller has seen of it."""

    def __init__(self, mode: StreamMode) -> None:
        self.gathered = Gathered()
        self.kept: list[ReplyChunk] = []
        self._mode = mode
        self._seen = False

    @property
    def final(self) -> bool:
        """Whether the caller has seen a part that nothing can take back."""
        return self._seen and self._mode == "live"

    def hands_out(self, chunk: ReplyChunk) -> bool:
        """Take a chunk; return whether the caller gets it now."""
        worth = self.gathered.add(chunk)
        if worth and self._mode == "buffered":
            self.kept.append(chunk)
            return False
        self._seen = self._seen or worth
        return worth

    def signed(self, step: Step, error: ProviderError) -> Step:
        """Return the step; where it raises the error, it raises a copy that carries the text so far."""
        if not isinstance(step, GiveUp) or step.error is not error or not self.gathered.texts:
            return step
        raised = error.copied()
        raised.partial_text = self.gathered.text
        return GiveUp(raised)

    def discarded(self, step: Step) -> bool:
        """Return whether the caller must be told to discard what it has, since another try follows."""
        return self._seen and self._mode == "restart" and not isinstance(step, GiveUp)
