"""Inspection: checks a plugin's hooks, its description of itself and its settings class."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import pluggy
from attrs import evolve, frozen

from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.plugin_api.hook_manager import HookManager
from kickai_providers_core.plugin_api.isolation import describe_error, is_process_exit, run_bounded
from kickai_providers_core.plugin_api.settings import ProviderSettings, resolve_type_hints
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.requests import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["MODES", "PLUGIN_NAME", "Inspection", "inspect_plugin", "split_capabilities"]

REQUIRED = (("kickai_create_provider",), ("kickai_invoke_provider", "kickai_ainvoke_provider"))
"""The hooks of which a provider plugin must implement at least one each."""
MODES: Mapping[hookspecs.Mode, str] = {
    "invoke": "kickai_invoke_provider",
    "ainvoke": "kickai_ainvoke_provider",
    "stream": "kickai_stream_provider",
    "astream": "kickai_astream_provider",
}
ASYNC_HOOKS = frozenset({"kickai_ainvoke_provider", "kickai_astream_provider", "kickai_aclose_provider"})
CALL_HOOKS = frozenset(MODES.values())
"""The hooks that an extension may implement to answer in place of a provider."""
EXTENSION_HOOKS = frozenset({"kickai_observe", "kickai_rank_targets", "kickai_open_store"})
"""The hooks that an extension may implement for itself. It may wrap all hooks."""
PLUGIN_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
UPGRADE = "upgrade kickai-providers-core"


@frozen(eq=False, repr=False)
class Inspection(Value):
    """The result of inspecting a plugin.

    Attributes:
        info: The provider's description; None for an extension or a plugin with a fault.
        hooks: The names of all hooks that the plugin implements, wrappers included.
        fault: The reason why the plugin cannot be used, as a clause; empty if it can be used.
        cause: The exception that caused the fault, or None.
        warnings: Mistakes that do not prevent its use, as clauses.
    """

    info: hookspecs.ProviderInfo | None = None
    hooks: frozenset[str] = frozenset()
    fault: str = ""
    cause: BaseException | None = None
    warnings: tuple[str, ...] = ()


def inspect_plugin(hooks: object, secrets: frozenset[str] = frozenset(), *, timeout_s: float) -> Inspection:
    """Inspect a plugin. This never raises because of the plugin.

    Args:
        hooks: The plugin's module or object.
        secrets: Texts that must not appear in messages.
        timeout_s: The time limit for ``kickai_provider_info`` in seconds.
    """
    try:
        return _inspect_plugin(hooks, secrets, timeout_s)
    except pluggy.PluginValidationError as exc:
        return Inspection(fault=_describe_hook_mismatch(str(exc), hooks), cause=exc)
    except BaseException as exc:
        if is_process_exit(exc):
            raise
        return Inspection(fault=f"inspecting it raised {describe_error(exc, secrets)}", cause=exc)


def _inspect_plugin(hooks: object, secrets: frozenset[str], timeout_s: float) -> Inspection:
    if inspect.isclass(hooks):
        return Inspection(fault=f"{hooks.__qualname__} is a class; the entry point must name a module or an instance")
    implementations = list(_find_implementations(hooks))
    names = frozenset(name for name, _, _ in implementations)
    if hooks is None or not implementations:
        return Inspection(fault="it implements no hooks: mark its functions with kickai_providers_core.hookimpl")
    _ = hooks == object()  # pluggy compares plugins, so one whose comparison raises would break the others
    warnings: list[str] = []
    info: hookspecs.ProviderInfo | None = None
    if "kickai_provider_info" in names:
        # This comes first: a plugin for a newer plugin API may have hooks and parameters that are unknown here.
        outcome = run_bounded(lambda: _call_provider_info(hooks), timeout_s, "its kickai_provider_info")
        warnings += outcome.warnings
        if outcome.timed_out:
            fault = f"kickai_provider_info did not return within {timeout_s:g} s"
            return Inspection(fault=fault, warnings=tuple(warnings))
        if outcome.error is not None:
            fault = (
                f"kickai_provider_info raised {describe_error(outcome.error, secrets)}{_suggest_upgrade(outcome.error)}"
            )
            return Inspection(fault=fault, cause=outcome.error, warnings=tuple(warnings))
        fault = _check_info(outcome.value)
        if fault:
            return Inspection(fault=fault, warnings=tuple(warnings))
        info = outcome.value
    registered = HookManager()
    registered.register(hooks)
    registered.check_pending()
    fault = _check_hooks(registered, hooks, is_provider=info is not None)
    if fault:
        return Inspection(fault=fault, warnings=tuple(warnings))
    warnings += _find_observer_warnings(registered)
    if info is None:
        return Inspection(hooks=names, warnings=tuple(warnings))
    fault, cause = _check_settings_class(info.settings_class, secrets)
    if fault:
        return Inspection(fault=fault, cause=cause, warnings=tuple(warnings))
    warnings += _find_settings_warnings(info)
    info, found = _drop_invalid_entries(info)
    own = {name for name, _, options in implementations if not (options.get("wrapper") or options.get("hookwrapper"))}
    native = frozenset(mode for mode, hook in MODES.items() if hook in own)
    return Inspection(info=evolve(info, native=native), hooks=names, warnings=(*warnings, *found))


def _find_implementations(hooks: object) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield each hook that a plugin implements, unknown ones too, with the attribute and the options of its marker."""
    parser = HookManager(_InfoHookOnly)
    for attribute in dir(hooks):
        options = parser.parse_hookimpl_opts(hooks, attribute)
        if options is not None:
            yield options.get("specname") or attribute, attribute, options


