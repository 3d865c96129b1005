"""Pluggy's manager for the hooks of this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from kickai_providers_core.plugin_api import hookspecs

if TYPE_CHECKING:
    from types import ModuleType

    from pluggy import HookimplOpts, HookspecOpts

__all__ = ["HookManager"]


class HookManager(pluggy.PluginManager):
    """Registers plugins for hook specifications, those of `hookspecs` by default.

    Pluggy would look for a marker at every attribute of a plugin, which takes most of the time of its registration. No
    attribute of the kind ``__name__`` can be a hook, and no specification is named otherwise than ``kickai_…``.
    """

    def __init__(self, specifications: ModuleType | type = hookspecs) -> None:
        super().__init__(hookspecs.PROJECT_NAME)
        self.add_hookspecs(specifications)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> HookimplOpts | None:
        """Return the options of a hook's marker; None for any other attribute."""
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(self, module_or_class: ModuleType | type, name: str) -> HookspecOpts | None:
        """Return the options of a specification's marker; None for any other attribute."""
        return super().parse_hookspec_opts(module_or_class, name) if name.startswith("kickai_") else None
