"""The composition root: from settings and plugins to chains."""

from __future__ import annotations

import asyncio
import os
import random as stdlib_random
import time as stdlib_time
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Self

from attrs import evolve, field, frozen

from kickai_providers_core.chain import Chain, Runtime, Terms
from kickai_providers_core.concurrency.forking import ForkGuard
from kickai_providers_core.concurrency.portal import Background
from kickai_providers_core.config.settings import Settings
from kickai_providers_core.observability.observers import Observers
from kickai_providers_core.plugin_api import discovery as finding
from kickai_providers_core.plugin_api.isolation import LOAD_TIMEOUT_S
from kickai_providers_core.plugin_api.ranking import Ranking
from kickai_providers_core.plugin_api.registry import PACKAGES, Registry
from kickai_providers_core.resilience.candidates import UNVALIDATED, Link
from kickai_providers_core.resilience.health import Health
from kickai_providers_core.resilience.health_report import HealthReport, report_health
from kickai_providers_core.resilience.hedging import Hedges
from kickai_providers_core.resilience.retry_budget import Budget
from kickai_providers_core.runtime.drivers import Clockwork
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.base_errors import ArgumentValueError
from kickai_providers_core.values.targets import Target
from kickai_providers_core.values.validation import refuse_argument, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike
    from types import TracebackType

    from kickai_providers_core.plugin_api.discovery import Discovery
    from kickai_providers_core.plugin_api.registry import Instance
    from kickai_providers_core.resilience.health import Route
    from kickai_providers_core.resilience.policy import Random
    from kickai_providers_core.values.events import Observer

__all__ = ["REAL_TIME", "Resolver"]

REAL_TIME = Clockwork(clock=stdlib_time.monotonic, sleep=stdlib_time.sleep, asleep=asyncio.sleep)
"""The clock and the sleeps of the machine."""


