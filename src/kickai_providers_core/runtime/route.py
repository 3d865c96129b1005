"""A route: the targets of one request, in the order in which it tries them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.runtime.candidate_instances import Instances

__all__ = ["Route"]


@frozen(eq=False, repr=False)
class Route:
    """The targets of one request.

    Attributes:
        candidates: The targets in order.
        instances: The instance of each candidate, by its position.
        arm: The arm of the rollout that the request belongs to; None without a rollout.
        shadow: The targets that get a copy of the request in the background; empty for none.
    """

    candidates: Sequence[Candidate]
    instances: Instances
    arm: str | None = None
    shadow: Sequence[Candidate] = ()
