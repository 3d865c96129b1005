"""What a process keeps in a store and shares through it: metrics, the rollout, suspensions and open breakers."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from kickai_providers_core.observability.lazy_store import LazyStore
from kickai_providers_core.observability.monitor import Monitor
from kickai_providers_core.observability.rollout_controller import RolloutController
from kickai_providers_core.observability.shared_health import SharedHealth
from kickai_providers_core.observability.shared_limits import SharedLimits
from kickai_providers_core.observability.store_schedule import POLL_EVERY_S
from kickai_providers_core.observability.store_thread import StoreThread
from kickai_providers_core.rollout_router import ArmRouter
from kickai_providers_core.runtime.shadow_calls import ShadowCalls
from kickai_providers_core.values.event_counting import COUNTED_EVENTS
from kickai_providers_core.values.events import AttemptEnded, RequestStarted
from kickai_providers_core.values.feedback_events import FeedbackGiven

if TYPE_CHECKING:
    from kickai_providers_core.candidate_factory import CandidateFactory
    from kickai_providers_core.concurrency.clock import Clockwork
    from kickai_providers_core.concurrency.process_name import ProcessName
    from kickai_providers_core.concurrency.single_flight import SingleFlight
    from kickai_providers_core.config.roles import Role
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.observability.observers import Observers
    from kickai_providers_core.plugin_api.discovery import Discovery
    from kickai_providers_core.plugin_api.registry import Registry
    from kickai_providers_core.resilience.health import Health
    from kickai_providers_core.resilience.policy import Random
    from kickai_providers_core.stores.api import Store

__all__ = ["SharedState"]


class SharedState:
    """The store of one resolver, the thread that uses it, and what is shared through it. Safe to use from any thread.

    Args:
        store: The store; None for the one that the settings name.
        settings: The resolver's settings.
        discovery: The plugins, which may open stores.
        registry: The resolver's instances.
        health: The health of its targets.
        observers: Its observers, to which those of the store are added.
        process: The name of the process.
        time: The clock.

    Attributes:
        store: The store.
        thread: The thread that uses it.
        shadow: Sends copies of requests.
    """

    def __init__(
        self,
        store: Store | None,
        *,
        settings: Settings,
        discovery: Discovery,
        registry: Registry,
        health: Health,
        observers: Observers,
        process: ProcessName,
        time: Clockwork,
    ) -> None:
        self._settings = settings
        self._opening = _open_later(settings, discovery) if store is None else None
        chosen = store if self._opening is None else self._opening
        if chosen is None:
            raise RuntimeError("there must be a store")
        self.store: Store = chosen
        keep_days = settings.store.keep_days
        self.thread = StoreThread(self.store, Monitor(time.wall), process=process, time=time, keep_days=keep_days)
        self.shadow = ShadowCalls()
        # The thread must not keep the resolver alive, so nothing here refers to it.
        self._controller = RolloutController(settings.rollout, settings.monitor.on_alert, observers.emit, time)
        self._health = SharedHealth(health.get_states, registry.find, time.clock, settings.store.namespace)
        self.thread.add_job(self._controller, POLL_EVERY_S)
        self._limits = SharedLimits(registry, time.clock, settings.store.namespace)
        self.thread.add_job(self._health, POLL_EVERY_S)
        if self._limits.lease(self.thread.hasten):
            self.thread.add_job(self._limits, POLL_EVERY_S)
        observers.add(self.thread.observe_start, {RequestStarted})
        observers.add(self.thread.observe, COUNTED_EVENTS)
        observers.add(self._controller.observe, {AttemptEnded, FeedbackGiven})

    def start(self, owner: object) -> None:
        """Read the store, for 250 ms at most, and go on reading and writing it until the owner is dropped or closed."""
        weakref.finalize(owner, self.thread.stop).atexit = False
        self.thread.wait_until_read()

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

    def list_pending_calls(self) -> tuple[SingleFlight[Store], ...]:
        """Return the opening of the store, which a fork must not interrupt."""
        return () if self._opening is None else self._opening.list_pending_calls()

    def renew_after_fork(self) -> None:
        """Keep the plan and the health in a child; what is pending is the parent's."""
        if self._opening is not None:
            self._opening.renew_after_fork()
        self.thread.renew_after_fork()
        self.shadow.renew_after_fork()
        self._controller.renew_after_fork()
        self._health.renew_after_fork()
        self._limits.renew_after_fork()


def _open_later(settings: Settings, discovery: Discovery) -> LazyStore | None:
    """Return the store that the settings name; None for none. Nothing is opened yet."""
    own = settings.store
    if own.url is None:
        return None
    from kickai_providers_core.plugin_api.store_opening import open_store  # noqa: PLC0415  needs sqlite3

    url, plugins = own.url, discovery.stores()
    return LazyStore(lambda: open_store(url, namespace=own.namespace, plugins=plugins))
