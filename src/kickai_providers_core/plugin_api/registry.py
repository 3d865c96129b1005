"""The provider instances of a resolver: looked up by name, created on first use, closed together."""

from __future__ import annotations

import difflib
from threading import Lock
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kickai_providers_core.concurrency.abandoned import Abandoned
from kickai_providers_core.concurrency.forking import keep_for_good
from kickai_providers_core.concurrency.single_flight import SingleFlight
from kickai_providers_core.observability.log import warn
from kickai_providers_core.plugin_api.adapter import Seam
from kickai_providers_core.plugin_api.awaitables import name_of
from kickai_providers_core.plugin_api.discovery import PACKAGES
from kickai_providers_core.plugin_api.isolation import cancellations, is_asked, is_for_everyone
from kickai_providers_core.resilience.rate_limiter import Gate, Limits
from kickai_providers_core.values.errors import Problem, ProviderError, ProviderTimeoutError, UnknownProviderError
from kickai_providers_core.values.events import ProviderCloseFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kickai_providers_core.plugin_api.discovery import Discovery, Plugin
    from kickai_providers_core.plugin_api.hookspecs import ModelInfo, ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.requests import Capability

__all__ = ["PACKAGES", "Instance", "Registry"]

MODELS_KEPT = 1000
"""The most models whose capabilities an instance remembers, since callers may name any number of them."""

SLOW_VALIDATION_S = 1.0
"""A validation that somebody has waited for as long as this, in seconds, is not waited for again until it ends."""


