"""The story of one request as text for a reader: target by target, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.values.attempts import Attempt, Outcome, in_order
from kickai_providers_core.values.plain_text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kickai_providers_core.values.attempts import Skip

__all__ = ["explained"]

PAUSE_S = 0.005
"""A gap between two calls that is shorter than this is no wait: it would be told as 0.00 s."""


def explained(
    attempts: Sequence[Attempt],
    skipped: Sequence[Skip],
    *,
    end: str,
    elapsed_s: float,
    deadline_s: float | None,
) -> str:
    """Return the story in lines: each attempt, wait and skip in order, and how the deadline was spent.

    It holds names, numbers and the errors' own words; neither prompt nor answer nor key.

    Args:
        attempts: Every attempt that has ended.
        skipped: Every target that was not tried.
        end: How the request ended, in a few words.
        elapsed_s: Seconds that the request took.
        deadline_s: Seconds that it might have taken; None when that is not known.
    """
    lines = list(_steps(attempts, skipped)) or ["nothing was tried"]
    called_s = sum(attempt.latency_s for attempt in attempts)
    allowed = f" of {deadline_s:g} s" if deadline_s is not None else ""
    spent = f"{called_s:.2f} s in {count(len(attempts), 'call')}, {max(0.0, elapsed_s - called_s):.2f} s between them"
    return "\n".join([*lines, f"{end} after {elapsed_s:.2f} s{allowed}: {spent}"])


def _steps(attempts: Sequence[Attempt], skipped: Sequence[Skip]) -> Iterator[str]:
    free_at = 0.0
    for step in in_order(attempts, skipped):
        if not isinstance(step, Attempt):
            again = f"; again in {step.retry_in_s:.1f} s" if step.retry_in_s else ""
            yield f"{step.at_s:7.2f} s  {step.target}: skipped, {step.reason.value.replace('_', ' ')}{_of(step)}{again}"
            continue
        if step.started_s - free_at > PAUSE_S:
            yield f"{free_at:7.2f} s  waited {step.started_s - free_at:.2f} s"
        free_at = max(free_at, step.started_s + step.latency_s)
        yield f"{step.started_s:7.2f} s  {step.target}: {_ending(step)}"


def _of(skip: Skip) -> str:
    return f" ({skip.detail})" if skip.detail else ""


def _ending(attempt: Attempt) -> str:
    """Return how one attempt ended, and what follows for its target."""
    try_ = f"try {attempt.number}, " if attempt.number > 1 else ""
    if attempt.error is None:
        told = "answered" if attempt.outcome is Outcome.SUCCESS else "cancelled"
        return f"{try_}{told} after {attempt.latency_s:.2f} s"
    error = attempt.error
    status = f", HTTP {error.status_code}" if error.status_code is not None else ""
    told = f"{try_}{type(error).__name__} after {attempt.latency_s:.2f} s ({error.message}{status})"
    rests = f"; left alone for {attempt.rests_s:.1f} s" if attempt.rests_s > 0 else ""
    withheld = "; not tried again, the budget for retries is spent" if attempt.retry_withheld else ""
    return told + rests + withheld
