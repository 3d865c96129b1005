"""Decides how much time is left for what a store keeps for a while."""

from __future__ import annotations

__all__ = ["find_left_s"]


def find_left_s(ends_s: float, duration_s: float, now_s: float) -> float:
    """Return the seconds that are left; 0 when the time is over.

    The times are those of a monotonic clock that starts anew when the machine does. More time left than the whole
    duration means that the machine was started since: then the time is over too. An entry from before a restart that
    is not recognised lasts for its own duration at most.

    Args:
        ends_s: The time at which it ends.
        duration_s: The duration that it was given.
        now_s: The current time.
    """
    left_s = ends_s - now_s
    # A sum of floats may exceed the duration by a rounding error.
    return left_s if 0 < left_s <= duration_s * (1 + 1e-9) + 1e-6 else 0.0
