"""Routes the requests of one role between the two arms of a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen

from kickai_providers_core.plugin_api.extension_warnings import warn
from kickai_providers_core.resilience.rollout_shares import BUCKETS, CANDIDATE
from kickai_providers_core.runtime.route import Route
from kickai_providers_core.values.errors import UnknownProviderError
from kickai_providers_core.values.rollout_key import choose_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core.observability.rollout_controller import RolloutController
    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.policy import Random
    from kickai_providers_core.values.targets import Target

__all__ = ["ArmRouter", "Arms"]


@frozen(eq=False, repr=False)
class Arms:
    """The targets of a role, divided for one rollout.

    Attributes:
        rolled_out: The targets at the candidate of the rollout; not empty.
        others: All other targets of the role; not empty.
        instances: The instance of each of them, by its position.
    """

    rolled_out: Sequence[Candidate]
    others: Sequence[Candidate]
    instances: Sequence[Instance | None]

    def choose(self, arm: str, *, exclude: bool, is_shadowed: bool) -> Route:
        """Return the route of a request in an arm."""
        if arm == CANDIDATE:
            return Route([*self.rolled_out, *self.others], self.instances, arm)
        rest = [] if exclude else self.rolled_out
        shadow = self.rolled_out[:1] if is_shadowed else ()
        return Route([*self.others, *rest], self.instances, arm, shadow)


Split = tuple["Sequence[Target]", "Sequence[Target]"]
"""The targets of a role at the candidate of a rollout, and its other targets."""


@define(eq=False, repr=False)
class ArmRouter:
    """Chooses the arm of each request of one role. Safe to use from any thread.

    Without a rollout for the role, and when the rollout cannot be served here, it chooses no route, and the chain's own
    order counts.

    Attributes:
        role: The role; None for the default chain.
        controller: Follows the rollout.
        split: Divides the role's targets for a candidate.
        build: Builds the candidates and instances of targets.
        random: The source of the bucket of a request without a key.
    """

    role: str | None
    controller: RolloutController
    split: Callable[[str], Split]
    build: Callable[[Sequence[Target]], tuple[Sequence[Candidate], Sequence[Instance | None]]]
    random: Random
    _arms: dict[str, Arms | None] = field(factory=dict, init=False)

    def choose(self, key: str | None) -> Route | None:
        """Return the route of a request, or None.

        Args:
            key: Requests with the same key take the same arm; None for a request that may take any.
        """
        found = self.controller.find(self.role)
        if found is None:
            return None
        scope, rollout = found
        arms = self._find_arms(rollout.candidate)
        if arms is None:
            return None
        bucket = choose_bucket(rollout.salt, key) if key is not None else self._draw_bucket()
        if 0 < rollout.share < BUCKETS:
            self.controller.count_key(scope, rollout, bucket)
        is_shadowed = rollout.shadow > 0 and rollout.is_shadowed(bucket)
        return arms.choose(rollout.choose_arm(bucket), exclude=rollout.exclude, is_shadowed=is_shadowed)

    def list_candidates(self) -> Sequence[Candidate]:
        """Return the targets of both arms; none without a rollout."""
        found = self.controller.find(self.role)
        arms = None if found is None else self._find_arms(found[1].candidate)
        return () if arms is None else (*arms.rolled_out, *arms.others)

    def _draw_bucket(self) -> int:
        return min(int(self.random.uniform(0.0, BUCKETS)), BUCKETS - 1)

    def _find_arms(self, candidate: str) -> Arms | None:
        if candidate not in self._arms:
            self._arms[candidate] = self._build_arms(candidate)
        return self._arms[candidate]

    def _build_arms(self, candidate: str) -> Arms | None:
        rolled_out, others = self.split(candidate)
        if not others:
            return None  # the role has only the candidate, so there is nothing to compare it with
        try:
            candidates, instances = self.build([*rolled_out, *others])
        except UnknownProviderError:
            warn(f"the rollout of {candidate} has no effect, because no provider of that name is configured here")
            return None
        return Arms(candidates[: len(rolled_out)], candidates[len(rolled_out) :], instances)
