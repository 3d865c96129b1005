"""When a call waits, answers and fails, within its time limits. Pure: the caller does the waiting.

Times are seconds from the start of the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from kickai_providers_core import InvalidReplyError, ProviderTimeoutError
from kickai_providers_core.plugin_api.attempt_timer import TIMEOUT_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core import ProviderError
    from kickai_providers_core.values.errors import TimeoutPhase

    from kickai_mock.faults import Fault

__all__ = ["StreamLimits", "plan_stream", "plan_whole"]


@frozen
class StreamLimits:
    """The time limits of a stream, in seconds: to the first chunk, between two chunks, and in total."""

    first_token_s: float
    idle_s: float
    total_s: float


def plan_whole(fault: Fault, latency_s: float, timeout_s: float) -> tuple[float, ProviderError | None]:
    """Return when a call that is not streamed ends, and its error; None when it answers."""
    end_s = latency_s + fault.delay_s + fault.stall_s
    if end_s > timeout_s:
        return timeout_s, _build_timeout_error("total")
    if fault.kind == "cut":
        return end_s, InvalidReplyError("simulated: the answer was cut", status_code=200)
    return end_s, fault.build_error()


def plan_stream(
    fault: Fault, latency_s: float, pause_s: float, limits: StreamLimits, build_chunks: Callable[[], list[Any]]
) -> Iterator[Any]:
    """Yield the steps of a streamed call: a float is the time to wait for, anything else is a chunk.

    Args:
        fault: What the call does.
        latency_s: When the first chunk comes.
        pause_s: Seconds from one piece to the next.
        limits: The time limits.
        build_chunks: Returns the chunks, the last one with the finish reason; called when the first one is due.

    Raises:
        ProviderError: The fault's own error, or a timeout.
    """
    due_s = latency_s + fault.delay_s
    yield from _wait(due_s, limits.first_token_s, "first_token", limits)
    if (error := fault.build_error()) is not None:
        raise error
    *texts, end = build_chunks()
    half = (len(texts) + 1) // 2
    for place, chunk in enumerate((*texts, end)):
        before_s = due_s
        if place == half:
            if fault.kind == "cut":
                return
            due_s += fault.stall_s
        if 0 < place < len(texts):
            due_s += pause_s
        yield from _wait(due_s, before_s + limits.idle_s, "idle", limits)
        yield chunk


def _wait(due_s: float, limit_s: float, phase: TimeoutPhase, limits: StreamLimits) -> Iterator[float]:
    if limits.total_s < limit_s:
        limit_s, phase = limits.total_s, "total"
    yield float(min(due_s, limit_s))
    if due_s > limit_s:
        raise _build_timeout_error(phase)


def _build_timeout_error(phase: TimeoutPhase) -> ProviderTimeoutError:
    return ProviderTimeoutError(f"simulated: {TIMEOUT_MESSAGES[phase]}", phase=phase)
