"""Whoever is told what happens: the log, the application's observers, the plugins that implement `kickai_observe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from kickai_providers_core.log import LEVELS, log_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pluggy

    from kickai_providers_core.events import Event, Observer

__all__ = ["Observers"]


class Observers:
    """Hands each event to every observer; one that raises is logged the first time and harms nobody.

    Safe to call from any thread.
    """

    def __init__(self, observers: Iterable[Observer], plugins: pluggy.PluginManager | None = None) -> None:
        watchers = [log_event, *observers]
        if plugins is not None:
            # Each implementation by itself, since pluggy stops at the first that raises.
            watchers += [plugin.kickai_observe for plugin in plugins.get_plugins()]
        self._of = _ByKind(watchers)
        self._faulty: set[Observer] = set()

    def tell(self, event: Event) -> None:
        """Hand an event to every observer."""
        for watch in self._of[type(event)]:
            try:
                watch(event)
            except Exception as exc:  # noqa: BLE001  an observer must not fail a request
                if watch not in self._faulty:
                    self._faulty.add(watch)
                    logger.warning(
                        "an observer raised {error}; its further errors are dropped", error=type(exc).__name__
                    )


class _ByKind(dict[type["Event"], list["Observer"]]):
    """Who is told of each kind of events: everybody, but the log only of what it may log."""

    def __init__(self, watchers: list[Observer]) -> None:
        super().__init__()
        self._watchers = watchers

    def __missing__(self, kind: type[Event]) -> list[Observer]:
        watchers = [watch for watch in self._watchers if watch is not log_event or kind in LEVELS]
        self[kind] = watchers
        return watchers
