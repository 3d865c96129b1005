"""Hooks of other plugins, called by pluggy's own rules, so that what one does wrong bears its own name.

A wrapper is a plugin's code round another plugin's. Here each wrapper runs inside a guard, which tells what the wrapper
did from what the wrapped hook did.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import pluggy
from attrs import define

from kickai_providers_core.plugin_api.awaitables import Driven, PluginExitError, aclose_quietly, close_quietly, name_of
from kickai_providers_core.plugin_api.inspection import manager
from kickai_providers_core.plugin_api.isolation import cancellations, is_asked, is_for_everyone
from kickai_providers_core.values.errors import (
    InvalidReplyError,
    Problem,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
    RejectedRequestError,
    UnsupportedRequestError,
    UnusableProviderError,
)
from kickai_providers_core.values.replies import Reply, ReplyChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping

    from pluggy import HookImpl

__all__ = ["guard_wrappers", "listeners"]

OWN_WORDS = (RejectedRequestError, UnsupportedRequestError, RateLimitedError, QuotaExhaustedError)
"""What a wrapper may raise as itself: none of it counts against the breaker of the provider that it wraps."""


def listeners(
    plugins: Mapping[str, object], hook: str, failed: Callable[[str, BaseException], None]
) -> Callable[..., Any] | None:
    """Return what calls a hook of several plugins by pluggy's rules; None when no plugin implements it.

    Args:
        plugins: The plugins by their labels.
        hook: The name of the hook.
        failed: Takes the label of a plugin and what it raised. The call goes on without that plugin.
    """
    registered = manager()
    for label, plugin in plugins.items():
        registered.register(plugin, name=label)
    called: pluggy.HookCaller = getattr(registered.hook, hook)
    for implementation in called.get_hookimpls():
        if implementation.wrapper or implementation.hookwrapper:
            function, label = _as_new_style(implementation), implementation.plugin_name
            _replace(implementation, _bypassing(function, label, failed, ranks=hook == "kickai_rank_targets"))
        else:
            _replace(implementation, _quiet(implementation.function, implementation.plugin_name, failed))
    return called if called.get_hookimpls() else None


def guard_wrappers(registered: pluggy.PluginManager, plugin: object) -> None:
    """Put every wrapper round the hooks of a provider's plugin into a guard, but for that plugin's own."""
    for hook in registered.get_hookcallers(plugin) or []:
        for implementation in hook.get_hookimpls():
            if implementation.plugin is not plugin and (implementation.wrapper or implementation.hookwrapper):
                _replace(implementation, _guarded(_as_new_style(implementation), implementation.plugin_name, hook.name))


def _replace(implementation: HookImpl, function: Callable[..., Any]) -> None:
    """Let pluggy call another function instead of an implementation, with the same arguments."""
    implementation.function = function  # type: ignore[misc]


def _as_new_style(implementation: HookImpl) -> Callable[..., Generator[None, Any, Any]]:
    """Return a wrapper's function as one that gets the result itself, and marks it as such."""
    function: Callable[..., Any] = implementation.function
    if not implementation.hookwrapper:
        return function
    implementation.hookwrapper, implementation.wrapper = False, True  # type: ignore[misc]

    def adapted(*args: object) -> Generator[None, Any, Any]:
        inner = function(*args)
        try:
            next(inner)
        except StopIteration:
            return None  # it did not yield, and neither does this
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

    return adapted


def _quiet(
    function: Callable[..., Any], label: str, failed: Callable[[str, BaseException], None]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: object) -> Any:
        try:
            result = function(*args)
        except BaseException as exc:
            if is_for_everyone(exc):
                raise
            failed(label, exc)
            return None
        if inspect.iscoroutine(result):
            result.close()  # an async function, which nobody awaits
            failed(label, TypeError("it is an async function"))
            return None
        return result

    return called


def _bypassing(
    function: Callable[..., Generator[None, Any, Any]],
    label: str,
    failed: Callable[[str, BaseException], None],
    *,
    ranks: bool,
) -> Callable[..., Generator[None, Any, Any]]:
    """Return a wrapper that is left out from where it fails; one that ranks must not lose the order."""

    def called(*args: object) -> Generator[None, Any, Any]:
        inner = function(*args)
        try:
            next(inner)
        except BaseException as exc:
            if is_for_everyone(exc):
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
            if is_for_everyone(exc):
                raise
            failed(label, exc)
            return result
        close_quietly(inner)
        failed(label, RuntimeError("it yielded twice"))
        return result

    return called


