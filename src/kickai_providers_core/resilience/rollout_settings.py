"""The table ``[rollout]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from kickai_providers_core.resilience.guard_settings import GuardSettings
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, parse_share
from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from kickai_providers_core.resilience.rollout import RolloutPlan

__all__ = ["RolloutSettings"]


def _check_share(_instance: object, _attribute: object, value: str) -> None:
    parse_share(value)


@frozen(kw_only=True, eq=False, repr=False)
class RolloutSettings(Value):
    """The table ``[rollout]``: the first state of the rollout, and what its guard limits.

    The store holds the rollout. These settings begin it while the store has none; later, `kickai rollout` changes it.

    Attributes:
        candidate: The instance or plugin that is rolled out; None for no rollout.
        share: The percentage of the requests that it serves at first, such as ``5%``.
        exclude: Whether the other requests never call it, instead of calling it last.
        shadow: The percentage of the other requests that are also sent to it in the background, to measure it.
        guard: The limits of the guard, in the table ``[rollout.guard]``.
    """

    candidate: str | None = None
    share: str = field(default="0%", validator=_check_share)
    exclude: bool = False
    shadow: str = field(default="0%", validator=_check_share)
    guard: GuardSettings = field(factory=GuardSettings)

    def build_plan(self, now_s: float = 0.0, *, share: int | None = None) -> RolloutPlan:
        """Return the plan that these settings begin with.

        Args:
            now_s: The time in seconds since 1970.
            share: The share in buckets, instead of that of the settings.
        """
        from kickai_providers_core.resilience.rollout import Rollout, RolloutPlan  # noqa: PLC0415  only with a store

        if self.candidate is None:
            return RolloutPlan()
        rollout = Rollout(
            candidate=self.candidate,
            share=parse_share(self.share) if share is None else share,
            exclude=self.exclude,
            shadow=parse_share(self.shadow) if share is None else 0,
            step_began_s=now_s,
        )
        return RolloutPlan(rollouts={ALL_ROLES: rollout})