class Instance:
    """One configured provider.

    Safe to share between threads and event loops. The provider object behind it is created once in each process, on
    first use there; the one of the parent is never used and never closed in a forked child.

    Attributes:
        name: Its name in the settings.
        info: What its plugin says of itself.
        settings: Its settings.
        seam: Its plugin's hooks.
        gate: Who may call it when; None when its settings set no limits.
        ready: The provider object, once it was created and until it is closed; None else.
        validates_slowly: Whether somebody has waited for its validation in vain, so that nobody should wait again.
    """

    def __init__(
        self,
        name: str,
        info: ProviderInfo,
        settings: ProviderSettings,
        seam: Seam,
        unusable: tuple[Problem, ...] = (),
    ) -> None:
        self.name = name
        self.info = info
        self.settings = settings
        self.seam = seam
        limits = Limits.of(settings)
        self.gate = Gate(limits) if limits is not None else None
        self._lock = Lock()
        self.ready: object | None = None
        self._creation = SingleFlight(self._create)
        self._validation = SingleFlight(lambda: self.seam.validate(self.settings))
        self.validates_slowly = False
        self._problems: tuple[Problem, ...] | None = unusable or (None if seam.validates else ())
        self._closed = False
        self._capabilities: dict[str | None, frozenset[Capability]] = {}
        self._capability_faults: dict[str, None] = {}

    def capabilities(self, model: str | None) -> frozenset[Capability]:
        """Return what the instance offers with a model, as its plugin's hook or otherwise its description says."""
        if model in self._capabilities:
            return self._capabilities[model]
        found, fault = self.seam.capabilities(self.settings, model)
        if fault and fault not in self._capability_faults:
            self._capability_faults[fault] = None
            warn(f"{self.name}: {fault}; the plugin's own capabilities count")
        if found is None:
            known = self.model(model)
            found = self.info.capabilities if known is None or known.capabilities is None else known.capabilities
        if len(self._capabilities) < MODELS_KEPT:
            self._capabilities[model] = found
        return found

    def capability_problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with what the plugin says of the instance's capabilities."""
        self.capabilities(self.settings.model)
        return tuple(Problem(path="", message=fault, severity="warning") for fault in self._capability_faults)

    def provider(self, timeout_s: float = float("inf")) -> object:
        """Return the provider object, created by the first call; block the thread until it is there.

        It is created once, however many callers wait. One that comes late is used by the next call.

        Args:
            timeout_s: Seconds to wait at most.

        Raises:
            ProviderTimeoutError: It is not there within ``timeout_s``.
            ProviderError: It could not be created; the next call tries again.
            RuntimeError: The instance is closed.
        """
        ready = self._ready_now()
        if ready is not None:
            return ready
        try:
            return self._creation.wait(timeout_s)
        except ProviderError:
            raise
        except TimeoutError as exc:
            raise ProviderTimeoutError("creating the provider took all the time") from exc

    async def aprovider(self, timeout_s: float) -> object:
        """Return the provider object without blocking the event loop; otherwise as `provider`."""
        ready = self._ready_now()
        if ready is not None:
            return ready
        try:
            return await self._creation.await_(timeout_s)
        except ProviderError:
            raise
        except TimeoutError as exc:
            raise ProviderTimeoutError("creating the provider took all the time") from exc

    def _ready_now(self) -> object | None:
        if self._closed:
            raise self._is_closed()
        return self.ready

    def _create(self) -> object:
        provider = self.seam.create(self.settings)
        with self._lock:
            if not self._closed:
                self.ready = provider
                return provider
        try:
            self.seam.close(provider)  # the instance was closed meanwhile, and nobody else knows of the provider
        except BaseException as exc:
            if is_for_everyone(exc):
                raise
        raise self._is_closed()

    def _is_closed(self) -> RuntimeError:
        return RuntimeError(f"the resolver that {self.name} belongs to is closed")

    def problems(self) -> tuple[Problem, ...]:
        """Return what keeps the instance from being used, asked of its plugin once and offline; wait for it."""
        if self._problems is None:
            self._validate(float("inf"))
        return self.known_problems() or ()

    def known_problems(self) -> tuple[Problem, ...] | None:
        """Return what keeps the instance from being used, as far as that is known without waiting; None if not yet."""
        if self._problems is None and self._validation.is_done:
            self._validate(0.0)
        return self._problems

    def validate(self, timeout_s: float) -> None:
        """Have the plugin validate the settings, unless it has; return after ``timeout_s`` at the latest."""
        if self._problems is None:
            self._validate(timeout_s)

    async def avalidate(self, timeout_s: float) -> None:
        """Do as `validate` does, without blocking the event loop."""
        if self._problems is None:
            try:
                self._take(await self._validation.await_(timeout_s))
            except TimeoutError:
                self._take_too_late(timeout_s)

    def begin_validation(self) -> None:
        """Have the plugin validate the settings, unless it has, and do not wait for it."""
        if self._problems is None:
            self._validation.begin()

    def _validate(self, timeout_s: float) -> None:
        try:
            self._take(self._validation.wait(timeout_s))
        except TimeoutError:
            self._take_too_late(timeout_s)

    def _take(self, found: tuple[Problem, ...]) -> None:
        self._problems = tuple(problem for problem in found if problem.severity == "error")

    def _take_too_late(self, waited_s: float) -> None:
        self.validates_slowly = self.validates_slowly or waited_s >= SLOW_VALIDATION_S

    def model(self, name: str | None) -> ModelInfo | None:
        """Return what is known of a model; None for the name means the instance's own."""
        name = name or self.settings.model
        return self.info.models.get(name) if name else None

    @property
    def flights(self) -> tuple[SingleFlight[object], SingleFlight[tuple[Problem, ...]]]:
        """The creation and the validation of this instance."""
        return self._creation, self._validation

    def renew_after_fork(self) -> None:
        """Keep the parent's provider object out of use, and alive; the next call creates another."""
        self._lock = Lock()
        provider, self.ready = self.ready, None
        if provider is not None:
            keep_for_good(provider)
        # What other threads are creating or validating belongs to the parent.
        self._creation = SingleFlight(self._create)
        self._validation = SingleFlight(lambda: self.seam.validate(self.settings))
        self.validates_slowly = False
        self.seam.renew_after_fork()
        if self.gate is not None:
            self.gate.renew_after_fork()

    def close(self) -> None:
        """Free what the provider holds, if it was ever created; raise whatever its plugin raises."""
        provider = self._taken()
        if provider is not None:
            self.seam.close(provider)

    async def aclose(self) -> None:
        """Free what the provider holds, if it was ever created; raise whatever its plugin raises."""
        provider = self._taken()
        if provider is not None:
            await self.seam.aclose(provider)

    def _taken(self) -> object | None:
        with self._lock:
            self._closed = True
            provider, self.ready = self.ready, None
            return provider