def _guarded(
    function: Callable[..., Generator[None, Any, Any]], label: str, hook: str
) -> Callable[..., Generator[None, Any, Any]]:
    """Return a wrapper whose faults bear its name."""
    blame = _Blame(label, hook)

    def called(*args: object) -> Generator[None, Any, Any]:
        inner = function(*args)
        try:
            next(inner)
        except StopIteration as exc:
            raise blame.fault("did not yield") from exc
        except BaseException as exc:  # noqa: BLE001
            blame.reraise(exc)
        try:
            result = _watched(hook, (yield))
        except BaseException as exc:  # noqa: BLE001
            return blame.sign(_thrown(inner, exc, blame), None)
        try:
            inner.send(result)
        except StopIteration as stop:
            return blame.sign(stop.value, result)
        except BaseException as exc:  # noqa: BLE001
            _discard(result)
            blame.reraise(exc)
        close_quietly(inner)
        _discard(result)
        raise blame.fault("yielded twice")

    return called


def _thrown(inner: Generator[None, Any, Any], error: BaseException, blame: _Blame) -> Any:
    """Return what a wrapper makes of an exception of the hook that it wraps."""
    try:
        inner.throw(error)
    except StopIteration as stop:
        return stop.value
    except BaseException as exc:
        if exc is error or isinstance(exc, ProviderError):
            raise  # passed on, or translated
        blame.reraise(exc)
    close_quietly(inner)
    raise blame.fault("yielded twice")


@define(eq=False)
class _Blame:
    """Names a wrapper in what it did wrong."""

    label: str
    hook: str

    def fault(self, what: str) -> UnusableProviderError:
        """Return the error of a wrapper: the next target is called, and no breaker counts it."""
        return UnusableProviderError(f"the wrapper {self.label} of {self.hook} {what}")

    def error(self, exc: BaseException) -> BaseException:
        """Return what stands for an exception that a wrapper raised."""
        if is_for_everyone(exc):
            return exc
        if isinstance(exc, InvalidReplyError):
            exc.due_to_request = True  # a wrapper found it, so that it says nothing of the provider's health
        if isinstance(exc, (*OWN_WORDS, InvalidReplyError)) or type(exc) is UnusableProviderError:
            if self.label not in exc.message:
                exc.message = f"{exc.message} (raised by the wrapper {self.label})"
            return exc
        return self.fault(f"raised {name_of(exc)}")

    def reraise(self, exc: BaseException) -> NoReturn:
        """Raise what stands for an exception that a wrapper raised."""
        error = self.error(exc)
        if error is exc:
            raise exc
        raise error from exc

    def sign(self, value: Any, inner: Any) -> Any:  # noqa: C901  one hook after the other
        """Return what a wrapper returned, so that its later faults bear its name as well.

        Args:
            value: What it returned.
            inner: What the wrapped hook returned to it; None when that raised.
        """
        if value is inner and isinstance(inner, _WatchedAwaitable | _WatchedIterator | _WatchedAsyncIterator):
            return inner.inner
        if value is inner:
            return value
        if self.hook == "kickai_invoke_provider" and not isinstance(value, Reply):
            raise self.fault(f"returned {type(value).__name__}, not a Reply")
        if isinstance(inner, _WatchedAwaitable) or (inner is None and self.hook == "kickai_ainvoke_provider"):
            if not inspect.isawaitable(value):
                _discard(inner)
                raise self.fault(f"returned {type(value).__name__}, not an awaitable")
            return self._signed_awaitable(value, inner)
        if self.hook == "kickai_stream_provider":
            if not hasattr(value, "__next__") and not hasattr(value, "__iter__"):
                _discard(inner)
                raise self.fault(f"returned {type(value).__name__}, not an iterator")
            return self._signed_iterator(value, inner)
        if self.hook == "kickai_astream_provider":
            if not hasattr(value, "__anext__") and not hasattr(value, "__aiter__") and not inspect.isawaitable(value):
                _discard(inner)
                raise self.fault(f"returned {type(value).__name__}, not an async iterator")
            return value if inspect.isawaitable(value) else self._signed_async_iterator(value, inner)
        if self.hook == "kickai_create_provider" and value is None:
            raise self.fault("returned None, not a provider")
        if self.hook == "kickai_validate_provider":
            return self._signed_problems(value)
        return value

    def _signed_problems(self, value: Any) -> tuple[Problem, ...]:
        """Return what a wrapper made of the problems of settings; empty is good, and None is not."""
        if isinstance(value, Iterable) and not isinstance(value, str):
            problems = tuple(value)
            if all(isinstance(each, Problem) for each in problems):
                return problems
        raise self.fault(f"returned {type(value).__name__}, not a list of Problems")

    async def _signed_awaitable(self, value: Awaitable[Any], inner: _WatchedAwaitable | None) -> Any:
        before = cancellations()
        try:
            result = await Driven(lambda: value)
        except GeneratorExit:  # from outside: somebody has dropped this coroutine
            raise
        except BaseException as exc:
            if _is_of(exc, inner) or is_asked(exc, before):
                raise
            self.reraise(exc)
        finally:
            _discard(inner)
        if self.hook != "kickai_ainvoke_provider" or isinstance(result, Reply):
            return result
        if inner is not None and result is inner.result:
            return result
        raise self.fault(f"returned {type(result).__name__}, not a Reply")

    def _signed_iterator(self, value: Any, inner: _WatchedIterator | None) -> Iterator[Any]:
        chunks = value
        try:
            while True:
                try:
                    if chunks is value:
                        chunks = iter(value)
                        value = None
                    chunk = next(chunks)
                except StopIteration:
                    return
                except BaseException as exc:
                    if _is_of(exc, inner):
                        raise
                    self.reraise(exc)
                if not isinstance(chunk, ReplyChunk) and (inner is None or chunk is not inner.latest):
                    raise self.fault(f"yielded {type(chunk).__name__}, not a ReplyChunk")
                yield chunk
        finally:
            close_quietly(chunks)
            _discard(inner)

    async def _signed_async_iterator(self, value: Any, inner: _WatchedAsyncIterator | None) -> AsyncIterator[Any]:
        chunks = value
        before = cancellations()
        try:
            while True:
                try:
                    if chunks is value:
                        chunks = aiter(value)
                        value = None
                    chunk = await Driven(chunks.__anext__)
                except StopAsyncIteration:
                    return
                except GeneratorExit:  # from outside, as above
                    raise
                except BaseException as exc:
                    if _is_of(exc, inner) or is_asked(exc, before):
                        raise
                    self.reraise(exc)
                if not isinstance(chunk, ReplyChunk) and (inner is None or chunk is not inner.latest):
                    raise self.fault(f"yielded {type(chunk).__name__}, not a ReplyChunk")
                yield chunk
        finally:
            await aclose_quietly(chunks)
            await aclose_quietly(inner)


