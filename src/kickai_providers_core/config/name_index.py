"""The names that settings may use: installed plugins with their aliases, and the instances of the settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.config.descriptions import describe_value, join_names, suggest_name
from kickai_providers_core.config.problems import Violation
from kickai_providers_core.plugin_api.installation import advise_installing
from kickai_providers_core.plugin_api.registry import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo

__all__ = ["NameIndex", "to_variable"]


@frozen
class NameIndex:
    """The names that settings may use. A plugin's alias means the plugin's own instance.

    Attributes:
        infos: The descriptions of the usable plugins, by name.
        plugins: From each name and alias to the name of the plugin; a broken plugin has its name only.
        instances: From each instance's name to the key of its table; includes the own instance of every plugin.
        allowed: The allow-list that the plugins were loaded by; None for all.
    """

    infos: Mapping[str, ProviderInfo]
    plugins: Mapping[str, str]
    instances: Mapping[str, str]
    allowed: tuple[str, ...] | None = None

    @classmethod
    def from_tables(
        cls,
        infos: Iterable[ProviderInfo],
        broken: Collection[str],
        tables: Iterable[str],
        allowed: tuple[str, ...] | None,
    ) -> tuple[NameIndex, list[tuple[str, str]]]:
        """Return the index, and the duplicate tables: each with the key of the table that it duplicates."""
        by_name = {info.name: info for info in infos}
        plugins = {alias: info.name for info in by_name.values() for alias in info.aliases}
        plugins |= {name: name for name in (*broken, *by_name)}
        owners = {to_variable(alias): name for alias, name in plugins.items()}
        instances: dict[str, str] = {}
        duplicates = []
        for key in tables:
            name = plugins.get(key, key)
            owner = owners.setdefault(to_variable(key), name)
            if owner == name and name not in instances:
                instances[name] = key
            else:
                duplicates.append((key, instances.get(owner, owner)))
        return cls(by_name, plugins, {name: name for name in plugins.values()} | instances, allowed), duplicates

    def resolve(self, name: str) -> str:
        """Return the name of the instance that a name or alias means, known or not."""
        return name if name in self.instances else self.plugins.get(name, name)

    def list_aliases(self) -> Iterable[tuple[str, str]]:
        """Return each plugin's name and aliases, with the key of the table of its own instance."""
        return [(alias, self.instances[name]) for alias, name in self.plugins.items()]

    def knows(self, name: str) -> bool:
        """Return whether there is an instance, or a plugin, of that name."""
        return self.resolve(name) in self.instances

    def build_unknown_instance_violation(self, name: str) -> Violation:
        """Return the violation of a name that no instance and no plugin has."""
        known = sorted(self.instances)
        message = f"unknown provider {describe_value(name)} (available: {join_names(known)})"
        return Violation.from_message(message, partial(self._build_hint, name, known))

    def build_unknown_plugin_violation(self, name: str, *, is_kind: bool) -> Violation:
        """Return the violation of a kind, or of a table without a kind, whose name no plugin has."""
        known = sorted(self.infos)
        message = f"unknown plugin {describe_value(name)}" if is_kind else "needs a kind, since no plugin has this name"
        return Violation.from_message(
            f"{message} (installed: {join_names(known)})", partial(self._build_hint, name, known)
        )

    def _build_hint(self, name: str, known: Collection[str]) -> str:
        """Return what to do about a name that is not known."""
        hint = (
            advise_installing(PACKAGES[name]).capitalize()
            if name in PACKAGES
            else suggest_name(name, [*known, *PACKAGES])
        )
        may_be_disallowed = self.allowed is not None and not {name, PACKAGES.get(name)}.intersection(self.allowed)
        if may_be_disallowed and (name in PACKAGES or not hint):
            return "kickai.plugins or KICKAI_PLUGINS lists the plugins that may be loaded"
        return hint


def to_variable(name: str) -> str:
    """Return an instance's name as environment variables spell it."""
    return name.upper().replace("-", "_").replace(".", "_")
