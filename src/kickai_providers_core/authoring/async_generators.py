"""Iteration over a client's asynchronous generators that leaves closing them to the reader.

An event loop closes the asynchronous generators that it knows before it ends, all at once. A client reads through
several generators, each of which closes the next, so that two tasks close the same one: Python prints "aclose():
asynchronous generator is already running". A loop learns of a generator through a hook when the generator starts;
`Untracked` switches that hook off while the client's code runs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

__all__ = ["Untracked"]

T = TypeVar("T")


class Untracked(Generic[T]):
    """An asynchronous iterator over a generator that the event loop does not close, nor those that it reads from.

    Use it with `contextlib.aclosing` inside a generator that the loop does know. Not safe to share between tasks.

    Args:
        items: A generator that has not started. It is closed with `aclose`, which the caller must call.
    """

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items

    def __aiter__(self) -> Untracked[T]:
        return self

    async def __anext__(self) -> T:
        item: T = await _Unhooked(self._items.__anext__)
        return item

    async def aclose(self) -> None:
        """Close the generator.

        A loop that ends cancels the task that closes an abandoned generator. CPython then throws a `GeneratorExit` into
        the generator at its next await. Closing goes on: otherwise the client's generators would never be closed.
        """
        await _Unhooked(self._items.aclose, ignored=GeneratorExit)


class _Unhooked:
    """Awaits what a function returns, with the loop's hooks switched off whenever it runs.

    Args:
        start: Returns what is awaited.
        ignored: Exceptions that are not passed on to it.
    """

    def __init__(self, start: Callable[[], Awaitable[Any]], *, ignored: type[BaseException] | tuple[()] = ()) -> None:
        self._start = start
        self._ignored = ignored

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = None
        value: Any = None
        error: BaseException | None = None
        while True:
            hooks = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(firstiter=None, finalizer=None)
            try:
                steps = steps or self._start().__await__()
                waiting = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                sys.set_asyncgen_hooks(*hooks)
            value = error = None
            try:
                value = yield waiting
            except self._ignored:
                pass
            except BaseException as exc:  # noqa: BLE001  a cancellation, too, goes to where the wait is
                error = exc
