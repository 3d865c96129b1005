"""Fallbacks: requests that another target than the first one answered, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core.operations.cell_sums import Sums
    from kickai_providers_core.values.metrics import CellKey

__all__ = ["REQUEST_CAUSED", "Fallback", "find_fallbacks"]

REQUEST_CAUSED = frozenset(
    {
        "incapable",
        "window_too_small",
        "ContentFilteredError",
        "ContextLengthExceededError",
        "InvalidRequestError",
        "RejectedRequestError",
        "UnsupportedRequestError",
    }
)
"""The reasons that are due to the request, and not to the provider that could not answer it."""


@frozen(kw_only=True, order=True)
class Fallback:
    """Requests that one provider was to answer, and that another target answered.

    Attributes:
        requests: Their number.
        first: The instance that was to answer.
        answered_by: The instance that answered; the same one for a fallback to another model.
        reason: The class of the first target's error, the reason for which it was skipped, or ``slow``.
    """

    requests: int
    first: str
    answered_by: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fallbacks as JSON."""
        return {"from": self.first, "to": self.answered_by, "reason": self.reason, "requests": self.requests}


def find_fallbacks(groups: Iterable[tuple[CellKey, Sums]]) -> tuple[Fallback, ...]:
    """Return the fallbacks of groups of cells, the most frequent first."""
    counts: dict[tuple[str, str, str], int] = {}
    for key, sums in groups:
        for name, count in sums.find("fallback.").items():
            first, _, reason = name.rpartition(".")
            place = first, key.provider, reason
            counts[place] = counts.get(place, 0) + count
    found = [_from_counts(place, count) for place, count in counts.items()]
    return tuple(sorted(found, key=lambda each: (-each.requests, each.first, each.answered_by, each.reason)))


def _from_counts(place: tuple[str, str, str], count: int) -> Fallback:
    first, answered_by, reason = place
    return Fallback(requests=count, first=first, answered_by=answered_by, reason=reason)
