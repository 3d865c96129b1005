"""Calls a plugin's hooks in each of the four modes, and derives the modes that the plugin lacks.

Sync modes are derived from the async hooks, which run on the portal's event loop: such a call can be cancelled. Async
modes are derived from the sync hooks, which run in threads.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from kickai_providers_core.concurrency import threads
from kickai_providers_core.plugin_api.awaitables import PluginAwaitable, PluginExitError
from kickai_providers_core.plugin_api.cancellation import GRACE_S, CallRunner
from kickai_providers_core.plugin_api.isolation import count_cancellations, is_exit_or_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator

    from kickai_providers_core.concurrency.abandoned_calls import AbandonedCalls
    from kickai_providers_core.concurrency.portal import Portal
    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["ModeCalls"]

LOOP_LATE_S = 2 * GRACE_S
"""Seconds after a timeout at which a blocking caller stops waiting for the portal's loop. They are enough for the
clean-up of a cancelled call, and less than the 0.25 s by which a deadline may be exceeded. A caller only waits that
long when a plugin blocks the loop."""


MAX_AHEAD = 32
"""How many chunks of an async stream are read ahead, so that those that arrive together are passed on together."""


class ModeCalls:
    """Calls the hooks of one plugin. Results are not validated, and exceptions are the plugin's own.

    Safe to share between threads and event loops.

    Args:
        hook: The plugin's hooks, inside the wrappers of other plugins.
        info: The plugin's description of itself, with its native modes.
        portal: The event loop for blocking callers.
        abandoned: Counts the plugin's abandoned calls.

    Attributes:
        can_stream: Whether the plugin streams, in a sync or an async mode.
    """

    def __init__(self, hook: Any, info: ProviderInfo, portal: Portal, abandoned: AbandonedCalls) -> None:
        self._hook = hook
        self._native = info.native
        self._holds_timeouts = info.holds_timeouts
        self._portal = portal
        self._abandoned = abandoned
        self._runner = CallRunner(abandoned)
        self.can_stream = bool(info.native & {"stream", "astream"})

    def invoke(self, provider: object, request: ChatRequest, timeout_s: float) -> object:
        """Return the plugin's answer, blocking the thread.

        Raises:
            TimeoutError: The time limit expired.
        """
        if "invoke" not in self._native and "ainvoke" in self._native:
            return self._invoke_on_portal(provider, request, timeout_s)
        if self._holds_timeouts:
            return self._hook.kickai_invoke_provider(provider=provider, request=request, timeout_s=timeout_s)
        call = self._abandoned.track()
        run = call.wrap(
            lambda: self._hook.kickai_invoke_provider(provider=provider, request=request, timeout_s=timeout_s)
        )
        try:
            return threads.call(run, timeout_s)
        finally:
            call.abandon()

    def ainvoke(self, provider: object, request: ChatRequest, timeout_s: float) -> Coroutine[Any, Any, object]:
        """Return a coroutine that returns the plugin's answer without blocking the event loop; else as `invoke`."""
        if "ainvoke" not in self._native:
            return self._ainvoke_in_thread(provider, request, timeout_s)
        return self._runner.run(
            lambda: self._hook.kickai_ainvoke_provider(provider=provider, request=request, timeout_s=timeout_s),
            timeout_s,
        )

    async def _ainvoke_in_thread(self, provider: object, request: ChatRequest, timeout_s: float) -> object:
        call = self._abandoned.track()
        run = call.wrap(
            lambda: self._hook.kickai_invoke_provider(provider=provider, request=request, timeout_s=timeout_s)
        )
        before = count_cancellations()
        try:
            async with asyncio.timeout(timeout_s):
                return await PluginAwaitable(lambda: threads.acall(run))
        except asyncio.CancelledError as exc:
            if is_exit_or_cancellation(exc, before):
                raise
            raise PluginExitError from exc
        finally:
            call.abandon()

    def stream(
        self, provider: object, request: ChatRequest, timeout_s: float, wait_s: Callable[[], float]
    ) -> Iterator[Any]:
        """Return an iterator of the plugin's chunks, which blocks the thread for each one. The caller closes it.

        A derived stream is never read ahead, and closing it cancels the plugin's own.

        Args:
            provider: The provider object.
            request: The request.
            timeout_s: The time limit of the whole stream in seconds.
            wait_s: Returns the number of seconds to wait for the next chunk. Not used when the plugin's sync hooks hold
                their time limits.

        Raises:
            TimeoutError: From the iterator: the next chunk did not arrive in time.
        """
        if "stream" not in self._native:
            return self._stream_on_portal(provider, request, timeout_s, wait_s)
        if self._holds_timeouts:
            return iter(self._open_stream(provider, request, timeout_s))
        return self._stream_in_thread(provider, request, timeout_s, wait_s)

    def astream(
        self,
        provider: object,
        request: ChatRequest,
        timeout_s: float,
        wait_s: Callable[[], float],
        accept: Callable[[Any], Any] = lambda chunk: chunk,
        *,
        max_ahead: int = MAX_AHEAD,
    ) -> AsyncGenerator[Any, None]:
        """Return an async generator of the plugin's chunks; otherwise as `stream`.

        Args:
            provider: As in `stream`.
            request: As in `stream`.
            timeout_s: As in `stream`.
            wait_s: As in `stream`.
            accept: Called with each chunk when it arrives; returns what is yielded, or raises.
            max_ahead: How many chunks are read ahead.
        """
        return self._runner.iterate(
            lambda: self._open_astream(provider, request, timeout_s), wait_s, accept, max_ahead=max_ahead
        )

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keep a cancelled call alive until its cleanup has ended."""
        self._runner.keep(task)

    def renew_after_fork(self) -> None:
        """Forget the calls that were running in the parent."""
        self._abandoned.renew_after_fork()
        self._runner.renew_after_fork()

    def _invoke_on_portal(self, provider: object, request: ChatRequest, timeout_s: float) -> object:
        call = self._abandoned.track()
        try:
            return self._portal.run(
                lambda: self.ainvoke(provider, request, timeout_s), timeout_s + LOOP_LATE_S, call.record_return
            )
        finally:
            call.abandon()

    def _stream_on_portal(
        self, provider: object, request: ChatRequest, timeout_s: float, wait_s: Callable[[], float]
    ) -> Iterator[Any]:
        call = self._abandoned.track()
        try:
            yield from self._portal.iterate(
                lambda: self.astream(provider, request, timeout_s, wait_s, max_ahead=0),
                lambda: wait_s() + LOOP_LATE_S,
                call.record_return,
            )
        finally:
            call.abandon()

    def _stream_in_thread(
        self, provider: object, request: ChatRequest, timeout_s: float, wait_s: Callable[[], float]
    ) -> Iterator[Any]:
        call = self._abandoned.track()
        try:
            yield from threads.iterate(
                lambda: self._open_stream(provider, request, timeout_s), wait_s, call.record_return
            )
        finally:
            call.abandon()

    def _open_stream(self, provider: object, request: ChatRequest, timeout_s: float) -> Iterator[Any]:
        return self._hook.kickai_stream_provider(provider=provider, request=request, timeout_s=timeout_s)  # type: ignore[no-any-return]

    async def _open_astream(self, provider: object, request: ChatRequest, timeout_s: float) -> AsyncIterator[Any]:
        if "astream" in self._native:
            opened = self._hook.kickai_astream_provider(provider=provider, request=request, timeout_s=timeout_s)
            if inspect.isawaitable(opened):  # ``async def`` that returns an iterator, rather than one that yields
                opened = await opened
            return opened  # type: ignore[no-any-return]
        call = self._abandoned.track()
        return threads.aiterate(
            lambda: self._open_stream(provider, request, timeout_s), call.record_return, call.abandon
        )
