"""The event of a rollout that has changed."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from kickai_providers_core.values.events import Event

__all__ = ["RolloutChanged"]


@frozen(slots=False, eq=False, repr=False)
class RolloutChanged(Event):
    """The rollout has changed, by an operator or by its guard; each process emits it when it follows.

    Attributes:
        scope: The role, or ``*`` for all roles without a rollout of their own.
        candidate: The instance or plugin that is rolled out.
        share_before: The earlier share of the requests, from 0 to 1.
        share_after: The share of the requests, from 0 to 1.
        is_suspended: Whether the guard has provisionally set the share to 0.
    """

    scope: str
    candidate: str
    share_before: float
    share_after: float
    is_suspended: bool = False

    @property
    def failed(self) -> bool:
        """Whether the share became smaller."""
        return self.share_after < self.share_before

    def __str__(self) -> str:
        state = ", suspended" if self.is_suspended else ""
        return f"rollout of {self.candidate} ({self.scope}): {self.share_before:.4%} -> {self.share_after:.4%}{state}"

    def _build_fields(self) -> dict[str, Any]:
        return {
            "gen_ai.provider.name": self.candidate,
            "kickai.rollout.scope": self.scope,
            "kickai.rollout.share": self.share_after,
            "kickai.rollout.suspended": self.is_suspended,
        }
