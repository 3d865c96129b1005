"""A plugin's hooks as the core calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.forking import ForkGuard
from kickai_providers_core.concurrency.portal import Portal
from kickai_providers_core.plugin_api.adapter import Adapter

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo

__all__ = ["CoreCalls"]


class CoreCalls:
    """A plugin's adapter, with the event loop on which it runs asynchronous hooks for blocking callers.

    Args:
        plugin: The plugin.
        info: Its description, with its native modes.

    Attributes:
        adapter: The adapter.
    """

    def __init__(self, plugin: object, info: ProviderInfo) -> None:
        self._portal = Portal()
        self.adapter = Adapter(plugin, info, portal=self._portal)
        self._fork_guard = ForkGuard((self.adapter, self._portal))

    def close(self, provider: object) -> None:
        """Close a provider from a thread without an event loop, as a resolver does."""
        if self._portal.is_running:  # what was opened on its loop can only be closed there
            self._portal.run(lambda: self.adapter.aclose(provider))
        else:
            self.adapter.close(provider)

    def stop(self) -> None:
        """Stop the event loop, if there is one."""
        self._portal.stop()
