"""Who receives events: the log, the application's observers, the plugins that implement `kickai_observe`."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from kickai_providers_core.extensions import listeners
from kickai_providers_core.foreign import is_for_everyone
from kickai_providers_core.log import LEVELS, log_event, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kickai_providers_core.events import Event, Observer

__all__ = ["Observers"]


class Observers:
    """Hands each event to every observer; one that raises is reported the first time and stops no other.

    Safe to call from any thread.
    """

    def __init__(self, observers: Iterable[Observer], plugins: Mapping[str, object] | None = None) -> None:
        self._faulty: set[object] = set()
        watchers: list[Callable[[Event], object]] = [log_event, *observers]
        called = listeners(plugins or {}, "kickai_observe", self._report)
        if called is not None:
            watchers.append(partial(_call, called))
        self._of = _ByKind(watchers)

    def tell(self, event: Event) -> None:
        """Hand an event to every observer."""
        for watch in self._of[type(event)]:
            try:
                result = watch(event)
            except BaseException as exc:
                if is_for_everyone(exc):
                    raise
                self._report(watch, exc)
            else:
                if result is not None and inspect.iscoroutine(result):
                    result.close()
                    self._report(watch, TypeError())

    def _report(self, observer: object, error: BaseException) -> None:
        """Report what an observer raised, the first time."""
        if observer in self._faulty:
            return
        self._faulty.add(observer)
        name = observer if isinstance(observer, str) else getattr(observer, "__qualname__", type(observer).__name__)
        warn(f"the observer {name} raised {type(error).__name__}; its further errors are not reported")


def _call(hook: Callable[..., Any], event: Event) -> None:
    hook(event=event)


class _ByKind(dict[type["Event"], list["Callable[[Event], object]"]]):
    """Who receives each kind of events: everybody, but the log only what it may log."""

    def __init__(self, watchers: list[Callable[[Event], object]]) -> None:
        super().__init__()
        self._watchers = watchers

    def __missing__(self, kind: type[Event]) -> list[Callable[[Event], object]]:
        watchers = [watch for watch in self._watchers if watch is not log_event or kind in LEVELS]
        self[kind] = watchers
        return watchers
