"""The composition root: from settings and plugins to chains."""

from __future__ import annotations

import asyncio
import os
import random as stdlib_random
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, ClassVar, Self

from attrs import evolve

from kickai_providers_core.candidate_factory import CandidateFactory
from kickai_providers_core.chain import Chain
from kickai_providers_core.concurrency.clock import REAL_TIME, Clockwork
from kickai_providers_core.concurrency.forking import ForkGuard
from kickai_providers_core.concurrency.portal import Portal
from kickai_providers_core.concurrency.process_name import ProcessName
from kickai_providers_core.observability.feedback import RecentAnswers, build_feedback
from kickai_providers_core.observability.observers import Observers
from kickai_providers_core.outside_calls import OutsideCalls
from kickai_providers_core.plugin_api.discovery import LOAD_TIMEOUT_S, discover, find_entry_points
from kickai_providers_core.plugin_api.ranking import Ranking
from kickai_providers_core.plugin_api.registry import Registry
from kickai_providers_core.resilience.health import Health
from kickai_providers_core.resilience.hedging import HedgeTimer
from kickai_providers_core.resilience.retry_budget import RetryBudget
from kickai_providers_core.resilience.walk_context import ChainContext
from kickai_providers_core.runtime.route import Route
from kickai_providers_core.values.events import RequestEnded
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.validation import Number, hide_arguments, quote, raise_argument_error
from kickai_providers_core.walk_starter import WalkStarter, validate_deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from os import PathLike
    from types import TracebackType

    from kickai_providers_core.concurrency.forking import Renewable
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.observability.store_thread import StoreThreadStatus
    from kickai_providers_core.plugin_api.discovery import Discovery
    from kickai_providers_core.resilience.health_report import HealthReport
    from kickai_providers_core.resilience.policy import Random
    from kickai_providers_core.shared_state import SharedState
    from kickai_providers_core.stores.api import Store
    from kickai_providers_core.values.events import Observer
    from kickai_providers_core.values.replies import Reply

__all__ = ["Resolver"]

TEMPERATURE = Number(minimum=0)
MAX_TOKENS = Number(integer=True, minimum=1)

IMPORTED_WHEN_USED = tuple(
    f"kickai_providers_core.{name}"
    for name in ("batching", "tool_loop", "values.response_types", "resilience.health_report")
)
"""What only some applications use."""


