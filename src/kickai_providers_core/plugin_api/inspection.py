"""What a plugin is, and what is wrong with it: its hooks, its description of itself, its settings class."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import pluggy
from attrs import evolve, frozen

from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.plugin_api.isolation import LOAD_TIMEOUT_S, describe_error, is_process_exit, run_bounded
from kickai_providers_core.plugin_api.settings import ProviderSettings, resolve_type_hints
from kickai_providers_core.values.requests import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Inspection", "create_plugin_manager", "find_hooks", "inspect_plugin", "split_capabilities"]

REQUIRED = ("kickai_create_provider", "kickai_invoke_provider")
MODES: Mapping[hookspecs.Mode, str] = {
    "invoke": "kickai_invoke_provider",
    "ainvoke": "kickai_ainvoke_provider",
    "stream": "kickai_stream_provider",
    "astream": "kickai_astream_provider",
}
ASYNC_HOOKS = frozenset({"kickai_ainvoke_provider", "kickai_astream_provider", "kickai_aclose_provider"})
EXTENSION_HOOKS = frozenset({"kickai_observe", "kickai_rank_targets"})
"""What a plugin may implement that is no provider; the rest it may wrap."""
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
UPGRADE = "upgrade kickai-providers-core"


@frozen
class Inspection:
    """What an examination found.

    Attributes:
        info: The provider's description; None when the plugin is no provider, or has a fault.
        fault: Why the plugin cannot be used, as a clause; empty when it can.
        cause: The exception behind the fault.
        warnings: What else is wrong with it, as clauses.
    """

    info: hookspecs.ProviderInfo | None = None
    fault: str = ""
    cause: BaseException | None = None
    warnings: tuple[str, ...] = ()


def inspect_plugin(
    hooks: object, secrets: frozenset[str] = frozenset(), timeout_s: float = LOAD_TIMEOUT_S
) -> Inspection:
    """Return what a plugin's module or object is.

    Args:
        hooks: The module or object.
        secrets: Texts that must not be in a message.
        timeout_s: Seconds that ``kickai_provider_info`` may take.
    """
    try:
        return _inspect_plugin(hooks, secrets, timeout_s)
    except pluggy.PluginValidationError as exc:
        return Inspection(fault=_describe_hook_mismatch(str(exc), hooks), cause=exc)
    except BaseException as exc:
        if is_process_exit(exc):
            raise
        return Inspection(fault=f"looking at it raised {describe_error(exc, secrets)}", cause=exc)


def _inspect_plugin(hooks: object, secrets: frozenset[str], timeout_s: float) -> Inspection:
    if inspect.isclass(hooks):
        return Inspection(fault=f"{hooks.__qualname__} is a class; the entry point must name a module or an instance")
    implementations = dict(_find_implementations(hooks))
    if hooks is None or not implementations:
        return Inspection(fault="it implements no hook; mark its functions with kickai_providers_core.hookimpl")
    _ = hooks == object()  # pluggy compares plugins, and one that cannot be compared would break the others
    warnings: list[str] = []
    info: hookspecs.ProviderInfo | None = None
    if "kickai_provider_info" in implementations:
        # Before anything else, since a plugin for a newer plugin API may have hooks and parameters that this one lacks.
        outcome = run_bounded(lambda: _call_provider_info(hooks), timeout_s, "its kickai_provider_info")
        warnings += outcome.warnings
        if outcome.timed_out:
            fault = f"kickai_provider_info has not returned within {timeout_s:g} s"
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
    registered = create_plugin_manager()
    registered.register(hooks)
    registered.check_pending()
    fault = _check_hooks(registered, hooks, is_provider=info is not None)
    if fault:
        return Inspection(fault=fault, warnings=tuple(warnings))
    warnings += _find_observer_warnings(registered)
    if info is None:
        return Inspection(warnings=tuple(warnings))
    fault, cause = _check_settings_class(info.settings_class, secrets)
    if fault:
        return Inspection(fault=fault, cause=cause, warnings=tuple(warnings))
    warnings += _find_settings_warnings(info)
    info, found = _drop_invalid_entries(info)
    own = find_hooks(hooks, wrappers=False)
    native = frozenset(mode for mode, hook in MODES.items() if hook in own)
    return Inspection(info=evolve(info, native=native), warnings=(*warnings, *found))


def create_plugin_manager() -> pluggy.PluginManager:
    """Return a plugin manager that knows the hooks."""
    made = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    made.add_hookspecs(hookspecs)
    return made


def find_hooks(hooks: object, *, wrappers: bool = True) -> frozenset[str]:
    """Return the names of the hooks that a plugin implements, known to the plugin API or not."""
    return frozenset(
        name
        for name, (_, options) in _find_implementations(hooks)
        if wrappers or not (options.get("wrapper") or options.get("hookwrapper"))
    )


def _find_implementations(hooks: object) -> Iterator[tuple[str, tuple[str, Mapping[str, Any]]]]:
    """Yield each hook that a plugin implements, with the attribute that does and what it is marked with."""
    parser = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    for attribute in dir(hooks):
        options = parser.parse_hookimpl_opts(hooks, attribute)
        if options is not None:
            yield options.get("specname") or attribute, (attribute, options)


class _InfoHookOnly:
    """The hook that every version of the plugin API has."""

    kickai_provider_info = staticmethod(hookspecs.kickai_provider_info)


def _call_provider_info(hooks: object) -> object:
    calls = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    calls.add_hookspecs(_InfoHookOnly)
    calls.register(hooks)
    return calls.hook.kickai_provider_info()


def _suggest_upgrade(error: BaseException) -> str:
    """Return a hint when a description failed for a field that a newer core may have."""
    unknown = isinstance(error, TypeError) and "unexpected keyword argument" in str(error)
    return f"; if it was written for a newer plugin API, {UPGRADE}" if unknown else ""


def _check_info(info: object) -> str:
    """Return what is wrong with a provider's description, or nothing."""
    if not isinstance(info, hookspecs.ProviderInfo):
        return f"kickai_provider_info returned {type(info).__name__}, not a ProviderInfo"
    version: object = info.api_version
    if not isinstance(version, int) or isinstance(version, bool):
        return f"its api_version must be a whole number, got {type(version).__name__}"
    if version > hookspecs.API_VERSION:
        return (
            f"it was written for plugin API {version}, and this core has plugin API {hookspecs.API_VERSION}: {UPGRADE}"
        )
    aliases: object = info.aliases
    if not isinstance(aliases, tuple | list | frozenset | set):
        return f"its aliases must be a tuple of names, got {type(aliases).__name__}"
    names: tuple[object, ...] = (info.name, *info.aliases)
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            shown = repr(name) if isinstance(name, str) else type(name).__name__
            return f"{shown} is no provider name: lower-case letters, digits and '-'"
    texts: tuple[tuple[str, object, type], ...] = (
        ("summary", info.summary, str),
        ("holds_timeouts", info.holds_timeouts, bool),
    )
    for field, value, kind in texts:
        if not isinstance(value, kind):
            return f"its {field} must be a {kind.__name__}, got {type(value).__name__}"
    return ""