class _InfoHookOnly:
    """The hook that exists in every version of the plugin API."""

    kickai_provider_info = staticmethod(hookspecs.kickai_provider_info)


def _call_provider_info(hooks: object) -> object:
    calls = HookManager(_InfoHookOnly)
    calls.register(hooks)
    return calls.hook.kickai_provider_info()


def _suggest_upgrade(error: BaseException) -> str:
    """Return a hint if a description failed because of a field that a newer core may have; otherwise empty."""
    unknown = isinstance(error, TypeError) and "unexpected keyword argument" in str(error)
    return f"; if the plugin needs a newer plugin API, {UPGRADE}" if unknown else ""


def _check_info(info: object) -> str:
    """Return the first fault of a provider's description; empty if there is none."""
    if not isinstance(info, hookspecs.ProviderInfo):
        return f"kickai_provider_info returned {type(info).__name__}, not a ProviderInfo"
    version: object = info.api_version
    if not isinstance(version, int) or isinstance(version, bool):
        return f"its api_version must be an integer, got {type(version).__name__}"
    if version > hookspecs.API_VERSION:
        return f"it needs plugin API {version}, but this core has plugin API {hookspecs.API_VERSION}: {UPGRADE}"
    aliases: object = info.aliases
    if not isinstance(aliases, tuple | list | frozenset | set):
        return f"its aliases must be a tuple of names, got {type(aliases).__name__}"
    names: tuple[object, ...] = (info.name, *info.aliases)
    for name in names:
        if not isinstance(name, str) or not PLUGIN_NAME.fullmatch(name):
            shown = repr(name) if isinstance(name, str) else type(name).__name__
            return f"{shown} is not a valid provider name: use lower-case letters, digits and '-'"
    texts: tuple[tuple[str, object, type], ...] = (
        ("summary", info.summary, str),
        ("holds_timeouts", info.holds_timeouts, bool),
    )
    for field, value, kind in texts:
        if not isinstance(value, kind):
            return f"its {field} must be a {kind.__name__}, got {type(value).__name__}"
    return ""


def _check_hooks(registered: pluggy.PluginManager, hooks: object, *, is_provider: bool) -> str:
    """Return the first fault of a plugin's hooks; empty if there is none."""
    own: set[str] = set()
    for hook in registered.get_hookcallers(hooks) or []:
        for implementation in hook.get_hookimpls():
            if implementation.wrapper or implementation.hookwrapper:
                continue
            own.add(hook.name)
            if not is_provider and (fault := _check_extension_hook(hook.name, implementation)):
                return fault
            if hook.name not in ASYNC_HOOKS and hook.name != "kickai_observe" and _is_async(implementation.function):
                return f"{hook.name} is an async function, but the core never awaits it: make it a plain function"
    missing = [" or ".join(hooks) for hooks in REQUIRED if not own.intersection(hooks)] if is_provider else []
    return f"it does not implement the required hook {missing[0]}" if missing else ""


def _check_extension_hook(name: str, implementation: pluggy.HookImpl) -> str:
    """Return what is wrong with a hook of an extension that is not a wrapper; empty if it is fine."""
    if name in EXTENSION_HOOKS:
        return ""
    if name not in CALL_HOOKS or not implementation.tryfirst:
        others = " and implementations with tryfirst=True" if name in CALL_HOOKS else ""
        return f"it implements {name} without kickai_provider_info: only wrappers{others} may do that"
    if _is_async(implementation.function) or inspect.isgeneratorfunction(implementation.function):
        return (
            f"its {name} is an async function or a generator, which would answer every request: make it a plain "
            "function that returns None to leave a request to the provider"
        )
    return ""


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _find_observer_warnings(registered: pluggy.PluginManager) -> Iterator[str]:
    for implementation in registered.hook.kickai_observe.get_hookimpls():
        if _is_async(implementation.function):
            yield "kickai_observe is an async function, which is never awaited: make it a plain function"


def _check_settings_class(settings: object, secrets: frozenset[str]) -> tuple[str, BaseException | None]:
    """Return the first fault of a settings class and the exception that caused it; empty and None if there is none."""
    if not (inspect.isclass(settings) and issubclass(settings, ProviderSettings)):
        return "its settings_class must be a subclass of ProviderSettings", None
    name = settings.__name__
    mandatory = [each.alias for each in attrs.fields(settings) if each.init and each.default is attrs.NOTHING]
    if mandatory:
        return f"the field {mandatory[0]!r} of its settings class {name} has no default: every field needs one", None
    try:
        resolve_type_hints(settings)
    except BaseException as exc:
        if is_process_exit(exc):
            raise
        return f"the type hints of its settings class {name} cannot be resolved: {describe_error(exc, secrets)}", exc
    try:
        settings()
    except BaseException as exc:
        if is_process_exit(exc):
            raise
        return f"its settings class {name} rejects its own defaults: {describe_error(exc, secrets)}", exc
    return "", None


