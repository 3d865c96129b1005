"""From entry points to plugins: each is loaded by itself, and what is wrong with one is told of that one alone.

An entry point is code from whoever installed a package, so loading it is a decision of the application: an
allow-list names the plugins, by entry point or by distribution, that may be loaded at all.
"""

from __future__ import annotations

import difflib
import inspect
import re
from typing import TYPE_CHECKING, Literal

import pluggy
from attrs import evolve, field, frozen

from kickai_providers_core import hookspecs
from kickai_providers_core.errors import DuplicateProviderError, PluginError, PluginLoadError
from kickai_providers_core.provider_settings import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from importlib.metadata import EntryPoint

__all__ = ["Discovery", "Plugin", "discover", "installed"]

REQUIRED = ("kickai_create_provider", "kickai_invoke_provider")
MODES: Mapping[hookspecs.Mode, str] = {
    "invoke": "kickai_invoke_provider",
    "ainvoke": "kickai_ainvoke_provider",
    "stream": "kickai_stream_provider",
    "astream": "kickai_astream_provider",
}
BYSTANDERS = frozenset({"kickai_observe", "kickai_rank_targets"})
"""What a plugin may implement that is no provider; the rest it may wrap."""
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@frozen(kw_only=True, eq=False, repr=False)
class Plugin:
    """One plugin that was found, usable or not.

    Attributes:
        name: The name of its entry point, or the one it was registered with in code.
        distribution: The distribution that brought it; empty when it was registered in code.
        version: That distribution's version.
        status: ``ready``; ``broken``, with the error; or ``not allowed``, and then it was not loaded.
        error: What is wrong with it.
        plugin: The module or object with the hooks; None unless ready.
        info: What it says of itself; None when it is no provider.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: Literal["ready", "broken", "not allowed"] = "ready"
    error: PluginError | None = None
    plugin: object | None = field(default=None, repr=False)
    info: hookspecs.ProviderInfo | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The provider's name and its aliases; empty when it is none."""
        return (self.info.name, *self.info.aliases) if self.info else ()


@frozen(eq=False, repr=False)
class Discovery:
    """All plugins that were found, in the order of their distributions and names.

    Attributes:
        plugins: Every one of them, broken ones included.
    """

    plugins: tuple[Plugin, ...]

    def providers(self) -> Mapping[str, Plugin]:
        """Return the usable provider plugins, by name."""
        return {plugin.info.name: plugin for plugin in self.plugins if plugin.info is not None}

    def infos(self) -> Mapping[str, hookspecs.ProviderInfo]:
        """Return what the usable provider plugins say of themselves, by name."""
        return {plugin.info.name: plugin.info for plugin in self.plugins if plugin.info is not None}

    def find(self, kind: str) -> Plugin | None:
        """Return the provider plugin of that name or alias."""
        return next((plugin for plugin in self.plugins if kind in plugin.names), None)

    def errors(self) -> tuple[PluginError, ...]:
        """Return what is wrong with the broken ones."""
        return tuple(plugin.error for plugin in self.plugins if plugin.error is not None)

    def others(self) -> tuple[object, ...]:
        """Return the usable plugins that are no provider: those that wrap and observe."""
        return tuple(plugin.plugin for plugin in self.plugins if plugin.info is None and plugin.plugin is not None)

    def observers(self) -> pluggy.PluginManager | None:
        """Return a manager of the plugins that implement ``kickai_observe``, or None when there is none."""
        return self._implementing("kickai_observe")

    def rankers(self) -> pluggy.PluginManager | None:
        """Return a manager of the plugins that implement ``kickai_rank_targets``, or None when there is none."""
        return self._implementing("kickai_rank_targets")

    def _implementing(self, hook: str) -> pluggy.PluginManager | None:
        manager = _manager()
        for plugin in self.plugins:
            if plugin.plugin is not None and hook in _hooks_of(plugin.plugin):
                manager.register(plugin.plugin)
        return manager if manager.get_plugins() else None


def installed() -> tuple[EntryPoint, ...]:
    """Return the entry points that the installed distributions declare; nothing is imported."""
    from importlib.metadata import entry_points  # noqa: PLC0415  costs as much as the rest of this package

    return tuple(entry_points(group=hookspecs.ENTRY_POINT_GROUP))


def discover(
    found: Iterable[EntryPoint], *, allowed: Iterable[str] | None = None, given: Mapping[str, object] | None = None
) -> Discovery:
    """Load plugins and look at each.

    Args:
        found: Entry points, as `installed` gives them.
        allowed: Names of entry points or distributions that may be loaded; None for all.
        given: Further plugins, by name, that the application hands over itself; a given provider takes the place of
            an installed one with the same name.
    """
    handed = [_examined(Plugin(name=name), plugin) for name, plugin in (given or {}).items()]
    taken = {name for plugin in handed for name in plugin.names}
    allow = None if allowed is None else frozenset(allowed)
    loaded = [_loaded(point, allow) for point in sorted(found, key=_origin)]
    loaded = [plugin for plugin in loaded if not taken.intersection(plugin.names)]
    return Discovery(tuple(_without_rivals([*handed, *loaded])))


def _origin(point: EntryPoint) -> tuple[str, str, str]:
    distribution = point.dist
    return (distribution.name if distribution else "", point.name, distribution.version if distribution else "")


