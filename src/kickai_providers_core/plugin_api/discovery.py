"""Discovery: loads the plugins that entry points declare. Each is loaded on its own, and errors never affect others.

Loading an entry point runs the code of any package that happens to be installed. An application can therefore set an
allow-list that names the plugins that may be loaded, by entry point or by distribution.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from attrs import evolve, field, frozen

from kickai_providers_core.plugin_api.distributions import UnreadableDistribution, find_entry_points
from kickai_providers_core.plugin_api.inspection import UPGRADE, inspect_plugin
from kickai_providers_core.plugin_api.isolation import describe_error, run_bounded
from kickai_providers_core.plugin_api.secret_masking import find_environment_keys
from kickai_providers_core.values.errors import DuplicateProviderError, PluginError, PluginLoadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.metadata import EntryPoint

    from kickai_providers_core.plugin_api import hookspecs

__all__ = [
    "LOAD_TIMEOUT_S",
    "PACKAGES",
    "Discovery",
    "Plugin",
    "UnreadableDistribution",
    "discover",
    "find_entry_points",
]

LOAD_TIMEOUT_S = 10.0
"""The time limit in seconds for the import of a plugin, and again for its ``kickai_provider_info``."""

PACKAGES: Mapping[str, str] = {
    name: f"kickai-{'hf' if name == 'huggingface' else name}"
    for name in ("huggingface", "gemini", "openai", "ollama", "local", "mock")
}
"""The distributions of this project's own providers, by provider name."""


@frozen(kw_only=True, eq=False, repr=False)
class Plugin:
    """One plugin that was found, usable or not.

    Attributes:
        name: The name of its entry point, or the name with which it was registered in code.
        distribution: The distribution that contains it; empty if it was registered in code.
        version: The version of that distribution.
        status: ``ready``, ``broken`` (see ``error``) or ``not allowed`` (it was not loaded).
        error: The reason why it is broken; None otherwise.
        plugin: The module or object with the hooks; None unless ready.
        info: Its description of itself; None for an extension.
        hooks: The names of the hooks that it implements, wrappers included; empty unless ready.
        warnings: Mistakes that do not prevent its use, as clauses.
        import_s: The duration of its import in seconds; None if it was not imported.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: Literal["ready", "broken", "not allowed"] = "ready"
    error: PluginError | None = None
    plugin: object | None = field(default=None, repr=False)
    info: hookspecs.ProviderInfo | None = None
    hooks: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    import_s: float | None = None

    @property
    def label(self) -> str:
        """The name that messages use: the plugin's name, and its distribution if there is one."""
        return f"{self.name} (from {self.distribution})" if self.distribution else self.name

    @property
    def names(self) -> tuple[str, ...]:
        """The provider's name and its aliases; empty for an extension."""
        return (self.info.name, *self.info.aliases) if self.info else ()


@frozen(eq=False, repr=False)
class Discovery:
    """All plugins that were found, in the order of their distributions and names.

    Attributes:
        plugins: All plugins, including broken ones.
        unmatched: The entries of the allow-list that match no installed plugin.
    """

    plugins: tuple[Plugin, ...]
    unmatched: tuple[str, ...] = ()

    def providers(self) -> Mapping[str, Plugin]:
        """Return the usable provider plugins, by name."""
        return {plugin.info.name: plugin for plugin in self.plugins if plugin.info is not None}

    def infos(self) -> Mapping[str, hookspecs.ProviderInfo]:
        """Return the descriptions of the usable provider plugins, by name."""
        return {plugin.info.name: plugin.info for plugin in self.plugins if plugin.info is not None}

    def find(self, kind: str) -> Plugin | None:
        """Return the provider plugin with a name or alias, or None."""
        return next((plugin for plugin in self.plugins if kind in plugin.names), None)

    def errors(self) -> tuple[PluginError, ...]:
        """Return the errors of the broken plugins."""
        return tuple(plugin.error for plugin in self.plugins if plugin.error is not None)

    def extensions(self) -> Mapping[str, object]:
        """Return the usable extensions (plugins that are not providers), by label."""
        return _index_by_label(p for p in self.plugins if p.info is None and p.plugin is not None)

    def observers(self) -> Mapping[str, object]:
        """Return the plugins that implement ``kickai_observe``, by label."""
        return self._find_implementations("kickai_observe")

    def rankers(self) -> Mapping[str, object]:
        """Return the plugins that implement ``kickai_rank_targets``, by label."""
        return self._find_implementations("kickai_rank_targets")

    def stores(self) -> Mapping[str, object]:
        """Return the plugins that implement ``kickai_open_store``, by label."""
        return self._find_implementations("kickai_open_store")

    def _find_implementations(self, hook: str) -> Mapping[str, object]:
        return _index_by_label(p for p in self.plugins if p.plugin is not None and hook in p.hooks)


