"""The hooks of extensions: plugins that observe, rank or wrap. Pluggy calls them, and each one is isolated.

An error of one extension is reported with its name, and the others are called nevertheless.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import pluggy

from kickai_providers_core.plugin_api.awaitables import close_quietly
from kickai_providers_core.plugin_api.hook_manager import HookManager
from kickai_providers_core.plugin_api.inspection import CALL_HOOKS
from kickai_providers_core.plugin_api.isolation import is_process_exit
from kickai_providers_core.plugin_api.wrapper_guards import guard_answer, guard_wrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from pluggy import HookImpl

__all__ = ["combine_hooks", "guard_extensions"]


def combine_hooks(
    plugins: Mapping[str, object], hook: str, failed: Callable[[str, BaseException], None]
) -> Callable[..., Any] | None:
    """Return a function that calls a hook of several plugins; None when no plugin implements it.

    Args:
        plugins: The plugins by their labels.
        hook: The name of the hook.
        failed: Gets the label of a plugin and its exception. The call continues without that plugin.
    """
    if not plugins:
        return None
    registered = HookManager()
    for label, plugin in plugins.items():
        registered.register(plugin, name=label)
    called: pluggy.HookCaller = getattr(registered.hook, hook)
    for implementation in called.get_hookimpls():
        if implementation.wrapper or implementation.hookwrapper:
            function, label = _as_new_style(implementation), implementation.plugin_name
            _replace(implementation, _isolate_wrapper(function, label, failed, ranks=hook == "kickai_rank_targets"))
        else:
            _replace(implementation, _isolate(implementation.function, implementation.plugin_name, failed))
    return called if called.get_hookimpls() else None


def guard_extensions(registered: pluggy.PluginManager, plugin: object) -> None:
    """Guard what extensions implement of the hooks of a provider's plugin: wrappers, and answers in its place."""
    for hook in registered.get_hookcallers(plugin) or []:
        for implementation in hook.get_hookimpls():
            if implementation.plugin is plugin:
                continue
            label = implementation.plugin_name
            if implementation.wrapper or implementation.hookwrapper:
                _replace(implementation, guard_wrapper(_as_new_style(implementation), label, hook.name))
            elif hook.name in CALL_HOOKS:
                _replace(implementation, guard_answer(implementation.function, label, hook.name))


def _replace(implementation: HookImpl, function: Callable[..., Any]) -> None:
    """Let pluggy call another function instead of an implementation, with the same arguments."""
    implementation.function = function  # type: ignore[misc]


def _as_new_style(implementation: HookImpl) -> Callable[..., Generator[None, Any, Any]]:
    """Return an old-style wrapper's function in pluggy's new style, and mark it as such."""
    function: Callable[..., Any] = implementation.function
    if not implementation.hookwrapper:
        return function
    implementation.hookwrapper, implementation.wrapper = False, True  # type: ignore[misc]

    def run_old_wrapper(*args: object) -> Generator[None, Any, Any]:
        inner = function(*args)
        try:
            next(inner)
        except StopIteration:
            return None  # it did not yield, so this does not either
        try:
            outcome: pluggy.Result[Any] = pluggy.Result((yield), None)
        except BaseException as exc:  # noqa: BLE001  old wrappers look at exceptions in the outcome
            outcome = pluggy.Result(None, exc)
        try:
            inner.send(outcome)
        except StopIteration:
            return outcome.get_result()
        inner.close()
        raise RuntimeError("it yielded twice")

    return run_old_wrapper


def _isolate(
    function: Callable[..., Any], label: str, failed: Callable[[str, BaseException], None]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: object) -> Any:
        try:
            result = function(*args)
        except BaseException as exc:
            if is_process_exit(exc):
                raise
            failed(label, exc)
            return None
        if inspect.iscoroutine(result):
            result.close()  # an async function is never awaited here
            failed(label, TypeError("it is an async function"))
            return None
        return result

    return call


def _isolate_wrapper(
    function: Callable[..., Generator[None, Any, Any]],
    label: str,
    failed: Callable[[str, BaseException], None],
    *,
    ranks: bool,
) -> Callable[..., Generator[None, Any, Any]]:
    """Return a wrapper that is bypassed once it fails. One that ranks must not lose the order."""

    def call(*args: object) -> Generator[None, Any, Any]:
        inner = function(*args)
        try:
            next(inner)
        except BaseException as exc:
            if is_process_exit(exc):
                raise
            failed(label, RuntimeError("it did not yield") if isinstance(exc, StopIteration) else exc)
            return (yield)
        result = yield
        try:
            inner.send(result)
        except StopIteration as stop:
            if stop.value is None and result is not None and ranks:
                failed(label, TypeError("it returned None"))
                return result
            return stop.value
        except BaseException as exc:
            if is_process_exit(exc):
                raise
            failed(label, exc)
            return result
        close_quietly(inner)
        failed(label, RuntimeError("it yielded twice"))
        return result

    return call
