"""The provider instances of a resolver: looked up by name, created on first use, closed together."""

from __future__ import annotations

from time import monotonic, time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kickai_providers_core.concurrency.abandoned_calls import AbandonedCalls
from kickai_providers_core.concurrency.portal import Portal
from kickai_providers_core.plugin_api.adapter import Adapter
from kickai_providers_core.plugin_api.awaitables import get_error_name
from kickai_providers_core.plugin_api.discovery import PACKAGES
from kickai_providers_core.plugin_api.installation import advise_installing
from kickai_providers_core.plugin_api.instance import Instance
from kickai_providers_core.plugin_api.isolation import count_cancellations, is_exit_or_cancellation, is_process_exit
from kickai_providers_core.values.errors import Problem, UnknownProviderError
from kickai_providers_core.values.events import ProviderCloseFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kickai_providers_core.concurrency.single_flight import SingleFlight
    from kickai_providers_core.plugin_api.discovery import Discovery, Plugin
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.events import Event

__all__ = ["PACKAGES", "Registry"]


class Registry:
    """The instances of the settings and of the installed plugins, by name.

    A provider plugin without settings gets one instance with default settings. All instances share the portal, which
    runs the asynchronous hooks of plugins for blocking callers.
    """

    def __init__(
        self,
        discovery: Discovery,
        providers: Mapping[str, ProviderSettings],
        unusable: Mapping[str, tuple[Problem, ...]] = MappingProxyType({}),
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
        portal: Portal | None = None,
    ) -> None:
        self._discovery = discovery
        self._instances: dict[str, Instance] = {}
        portal = Portal() if portal is None else portal
        counts: dict[int, AbandonedCalls] = {}  # one for each plugin; its instances share it
        for name, settings in self._list_configured(providers):
            plugin = discovery.find(settings.kind or name)
            if plugin is not None and plugin.info is not None:
                abandoned = counts.setdefault(id(plugin.plugin), AbandonedCalls())
                adapter = Adapter(
                    plugin.plugin,
                    plugin.info,
                    discovery.extensions(),
                    clock=clock,
                    abandoned=abandoned,
                    portal=portal,
                )
                self._instances[name] = Instance(
                    name, plugin.info, settings, adapter, unusable.get(name, ()), clock=clock, wall=wall
                )

    def _list_configured(self, providers: Mapping[str, ProviderSettings]) -> Iterator[tuple[str, ProviderSettings]]:
        yield from providers.items()
        for name, info in self._discovery.infos().items():
            if name not in providers:
                yield name, info.settings_class()

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances.values())

    def find(self, name: str) -> Instance | None:
        """Return the instance with this name; for an alias of a plugin, the instance with the plugin's name."""
        instance = self._instances.get(name)
        if instance is None:
            plugin = self._discovery.find(name)
            instance = self._instances.get(plugin.info.name) if plugin is not None and plugin.info else None
        return instance

    def build_unknown_error(self, name: str) -> UnknownProviderError:
        """Return the error for an unknown name, with advice on what to do."""
        known = tuple(self._instances)
        broken = self._find_broken(name)
        if broken is not None:
            text = f"provider {name!r} is not available: {broken.error}"
        elif name in PACKAGES:
            text = f"provider {name!r} is not installed: {advise_installing(PACKAGES[name])}"
        else:
            from difflib import get_close_matches  # noqa: PLC0415  only an error needs it

            near = get_close_matches(name, [*known, *PACKAGES], n=1)
            hint = f"did you mean {near[0]!r}?" if near else "install the plugin that provides it"
            text = f"unknown provider {name!r} (installed: {', '.join(known) or 'none'}); {hint}"
        return UnknownProviderError(text, name=name, known=known)

    def _find_broken(self, name: str) -> Plugin | None:
        return next((p for p in self._discovery.plugins if p.error is not None and p.name == name), None)

    def list_pending_calls(self) -> tuple[SingleFlight[Any], ...]:
        """Return the creation and the validation of each instance, which a fork must not interrupt."""
        return tuple(pending_call for instance in self for pending_call in instance.pending_calls)

    def renew_after_fork(self) -> None:
        """Renew every instance for this process."""
        for instance in self:
            instance.renew_after_fork()

    def close(self, emit: Callable[[Event], None]) -> None:
        """Close all providers that were created. An exception becomes an event, and the others are still closed."""
        for instance in self:
            try:
                instance.close()
            except BaseException as exc:
                if is_process_exit(exc):
                    raise
                emit(ProviderCloseFailed(0, None, instance.name, type(exc).__name__))

    async def aclose(self, emit: Callable[[Event], None]) -> None:
        """Close all providers that were created, on the running event loop; otherwise as `close`."""
        for instance in self:
            before = count_cancellations()
            try:
                await instance.aclose()
            except GeneratorExit:  # from outside: the caller has dropped this coroutine
                raise
            except BaseException as exc:
                if is_exit_or_cancellation(exc, before):
                    raise
                emit(ProviderCloseFailed(0, None, instance.name, get_error_name(exc)))
