"""Awaits and closes the awaitables of plugins, so that their exceptions are never mistaken for a cancellation."""

from __future__ import annotations

from inspect import isawaitable
from os import getpid
from typing import TYPE_CHECKING, Any

from kickai_providers_core.concurrency.forking import never_finalize, raise_fork_error
from kickai_providers_core.plugin_api.isolation import count_cancellations, is_exit_or_cancellation, is_process_exit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

__all__ = ["PluginAwaitable", "PluginExitError", "aclose_quietly", "close_quietly", "get_error_name"]


class PluginExitError(Exception):
    """Replaces a `GeneratorExit` or `CancelledError` that a plugin itself raised: they would look like the caller's."""


class PluginAwaitable:
    """Wraps a plugin's awaitable and replaces its own `GeneratorExit`, but not one from the caller.

    In a child that is forked while it waits, it ends with an error, and the awaitable is never resumed or closed.

    Args:
        open_: Returns the awaitable; called when this object is awaited.
    """

    __slots__ = ("_open",)

    def __init__(self, open_: Callable[[], Awaitable[Any]]) -> None:
        self._open = open_

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            awaitable = self._open()
            begin = getattr(awaitable, "__await__", None)
            steps = begin() if begin is not None else _await(awaitable).__await__()
        except GeneratorExit as exc:
            raise PluginExitError from exc
        send = steps.send if hasattr(steps, "send") else (lambda _value: next(steps))
        step, given, pid = send, None, getpid()
        try:
            while True:
                try:
                    waited = step(given)
                except StopIteration as stop:
                    return stop.value
                except GeneratorExit as exc:
                    raise PluginExitError from exc
                try:
                    step, given = send, (yield waited)
                except GeneratorExit:
                    if pid == getpid():
                        close_quietly(steps)
                    else:
                        never_finalize(steps)
                    raise
                except BaseException as exc:  # noqa: BLE001  for example a cancellation
                    step, given = steps.throw, exc
                if pid != getpid():
                    never_finalize(steps)
                    raise_fork_error(pid)
        finally:
            given = None  # an error refers to this frame; this breaks the reference cycle


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def get_error_name(error: BaseException) -> str:
    """Return the class name of an exception that a plugin's code raised."""
    own = error.__cause__ if isinstance(error, PluginExitError) and error.__cause__ is not None else error
    return type(own).__name__


def close_quietly(value: object) -> None:
    """Close a plugin's iterator or coroutine, and ignore its exceptions: the result is already known."""
    try:
        close = getattr(value, "close", None)
        if close is not None:
            close()
    except BaseException as exc:
        if is_process_exit(exc):
            raise


async def aclose_quietly(value: object) -> None:
    """Close a plugin's async iterator, and ignore its exceptions, except a cancellation by the caller."""
    before = count_cancellations()
    try:
        await PluginAwaitable(lambda: _aclose(value))
    except GeneratorExit:  # from the caller, who has dropped this coroutine
        raise
    except BaseException as exc:
        if is_exit_or_cancellation(exc, before):
            raise


async def _aclose(value: object) -> None:
    close = getattr(value, "aclose", None)
    closing = close() if close is not None else None
    if isawaitable(closing):
        await closing