def _is_of(error: BaseException, inner: Any) -> bool:
    """Return whether an exception came from the wrapped hook, as it was or translated."""
    own = None if inner is None else inner.error
    return own is not None and (error is own or _stands_for(error, own) or isinstance(error, ProviderError))


def _stands_for(error: BaseException, own: BaseException) -> bool:
    return isinstance(error, PluginExitError) and error.__cause__ is own


def _watched(hook: str, result: Any) -> Any:
    """Return the result of a wrapped hook, remembering how it ends when that is yet to come."""
    if hook in {"kickai_ainvoke_provider", "kickai_aclose_provider"} and inspect.isawaitable(result):
        return _WatchedAwaitable(result)
    if hook == "kickai_stream_provider" and hasattr(result, "__next__"):
        return _WatchedIterator(result)
    if hook == "kickai_astream_provider" and hasattr(result, "__anext__"):
        return _WatchedAsyncIterator(result)
    return result


class _WatchedAwaitable:
    """An awaitable that remembers how it ended."""

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
        """Close it when nobody has awaited it."""
        close = getattr(self.inner, "close", None)
        if not self.begun and close is not None:
            close()


class _WatchedIterator:
    """An iterator that remembers how it ended."""

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
        """Close it."""
        close_quietly(self.inner)


class _WatchedAsyncIterator:
    """An async iterator that remembers how it ended."""

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
        """Close it."""
        aclose = getattr(self.inner, "aclose", None)
        if aclose is not None:
            await aclose()


def _discard(inner: Any) -> None:
    """Close the result of a wrapped hook that nobody will use."""
    if isinstance(inner, _WatchedAwaitable | _WatchedIterator):
        close_quietly(inner)
