"""Results of a wrapped hook that record how they ended, so that the hook's errors are not attributed to a wrapper."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from kickai_providers_core.plugin_api.awaitables import PluginExitError, close_quietly
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Generator, Iterator

__all__ = ["WatchedAsyncIterator", "WatchedAwaitable", "WatchedIterator", "discard", "is_from", "watch"]


def is_from(error: BaseException, inner: Any) -> bool:
    """Return whether an exception came from the wrapped hook, unchanged or translated."""
    own = None if inner is None else inner.error
    return own is not None and (error is own or _replaces(error, own) or isinstance(error, ProviderError))


def _replaces(error: BaseException, own: BaseException) -> bool:
    return isinstance(error, PluginExitError) and error.__cause__ is own


def watch(hook: str, result: Any) -> Any:
    """Return the result of a wrapped hook, inside an object that remembers how it ends if that is still open."""
    if hook in {"kickai_ainvoke_provider", "kickai_aclose_provider"} and inspect.isawaitable(result):
        return WatchedAwaitable(result)
    if hook == "kickai_stream_provider" and hasattr(result, "__next__"):
        return WatchedIterator(result)
    if hook == "kickai_astream_provider" and hasattr(result, "__anext__"):
        return WatchedAsyncIterator(result)
    return result


class WatchedAwaitable:
    """An awaitable that records how it ended."""

    def __init__(self, inner: Awaitable[Any]) -> None:
        self.inner = inner
        self.error: BaseException | None = None
        self.result: Any = None
        self.begun = False

    def __await__(self) -> Generator[Any, None, Any]:
        self.begun = True
        try:
            self.result = yield from self.inner.__await__()
        except BaseException as exc:
            self.error = exc
            raise
        return self.result

    def close(self) -> None:
        """Close the awaitable if it was never awaited."""
        close = getattr(self.inner, "close", None)
        if not self.begun and close is not None:
            close()


class WatchedIterator:
    """An iterator that records how it ended."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.error: BaseException | None = None
        self.latest: Any = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            self.latest = next(self.inner)
        except StopIteration:
            raise
        except BaseException as exc:
            self.error = exc
            raise
        return self.latest

    def close(self) -> None:
        """Close the iterator."""
        close_quietly(self.inner)


class WatchedAsyncIterator:
    """An async iterator that records how it ended."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.error: BaseException | None = None
        self.latest: Any = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            self.latest = await anext(self.inner)
        except StopAsyncIteration:
            raise
        except BaseException as exc:
            self.error = exc
            raise
        return self.latest

    async def aclose(self) -> None:
        """Close the iterator."""
        aclose = getattr(self.inner, "aclose", None)
        if aclose is not None:
            await aclose()


def discard(inner: Any) -> None:
    """Close the result of a wrapped hook that is not used."""
    if isinstance(inner, WatchedAwaitable | WatchedIterator):
        close_quietly(inner)
