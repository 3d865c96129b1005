"""Reading of foreign asynchronous generators that only their reader closes.

An event loop closes the asynchronous generators that it knows before it ends, all at once. Of generators that read
from one another, one is then closed while another one closes it: "aclose(): asynchronous generator is already
running". The loop learns of a generator through a hook when it is first iterated; `start` does that without the hook.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

__all__ = ["start"]

T = TypeVar("T")


async def start(items: AsyncIterator[T]) -> T | None:
    """Return the first item, or None when there is none; generators that begin with it stay unknown to the loop.

    The caller must close them, whatever happens.
    """
    found: T | None = await _Started(items)
    return found


class _Started:
    def __init__(self, items: AsyncIterator[Any]) -> None:
        self._items = items

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            hooks = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(firstiter=None, finalizer=None)
            try:
                steps = anext(self._items, None).__await__()
                waiting = next(steps)
            finally:
                sys.set_asyncgen_hooks(*hooks)
            while True:
                try:
                    yield waiting
                except BaseException as exc:  # noqa: BLE001 - a cancellation goes to where the wait is
                    waiting = steps.throw(exc)
                else:
                    waiting = next(steps)
        except StopIteration as stop:
            return stop.value