def _index_by_label(plugins: Iterable[Plugin]) -> dict[str, object]:
    named: dict[str, object] = {}
    for plugin in plugins:
        label, count = plugin.label, 1
        while label in named:  # two entry points of one distribution may have the same name
            count += 1
            label = f"{plugin.label} #{count}"
        named[label] = plugin.plugin
    return named


def discover(
    found: Iterable[EntryPoint | UnreadableDistribution],
    *,
    allowed: Iterable[str] | None = None,
    given: Mapping[str, object] | None = None,
    timeout_s: float = LOAD_TIMEOUT_S,
) -> Discovery:
    """Load and inspect plugins.

    Args:
        found: Entry points, from `find_entry_points`.
        allowed: Names of entry points or distributions that may be loaded; None for all.
        given: Plugins that the application passes in code, by name. Such a provider replaces an installed one with the
            same name.
        timeout_s: The time limit in seconds for the import of one plugin, and again for its ``kickai_provider_info``. A
            plugin that exceeds it is broken.
    """
    allow = None if allowed is None else tuple(allowed)
    keys = find_environment_keys()
    passed = [_inspect(Plugin(name=name), plugin, keys, timeout_s) for name, plugin in (given or {}).items()]
    taken = {name for plugin in passed for name in plugin.names}
    points = sorted(((_read_origin(point), point) for point in found), key=itemgetter(0))
    loaded = [_load(point, origin, allow, keys, timeout_s) for origin, point in points]
    loaded = [plugin for plugin in loaded if not taken.intersection(plugin.names)]
    plugins = _remove_shared_aliases(_reject_name_conflicts(_reject_duplicates([*passed, *loaded])))
    matched = {name for (distribution, name, _), _ in points for name in (distribution, name)}
    return Discovery(tuple(plugins), tuple(name for name in allow or () if name not in matched))


def _read_origin(point: EntryPoint | UnreadableDistribution) -> tuple[str, str, str]:
    """Return the name of the distribution, the name of the plugin, and the distribution's version."""
    if isinstance(point, UnreadableDistribution):
        return point.distribution, point.distribution, ""
    if point.dist is None:
        return "", point.name, ""
    metadata = point.dist.metadata  # read once, because each access parses the file
    return metadata["Name"], point.name, metadata["Version"]


def _load(
    point: EntryPoint | UnreadableDistribution,
    origin: tuple[str, str, str],
    allowed: tuple[str, ...] | None,
    keys: frozenset[str],
    timeout_s: float,
) -> Plugin:
    distribution, name, version = origin
    plugin = Plugin(name=name, distribution=distribution, version=version)
    if allowed is not None and not {name, distribution}.intersection(allowed):
        return evolve(plugin, status="not allowed")
    if isinstance(point, UnreadableDistribution):
        return _mark_broken(plugin, point.reason)
    # The plugin's code runs here for the first time. Whatever its import raises, even SystemExit, only makes this
    # plugin broken.
    outcome = run_bounded(point.load, timeout_s, "its import")
    plugin = evolve(plugin, import_s=outcome.seconds, warnings=outcome.warnings)
    if outcome.timed_out:
        return _mark_broken(plugin, f"its import did not finish within {timeout_s:g} s")
    if outcome.error is not None:
        fault = f"its import raised {describe_error(outcome.error, keys)}{_suggest_upgrade(outcome.error)}"
        return _mark_broken(plugin, fault, outcome.error)
    return _inspect(plugin, outcome.value, keys, timeout_s)


