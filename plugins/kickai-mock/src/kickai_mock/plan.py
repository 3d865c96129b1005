"""When a call does what: its waits and its pieces, against its time limits. Pure; whoever runs it does the waiting.

Times are seconds from the start of the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from kickai_providers_core import InvalidReplyError, ProviderTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core import ProviderError
    from kickai_providers_core.values.errors import TimeoutPhase

    from kickai_mock.faults import Fault

__all__ = ["Limits", "stream", "whole"]

_TOLD = {"first_token": "no first token in time", "idle": "the stream fell silent", "total": "no answer in time"}


@frozen
class Limits:
    """How long a stream may take.

    Attributes:
        first_token_s: Until its first chunk.
        idle_s: Between two chunks.
        total_s: As a whole.
    """

    first_token_s: float
    idle_s: float
    total_s: float


def whole(fault: Fault, latency_s: float, timeout_s: float) -> tuple[float, ProviderError | None]:
    """Return when a call that is no stream ends, and the error that it ends with, or None when it answers."""
    due_s = latency_s + fault.before_first_s + fault.half_way_s
    if due_s > timeout_s:
        return timeout_s, _timed_out("total")
    if fault.kind == "cut":
        return due_s, InvalidReplyError("simulated: the answer was cut short", status_code=200)
    return due_s, fault.error()


def stream(
    fault: Fault, latency_s: float, pause_s: float, limits: Limits, chunks: Callable[[], list[Any]]
) -> Iterator[Any]:
    """Yield what a streamed call does: a float is the time to wait until, anything else is to be handed out.

    Args:
        fault: What the call does.
        latency_s: When the first chunk comes.
        pause_s: How long after the one before each further piece comes.
        limits: How long it may take.
        chunks: Makes the chunks of the answer, the last of them with the finish reason; called when the first is due.

    Raises:
        ProviderError: The one that the fault stands for, or a timeout when a limit is not kept.
    """
    due_s = latency_s + fault.before_first_s
    yield from _until(due_s, limits.first_token_s, "first_token", limits)
    if (error := fault.error()) is not None:
        raise error
    *texts, end = chunks()
    half = (len(texts) + 1) // 2
    for place, chunk in enumerate((*texts, end)):
        before_s = due_s
        if place == half:
            if fault.kind == "cut":
                return
            due_s += fault.half_way_s
        if 0 < place < len(texts):
            due_s += pause_s
        yield from _until(due_s, before_s + limits.idle_s, "idle", limits)
        yield chunk


def _until(due_s: float, limit_s: float, phase: TimeoutPhase, limits: Limits) -> Iterator[float]:
    if limits.total_s < limit_s:
        limit_s, phase = limits.total_s, "total"
    yield float(min(due_s, limit_s))
    if due_s > limit_s:
        raise _timed_out(phase)


def _timed_out(phase: TimeoutPhase) -> ProviderTimeoutError:
    return ProviderTimeoutError(f"simulated: {_TOLD[phase]}", phase=phase)