def _loaded(point: EntryPoint, allowed: frozenset[str] | None) -> Plugin:
    distribution, name, version = _origin(point)
    plugin = Plugin(name=name, distribution=distribution, version=version)
    if allowed is not None and not allowed.intersection((name, distribution)):
        return evolve(plugin, status="not allowed")
    try:
        hooks = point.load()
    # Foreign code runs here for the first time: a plugin that cannot be imported, for whatever reason, and even one
    # that tries to end the program, is a broken plugin and nothing more.
    except (Exception, SystemExit) as exc:  # noqa: BLE001
        return _broken(plugin, f"its import raised {type(exc).__name__}: {exc}", exc)
    return _examined(plugin, hooks)


def _examined(plugin: Plugin, hooks: object) -> Plugin:
    """Return the plugin with its description, or as broken."""
    manager = _manager()
    try:
        if inspect.isclass(hooks):
            return _broken(
                plugin, f"{hooks.__qualname__} is a class; the entry point must name a module or an instance"
            )
        manager.register(hooks, name=plugin.name)
        manager.check_pending()
        names = _hooks_of(hooks)
        if not names:
            return _broken(plugin, "it implements no hook; mark its functions with kickai_providers_core.hookimpl")
        if "kickai_provider_info" not in names:
            return _bystander(plugin, hooks, manager)
        info = manager.hook.kickai_provider_info()
        fault = _fault(info, names)
        if fault:
            return _broken(plugin, fault)
        native = frozenset(mode for mode, hook in MODES.items() if hook in names)
        return evolve(plugin, plugin=hooks, info=evolve(info, native=native))
    except pluggy.PluginValidationError as exc:
        return _broken(plugin, _misfit(str(exc), hooks), exc)
    except Exception as exc:  # noqa: BLE001  the description is foreign code too
        return _broken(plugin, f"kickai_provider_info raised {type(exc).__name__}: {exc}", exc)


def _bystander(plugin: Plugin, hooks: object, manager: pluggy.PluginManager) -> Plugin:
    """Return a plugin that is no provider; it may observe and wrap, but not answer in a provider's stead."""
    for hook in manager.get_hookcallers(hooks) or []:
        for implementation in hook.get_hookimpls():
            if hook.name not in BYSTANDERS and not (implementation.wrapper or implementation.hookwrapper):
                told = f"it implements {hook.name} but not kickai_provider_info: only wrappers may do so"
                return _broken(plugin, told)
    return evolve(plugin, plugin=hooks)


def _fault(info: object, names: frozenset[str]) -> str:
    """Return what is wrong with a provider's description, or nothing."""
    if not isinstance(info, hookspecs.ProviderInfo):
        return f"kickai_provider_info returned {type(info).__name__}, not a ProviderInfo"
    if info.api_version > hookspecs.SEAM_VERSION:
        return (
            f"it was written for seam version {info.api_version}, this core speaks {hookspecs.SEAM_VERSION}: "
            "upgrade kickai-providers-core"
        )
    bad = [name for name in (info.name, *info.aliases) if not NAME.fullmatch(name)]
    if bad:
        return f"{bad[0]!r} is no provider name: lower-case letters, digits and '-'"
    settings: object = info.settings_class
    if not (inspect.isclass(settings) and issubclass(settings, ProviderSettings)):
        return "its settings_class is no class that extends ProviderSettings"
    lacking = [hook for hook in REQUIRED if hook not in names]
    return f"it lacks the hook {lacking[0]}" if lacking else ""


def _misfit(told: str, hooks: object) -> str:
    """Return pluggy's complaint in the words of the seam: the hook or the parameter that does not exist."""
    known = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("kickai_")}
    for name in sorted(_hooks_of(hooks)):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            return f"there is no hook {name}" + (f"; did you mean {near[0]}?" if near else "")
        wanted = inspect.signature(known[name]).parameters
        strange = [given for given in inspect.signature(getattr(hooks, name)).parameters if given not in wanted]
        if strange:
            return f"{name} has no parameter {strange[0]!r}; it has {', '.join(wanted) or 'none'}"
    return " ".join(told.split())


def _without_rivals(plugins: list[Plugin]) -> Iterator[Plugin]:
    """Yield the plugins, rivals for one name as broken: whom to trust with a key is not ours to guess."""
    for plugin in plugins:
        rivals = [
            other
            for other in plugins
            if other is not plugin and plugin.info is not None and _contests(plugin.info, other)
        ]
        if not rivals:
            yield plugin
            continue
        shared = next(name for name in plugin.names if name in rivals[0].names)
        told = (
            f"the provider name {shared!r} is also claimed by {rivals[0].name} "
            f"(from {rivals[0].distribution or 'code'}): uninstall one, or name the other in kickai.plugins"
        )
        error = DuplicateProviderError(told, plugin=plugin.name, distribution=plugin.distribution)
        yield evolve(plugin, status="broken", error=error, plugin=None, info=None)


def _contests(info: hookspecs.ProviderInfo, other: Plugin) -> bool:
    """Return whether another plugin makes this one's names ambiguous; a name beats an alias."""
    if other.info is None:
        return False
    return info.name == other.info.name or any(alias in other.names for alias in info.aliases)


def _broken(plugin: Plugin, told: str, cause: BaseException | None = None) -> Plugin:
    error = PluginLoadError(told, plugin=plugin.name, distribution=plugin.distribution)
    error.__cause__ = cause
    return evolve(plugin, status="broken", error=error)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    return manager


def _hooks_of(hooks: object) -> frozenset[str]:
    """Return the names of a plugin's hook implementations, known to the seam or not."""
    parser = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    return frozenset(name for name in dir(hooks) if parser.parse_hookimpl_opts(hooks, name) is not None)