class Resolver:
    """Holds the configured providers, and gives out the chains that use them.

    Safe to share between threads, event loops and forked processes: after a fork, a child opens its own connections,
    keeps the suspensions and open breakers, and never uses or closes what is its parent's. Close it with ``close()`` or
    ``with``, or on a running event loop with ``aclose()`` or ``async with``; its chains cannot be called afterwards.

    Attributes:
        settings: What it was told.
        discovery: The plugins it found.
        registry: The configured providers.
    """

    def __init__(
        self,
        settings: Settings,
        discovery: Discovery,
        *,
        observers: Iterable[Observer] = (),
        time: Clockwork = REAL_TIME,
        random: Random | None = None,
    ) -> None:
        """Compose a resolver from its parts; most applications call `from_settings`.

        Args:
            settings: What to do.
            discovery: The plugins to do it with.
            observers: Called with every event, on the thread that serves the request.
            time: Clock and sleeps, for tests on a virtual clock.
            random: Where jitter comes from; None for a generator of its own, which a forked child seeds anew.
        """
        if random is None:
            random = _OwnRandom()
        self.settings = settings
        self.discovery = discovery
        self.registry = Registry(discovery, settings.providers, settings.unusable, clock=time.clock)
        self._observers = Observers(observers, discovery.observers())
        self._ranking = Ranking(settings.routing, discovery.rankers())
        self._health = Health(settings.breaker, random)
        policy = settings.policy
        retries, background = Budget(policy.retry_share, policy.retry_floor), Background()
        hedges = Hedges(settings.hedging) if settings.hedging.on else None
        own_random = random if isinstance(random, _OwnRandom) else None
        parts = (own_random, self._health, self.registry, retries, hedges, background)
        self._runtime = Runtime(
            policy=policy,
            random=random,
            retries=retries,
            hedges=hedges,
            background=background,
            guard=ForkGuard((part for part in parts if part is not None), self.registry.flights),
            time=time,
            tell=self._observers.tell,
            numbers=count(1),
            living=settings.find_successor,
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
    ) -> Self:
        """Return a resolver for settings from a file, a mapping, or code.

        Args:
            source: A path to a TOML file, a mapping of the same form, or `Settings`; None looks for ``kickai.toml``
                from the working directory upwards, and does without when there is none.
            env: The environment; None for that of the process.
            plugins: Plugins to use beside the installed ones, by name; a provider among them takes the place of an
                installed one of the same name.
            observers: Called with every event, on the thread that serves the request.
            time: Clock and sleeps, for tests on a virtual clock.
            random: Where jitter comes from.
            load_timeout_s: Seconds, above 0, that the import of one plugin may take, and as many its description of
                itself; a plugin that takes longer is broken.

        Raises:
            ConfigError: The settings cannot be used; it tells every problem at once.
        """
        if isinstance(source, Settings):
            found = finding.discover(
                finding.installed(), allowed=source.kickai.plugins, given=plugins, timeout_s=load_timeout_s
            )
            return cls(_exposing(source, found), found, observers=observers, time=time, random=random)
        from kickai_providers_core.config import loader, sources  # noqa: PLC0415  cattrs is needed only for a file

        document = sources.read(source, os.environ if env is None else env)
        found = finding.discover(finding.installed(), allowed=document.plugins, given=plugins, timeout_s=load_timeout_s)
        broken = [plugin.name for plugin in found.plugins if plugin.error is not None]
        settings = loader.structure(document, found.infos(), broken=broken)
        return cls(settings, found, observers=observers, time=time, random=random)

    def for_role(self, name: str | None = None) -> Chain:
        """Return the chain of a role.

        Args:
            name: A name that no catalogue has gets the default role's chain. Without a name the primary and the
                fallback instances are asked in the order of the settings, whatever the default role prefers, with
                the default role's temperature and limit of tokens.

        Raises:
            UnknownProviderError: A target that the settings name has no provider.
            TypeError: The name is no text.
            ValueError: The role's chain has no target, which settings that were made in code may say.
        """
        if not isinstance(name, str | None):
            refuse_argument("a role's name", "text or None", shown(name))
        role = self.settings.role(name) if name is not None else evolve(self.settings.default_role, prefers=None)
        chosen = role.chain is not None
        links = self._links(self.settings.targets_for(role), chosen=chosen)
        terms = Terms(
            deadline_s=self.settings.kickai.deadline_s,
            temperature=role.temperature,
            max_tokens=role.max_tokens,
            role=name,
        )
        # A chain that was asked for target by target keeps its order; so does traffic that was moved to one provider.
        ranked = self._ranking.needed and self.settings.kickai.preferred is None
        return self._chain(links, terms, self._ranking if ranked else None)

    def chain(
        self,
        *targets: str | Target,
        deadline_s: float | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Chain:
        """Return a chain of targets, each ``instance`` or ``instance:model``, in the order given.

        Raises:
            UnknownProviderError: A target has no provider.
            TypeError: A target is neither text nor a `Target`, or a number is no number.
            ValueError: There is no target, or one is malformed, or the deadline is not above 0.
        """
        parsed = [Target.of(target) for target in targets]
        if deadline_s is None:
            deadline_s = self.settings.kickai.deadline_s
        terms = Terms(deadline_s=deadline_s, temperature=temperature, max_tokens=max_tokens)
        return self._chain(self._links(parsed, chosen=True), terms)

    def _chain(self, links: list[_Bound], terms: Terms, rank: Ranking | None = None) -> Chain:
        return Chain([bound.link for bound in links], [bound.instance for bound in links], self._runtime, terms, rank)

    def _links(self, targets: Iterable[Target], *, chosen: bool) -> list[_Bound]:
        links = [self._link(position, target, chosen=chosen) for position, target in enumerate(targets)]
        if not links:
            message = "a chain has at least one target"
            raise ArgumentValueError(message)
        return links

    def _link(self, position: int, target: Target, *, chosen: bool) -> _Bound:
        instance = self.registry.find(target.provider)
        if instance is not None:
            return _Bound(self._link_of(position, target, instance), instance)
        unknown = self.registry.unknown(target.provider)
        if chosen or target.provider in self.settings.explicit or target.provider not in PACKAGES:
            raise unknown
        return _Bound(_absent(position, target, f"pip install {PACKAGES[target.provider]}", self._health), None)

    def _link_of(self, position: int, target: Target, instance: Instance) -> Link:
        """Return the link of a target; of one that names no model, the model of a request can make another."""
        now = self._runtime.time.clock
        link = _link_of(position, target, instance, self.settings, self._health.route, now())
        if target.model is not None:
            return link

        def for_model(model: str) -> Link:
            named = Target(target.provider, model)
            return _link_of(position, named, instance, self.settings, self._health.route, now())

        return evolve(link, for_model=for_model)

    def health(self) -> HealthReport:
        """Return what is known of each target and provider now, for a health endpoint; nothing is called for it.

        The report is immutable; ``as_dict()`` makes it JSON. Safe to call from any thread.
        """
        return report_health(self._health, self._runtime.time.clock())

    def close(self) -> None:
        """Close every provider that was created. Requests under way may fail. Closing twice is no error."""
        self._runtime.guard.renew_if_forked()
        background = self._runtime.background
        if background.running:  # what it opened can only be closed there
            with suppress(RuntimeError):  # another thread is closing as well, and was first
                background.run(lambda: self.registry.aclose(self._observers.tell))
        background.stop()  # one that has not begun must not begin now
        self.registry.close(self._observers.tell)

    async def aclose(self) -> None:
        """Close every provider that was created, on the running loop; otherwise as `close`."""
        self._runtime.guard.renew_if_forked()
        await self.registry.aclose(self._observers.tell)
        background = self._runtime.background
        if background.running:
            await asyncio.to_thread(background.stop)
        background.stop()

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


def _exposing(settings: Settings, discovery: Discovery) -> Settings:
    """Return settings that were made in code, with what ``[kickai]`` says of all instances applied to each."""
    if not settings.kickai.expose_service_messages:
        return settings
    unnamed = {name: info.settings_class() for name, info in discovery.infos().items()}
    providers = {**unnamed, **settings.providers}
    return evolve(
        settings,
        explicit=settings.explicit,
        providers={name: evolve(own, expose_service_messages=True) for name, own in providers.items()},
    )


class _OwnRandom(stdlib_random.Random):
    """A generator that forked processes do not share, so that their waits differ."""

    def renew_after_fork(self) -> None:
        """Seed it anew."""
        self.seed()


@frozen(eq=False, repr=False)
class _Bound:
    """A link with the instance that it stands for, if that is installed."""

    link: Link
    instance: Instance | None = field(repr=False)


def _link_of(  # noqa: PLR0917
    position: int,
    target: Target,
    instance: Instance,
    settings: Settings,
    route: Callable[[str, str | None, float], Route],
    now: float,
) -> Link:
    own = instance.settings
    model = settings.find_successor(target.model) if target.model else own.model
    known = instance.model(model)
    abandoned = instance.seam.abandoned

    def unusable() -> tuple[SkipReason, str] | None:
        problems = instance.known_problems()
        if problems is None and not instance.validates_slowly:
            return UNVALIDATED
        if problems is None:
            return SkipReason.NOT_CONFIGURED, "its plugin has not finished validating its settings"
        if not problems:
            if not abandoned.is_full:
                return None
            return SkipReason.RESTING, f"{abandoned.count} of its plugin's calls were abandoned and are still running"
        return SkipReason.NOT_CONFIGURED, ", ".join(problem.missing or problem.message for problem in problems)

    return Link(
        position=position,
        provider=instance.name,
        model=model,
        timeout_s=own.timeout_s,
        retries=own.retries,
        context_window=own.context_window or (known.context_window if known else None),
        capabilities=instance.capabilities(model),
        route=route(instance.name, model, now),
        unusable=unusable,
        gate=instance.gate,
    )


def _absent(position: int, target: Target, detail: str, health: Health) -> Link:
    return Link(
        position=position,
        provider=target.provider,
        model=target.model,
        timeout_s=1.0,
        retries=0,
        context_window=None,
        capabilities=frozenset(),
        route=health.route(target.provider, target.model),
        unusable=lambda: (SkipReason.NOT_INSTALLED, detail),
    )
