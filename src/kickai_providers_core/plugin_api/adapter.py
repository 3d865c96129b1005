"""One plugin's hooks as four plain callables, with what the plugin lacks filled in and what it returns checked.

This is where foreign code is called, and the one place beside discovery that catches whatever it raises.
"""

from __future__ import annotations

import asyncio
import inspect
from time import monotonic
from types import NoneType
from typing import TYPE_CHECKING, Any, NoReturn

import pluggy

from kickai_providers_core.concurrency import threads
from kickai_providers_core.concurrency.abandoned import Abandoned
from kickai_providers_core.concurrency.timeouts import Alarms
from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.plugin_api.awaitables import Driven, PluginExitError, close_quietly
from kickai_providers_core.plugin_api.cancellation import Leaver
from kickai_providers_core.plugin_api.extensions import guard_wrappers
from kickai_providers_core.plugin_api.hookspecs import Progress
from kickai_providers_core.plugin_api.inspection import known_capabilities
from kickai_providers_core.plugin_api.isolation import (
    cancellations,
    describe,
    is_asked,
    is_for_everyone,
    keys_in,
    keys_of,
)
from kickai_providers_core.values.errors import (
    InvalidReplyError,
    Problem,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    TimeoutPhase,
    UnusableProviderError,
)
from kickai_providers_core.values.replies import Reply, ReplyChunk
from kickai_providers_core.values.reply_assembly import checked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping

    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.requests import Capability, ChatRequest

__all__ = ["Seam"]

CAPABILITIES_TIMEOUT_S = 0.05
"""The seconds that a plugin may take to say what an instance can do."""

OF_ITS_OWN = "the provider raised an error of its own"