def _find_settings_warnings(info: hookspecs.ProviderInfo) -> Iterator[str]:
    cls = info.settings_class
    fields = attrs.fields_dict(cls)
    strange = sorted({name for base in cls.__mro__ for name in vars(base).get("__annotations__", ())} - {*fields})
    strange = [name for name in strange if "ClassVar" not in str(cls.__annotations__.get(name, ""))]
    if strange:
        yield f"its settings class {cls.__name__} ignores {strange[0]}: decorate it with attrs.frozen(kw_only=True)"
    made = cls()
    for name in fields:
        try:
            setattr(made, name, getattr(made, name))
        except AttributeError:  # what a frozen class raises
            continue
        except Exception:  # noqa: BLE001, S110  a validator that runs on assignment: the class is not frozen
            pass
        yield f"its settings class {cls.__name__} is not frozen: decorate it with attrs.frozen(kw_only=True)"
        return


def _drop_invalid_entries(info: hookspecs.ProviderInfo) -> tuple[hookspecs.ProviderInfo, list[str]]:
    """Return a description without its unknown or invalid entries, and a warning for each of them."""
    warnings: list[str] = []
    capabilities, strange = split_capabilities(info.capabilities)
    models: dict[str, hookspecs.ModelInfo] = {}
    given: Any = info.models
    for name, model in given.items() if isinstance(given, Mapping) else ():
        if not isinstance(name, str) or not isinstance(model, hookspecs.ModelInfo):
            warnings.append("its models must map names to ModelInfo")
            continue
        if model.capabilities is not None:
            offered, unknown = split_capabilities(model.capabilities)
            strange += [name for name in unknown if name not in strange]
            model = evolve(model, capabilities=offered)  # noqa: PLW2901
        models[name] = model
    warnings += [f"unknown capability {name} (known: {', '.join(Capability)})" for name in strange]
    fields = {field.alias for field in attrs.fields(info.settings_class) if field.init}
    variables: Any = info.environment
    environment = _drop_unknown_fields(variables, fields, warnings)
    presets = {
        name: evolve(preset, environment=_drop_unknown_fields(preset.environment, fields, warnings))
        for name, preset in info.presets.items()
    }
    if presets and "preset" not in fields:
        warnings.append(
            f"its settings class {info.settings_class.__name__} has no field preset, which its presets need"
        )
    for name, value in (("models", given), ("environment", variables)):
        if not isinstance(value, Mapping):
            warnings.append(f"its {name} must be a mapping, got {type(value).__name__}")
    aliases = tuple(dict.fromkeys(alias for alias in info.aliases if alias != info.name))
    changed = evolve(
        info, capabilities=capabilities, models=models, environment=environment, presets=presets, aliases=aliases
    )
    return changed, warnings


def _drop_unknown_fields(variables: Any, fields: Collection[str], warnings: list[str]) -> dict[str, str]:
    """Return the variables that fill a field of the settings class; add a warning for each of the others."""
    environment: dict[str, str] = {}
    for variable, field in variables.items() if isinstance(variables, Mapping) else ():
        if not isinstance(variable, str) or not isinstance(field, str) or field not in fields:
            from difflib import get_close_matches  # noqa: PLC0415  only an error needs it

            near = get_close_matches(str(field), fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            warnings.append(f"its environment maps {variable} to the unknown settings field {field!r}{hint}")
        else:
            environment[variable] = field
    return environment


def split_capabilities(given: Any) -> tuple[frozenset[Capability], list[str]]:
    """Return the valid capabilities among the given values, and a description of each other value."""
    known: set[Capability] = set()
    strange: list[str] = []
    for each in (given,) if isinstance(given, str) or not isinstance(given, frozenset | set | tuple | list) else given:
        if isinstance(each, str) and each in {*Capability}:
            known.add(Capability(each))
        else:
            strange.append(repr(each) if isinstance(each, str) else f"a value of type {type(each).__name__}")
    return frozenset(known), sorted(strange)


def _describe_hook_mismatch(message: str, hooks: object) -> str:
    """Return which hook or parameter does not exist; otherwise pluggy's own message."""
    known = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("kickai_")}
    for name, attribute, _ in sorted(_find_implementations(hooks), key=lambda each: each[0]):
        if name not in known:
            from difflib import get_close_matches  # noqa: PLC0415  only an error needs it

            near = get_close_matches(name, known, n=1)
            return f"there is no hook {name}" + (f"; did you mean {near[0]}?" if near else "")
        wanted = inspect.signature(known[name]).parameters
        strange = [given for given in inspect.signature(getattr(hooks, attribute)).parameters if given not in wanted]
        if strange:
            return f"{name} has no parameter {strange[0]!r}; it has {', '.join(wanted) or 'none'}"
    return " ".join(message.split())
