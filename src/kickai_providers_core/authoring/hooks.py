"""A provider written as a class, as a plugin with the hooks of the plugin API."""

from __future__ import annotations

import sys
from functools import wraps
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kickai_providers_core.plugin_api.hookspecs import ProviderInfo, hookimpl
from kickai_providers_core.values.errors import UnusableProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["METHODS", "PluginObject", "hooks_for"]

METHODS = {
    "validate": "kickai_validate_provider",
    "prepare": "kickai_prepare_provider",
    "capabilities": "kickai_provider_capabilities",
    "invoke": "kickai_invoke_provider",
    "ainvoke": "kickai_ainvoke_provider",
    "stream": "kickai_stream_provider",
    "astream": "kickai_astream_provider",
    "close": "kickai_close_provider",
    "aclose": "kickai_aclose_provider",
}
"""The methods of a provider class that become hooks, and the hooks."""

FUNCTIONS = ("validate", "capabilities", "prepare")
"""Those that may be functions instead."""


class PluginObject(SimpleNamespace):
    """A plugin object: its attributes are the hooks. Its ``__module__`` is the module that called `hooks_for`."""

    def __repr__(self) -> str:
        return f"<plugin {self.kickai_provider_info().name}>"


def hooks_for(
    info: ProviderInfo,
    provider_class: type | str,
    *,
    methods: Collection[str] | None = None,
    **functions: Callable[..., Any],
) -> PluginObject:
    """Return a plugin whose hooks call the methods of a class; name it in the entry point.

    The class is created with the settings, ``provider_class(settings)``, when the provider is first used. It must have
    ``invoke(request, timeout_s)`` or ``ainvoke``, and may have both, and ``stream`` and ``astream`` with the same
    parameters, ``close()`` and ``aclose()``, and as static methods or class methods ``validate(settings, online)``,
    ``capabilities(settings, model)`` and ``prepare(settings, model)``. Each means what the hook of that name means, see
    `kickai_providers_core.plugin_api.hookspecs`. A mode without a method is left to the core.

    Args:
        info: What the plugin says of itself.
        provider_class: The class; or ``"package.module:Class"``, to import it with the vendor's client on first use.
        methods: The names of the methods that the class has; required when it is given by its name.
        functions: Functions in place of the static methods ``validate``, ``capabilities`` and ``prepare``, with their
            names, for what would otherwise import a client without need.

    Returns:
        A plugin. Its hooks are as safe to share between threads and event loops as the class.

    Raises:
        TypeError: The class has neither ``invoke`` nor ``ainvoke``, or is given by name without its methods.
        ValueError: ``methods`` or ``functions`` has an unknown name.
    """
    if methods is None:
        if isinstance(provider_class, str):
            raise TypeError(f"methods is required for {provider_class!r}, which is imported later")
        methods = [name for name in METHODS if callable(getattr(provider_class, name, None))]
    methods = [name for name in methods if name not in functions]
    for what, names, known in (("methods", methods, METHODS), ("functions", functions, FUNCTIONS)):
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ValueError(f"{what} must be among {', '.join(known)}, got {', '.join(unknown)}")
    if not {"invoke", "ainvoke"}.intersection(methods):
        raise TypeError(f"{provider_class!r} must have a method invoke(request, timeout_s) or ainvoke")
    load = _build_loader(provider_class, tuple(methods))
    return PluginObject(
        __module__=sys._getframe(1).f_globals.get("__name__", __name__),  # noqa: SLF001  as collections.namedtuple does
        kickai_provider_info=hookimpl(lambda: info),
        kickai_create_provider=hookimpl(_make_hook("create", load)),
        **{METHODS[name]: hookimpl(_make_hook(name, load)) for name in methods},
        **{METHODS[name]: hookimpl(_wrap(function)) for name, function in functions.items()},
    )


def _wrap(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls another one: `hookimpl` marks what it gets, and pluggy reads the wrapped signature.

    A module may import the other one. Marked, it would look like a hook of that module.
    """

    @wraps(function)
    def hook(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return hook


def _build_loader(provider_class: type | str, methods: tuple[str, ...]) -> Callable[[], Any]:
    """Return a function that returns the class, and imports it where necessary."""
    if not isinstance(provider_class, str):
        return lambda: provider_class
    module, _, name = provider_class.partition(":")

    def load() -> Any:
        try:
            found = getattr(import_module(module), name)
        except ImportError as exc:
            what = exc.name or "a package"
            raise UnusableProviderError(f"{what} cannot be imported: reinstall {module.partition('.')[0]}") from exc
        missing = [method for method in methods if not callable(getattr(found, method, None))]
        if missing:
            raise UnusableProviderError(f"{provider_class} has no method {', '.join(missing)}")
        return found

    return load


def _make_hook(method: str, load: Callable[[], Any]) -> Callable[..., Any]:
    """Return the hook for a method; pluggy passes arguments by name, so each kind of hook has its own signature."""

    def create(settings: Any) -> Any:
        return load()(settings)

    def validate(settings: Any, online: bool) -> Any:
        return load().validate(settings, online)

    def on_model(settings: Any, model: str | None) -> Any:
        return getattr(load(), method)(settings, model)

    def on_request(provider: Any, request: Any, timeout_s: float) -> Any:
        return getattr(provider, method)(request, timeout_s)

    def on_provider(provider: Any) -> Any:
        return getattr(provider, method)()

    if method in {"create", "validate"}:
        return create if method == "create" else validate
    if method in {"prepare", "capabilities"}:
        return on_model
    return on_provider if method in {"close", "aclose"} else on_request