class Seam:
    """The hooks of one provider plugin, with the wrappers of other plugins round them.

    Each plugin has a small plugin manager of its own. pluggy's ``subset_hook_caller`` would give the same calls
    from one shared manager, but it filters the list of all plugins again on every call.

    Safe to share between threads and event loops.

    Attributes:
        validates: Whether the plugin, or a wrapper, has something to say of settings.
        abandoned: The plugin's calls that were left and have not come back.
    """

    def __init__(
        self,
        plugin: object,
        info: ProviderInfo,
        wrappers: Mapping[str, object] | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        abandoned: Abandoned | None = None,
    ) -> None:
        """Put the hooks of a plugin together.

        Args:
            plugin: The plugin.
            info: What it says of itself.
            wrappers: Plugins that may wrap its hooks, by name.
            clock: The time in seconds, by which the phases of a stream are measured.
            abandoned: Counts the calls that were left, for all seams of the plugin; one of its own when None.
        """
        manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        manager.add_hookspecs(hookspecs)
        manager.register(plugin, name=f"provider {info.name}")
        for label, wrapper in (wrappers or {}).items():
            manager.register(wrapper, name=label)
        guard_wrappers(manager, plugin)
        self._holds_timeouts = info.holds_timeouts
        self._native = info.native
        self._alarms = Alarms()
        self._clock = clock
        self.abandoned = abandoned if abandoned is not None else Abandoned()
        self._leaver = Leaver(self.abandoned)
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
        except BaseException as exc:
            if is_for_everyone(exc):
                raise
            raised = f"its validation raised {describe(exc, keys_of(settings) | keys_in())}"
            message = exc.message if type(exc) is UnusableProviderError else raised
            return (Problem(path="", message=message, hint="report it to its author"),)
        if all(isinstance(problem, Problem) for problem in problems):
            return problems
        return (Problem(path="", message="its validation returned something other than Problems"),)

    def capabilities(self, settings: ProviderSettings, model: str | None) -> tuple[frozenset[Capability] | None, str]:
        """Return what an instance can do, or None when that is unknown; and what was wrong with the plugin's answer."""
        hook = self._hook.kickai_provider_capabilities
        if not hook.get_hookimpls():
            return None, ""
        try:
            given = threads.call(lambda: hook(settings=settings, model=model), CAPABILITIES_TIMEOUT_S)
            known, strange = known_capabilities(() if given is None else given)
        except TimeoutError:
            return None, f"kickai_provider_capabilities has not returned within {CAPABILITIES_TIMEOUT_S * 1000:g} ms"
        except BaseException as exc:
            if is_for_everyone(exc):
                raise
            raised = f"kickai_provider_capabilities raised {describe(exc, keys_of(settings) | keys_in())}"
            return None, exc.message if type(exc) is UnusableProviderError else raised
        fault = f"kickai_provider_capabilities returned {strange[0]}, which is no capability" if strange else ""
        return (None if given is None or (strange and not known) else known), fault

    def create(self, settings: ProviderSettings) -> object:
        """Return a new provider.

        Raises:
            ProviderError: It could not be created.
        """
        try:
            provider = self._hook.kickai_create_provider(settings=settings)
        except BaseException as exc:
            # No prompt is known yet, so that the message may be shown: it names the package that is missing.
            told = f"the provider could not be created: {describe(exc, keys_of(settings) | keys_in())}"
            if isinstance(exc, ImportError):
                raise UnusableProviderError(told) from exc
            _fail(exc, told, named=True)
        if provider is None:
            raise ProviderUnavailableError("the plugin created no provider")
        return provider

    def prepare(self, settings: ProviderSettings, model: str | None) -> Iterator[Progress]:
        """Yield how far the plugin is in making a model ready; every failure is a `ProviderError`."""
        told = "the provider could not be made ready"
        steps: Iterator[Progress] | None = None
        try:
            while True:
                try:
                    if steps is None:
                        steps = iter(self._hook.kickai_prepare_provider(settings=settings, model=model) or ())
                    step = next(steps)
                except StopIteration:
                    return
                except BaseException as exc:  # noqa: BLE001
                    _fail(exc, told)
                if not isinstance(step, Progress):
                    raise ProviderUnavailableError(f"{told}: it yielded {type(step).__name__}, not a Progress")
                yield step
        finally:
            close_quietly(steps)

    def close(self, provider: object) -> None:
        """Free what the provider holds; raise whatever its plugin raises."""
        self._hook.kickai_close_provider(provider=provider)

    async def aclose(self, provider: object) -> None:
        """Free what the provider holds, on the running loop.

        Raises:
            PluginExitError: Its plugin raised a `GeneratorExit`. Whatever else it raises is raised as it is.
        """
        await Driven(lambda: self._aclose(provider))

    async def _aclose(self, provider: object) -> None:
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
            call = self.abandoned.track()
            try:
                return checked(
                    threads.call(
                        call.wrapping(lambda: self._invoke(provider=provider, request=request, timeout_s=timeout_s)),
                        timeout_s,
                    )
                )
            finally:
                call.leave()
        except BaseException as exc:  # noqa: BLE001
            _fail(exc, OF_ITS_OWN)

    async def ainvoke(self, provider: object, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the provider's checked answer without blocking the loop; every failure is a `ProviderError`."""
        try:
            if "ainvoke" in self._native:
                reply = await self._leaver.run(
                    lambda: self._ainvoke(provider=provider, request=request, timeout_s=timeout_s),
                    self._alarms,
                    timeout_s,
                )
            else:
                reply = await self._ainvoke_in_thread(provider, request, timeout_s)
            return checked(reply)
        except (GeneratorExit, asyncio.CancelledError):  # asked for; the plugin's own is a PluginExitError
            raise
        except BaseException as exc:  # noqa: BLE001
            _fail(exc, OF_ITS_OWN)

    async def _ainvoke_in_thread(self, provider: object, request: ChatRequest, timeout_s: float) -> object:
        before = cancellations()
        call = self.abandoned.track()
        run = call.wrapping(lambda: self._invoke(provider=provider, request=request, timeout_s=timeout_s))
        try:
            with self._alarms.after(timeout_s):
                return await Driven(lambda: threads.acall(run))
        except asyncio.CancelledError as exc:
            if is_asked(exc, before):
                raise
            raise PluginExitError from exc
        finally:
            call.leave()

    def renew_after_fork(self) -> None:
        """Forget the calls that other threads and event loops of the parent had under way."""
        self.abandoned.renew_after_fork()
        self._leaver.renew_after_fork()

    def keep(self, task: asyncio.Task[Reply]) -> None:
        """Keep a cancelled call of the plugin until it has cleaned up."""
        self._leaver.keep(task)

    def stream(
        self, provider: object, request: ChatRequest, timeout_s: float, settings: ProviderSettings
    ) -> Generator[ReplyChunk, None, None]:
        """Yield the provider's chunks; every failure is a `ProviderError`. Closing it closes the provider's stream."""
        if "stream" not in self._native:
            yield _as_chunk(self.invoke(provider, request, min(timeout_s, settings.timeout_s)))
            return

        call = self.abandoned.track()

        def open_() -> Iterator[ReplyChunk]:
            return self._stream(provider=provider, request=request, timeout_s=timeout_s)  # type: ignore[no-any-return]

        phases = _Phases(settings, timeout_s, self._clock)
        chunks: Iterator[ReplyChunk] | None = None
        try:
            while True:
                try:
                    if chunks is None:
                        chunks = iter(
                            open_() if self._holds_timeouts else threads.iterate(open_, phases.wait_s, call.return_)
                        )
                    chunk = phases.checked(next(chunks))
                except StopIteration:
                    return
                except TimeoutError as exc:
                    raise phases.error_for(exc) from exc
                except BaseException as exc:  # noqa: BLE001
                    _fail(exc, "the provider's stream raised an error of its own")
                yield chunk
        finally:
            close_quietly(chunks)
            if not self._holds_timeouts and chunks is not None:
                call.leave()

    async def astream(
        self, provider: object, request: ChatRequest, timeout_s: float, settings: ProviderSettings
    ) -> AsyncGenerator[ReplyChunk, None]:
        """Yield the provider's chunks without blocking the loop; every failure is a `ProviderError`."""
        if not self._native & {"stream", "astream"}:
            yield _as_chunk(await self.ainvoke(provider, request, min(timeout_s, settings.timeout_s)))
            return
        before = cancellations()
        phases = _Phases(settings, timeout_s, self._clock)
        chunks = self._leaver.iterate(
            lambda: self._open_astream(provider, request, timeout_s), self._alarms, phases.wait_s
        )
        try:
            while True:
                try:
                    chunk = phases.checked(await anext(chunks))
                except StopAsyncIteration:
                    return
                except GeneratorExit:  # as in `ainvoke`
                    raise
                except TimeoutError as exc:
                    raise phases.error_for(exc) from exc
                except BaseException as exc:
                    if is_asked(exc, before):
                        raise
                    _fail(exc, "the provider's stream raised an error of its own")
                yield chunk
        finally:
            await chunks.aclose()

    async def _open_astream(
        self, provider: object, request: ChatRequest, timeout_s: float
    ) -> AsyncIterator[ReplyChunk]:
        if "astream" in self._native:
            opened = self._astream(provider=provider, request=request, timeout_s=timeout_s)
            if inspect.isawaitable(opened):  # ``async def`` that returns an iterator, rather than one that yields
                opened = await opened
            return opened  # type: ignore[no-any-return]
        call = self.abandoned.track()
        return threads.aiterate(
            lambda: self._stream(provider=provider, request=request, timeout_s=timeout_s), call.return_, call.leave
        )


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


class _Phases:
    """The bounds of one stream: one for each phase, from when the phase begins, and the deadline at all times.

    The first phase lasts from the request to the first chunk, whatever it holds. Each further one lasts from when the
    next chunk is asked for until it comes, so that the time that a reader takes between two chunks is not counted.
    """

    def __init__(self, settings: ProviderSettings, timeout_s: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._idle_timeout_s = settings.idle_timeout_s
        now = clock()
        self._ends = now + timeout_s
        self._first_token_ends: float | None = now + settings.first_token_timeout_s
        self._phase: TimeoutPhase = "first_token"

    def wait_s(self) -> float:
        """Return the seconds to wait for the next chunk from now on, at least 0."""
        now = self._clock()
        if self._first_token_ends is not None:
            self._phase, ends = "first_token", self._first_token_ends
        else:
            self._phase, ends = "idle", now + self._idle_timeout_s
        if self._ends < ends:
            self._phase, ends = "total", self._ends
        return max(0.0, ends - now)

    def checked(self, chunk: object) -> ReplyChunk:
        """Return the chunk, which ends the phase.

        Raises:
            InvalidReplyError: It is no chunk.
            ProviderTimeoutError: It came after the end of its phase, as it does when a stream never pauses.
        """
        if not isinstance(chunk, ReplyChunk):
            raise InvalidReplyError(f"the provider's stream yielded {type(chunk).__name__}, not a ReplyChunk")
        now = self._clock()
        if now > self._ends:
            raise _timed_out("total")
        if self._first_token_ends is not None:
            if now > self._first_token_ends:
                raise _timed_out("first_token")
            self._first_token_ends = None
        return chunk

    def error_for(self, exc: TimeoutError) -> ProviderError:
        """Return the error of the wait that was too long; the plugin's own is left as it is."""
        return exc if isinstance(exc, ProviderError) else _timed_out(self._phase)


def _timed_out(phase: TimeoutPhase) -> ProviderTimeoutError:
    told = {"first_token": "no first token in time", "idle": "the stream fell silent"}
    return ProviderTimeoutError(told.get(phase, "no answer in time"), phase=phase)


def _fail(exc: BaseException, told: str, *, named: bool = False) -> NoReturn:
    """Raise the `ProviderError` that stands for an exception that a plugin let through."""
    if is_for_everyone(exc):
        raise exc
    cause = exc.__cause__ if isinstance(exc, PluginExitError) and exc.__cause__ is not None else exc
    if isinstance(exc, ProviderError):
        fault = _malformed(exc)
        if not fault:
            raise exc
        raise ProviderUnavailableError(f"{told}: {type(exc).__name__} {fault}") from None
    if isinstance(exc, TimeoutError):
        raise _timed_out("total") from exc
    raise ProviderUnavailableError(told if named else f"{told}: {type(cause).__name__}") from cause


PLAIN = (str, int, float, NoneType)


def _is_plain(error: ProviderError) -> bool:
    """Return whether an error is of one of our own classes and has fields that cannot raise; it is quick to tell."""
    if type(error).__module__ != ProviderError.__module__:
        return False
    fields = error.__dict__
    return (
        type(fields.get("message")) is str
        and type(fields.get("provider")) is str
        and error.args == (fields["message"],)
        and fields.get("retry_after_s") is None
        and fields.get("status_code") is None
        and type(fields.get("model")) in PLAIN
        and type(fields.get("request_id")) in PLAIN
        and type(fields.get("service_message")) is str
    )


def _malformed(error: ProviderError) -> str:
    """Return what is wrong with an error of a plugin's own class, or nothing."""
    if _is_plain(error):
        return ""
    try:
        numbers = (error.retry_after_s, error.status_code)
        texts = (error.message, error.provider, str(error), repr(error), str(error.copied()))
        if error.retry_after_s is not None and not 0 <= error.retry_after_s < float("inf"):
            error.retry_after_s = None  # nonsense is as good as nothing
    except BaseException as exc:
        if is_for_everyone(exc):
            raise
        return "whose text or fields raise"
    if not all(isinstance(text, str) for text in texts):
        return "whose message is no text"
    if any(isinstance(number, bool) or not isinstance(number, int | float | None) for number in numbers):
        return "whose numbers are none"
    return ""


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