def _check_hooks(registered: pluggy.PluginManager, hooks: object, *, is_provider: bool) -> str:
    """Return what is wrong with the hooks of a plugin, or nothing."""
    own: set[str] = set()
    for hook in registered.get_hookcallers(hooks) or []:
        for implementation in hook.get_hookimpls():
            if implementation.wrapper or implementation.hookwrapper:
                continue
            own.add(hook.name)
            if not is_provider and hook.name not in EXTENSION_HOOKS:
                return f"it implements {hook.name} but not kickai_provider_info: only wrappers may do so"
            if hook.name not in ASYNC_HOOKS and hook.name != "kickai_observe" and _is_async(implementation.function):
                return f"{hook.name} is an async function, and the core calls it without awaiting it"
    lacking = [hook for hook in REQUIRED if hook not in own] if is_provider else []
    return f"it lacks the hook {lacking[0]}" if lacking else ""


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _find_observer_warnings(registered: pluggy.PluginManager) -> Iterator[str]:
    for implementation in registered.hook.kickai_observe.get_hookimpls():
        if _is_async(implementation.function):
            yield "kickai_observe is an async function, so it is never run; make it a plain function"


def _check_settings_class(settings: object, secrets: frozenset[str]) -> tuple[str, BaseException | None]:
    """Return why a settings class cannot be used, or nothing, and the exception behind it."""
    if not (inspect.isclass(settings) and issubclass(settings, ProviderSettings)):
        return "its settings_class must be a subclass of ProviderSettings", None
    name = settings.__name__
    mandatory = [each.alias for each in attrs.fields(settings) if each.init and each.default is attrs.NOTHING]
    if mandatory:
        return f"the field {mandatory[0]!r} of its settings class {name} has no default; give every field one", None
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
        return f"its settings class {name} refuses its own defaults: {describe_error(exc, secrets)}", exc
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
        except AttributeError:  # a frozen class raises a subclass of it
            continue
        except Exception:  # noqa: BLE001, S110  a validator that runs on assignment: the class is not frozen
            pass
        yield f"its settings class {cls.__name__} is not frozen: decorate it with attrs.frozen(kw_only=True)"
        return


