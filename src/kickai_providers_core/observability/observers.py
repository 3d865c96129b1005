"""Passes events to the log, the application's observers, and the plugins that implement `kickai_observe`."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from kickai_providers_core.observability.log import LEVELS, log_event
from kickai_providers_core.plugin_api.extension_warnings import warn
from kickai_providers_core.plugin_api.extensions import combine_hooks
from kickai_providers_core.plugin_api.isolation import is_process_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from kickai_providers_core.values.events import Event, Observer

__all__ = ["Observers"]


class Observers:
    """Passes each event to every observer. One that raises is reported once, and the others still get the event.

    Safe to call from any thread.
    """

    def __init__(self, observers: Iterable[Observer], plugins: Mapping[str, object] | None = None) -> None:
        self._faulty: set[str | int] = set()
        receivers: list[_Receiver] = [(log_event, LEVELS), *((each, None) for each in observers)]
        called = combine_hooks(plugins or {}, "kickai_observe", self._report)
        if called is not None:
            receivers.append((partial(_call_hook, called), None))
        self._by_event = _ObserversByEvent(receivers)

    def add(self, observer: Observer, kinds: Container[type[Event]]) -> None:
        """Add an observer of some classes of events, which receives them before the others. Do it before any event."""
        self._by_event.receivers.insert(1, (observer, kinds))

    def emit(self, event: Event) -> None:
        """Pass an event to every observer."""
        for receiver in self._by_event[type(event)]:
            try:
                result = receiver(event)
            except BaseException as exc:
                if is_process_exit(exc):
                    raise
                self._report(receiver, exc)
            else:
                if result is not None and inspect.iscoroutine(result):
                    result.close()
                    self._report(receiver, TypeError("it is an async function"))

    def _report(self, observer: object, error: BaseException) -> None:
        """Report an observer's exception, the first time."""
        key = observer if isinstance(observer, str) else id(observer)  # an observer need not be hashable
        if key in self._faulty:
            return
        self._faulty.add(key)
        done = "is an async function, which is never run; make it a plain function"
        if not isinstance(error, TypeError) or error.args != ("it is an async function",):
            done = f"raised {type(error).__name__}; its further errors are not reported"
        warn(f"the observer {_get_name(observer)} {done}")


def _get_name(observer: object) -> str:
    if isinstance(observer, str):
        return observer
    try:
        name: object = getattr(observer, "__qualname__", None)
    except BaseException as exc:
        if is_process_exit(exc):
            raise
        name = None
    return name if isinstance(name, str) else type(observer).__name__


def _call_hook(hook: Callable[..., Any], event: Event) -> None:
    hook(event=event)


_Receiver = tuple["Callable[[Event], object]", "Container[type[Event]] | None"]
"""An observer and the classes of the events that it receives; None for all."""


class _ObserversByEvent(dict[type["Event"], list["Callable[[Event], object]"]]):
    """The observers of each class of events.

    Attributes:
        receivers: All observers.
    """

    def __init__(self, receivers: list[_Receiver]) -> None:
        super().__init__()
        self.receivers = receivers

    def __missing__(self, kind: type[Event]) -> list[Callable[[Event], object]]:
        receivers = [receiver for receiver, kinds in self.receivers if kinds is None or kind in kinds]
        self[kind] = receivers
        return receivers