class Registry:
    """Every instance that the settings and the installed plugins give, by name."""

    def __init__(
        self,
        discovery: Discovery,
        providers: Mapping[str, ProviderSettings],
        unusable: Mapping[str, tuple[Problem, ...]] = MappingProxyType({}),
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._discovery = discovery
        self._instances: dict[str, Instance] = {}
        counts: dict[int, Abandoned] = {}  # one for each plugin, however many instances it has
        for name, settings in self._configured(providers):
            plugin = discovery.find(settings.kind or name)
            if plugin is not None and plugin.info is not None:
                abandoned = counts.setdefault(id(plugin.plugin), Abandoned())
                seam = Seam(plugin.plugin, plugin.info, discovery.others(), clock=clock, abandoned=abandoned)
                self._instances[name] = Instance(name, plugin.info, settings, seam, unusable.get(name, ()))

    def _configured(self, providers: Mapping[str, ProviderSettings]) -> Iterator[tuple[str, ProviderSettings]]:
        yield from providers.items()
        for name, info in self._discovery.infos().items():
            if name not in providers:
                yield name, info.settings_class()

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances.values())

    def find(self, name: str) -> Instance | None:
        """Return the instance of that name, or the one named after the plugin that the name is an alias of."""
        instance = self._instances.get(name)
        if instance is None:
            plugin = self._discovery.find(name)
            instance = self._instances.get(plugin.info.name) if plugin is not None and plugin.info else None
        return instance

    def unknown(self, name: str) -> UnknownProviderError:
        """Return the error that says what to do about a name that nothing has."""
        known = tuple(self._instances)
        broken = self._broken(name)
        if broken is not None:
            told = f"no provider {name!r}: {broken.error}"
        elif name in PACKAGES:
            told = f"no provider {name!r} is installed: pip install {PACKAGES[name]}"
        else:
            near = difflib.get_close_matches(name, [*known, *PACKAGES], n=1)
            told = f"no provider {name!r}: " + (f"did you mean {near[0]!r}? " if near else "")
            told += f"installed are {', '.join(known) or 'none'}; pip install the plugin that brings it"
        return UnknownProviderError(told, name=name, known=known)

    def _broken(self, name: str) -> Plugin | None:
        return next((p for p in self._discovery.plugins if p.error is not None and p.name == name), None)

    def flights(self) -> tuple[SingleFlight[Any], ...]:
        """Return the creations and validations of all instances: a fork must not cut one in the middle."""
        return tuple(flight for instance in self for flight in instance.flights)

    def renew_after_fork(self) -> None:
        """Renew every instance for this process."""
        for instance in self:
            instance.renew_after_fork()

    def close(self, tell: Callable[[Event], None]) -> None:
        """Close every provider that was created; one that raises is told of and stops nothing."""
        for instance in self:
            try:
                instance.close()
            except BaseException as exc:
                if is_for_everyone(exc):
                    raise
                tell(ProviderCloseFailed(0, None, instance.name, type(exc).__name__))

    async def aclose(self, tell: Callable[[Event], None]) -> None:
        """Close every provider that was created, on the running loop; one that raises stops nothing."""
        for instance in self:
            before = cancellations()
            try:
                await instance.aclose()
            except GeneratorExit:  # from outside: somebody has dropped this coroutine
                raise
            except BaseException as exc:
                if is_asked(exc, before):
                    raise
                tell(ProviderCloseFailed(0, None, instance.name, name_of(exc)))