def _suggest_upgrade(error: BaseException) -> str:
    """Return a hint if an import failed because of a name that a newer core may have; otherwise empty."""
    ours = isinstance(error, ImportError) and (error.name or "").startswith("kickai_providers_core")
    return f"; if the plugin needs a newer plugin API, {UPGRADE}" if ours else ""


def _inspect(plugin: Plugin, hooks: object, keys: frozenset[str], timeout_s: float) -> Plugin:
    """Return the plugin with the results of its inspection."""
    seen = inspect_plugin(hooks, keys, timeout_s=timeout_s)
    plugin = evolve(plugin, warnings=(*plugin.warnings, *seen.warnings))
    if seen.fault:
        return _mark_broken(plugin, seen.fault, seen.cause)
    return evolve(plugin, plugin=hooks, info=seen.info, hooks=seen.hooks)


def _reject_duplicates(plugins: Iterable[Plugin]) -> list[Plugin]:
    """Return the plugins, with those that are the same object as an earlier one marked as broken."""
    kept: list[Plugin] = []
    for plugin in plugins:
        first = next((p for p in kept if plugin.plugin is not None and _is_same(p.plugin, plugin.plugin)), None)
        if first is None:
            kept.append(plugin)
        else:
            fault = f"it is the same object as the plugin {first.label}; remove one of the two entry points"
            kept.append(_mark_broken(evolve(plugin, plugin=None, info=None), fault))
    return kept


def _is_same(one: object, other: object) -> bool:
    return one is other or bool(one == other)  # as pluggy compares them


def _reject_name_conflicts(plugins: list[Plugin]) -> list[Plugin]:
    """Return the plugins, with those that claim the same provider name marked as broken.

    The core must not guess which of them to trust with a key. A plugin whose alias is the name of another one is broken
    too; the other one is not. One of this project's own providers only loses such an alias, so that no other package
    can disable it.
    """
    return [_reject_if_name_conflicts(plugin, plugins) for plugin in plugins]


def _reject_if_name_conflicts(plugin: Plugin, plugins: list[Plugin]) -> Plugin:
    info = plugin.info
    if info is None:
        return plugin
    claimed = (info.name,) if _is_own_provider(plugin) else plugin.names
    rivals = [p for p in plugins if p is not plugin and p.info is not None and p.info.name in claimed]
    if not rivals:
        return plugin
    shared = next(name for name in plugin.names for rival in rivals if name == rival.names[0])
    rival = next(rival for rival in rivals if rival.names[0] == shared)
    fault = (
        f"the provider name {shared!r} is also claimed by {rival.name} "
        f"(from {rival.distribution or 'code'}): uninstall one of them, or list only the other one in kickai.plugins"
    )
    error = DuplicateProviderError(fault, plugin=plugin.name, distribution=plugin.distribution)
    return evolve(plugin, status="broken", error=error, plugin=None, info=None)


def _is_own_provider(plugin: Plugin) -> bool:
    return plugin.info is not None and plugin.distribution == PACKAGES.get(plugin.info.name)


def _remove_shared_aliases(plugins: list[Plugin]) -> Iterator[Plugin]:
    """Yield the plugins without the aliases that several of them claim.

    This project's own providers keep their aliases.
    """
    for plugin in plugins:
        info = plugin.info
        if info is None:
            yield plugin
            continue
        warnings = list(plugin.warnings)
        aliases = []
        for alias in info.aliases:
            others = [
                p
                for p in plugins
                if p is not plugin and alias in (p.names[:1] if _is_own_provider(plugin) else p.names)
            ]
            if not others:
                aliases.append(alias)
                continue
            warnings.append(
                f"its alias {alias!r} is ignored because {others[0].label} claims it too: use {info.name!r}"
            )
        yield evolve(plugin, info=evolve(info, aliases=tuple(aliases)), warnings=tuple(warnings))


def _mark_broken(plugin: Plugin, fault: str, cause: BaseException | None = None) -> Plugin:
    error = PluginLoadError(fault, plugin=plugin.name, distribution=plugin.distribution)
    error.__cause__ = cause
    return evolve(plugin, status="broken", error=error)