class Resolver:
    """Holds the configured providers, and creates the chains that use them.

    Safe to share between threads, event loops and forked processes. After a fork, a child opens its own connections,
    keeps suspensions and open breakers, and never uses or closes what is its parent's. Close it with ``close()`` or
    ``with``, or on a running event loop with ``aclose()`` or ``async with``. Afterwards its chains cannot be called.

    Attributes:
        settings: Its settings.
        discovery: The plugins that were found.
        registry: The configured providers.
        store: Where metrics and what processes share are kept; None without a store.
        outside_calls: Records calls that the application makes without a chain.
    """

    _request_numbers: ClassVar[Iterator[int]] = count(1)
    """Shared by all resolvers, so that an observer of several can tell their requests apart."""

    def __init__(
        self,
        settings: Settings,
        discovery: Discovery,
        *,
        observers: Iterable[Observer] = (),
        time: Clockwork = REAL_TIME,
        random: Random | None = None,
        store: Store | None = None,
    ) -> None:
        """Compose a resolver from its parts; most applications call `from_settings`.

        Args:
            settings: The settings.
            discovery: The plugins.
            observers: Called with every event, on the thread that serves the request.
            time: Clock and sleeps; tests pass virtual time.
            random: The source of jitter; None for a new generator, which a forked child seeds again.
            store: Where metrics and what processes share are kept; None for the store that the settings name, if any.
        """
        random = _ForkSafeRandom() if random is None else random
        self.settings = settings
        self.discovery = discovery
        portal = Portal()
        self.registry = Registry(
            discovery, settings.providers, settings.unusable, clock=time.clock, wall=time.wall, portal=portal
        )
        self._process, self._recent_answers = ProcessName(), RecentAnswers()
        self._observers = Observers(observers, discovery.observers())
        self._observers.add(self._recent_answers.observe, {RequestEnded})
        self._ranking = Ranking(settings.routing, discovery.rankers())
        self._health = Health(settings.breaker, random)
        self._shared = self._open_shared_state(store, time)
        self.store: Store | None = None if self._shared is None else self._shared.store
        self._context = self._build_context(time, random, portal)
        self._candidates = CandidateFactory(settings, self.registry, self._health, time.clock)
        self.outside_calls = OutsideCalls(
            registry=self.registry,
            health=self._health,
            emit=self._observers.emit,
            renew=self._context.fork_guard.renew_if_forked,
            request_numbers=self._request_numbers,
            clock=time.clock,
        )
        if self._shared is not None:
            self._shared.start(self)

    def _open_shared_state(self, store: Store | None, time: Clockwork) -> SharedState | None:
        """Return what is shared through the given store, or the one that the settings name; None without a store."""
        if store is None and self.settings.store.url is None:
            return None
        from kickai_providers_core.shared_state import SharedState  # noqa: PLC0415  takes a while, and needs a store

        return SharedState(
            store,
            settings=self.settings,
            discovery=self.discovery,
            registry=self.registry,
            health=self._health,
            observers=self._observers,
            process=self._process,
            time=time,
        )

    def _build_context(self, time: Clockwork, random: Random, portal: Portal) -> ChainContext:
        """Return what the requests of all chains share."""
        policy, hedging = self.settings.policy, self.settings.hedging
        retry_budget = RetryBudget(policy.retry_share, policy.retry_floor)
        hedge_timer = HedgeTimer(hedging) if hedging.on else None
        own_random = random if isinstance(random, _ForkSafeRandom) else None
        return ChainContext(
            policy=policy,
            random=random,
            retry_budget=retry_budget,
            hedge_timer=hedge_timer,
            emit=self._observers.emit,
            time=time,
            fork_guard=self._guard_forks(own_random, retry_budget, hedge_timer, portal),
            portal=portal,
            process=self._process,
            request_numbers=self._request_numbers,
            resolve_model=self.settings.find_successor,
            deadline_s=self.settings.kickai.deadline_s,
        )

    def _guard_forks(self, *others: Renewable | None) -> ForkGuard:
        """Return the guard that renews in a child what it must not share, and lets a fork wait for running calls."""
        parts = (self._health, self.registry, *others, self._process, self._shared)
        owners = (self.registry,) if self._shared is None else (self.registry, self._shared)
        return ForkGuard(
            (part for part in parts if part is not None),
            lambda: [call for owner in owners for call in owner.list_pending_calls()],
            IMPORTED_WHEN_USED,
        )

    @classmethod
    def from_settings(
        cls,
        source: str | PathLike[str] | Mapping[str, object] | Settings | None = None,
        *,
        env: Mapping[str, str] | None = None,
        plugins: Mapping[str, object] | None = None,
        observers: Iterable[Observer] = (),
        time: Clockwork = REAL_TIME,
        random: Random | None = None,
        load_timeout_s: float = LOAD_TIMEOUT_S,
        store: Store | None = None,
    ) -> Self:
        """Return a resolver for settings from a file, a mapping, or code.

        Args:
            source: The path of a TOML file, a mapping of the same form, or `Settings`. None looks for ``kickai.toml``
                from the working directory upwards; there need not be one.
            env: The environment; None for the process's own.
            plugins: Plugins to use besides the installed ones, by name. A provider among them replaces an installed one
                of the same name.
            observers: Called with every event, on the thread that serves the request.
            time: Clock and sleeps; tests pass virtual time.
            random: The source of jitter.
            load_timeout_s: Seconds, above 0, that the import of one plugin may take, and its description of itself. A
                plugin that takes longer is broken.
            store: Where metrics are written; None for the store that the settings name, if any.

        Raises:
            ConfigError: The settings are invalid; it lists every problem.
        """
        from kickai_providers_core.config.settings import Settings  # noqa: PLC0415  a fifth of the import of the core

        if isinstance(source, Settings):
            found = discover(
                find_entry_points(), allowed=source.kickai.plugins, given=plugins, timeout_s=load_timeout_s
            )
            settings = _apply_exposure(source, found)
            return cls(settings, found, observers=observers, time=time, random=random, store=store)
        from kickai_providers_core.config import loader, sources  # noqa: PLC0415  only a file needs cattrs

        document = sources.read(source, os.environ if env is None else env)
        found = discover(find_entry_points(), allowed=document.plugins, given=plugins, timeout_s=load_timeout_s)
        broken = [plugin.name for plugin in found.plugins if plugin.error is not None]
        settings = loader.structure(document, found.infos(), broken=broken)
        return cls(settings, found, observers=observers, time=time, random=random, store=store)

    def for_role(self, name: str | None = None) -> Chain:
        """Return the chain of a role.

        Args:
            name: The role's name; an unknown one gets the default role's chain. None calls the primary and the fallback
                instances in the order of the settings, with the default role's temperature and token limit.

        Raises:
            UnknownProviderError: The settings name a target without a provider.
            TypeError: The name is not text.
            ValueError: The role's chain has no target.
        """
        if not isinstance(name, str | None):
            raise_argument_error("a role's name", "text or None", quote(name))
        role = self.settings.role(name) if name is not None else evolve(self.settings.default_role, prefers=None)
        context = evolve(self._context, temperature=role.temperature, max_tokens=role.max_tokens, role=name)
        # A chain that lists its targets keeps their order, and so does traffic that was moved to one provider.
        is_ranked = self._ranking.is_needed and self.settings.kickai.preferred is None
        targets = self.settings.targets_for(role)
        candidates, instances = self._candidates.build(targets, is_explicit=role.chain is not None)
        starter = WalkStarter(Route(candidates, instances), context, self._ranking if is_ranked else None)
        if self._shared is not None:
            router = self._shared.build_router(name, role, self._candidates, context.random)
            starter = evolve(starter, router=router, shadow=self._shared.shadow.send)
        return Chain(starter)

    def chain(
        self,
        *targets: str | Target,
        deadline_s: float | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Chain:
        """Return a chain of targets, each ``instance`` or ``instance:model``, in the given order.

        Args:
            targets: The targets; at least one.
            deadline_s: Seconds that a request may take, above 0; None for the settings' deadline.
            temperature: For requests that state none, from 0; None leaves it to the provider.
            max_tokens: The token limit for requests that state none, from 1; None leaves it to the provider.

        Raises:
            UnknownProviderError: A target has no provider.
            TypeError: A target is neither text nor a `Target`, or a number is not a number.
            ValueError: There is no target, a target is malformed, or a number is out of range.
        """
        parsed = [Target.of(target) for target in targets]
        _validate_defaults(temperature, max_tokens)
        context = evolve(
            self._context,
            deadline_s=self.settings.kickai.deadline_s if deadline_s is None else validate_deadline(deadline_s),
            temperature=temperature,
            max_tokens=max_tokens,
        )
        return Chain(WalkStarter(Route(*self._candidates.build(parsed, is_explicit=True)), context))

    def health(self) -> HealthReport:
        """Return the health of each target and provider, for a health endpoint. Nothing is called for it.

        The report is immutable; ``as_dict()`` returns it as JSON. Safe to call from any thread.
        """
        from kickai_providers_core.resilience.health_report import report_health  # noqa: PLC0415  few need it

        return report_health(self._health, self._context.time.clock())

    def record_feedback(self, answer: Reply | str, *, ok: bool, name: str = "answer") -> None:
        """Record how good an answer is, in the metrics of the provider and model that gave it.

        Safe to call from any thread. Observers receive a `FeedbackGiven`.

        Args:
            answer: The reply, or the ``request_id`` of one of the last 10,000 replies of this process.
            ok: Whether it is good.
            name: What is rated, for example ``tone``: a lower-case letter, then at most 39 of a-z, 0-9, ``_``, ``-``.

        Raises:
            ArgumentTypeError: An argument has the wrong type.
            ArgumentValueError: The name is malformed, the id is unknown, or the reply is not from a chain.
        """
        self._context.fork_guard.renew_if_forked()
        self._observers.emit(build_feedback(answer, self._recent_answers, ok=ok, name=name))

    def store_status(self) -> StoreThreadStatus | None:
        """Return how writing metrics to the store goes in this process; None without a store.

        Safe to call from any thread. Nothing waits for the store.
        """
        return None if self._shared is None else self._shared.thread.get_status()

    def flush(self, timeout_s: float = 0.25) -> bool:
        """Write to the store what was counted so far, and return whether it was written within the time limit.

        True without a store. It is written anyway within about a second; a report of this process may need it earlier.
        """
        self._context.fork_guard.renew_if_forked()
        return self._shared is None or self._shared.thread.flush(timeout_s)

    def close(self) -> None:
        """Close every provider that was created, and write the last metrics, which takes at most 0.25 s.

        Running requests may fail. Closing twice is allowed.
        """
        self._context.fork_guard.renew_if_forked()
        portal = self._context.portal
        if portal.is_running:  # what was opened on its loop can only be closed there
            with suppress(RuntimeError):  # another thread has closed it first
                portal.run(lambda: self.registry.aclose(self._observers.emit))
        portal.stop()  # a loop that has not begun must not begin now
        self.registry.close(self._observers.emit)
        if self._shared is not None:
            self._shared.thread.close()

    async def aclose(self) -> None:
        """Close every provider that was created, on the running event loop; otherwise as `close`."""
        self._context.fork_guard.renew_if_forked()
        await self.registry.aclose(self._observers.emit)
        portal = self._context.portal
        if portal.is_running:
            await asyncio.to_thread(portal.stop)
        portal.stop()
        if self._shared is not None:
            await asyncio.to_thread(self._shared.thread.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


@hide_arguments
def _validate_defaults(temperature: float | None, max_tokens: int | None) -> None:
    if temperature is not None:
        TEMPERATURE.check("temperature", temperature)
    if max_tokens is not None:
        MAX_TOKENS.check("max_tokens", max_tokens)


def _apply_exposure(settings: Settings, discovery: Discovery) -> Settings:
    """Return settings made in code, with ``[kickai] expose_service_messages`` applied to each instance."""
    if not settings.kickai.expose_service_messages:
        return settings
    unnamed = {name: info.settings_class() for name, info in discovery.infos().items()}
    providers = {**unnamed, **settings.providers}
    return evolve(
        settings,
        explicit=settings.explicit,
        providers={name: evolve(own, expose_service_messages=True) for name, own in providers.items()},
    )


class _ForkSafeRandom(stdlib_random.Random):
    """A generator that a forked child seeds again, so that the processes' waits differ."""

    def renew_after_fork(self) -> None:
        """Seed it again."""
        self.seed()
