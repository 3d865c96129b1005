"""The module paths of the first releases, which keep working for two minor releases with a `DeprecationWarning`."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.abc import Loader
    from types import ModuleType

__all__ = ["install"]

PACKAGE = "kickai_providers_core"

MOVED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "answer": ("values.replies",),
        "attempts": ("values.attempts",),
        "breaker": ("resilience.breaker", "values.breaker_state"),
        "catalogue": ("config.roles",),
        "content": ("values.messages", "values.images", "values.tools", "values.usage"),
        "delays": ("values.retry_after",),
        "discovery": ("plugin_api.discovery",),
        "drivers": ("concurrency.clock", "runtime.streaming"),
        "errors": ("values.errors",),
        "events": ("values.events",),
        "health_report": ("resilience.health_report",),
        "hedging": ("resilience.hedging",),
        "hookspecs": ("plugin_api.hookspecs",),
        "messages": (
            "values.requests",
            "values.messages",
            "values.replies",
            "values.images",
            "values.tools",
            "values.usage",
        ),
        "observers": ("observability.observers",),
        "policy": ("resilience.policy",),
        "plugin_api.attempt_timeouts": ("plugin_api.attempt_timer",),
        "provider_settings": ("plugin_api.settings",),
        "registry": ("plugin_api.registry",),
        "replies": ("values.replies",),
        "roles": ("config.roles",),
        "routing": ("resilience.routing",),
        "secret": ("values.secrets",),
        "settings": ("config.settings",),
        "streams": ("reply_streams",),
        "targets": ("values.targets",),
    }
)
"""The old names, each with the modules in which its contents are now."""


class MovedModules:
    """Finds and loads the old modules; Python asks it only for names that are not found otherwise.

    It has the methods of `importlib.abc`'s classes without extending them, because importing those takes long.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  the import system passes it
        target: ModuleType | None = None,  # noqa: ARG002  the import system passes it
    ) -> ModuleSpec | None:
        """Return the spec of an old module, or None."""
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, cast("Loader", self)) if package == PACKAGE and name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002  the import system passes it
        """Let Python create the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill an old module with the names of its new ones."""
        homes = [f"{PACKAGE}.{home}" for home in MOVED[module.__name__.partition(".")[2]]]
        warnings.warn(f"{module.__name__} has moved: import from {homes[0]}", DeprecationWarning, stacklevel=2)
        for home in homes:
            contents = vars(import_module(home))
            module.__dict__.update({name: value for name, value in contents.items() if not name.startswith("__")})


def install() -> None:
    """Let Python find the old modules, once."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())
