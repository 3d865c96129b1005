"""The two streaming drivers: carry out the actions of a walk, and yield the chunks of its calls."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Literal

from attrs import evolve

from kickai_providers_core.concurrency.forking import require_same_process
from kickai_providers_core.resilience.actions import Fail
from kickai_providers_core.runtime.aio import await_call
from kickai_providers_core.runtime.candidate_instances import find_instance
from kickai_providers_core.runtime.sync import cancel, wait_for_call
from kickai_providers_core.values.errors import ProviderError
from kickai_providers_core.values.replies import ReplyChunk
from kickai_providers_core.values.reply_assembly import ReplyAssembler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from kickai_providers_core.resilience.actions import Action
    from kickai_providers_core.resilience.walk import Walk
    from kickai_providers_core.runtime.candidate_instances import Instances
    from kickai_providers_core.values.replies import Reply

__all__ = ["StreamMode", "astream", "stream"]

StreamMode = Literal["live", "restart", "buffered"]
"""When a stream may fall back: before its first chunk, at any time with a fresh start, or before yielding anything."""


def stream(
    walk: Walk, instances: Instances, mode: StreamMode, done: Callable[[Reply], None]
) -> Generator[ReplyChunk, None, None]:
    """Yield the chunks of the first answer, blocking the thread for each, and pass the whole reply to ``done``.

    Raises:
        KickaiError: As the walk decides. In mode ``live`` after the first chunk, the error of that attempt with the
            text so far.
    """
    clock, pid = walk.chain.time.clock, walk.request.pid
    action: Action | None = None
    try:
        action = walk.next(clock())
        while True:
            call = wait_for_call(walk, instances, action)
            part = _StreamedPart(mode)
            try:
                opened = find_instance(instances, call).stream(call.request, call.timeout_s)
                with closing(opened) as chunks:
                    for chunk in chunks:
                        require_same_process(pid)
                        part.record_arrival(walk, clock)
                        ready = part.add(part.builder.normalize(chunk))
                        if ready is not None:
                            yield ready
                reply = walk.request.parse(part.builder.build())
            except ProviderError as error:
                require_same_process(pid)
                action = part.attach_text(walk.record_failure(error, clock(), final=part.is_final), error)
                if part.is_discarded(action):
                    yield ReplyChunk(restart=True)
            else:
                done(walk.record_success(reply, clock()))
                yield from part.held_back
                return
    except BaseException:
        cancel(walk)
        raise
    finally:
        action = None  # this and the walk refer to errors, which refer to this frame: no reference cycle
        del walk


async def astream(
    walk: Walk, instances: Instances, mode: StreamMode, done: Callable[[Reply], None]
) -> AsyncGenerator[ReplyChunk, None]:
    """Yield the chunks of the first answer without blocking the event loop; otherwise as `stream`."""
    clock = walk.chain.time.clock
    action: Action | None = None
    try:
        action = walk.next(clock())
        while True:
            call = await await_call(walk, instances, action)
            part = _StreamedPart(mode)
            try:
                opened = await find_instance(instances, call).astream(call.request, call.timeout_s)
                async with aclosing(opened) as chunks:
                    async for chunk in chunks:
                        part.record_arrival(walk, clock)
                        ready = part.add(part.builder.normalize(chunk))
                        if ready is not None:
                            yield ready
                reply = walk.request.parse(part.builder.build())
            except ProviderError as error:
                action = part.attach_text(walk.record_failure(error, clock(), final=part.is_final), error)
                if part.is_discarded(action):
                    yield ReplyChunk(restart=True)
            else:
                done(walk.record_success(reply, clock()))
                for chunk in part.held_back:
                    yield chunk
                return
    except BaseException:
        cancel(walk)
        raise
    finally:
        action = None  # this and the walk refer to errors, which refer to this frame: no reference cycle
        del walk


class _StreamedPart:
    """What one target has streamed so far, and what the caller has got of it.

    Attributes:
        builder: Assembles the reply.
        held_back: The chunks that mode ``buffered`` yields when the answer is complete.
    """

    def __init__(self, mode: StreamMode) -> None:
        self.builder = ReplyAssembler()
        self.held_back: list[ReplyChunk] = []
        self._mode = mode
        self._thoughts: list[str] = []
        self._has_begun = False
        self._was_yielded = False

    @property
    def is_final(self) -> bool:
        """Whether the caller has a part that cannot be taken back."""
        return self._was_yielded and self._mode == "live"

    def record_arrival(self, walk: Walk, clock: Callable[[], float]) -> None:
        """Record the time of the first chunk."""
        if not self._has_begun:
            self._has_begun = True
            walk.record_first_chunk(clock())

    def add(self, chunk: ReplyChunk) -> ReplyChunk | None:
        """Add a chunk; return what the caller gets now, or None.

        In mode ``live`` reasoning waits for the answer's first chunk: a model that fails while it thinks must not keep
        the next target from answering.
        """
        if not self.builder.add(chunk):
            return None
        if self._mode == "buffered":
            self.held_back.append(chunk)
            return None
        if self._mode == "live" and not self._was_yielded:
            if not (chunk.text or chunk.tool_calls or chunk.finish_reason):
                self._thoughts.append(chunk.reasoning)
                return None
            if self._thoughts:
                chunk = evolve(chunk, reasoning="".join((*self._thoughts, chunk.reasoning)))
        self._was_yielded = True
        return chunk

    def attach_text(self, action: Action, error: ProviderError) -> Action:
        """Return the action. If it raises the error, it raises a copy that carries the text so far."""
        if not isinstance(action, Fail) or action.error is not error or not self.builder.texts:
            return action
        raised = error.copy()
        raised.partial_text = self.builder.text
        return Fail(raised)

    def is_discarded(self, action: Action) -> bool:
        """Return whether the caller must discard what it has, because another attempt follows."""
        return self._was_yielded and self._mode == "restart" and not isinstance(action, Fail)
