"""Guards for extensions, which run code around the hook of a provider or in its place. Their errors name them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import define, evolve

from kickai_providers_core.plugin_api.awaitables import PluginAwaitable, aclose_quietly, close_quietly, get_error_name
from kickai_providers_core.plugin_api.isolation import count_cancellations, is_exit_or_cancellation, is_process_exit
from kickai_providers_core.plugin_api.watched_results import (
    WatchedAsyncIterator,
    WatchedAwaitable,
    WatchedIterator,
    discard,
    is_from,
    watch,
)
from kickai_providers_core.values.errors import (
    InvalidReplyError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
    RejectedRequestError,
    UnsupportedRequestError,
    UnusableProviderError,
)
from kickai_providers_core.values.problems import Problem
from kickai_providers_core.values.replies import Reply, ReplyChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

__all__ = ["guard_answer", "guard_wrapper"]

KEPT_ERRORS = (RejectedRequestError, UnsupportedRequestError, RateLimitedError, QuotaExhaustedError)
"""Errors that a wrapper may raise as they are: none counts against the breaker of the wrapped provider."""


def guard_wrapper(
    function: Callable[..., Generator[None, Any, Any]], label: str, hook: str
) -> Callable[..., Generator[None, Any, Any]]:
    """Return a wrapper whose errors name it.

    Args:
        function: The wrapper, in pluggy's new style.
        label: The name of its plugin.
        hook: The name of the hook that it wraps.
    """
    guard = WrapperGuard(label, hook)

    def call(*args: object) -> Generator[None, Any, Any]:
        inner = function(*args)
        try:
            next(inner)
        except StopIteration as exc:
            raise guard.build_fault_error("did not yield") from exc
        except BaseException as exc:  # noqa: BLE001
            guard.reraise(exc)
        try:
            result = watch(hook, (yield))
        except BaseException as exc:  # noqa: BLE001
            return guard.check_result(_throw(inner, exc, guard), None)
        try:
            inner.send(result)
        except StopIteration as stop:
            return guard.check_result(stop.value, result)
        except BaseException as exc:  # noqa: BLE001
            discard(result)
            guard.reraise(exc)
        close_quietly(inner)
        discard(result)
        raise guard.build_fault_error("yielded twice")

    return call


def guard_answer(function: Callable[..., Any], label: str, hook: str) -> Callable[..., Any]:
    """Return an extension's implementation of a provider's hook, whose answers and errors name the extension.

    Args:
        function: The implementation. It returns None to leave the request to the provider.
        label: The name of its plugin.
        hook: The name of the hook that it answers.
    """
    guard = WrapperGuard(label, hook, is_answer=True)

    def call(*args: object) -> Any:
        try:
            answer = function(*args)
        except BaseException as exc:  # noqa: BLE001
            guard.reraise(exc)
        return None if answer is None else guard.check_result(answer, None)

    return call


def _throw(inner: Generator[None, Any, Any], error: BaseException, guard: WrapperGuard) -> Any:
    """Return what a wrapper returns after an exception of the hook that it wraps."""
    try:
        inner.throw(error)
    except StopIteration as stop:
        return stop.value
    except BaseException as exc:
        if exc is error or isinstance(exc, ProviderError):
            raise  # passed on, or translated
        guard.reraise(exc)
    close_quietly(inner)
    raise guard.build_fault_error("yielded twice")


async def _open(value: Any) -> Any:
    """Return an async iterator, which an awaitable may stand for."""
    return await PluginAwaitable(lambda: value) if inspect.isawaitable(value) else value


@define(eq=False)
class WrapperGuard:
    """Validates the results of one extension, and names the extension in its errors.

    Attributes:
        label: The extension.
        hook: The name of the hook.
        is_answer: Whether it answers in place of the provider, rather than wraps it.
    """

    label: str
    hook: str
    is_answer: bool = False

    def build_fault_error(self, what: str) -> UnusableProviderError:
        """Return the error for a fault of the wrapper: the next target is called, and no breaker counts it."""
        return UnusableProviderError(f"the {self._kind} {self.label} of {self.hook} {what}")

    @property
    def _kind(self) -> str:
        return "extension" if self.is_answer else "wrapper"

    def _mark(self, value: Any) -> Any:
        """Return a reply or a chunk that says which extension answered."""
        return evolve(value, answered_by=self.label) if self.is_answer else value

    def build_error(self, exc: BaseException) -> BaseException:
        """Return the error for an exception that the wrapper raised."""
        if is_process_exit(exc):
            return exc
        if isinstance(exc, InvalidReplyError):
            exc.due_to_request = True  # found by a wrapper, so it does not concern the provider's health
        if isinstance(exc, (*KEPT_ERRORS, InvalidReplyError)) or type(exc) is UnusableProviderError:
            if self.label not in exc.message:
                exc.message = f"{exc.message} (raised by the {self._kind} {self.label})"
            return exc
        return self.build_fault_error(f"raised {get_error_name(exc)}")

    def reraise(self, exc: BaseException) -> NoReturn:
        """Raise the error for an exception that the wrapper raised."""
        error = self.build_error(exc)
        if error is exc:
            raise exc
        raise error from exc

    def check_result(self, value: Any, inner: Any) -> Any:  # noqa: C901  one hook after the other
        """Return what the wrapper returned, guarded so that later errors name it too.

        Args:
            value: What it returned.
            inner: What the wrapped hook returned; None if it raised.
        """
        if value is inner and isinstance(inner, WatchedAwaitable | WatchedIterator | WatchedAsyncIterator):
            return inner.inner
        if value is inner:
            return value
        if self.hook == "kickai_invoke_provider" and not isinstance(value, Reply):
            raise self.build_fault_error(f"returned {type(value).__name__}, not a Reply")
        if self.hook == "kickai_invoke_provider":
            return self._mark(value)
        if isinstance(inner, WatchedAwaitable) or (inner is None and self.hook == "kickai_ainvoke_provider"):
            if not inspect.isawaitable(value):
                discard(inner)
                raise self.build_fault_error(f"returned {type(value).__name__}, not an awaitable")
            return self._guard_awaitable(value, inner)
        if self.hook == "kickai_stream_provider":
            if not hasattr(value, "__next__") and not hasattr(value, "__iter__"):
                discard(inner)
                raise self.build_fault_error(f"returned {type(value).__name__}, not an iterator")
            return self._guard_iterator(value, inner)
        if self.hook == "kickai_astream_provider":
            if not hasattr(value, "__anext__") and not hasattr(value, "__aiter__") and not inspect.isawaitable(value):
                discard(inner)
                raise self.build_fault_error(f"returned {type(value).__name__}, not an async iterator")
            return self._guard_async_iterator(value, inner)
        if self.hook == "kickai_create_provider" and value is None:
            raise self.build_fault_error("returned None, not a provider")
        if self.hook == "kickai_validate_provider":
            return self._guard_problems(value)
        return value

    def _guard_problems(self, value: Any) -> tuple[Problem, ...]:
        """Return the problems that the wrapper returned, which may be none."""
        if isinstance(value, Iterable) and not isinstance(value, str):
            problems = tuple(value)
            if all(isinstance(each, Problem) for each in problems):
                return problems
        raise self.build_fault_error(f"returned {type(value).__name__}, not a list of Problems")

    async def _guard_awaitable(self, value: Awaitable[Any], inner: WatchedAwaitable | None) -> Any:
        before = count_cancellations()
        try:
            result = await PluginAwaitable(lambda: value)
        except GeneratorExit:  # from outside: the caller has dropped this coroutine
            raise
        except BaseException as exc:
            if is_from(exc, inner) or is_exit_or_cancellation(exc, before):
                raise
            self.reraise(exc)
        finally:
            discard(inner)
        if isinstance(result, Reply):
            return self._mark(result)
        if self.hook != "kickai_ainvoke_provider":
            return result
        if inner is not None and result is inner.result:
            return result
        raise self.build_fault_error(f"returned {type(result).__name__}, not a Reply")

    def _guard_iterator(self, value: Any, inner: WatchedIterator | None) -> Iterator[Any]:
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
                    if is_from(exc, inner):
                        raise
                    self.reraise(exc)
                if not isinstance(chunk, ReplyChunk) and (inner is None or chunk is not inner.latest):
                    raise self.build_fault_error(f"yielded {type(chunk).__name__}, not a ReplyChunk")
                yield self._mark(chunk)
        finally:
            close_quietly(chunks)
            discard(inner)

    async def _guard_async_iterator(self, value: Any, inner: WatchedAsyncIterator | None) -> AsyncIterator[Any]:
        chunks = value
        before = count_cancellations()
        try:
            while True:
                try:
                    if chunks is value:
                        chunks = aiter(await _open(value))
                        value = None
                    chunk = await PluginAwaitable(chunks.__anext__)
                except StopAsyncIteration:
                    return
                except GeneratorExit:  # from outside, as above
                    raise
                except BaseException as exc:
                    if is_from(exc, inner) or is_exit_or_cancellation(exc, before):
                        raise
                    self.reraise(exc)
                if not isinstance(chunk, ReplyChunk) and (inner is None or chunk is not inner.latest):
                    raise self.build_fault_error(f"yielded {type(chunk).__name__}, not a ReplyChunk")
                yield self._mark(chunk)
        finally:
            await aclose_quietly(chunks)
            await aclose_quietly(inner)