def _drop_invalid_entries(info: hookspecs.ProviderInfo) -> tuple[hookspecs.ProviderInfo, list[str]]:
    """Return a description without what this core does not know in it, and what that was."""
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
    warnings += [f"it offers {name}, which is no capability; there are {', '.join(Capability)}" for name in strange]
    environment: dict[str, str] = {}
    fields = {field.alias for field in attrs.fields(info.settings_class) if field.init}
    variables: Any = info.environment
    for variable, field in variables.items() if isinstance(variables, Mapping) else ():
        if not isinstance(variable, str) or not isinstance(field, str) or field not in fields:
            near = difflib.get_close_matches(str(field), fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            warnings.append(
                f"the environment variable {variable} fills {field!r}, which is no field of its settings{hint}"
            )
        else:
            environment[variable] = field
    for name, value in (("models", given), ("environment", variables)):
        if not isinstance(value, Mapping):
            warnings.append(f"its {name} must be a mapping, got {type(value).__name__}")
    aliases = tuple(dict.fromkeys(alias for alias in info.aliases if alias != info.name))
    changed = evolve(info, capabilities=capabilities, models=models, environment=environment, aliases=aliases)
    return changed, warnings


def split_capabilities(given: Any) -> tuple[frozenset[Capability], list[str]]:
    """Return the capabilities among some values, and what the others are, as text."""
    known: set[Capability] = set()
    strange: list[str] = []
    for each in (given,) if isinstance(given, str) or not isinstance(given, frozenset | set | tuple | list) else given:
        if isinstance(each, str) and each in {*Capability}:
            known.add(Capability(each))
        else:
            strange.append(repr(each) if isinstance(each, str) else f"a value of type {type(each).__name__}")
    return frozenset(known), sorted(strange)


def _describe_hook_mismatch(message: str, hooks: object) -> str:
    """Return pluggy's complaint in words of the plugin API: the hook or the parameter that does not exist."""
    known = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("kickai_")}
    for name, (attribute, _) in sorted(_find_implementations(hooks), key=lambda each: each[0]):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            return f"there is no hook {name}" + (f"; did you mean {near[0]}?" if near else "")
        wanted = inspect.signature(known[name]).parameters
        strange = [given for given in inspect.signature(getattr(hooks, attribute)).parameters if given not in wanted]
        if strange:
            return f"{name} has no parameter {strange[0]!r}; it has {', '.join(wanted) or 'none'}"
    return " ".join(message.split())
