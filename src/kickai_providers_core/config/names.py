"""Who is known by which name: installed plugins with their aliases, and the instances that the settings name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.config.faults import Fault
from kickai_providers_core.config.wording import did_you_mean, found, listed
from kickai_providers_core.plugin_api.registry import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo

__all__ = ["Directory"]


@frozen
class Directory:
    """The names that settings may use. A plugin's alias means the plugin's own instance.

    Attributes:
        infos: What the usable plugins say of themselves, by name.
        plugins: From each name and alias to the name of the plugin; a broken plugin has its name only.
        instances: From each instance's name to the key of its table; the plugins' own without a table included.
        allowed: The allow-list that the plugins were loaded by; None for all.
    """

    infos: Mapping[str, ProviderInfo]
    plugins: Mapping[str, str]
    instances: Mapping[str, str]
    allowed: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        infos: Iterable[ProviderInfo],
        broken: Collection[str],
        tables: Iterable[str],
        allowed: tuple[str, ...] | None,
    ) -> tuple[Directory, list[tuple[str, str]]]:
        """Return the directory, and the tables that are left out: each with the key of the one it would clash with."""
        by_name = {info.name: info for info in infos}
        plugins = {alias: info.name for info in by_name.values() for alias in info.aliases}
        plugins |= {name: name for name in (*broken, *by_name)}
        owners = {variable_part(alias): name for alias, name in plugins.items()}
        instances: dict[str, str] = {}
        doubles = []
        for key in tables:
            name = plugins.get(key, key)
            owner = owners.setdefault(variable_part(key), name)
            if owner == name and name not in instances:
                instances[name] = key
            else:
                doubles.append((key, instances.get(owner, owner)))
        return cls(by_name, plugins, {name: name for name in plugins.values()} | instances, allowed), doubles

    def canonical(self, name: str) -> str:
        """Return the name of the instance that a name means, known or not."""
        return name if name in self.instances else self.plugins.get(name, name)

    def aliases(self) -> Iterable[tuple[str, str]]:
        """Return each plugin's name and aliases, with the key of the table of its own instance."""
        return [(alias, self.instances[name]) for alias, name in self.plugins.items()]

    def knows(self, name: str) -> bool:
        """Return whether there is an instance, or a plugin, of that name."""
        return self.canonical(name) in self.instances

    def stranger(self, name: str, expected: str, names: Iterable[str]) -> Fault:
        """Return what is wrong with a name that is none of those it may be, and what to do about it."""
        known = sorted(names)
        return Fault.of(found(name), f"{expected} ({listed(known)})", partial(self._hint, name, known))

    def _hint(self, name: str, known: Collection[str]) -> str:
        """Return what to do about a name that is none of the known ones."""
        hint = f"pip install {PACKAGES[name]}" if name in PACKAGES else did_you_mean(name, [*known, *PACKAGES])
        may_be_left_out = self.allowed is not None and not {name, PACKAGES.get(name)}.intersection(self.allowed)
        if may_be_left_out and (name in PACKAGES or not hint):
            return "The plugins that may be loaded are in kickai.plugins or KICKAI_PLUGINS"
        return hint


def variable_part(name: str) -> str:
    """Return an instance's name as environment variables write it."""
    return name.upper().replace("-", "_").replace(".", "_")
