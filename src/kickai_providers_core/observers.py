"""Whoever is told what happens: the application's observers and the plugins that implement ``kickai_observe``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

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
        watchers = list(observers)
        if plugins is not None:
            # Each implementation by itself, since pluggy stops at the first that raises.
            watchers += [plugin.kickai_observe for plugin in plugins.get_plugins()]
        self._watchers = watchers
        self._faulty: set[Observer] = set()

    def tell(self, event: Event) -> None:
        """Hand an event to every observer."""
        for watch in self._watchers:
            try:
                watch(event)
            except Exception as exc:  # noqa: BLE001  an observer must not fail a request
                if watch not in self._faulty:
                    self._faulty.add(watch)
                    logger.warning(
                        "an observer raised {error}; its further errors are dropped", error=type(exc).__name__
                    )
