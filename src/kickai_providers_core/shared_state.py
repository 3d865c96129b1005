"""What a process shares with others through a store: the rollout, suspensions and open breakers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kickai_providers_core.arm_router import ArmRouter
from kickai_providers_core.observability.rollout_controller import RolloutController
from kickai_providers_core.observability.shared_health import SharedHealth
from kickai_providers_core.runtime.shadow_calls import ShadowCalls
from kickai_providers_core.values.events import AttemptEnded
from kickai_providers_core.values.feedback_events import FeedbackGiven

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.candidate_factory import CandidateFactory
    from kickai_providers_core.concurrency.clock import Clockwork
    from kickai_providers_core.config.roles import Role
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.observability.store_thread import StoreThread
    from kickai_providers_core.plugin_api.registry import Registry
    from kickai_providers_core.resilience.health import Health
    from kickai_providers_core.resilience.policy import Random
    from kickai_providers_core.values.events import Event

__all__ = ["SharedState"]

POLL_S = 0.25
"""Seconds between two looks at the store: a change reaches every process within a second."""


class SharedState:
    """The rollout and the shared health of one resolver. Safe to use from any thread.

    Args:
        settings: The resolver's settings.
        registry: Its instances.
        health: The health of its targets.
        emit: Passes an event to its observers.
        time: Its clock.

    Attributes:
        shadow: Sends copies of requests.
    """

    EVENTS = frozenset({AttemptEnded, FeedbackGiven})
    """The events that `observe` needs."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        health: Health,
        emit: Callable[[Event], None],
        time: Clockwork,
    ) -> None:
        self.shadow = ShadowCalls()
        self._settings = settings
        self._controller = RolloutController(settings.rollout, settings.monitor.on_alert, emit, time)
        self._health = SharedHealth(health.states, registry.find, time.clock, settings.store.namespace)

    def add_jobs(self, thread: StoreThread) -> None:
        """Let the store's thread exchange the state. Call it before the thread starts."""
        thread.add_job(self._controller, POLL_S)
        thread.add_job(self._health, POLL_S)

    def observe(self, event: Event) -> None:
        """Count what the guard of the rollout judges."""
        self._controller.observe(event)

    def build_router(
        self, name: str | None, role: Role, candidates: CandidateFactory, random: Random
    ) -> ArmRouter | None:
        """Return the router of a role; None when ``AI_PROVIDER`` decides which provider comes first.

        Args:
            name: The role's name; None for the default chain.
            role: The role.
            candidates: Builds the candidates of targets.
            random: The source of the arm of a request without a key.
        """
        if self._settings.kickai.preferred is not None:
            return None
        split = partial(self._settings.split_for_rollout, role)
        build = partial(candidates.build, is_explicit=role.chain is not None)
        return ArmRouter(name, self._controller, split, build, random)

    def renew_after_fork(self) -> None:
        """Keep the plan and the health in a child; what is pending is the parent's."""
        self.shadow.renew_after_fork()
        self._controller.renew_after_fork()
        self._health.renew_after_fork()
