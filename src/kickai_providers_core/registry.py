"""The provider instances of a resolver: looked up by name, created on first use, closed together."""

from __future__ import annotations

import difflib
from threading import Lock
from typing import TYPE_CHECKING

from kickai_providers_core.errors import UnknownProviderError
from kickai_providers_core.events import ProviderCloseFailed
from kickai_providers_core.gate import Gate, Limits
from kickai_providers_core.seam import Seam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kickai_providers_core.discovery import Discovery, Plugin
    from kickai_providers_core.errors import Problem
    from kickai_providers_core.events import Event
    from kickai_providers_core.hookspecs import ModelInfo, ProviderInfo
    from kickai_providers_core.provider_settings import ProviderSettings

__all__ = ["PACKAGES", "Instance", "Registry"]

PACKAGES: Mapping[str, str] = {
    name: f"kickai-{'hf' if name == 'huggingface' else name}"
    for name in ("huggingface", "gemini", "ollama", "local", "mock")
}
"""The distributions of this project's own providers, by provider name."""


class Instance:
    """One configured provider.

    Safe to share between threads and event loops. The provider object behind it is created once, on first use.

    Attributes:
        name: Its name in the settings.
        info: What its plugin says of itself.
        settings: Its settings.
        seam: Its plugin's hooks.
        gate: Who may call it when; None when its settings set no limits.
        ready: The provider object, once it was created and until it is closed; None else.
    """

    def __init__(self, name: str, info: ProviderInfo, settings: ProviderSettings, seam: Seam) -> None:
        self.name = name
        self.info = info
        self.settings = settings
        self.seam = seam
        limits = Limits.of(settings)
        self.gate = Gate(limits) if limits is not None else None
        self._lock = Lock()
        self.ready: object | None = None
        self._problems: tuple[Problem, ...] | None = None
        self._closed = False

    def provider(self) -> object:
        """Return the provider object, creating it on the first call.

        Raises:
            ProviderError: It could not be created; the next call tries again.
            RuntimeError: The instance is closed.
        """
        with self._lock:
            if self._closed:
                message = f"the resolver that {self.name} belongs to is closed"
                raise RuntimeError(message)
            if self.ready is None:
                self.ready = self.seam.create(self.settings)
            return self.ready

    def problems(self) -> tuple[Problem, ...]:
        """Return what keeps the instance from being used, asked of its plugin once and offline."""
        if self._problems is None:
            found = self.seam.validate(self.settings)
            self._problems = tuple(problem for problem in found if problem.severity == "error")
        return self._problems

    def model(self, name: str | None) -> ModelInfo | None:
        """Return what is known of a model; None for the name means the instance's own."""
        name = name or self.settings.model
        return self.info.models.get(name) if name else None

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

    def __init__(self, discovery: Discovery, providers: Mapping[str, ProviderSettings]) -> None:
        self._discovery = discovery
        self._instances: dict[str, Instance] = {}
        for name, settings in self._configured(providers):
            plugin = discovery.find(settings.kind or name)
            if plugin is not None and plugin.info is not None:
                seam = Seam(plugin.plugin, plugin.info, discovery.others())
                self._instances[name] = Instance(name, plugin.info, settings, seam)

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

    def close(self, tell: Callable[[Event], None]) -> None:
        """Close every provider that was created; one that raises is told of and stops nothing."""
        for instance in self:
            try:
                instance.close()
            except Exception as exc:  # noqa: BLE001  foreign code, and the others still have to be closed
                tell(ProviderCloseFailed(0, None, instance.name, type(exc).__name__))

    async def aclose(self, tell: Callable[[Event], None]) -> None:
        """Close every provider that was created, on the running loop; one that raises stops nothing."""
        for instance in self:
            try:
                await instance.aclose()
            except Exception as exc:  # noqa: BLE001  foreign code, and the others still have to be closed
                tell(ProviderCloseFailed(0, None, instance.name, type(exc).__name__))
