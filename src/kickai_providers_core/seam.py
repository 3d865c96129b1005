"""One plugin's hooks as four plain callables, with what the plugin lacks filled in and what it returns checked.

This is where foreign code is called, and the one place beside discovery that catches whatever it raises.
"""

from __future__ import annotations

import inspect
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import pluggy

from kickai_providers_core import hookspecs, threads
from kickai_providers_core.alarms import Alarms
from kickai_providers_core.errors import (
    InvalidReplyError,
    Problem,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    TimeoutPhase,
)
from kickai_providers_core.messages import Reply, ReplyChunk
from kickai_providers_core.replies import checked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator

    from kickai_providers_core.hookspecs import Progress, ProviderInfo
    from kickai_providers_core.messages import ChatRequest
    from kickai_providers_core.provider_settings import ProviderSettings

__all__ = ["Seam"]


class Seam:
    """The hooks of one provider plugin, with the wrappers of other plugins round them.

    Each plugin has a small plugin manager of its own. pluggy's ``subset_hook_caller`` would give the same calls
    from one shared manager, but it filters the list of all plugins again on every call.

    Safe to share between threads and event loops.

    Attributes:
        validates: Whether the plugin, or a wrapper, has something to say of settings.
    """

    def __init__(self, plugin: object, info: ProviderInfo, wrappers: Iterable[object] = ()) -> None:
        manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        manager.add_hookspecs(hookspecs)
        manager.register(plugin, name=info.name)
        for wrapper in wrappers:
            manager.register(wrapper)
        self._holds_timeouts = info.holds_timeouts
        self._native = info.native
        self._alarms = Alarms()
        self._hook = manager.hook
        self.validates = bool(manager.hook.kickai_validate_provider.get_hookimpls())
        self._invoke = _caller(manager.hook.kickai_invoke_provider)
        self._ainvoke = _caller(manager.hook.kickai_ainvoke_provider)
        self._stream = _caller(manager.hook.kickai_stream_provider)
        self._astream = _caller(manager.hook.kickai_astream_provider)

    def validate(self, settings: ProviderSettings, *, online: bool = False) -> tuple[Problem, ...]:
        """Return what keeps the provider from being used with these settings; an exception is one more problem."""
        try:
            found = self._hook.kickai_validate_provider(settings=settings, online=online)
            problems = tuple(found or ())
        except Exception as exc:  # noqa: BLE001  a plugin's fault is one problem of that plugin
            return (
                Problem(path="", message=f"its validation raised {type(exc).__name__}", hint="report it to its author"),
            )
        if all(isinstance(problem, Problem) for problem in problems):
            return problems
        return (Problem(path="", message="its validation returned something other than Problems"),)

    def create(self, settings: ProviderSettings) -> object:
        """Return a new provider.

        Raises:
            ProviderError: It could not be created.
        """
        try:
            provider = self._hook.kickai_create_provider(settings=settings)
        except Exception as exc:  # noqa: BLE001
            _fail(exc, "the provider could not be created")
        if provider is None:
            raise ProviderUnavailableError("the plugin created no provider")
        return provider

    def prepare(self, settings: ProviderSettings, model: str | None) -> Iterator[Progress]:
        """Yield how far the plugin is in making a model ready; every failure is a `ProviderError`."""
        try:
            yield from self._hook.kickai_prepare_provider(settings=settings, model=model) or ()
        except ProviderError:
            raise
        except Exception as exc:  # noqa: BLE001
            _fail(exc, "the provider could not be made ready")

    def close(self, provider: object) -> None:
        """Free what the provider holds; raise whatever its plugin raises."""
        self._hook.kickai_close_provider(provider=provider)

    async def aclose(self, provider: object) -> None:
        """Free what the provider holds, on the running loop; raise whatever its plugin raises."""
        awaitable = self._hook.kickai_aclose_provider(provider=provider)
        if awaitable is not None:
            await awaitable
        elif self._hook.kickai_close_provider.get_hookimpls():
            await threads.acall(lambda: self.close(provider))

    def invoke(self, provider: object, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the provider's checked answer; every failure is a `ProviderError`."""
        try:
            if self._holds_timeouts:
                return checked(self._invoke(provider=provider, request=request, timeout_s=timeout_s))
            return checked(
                threads.call(lambda: self._invoke(provider=provider, request=request, timeout_s=timeout_s), timeout_s)
            )
        except ProviderError:
            raise
        except Exception as exc:  # noqa: BLE001
            _fail(exc, "the provider raised an error of its own")

    async def ainvoke(self, provider: object, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the provider's checked answer without blocking the loop; every failure is a `ProviderError`."""
        try:
            with self._alarms.after(timeout_s):
                if "ainvoke" in self._native:
                    reply = await self._ainvoke(provider=provider, request=request, timeout_s=timeout_s)
                else:
                    reply = await threads.acall(
                        lambda: self._invoke(provider=provider, request=request, timeout_s=timeout_s)
                    )
            return checked(reply)
        except ProviderError:
            raise
        except Exception as exc:  # noqa: BLE001
            _fail(exc, "the provider raised an error of its own")

    def stream(
        self, provider: object, request: ChatRequest, timeout_s: float, settings: ProviderSettings
    ) -> Generator[ReplyChunk, None, None]:
        """Yield the provider's chunks; every failure is a `ProviderError`. Closing it closes the provider's stream."""
        if "stream" not in self._native:
            yield _as_chunk(self.invoke(provider, request, timeout_s))
            return

        def open_() -> Iterator[ReplyChunk]:
            return self._stream(provider=provider, request=request, timeout_s=timeout_s)  # type: ignore[no-any-return]

        patience = _Patience(settings, timeout_s)
        chunks: Iterator[ReplyChunk] | None = None
        try:
            chunks = open_() if self._holds_timeouts else threads.iterate(open_, patience.wait_s)
            for chunk in chunks:
                yield patience.checked(chunk)
        except ProviderError:
            raise
        except TimeoutError as exc:
            raise patience.error() from exc
        except Exception as exc:  # noqa: BLE001
            _fail(exc, "the provider's stream raised an error of its own")
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                with suppress(Exception):  # the answer, or the error, is already known
                    close()

    async def astream(
        self, provider: object, request: ChatRequest, timeout_s: float, settings: ProviderSettings
    ) -> AsyncGenerator[ReplyChunk, None]:
        """Yield the provider's chunks without blocking the loop; every failure is a `ProviderError`."""
        if not self._native & {"stream", "astream"}:
            yield _as_chunk(await self.ainvoke(provider, request, timeout_s))
            return
        patience = _Patience(settings, timeout_s)
        chunks: AsyncIterator[ReplyChunk] | None = None
        try:
            with self._alarms.after(patience.wait_s()):
                chunks = await self._open_astream(provider, request, timeout_s)
            while True:
                try:
                    with self._alarms.after(patience.wait_s()):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                yield patience.checked(chunk)
        except ProviderError:
            raise
        except TimeoutError as exc:
            raise patience.error() from exc
        except Exception as exc:  # noqa: BLE001
            _fail(exc, "the provider's stream raised an error of its own")
        finally:
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                with suppress(Exception):  # the answer, or the error, is already known
                    await aclose()

    async def _open_astream(
        self, provider: object, request: ChatRequest, timeout_s: float
    ) -> AsyncIterator[ReplyChunk]:
        if "astream" in self._native:
            opened = self._astream(provider=provider, request=request, timeout_s=timeout_s)
            if inspect.isawaitable(opened):  # ``async def`` that returns an iterator, rather than one that yields
                opened = await opened
            return opened  # type: ignore[no-any-return]
        return threads.aiterate(lambda: self._stream(provider=provider, request=request, timeout_s=timeout_s))


def _caller(hook: pluggy.HookCaller) -> Callable[..., Any]:
    """Return what calls a hook: its implementation itself, where that is all there is to it.

    The same comes of it, but for a microsecond: pluggy's way to one implementation with nothing wrapped round it takes
    three times as long as the call.
    """
    found, spec = hook.get_hookimpls(), hook.spec
    if len(found) != 1 or found[0].wrapper or found[0].hookwrapper or spec is None:
        return hook
    function, wanted = found[0].function, found[0].argnames
    if tuple(wanted) == tuple(spec.argnames):  # by position, as pluggy does: some take them no other way
        return lambda provider, request, timeout_s: function(provider, request, timeout_s)  # noqa: PLW0108
    return lambda **given: function(*[given[name] for name in wanted])


class _Patience:
    """How long to wait for the next chunk of one stream: the first token, then idleness, and the whole at all times."""

    def __init__(self, settings: ProviderSettings, timeout_s: float) -> None:
        self._settings = settings
        self._ends = time.monotonic() + timeout_s
        self._phase: TimeoutPhase = "first_token"

    def wait_s(self) -> float:
        """Return the seconds to wait from now on, at least 0."""
        own = self._settings
        phase_s = own.first_token_timeout_s if self._phase == "first_token" else own.idle_timeout_s
        left_s = max(0.0, self._ends - time.monotonic())
        if left_s < phase_s:
            self._phase = "total"
        return min(phase_s, left_s)

    def checked(self, chunk: object) -> ReplyChunk:
        """Return the chunk, and count it as a sign of life."""
        if not isinstance(chunk, ReplyChunk):
            raise InvalidReplyError(f"the provider's stream yielded {type(chunk).__name__}, not a ReplyChunk")
        self._phase = "idle"
        return chunk

    def error(self) -> ProviderTimeoutError:
        """Return the error of the wait that was too long."""
        return _timed_out(self._phase)


def _timed_out(phase: TimeoutPhase) -> ProviderTimeoutError:
    told = {"first_token": "no first token in time", "idle": "the stream fell silent"}
    return ProviderTimeoutError(told.get(phase, "no answer in time"), phase=phase)


def _fail(exc: Exception, told: str) -> NoReturn:
    """Raise the `ProviderError` that stands for an exception that a plugin let through."""
    if isinstance(exc, ProviderError):
        raise exc
    if isinstance(exc, TimeoutError):
        raise _timed_out("total") from exc
    raise ProviderUnavailableError(f"{told}: {type(exc).__name__}") from exc


def _as_chunk(reply: Reply) -> ReplyChunk:
    return ReplyChunk(
        text=reply.text,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        model=reply.model,
        tool_calls=reply.tool_calls,
        request_id=reply.request_id,
        omitted=reply.omitted,
    )
