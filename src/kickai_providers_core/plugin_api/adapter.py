"""The adapter: calls one plugin's hooks, supplies the modes that the plugin lacks, and validates results.

All calls of a provider plugin go through it. Only the adapter and discovery catch every exception of a plugin.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from kickai_providers_core.concurrency import threads
from kickai_providers_core.concurrency.abandoned_calls import AbandonedCalls
from kickai_providers_core.concurrency.portal import Portal
from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts
from kickai_providers_core.plugin_api.awaitables import PluginAwaitable, close_quietly
from kickai_providers_core.plugin_api.extensions import guard_extensions
from kickai_providers_core.plugin_api.foreign_errors import raise_provider_error
from kickai_providers_core.plugin_api.hook_manager import HookManager
from kickai_providers_core.plugin_api.hookspecs import Progress
from kickai_providers_core.plugin_api.inspection import split_capabilities
from kickai_providers_core.plugin_api.isolation import (
    count_cancellations,
    describe_error,
    is_exit_or_cancellation,
    is_process_exit,
)
from kickai_providers_core.plugin_api.mode_calls import ModeCalls
from kickai_providers_core.plugin_api.secret_masking import find_environment_keys, find_secrets
from kickai_providers_core.values.errors import (
    InvalidReplyError,
    Problem,
    ProviderError,
    ProviderUnavailableError,
    UnusableProviderError,
)
from kickai_providers_core.values.replies import Reply, ReplyChunk
from kickai_providers_core.values.reply_assembly import validate_reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping

    import pluggy

    from kickai_providers_core.plugin_api.hookspecs import ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.requests import Capability, ChatRequest

__all__ = ["Adapter"]

CAPABILITIES_TIMEOUT_S = 0.05
"""Seconds that a plugin may take to compute an instance's capabilities."""

CALL_FAILED = "the provider raised an unexpected error"
STREAM_FAILED = "the provider's stream raised an unexpected error"


class Adapter:
    """Calls the hooks of one provider plugin, inside the extensions.

    Each plugin has its own plugin manager, because pluggy's ``subset_hook_caller`` would filter the list of all plugins
    in every call. Safe to share between threads and event loops.

    Attributes:
        validates: Whether the plugin or a wrapper validates settings.
        abandoned: Counts the plugin's abandoned calls that are still running.
    """

    def __init__(
        self,
        plugin: object,
        info: ProviderInfo,
        extensions: Mapping[str, object] | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        abandoned: AbandonedCalls | None = None,
        portal: Portal | None = None,
    ) -> None:
        """Register a plugin and the extensions.

        Args:
            plugin: The plugin.
            info: Its description of itself.
            extensions: Plugins that may wrap its hooks or answer in its place, by label.
            clock: Returns the monotonic time in seconds.
            abandoned: Counts the abandoned calls of all instances of the plugin; None for a new count.
            portal: The event loop for blocking callers of asynchronous hooks; None for a new one.
        """
        manager = HookManager()
        manager.register(plugin, name=f"provider {info.name}")
        for label, extension in (extensions or {}).items():
            manager.register(extension, name=label)
        guard_extensions(manager, plugin)
        self._clock = clock
        self._hook = manager.hook
        self.abandoned = abandoned if abandoned is not None else AbandonedCalls()
        self._calls = ModeCalls(self._hook, info, portal if portal is not None else Portal(), self.abandoned)
        self.validates = bool(manager.hook.kickai_validate_provider.get_hookimpls())

    def validate(self, settings: ProviderSettings, *, online: bool = False) -> tuple[Problem, ...]:
        """Return the problems that prevent the use of these settings; an exception counts as one problem."""
        try:
            found = self._hook.kickai_validate_provider(settings=settings, online=online)
            problems = tuple(found or ())
        except BaseException as exc:
            if is_process_exit(exc):
                raise
            raised = f"its validation raised {_describe(exc, settings)}"
            message = exc.message if type(exc) is UnusableProviderError else raised
            return (Problem(path="", message=message, hint="report this to the plugin's author"),)
        if all(isinstance(problem, Problem) for problem in problems):
            return problems
        return (Problem(path="", message="its validation returned values that are not Problems"),)

    def find_capabilities(
        self, settings: ProviderSettings, model: str | None
    ) -> tuple[frozenset[Capability] | None, str]:
        """Return the capabilities of an instance (None if unknown) and what is wrong with the plugin's result."""
        hook = self._hook.kickai_provider_capabilities
        if not hook.get_hookimpls():
            return None, ""
        try:
            given = threads.call(lambda: hook(settings=settings, model=model), CAPABILITIES_TIMEOUT_S)
            known, strange = split_capabilities(() if given is None else given)
        except TimeoutError:
            return None, f"kickai_provider_capabilities did not return within {CAPABILITIES_TIMEOUT_S * 1000:g} ms"
        except BaseException as exc:
            if is_process_exit(exc):
                raise
            raised = f"kickai_provider_capabilities raised {_describe(exc, settings)}"
            return None, exc.message if type(exc) is UnusableProviderError else raised
        fault = f"kickai_provider_capabilities returned {strange[0]}, which is not a capability" if strange else ""
        return (None if given is None or (strange and not known) else known), fault

    def create(self, settings: ProviderSettings) -> object:
        """Return a new provider.

        Raises:
            ProviderError: It could not be created.
        """
        try:
            provider = self._hook.kickai_create_provider(settings=settings)
        except BaseException as exc:
            # The message cannot contain a prompt yet, and it may name a missing package.
            sentence = f"the provider could not be created: {_describe(exc, settings)}"
            if isinstance(exc, ImportError):
                raise UnusableProviderError(sentence) from exc
            raise_provider_error(exc, sentence, is_complete=True)
        if provider is None:
            raise ProviderUnavailableError("kickai_create_provider returned None")
        return provider

    def prepare(self, settings: ProviderSettings, model: str | None) -> Iterator[Progress]:
        """Yield the plugin's progress while it prepares a model. Every exception is a `ProviderError`."""
        sentence = "the model could not be prepared"
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
                    raise_provider_error(exc, sentence)
                if not isinstance(step, Progress):
                    raise ProviderUnavailableError(f"{sentence}: it yielded {type(step).__name__}, not a Progress")
                yield step
        finally:
            close_quietly(steps)

    def close(self, provider: object) -> None:
        """Close the provider object. Exceptions of the plugin are raised unchanged.

        Without a sync hook the async one runs on an event loop of its own.
        """
        if _is_implemented(self._hook.kickai_close_provider) or not _is_implemented(self._hook.kickai_aclose_provider):
            self._hook.kickai_close_provider(provider=provider)
            return
        portal = Portal()
        try:
            portal.run(lambda: self.aclose(provider))
        finally:
            portal.stop()

    async def aclose(self, provider: object) -> None:
        """Close the provider object on the running event loop.

        Raises:
            PluginExitError: The plugin raised a `GeneratorExit`. Its other exceptions are raised unchanged.
        """
        await PluginAwaitable(lambda: self._aclose(provider))

    async def _aclose(self, provider: object) -> None:
        awaitable = self._hook.kickai_aclose_provider(provider=provider)
        if awaitable is not None:
            await awaitable
        elif self._hook.kickai_close_provider.get_hookimpls():
            await threads.acall(lambda: self.close(provider))

    def invoke(self, provider: object, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the provider's validated answer. Every exception is a `ProviderError`."""
        try:
            return validate_reply(self._calls.invoke(provider, request, timeout_s))
        except BaseException as exc:  # noqa: BLE001
            raise_provider_error(exc, CALL_FAILED)

    async def ainvoke(self, provider: object, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the provider's validated answer without blocking the loop. Every exception is a `ProviderError`."""
        try:
            return validate_reply(await self._calls.ainvoke(provider, request, timeout_s))
        except (GeneratorExit, asyncio.CancelledError):  # the caller's; the plugin's own is a PluginExitError
            raise
        except BaseException as exc:  # noqa: BLE001
            raise_provider_error(exc, CALL_FAILED)

    def renew_after_fork(self) -> None:
        """Forget the calls that were running in the parent."""
        self._calls.renew_after_fork()

    def keep(self, task: asyncio.Task[Reply]) -> None:
        """Keep a cancelled call alive until its cleanup has ended."""
        self._calls.keep(task)

    def stream(
        self, provider: object, request: ChatRequest, timeout_s: float, settings: ProviderSettings
    ) -> Generator[ReplyChunk, None, None]:
        """Yield the provider's chunks. Every exception is a `ProviderError`. Closing it closes the plugin's stream."""
        if not self._calls.can_stream:
            yield _as_chunk(self.invoke(provider, request, min(timeout_s, settings.timeout_s)))
            return
        timeouts = self._start_timeouts(settings, timeout_s)
        chunks: Iterator[ReplyChunk] | None = None
        try:
            while True:
                try:
                    if chunks is None:
                        chunks = self._calls.stream(provider, request, timeout_s, timeouts.remaining_s)
                    chunk = _validate_chunk(next(chunks), timeouts)
                except StopIteration:
                    return
                except TimeoutError as exc:
                    raise (exc if isinstance(exc, ProviderError) else timeouts.error()) from exc
                except BaseException as exc:  # noqa: BLE001
                    raise_provider_error(exc, STREAM_FAILED)
                yield chunk
                timeouts.begin("idle")
        finally:
            close_quietly(chunks)

    async def astream(
        self, provider: object, request: ChatRequest, timeout_s: float, settings: ProviderSettings
    ) -> AsyncGenerator[ReplyChunk, None]:
        """Yield the provider's chunks without blocking the loop. Every exception is a `ProviderError`."""
        if not self._calls.can_stream:
            yield _as_chunk(await self.ainvoke(provider, request, min(timeout_s, settings.timeout_s)))
            return
        before = count_cancellations()
        timeouts = self._start_timeouts(settings, timeout_s)

        def accept(chunk: object) -> ReplyChunk:
            valid = _validate_chunk(chunk, timeouts)
            timeouts.begin("idle")  # it may be read some time after it arrived
            return valid

        chunks = self._calls.astream(provider, request, timeout_s, timeouts.remaining_s, accept)
        try:
            while True:
                try:
                    chunk = await anext(chunks)
                    if timeouts.is_expired():  # the caller took its time
                        raise timeouts.error()
                except StopAsyncIteration:
                    return
                except GeneratorExit:  # as in `ainvoke`
                    raise
                except TimeoutError as exc:
                    raise (exc if isinstance(exc, ProviderError) else timeouts.error()) from exc
                except BaseException as exc:
                    if is_exit_or_cancellation(exc, before):
                        raise
                    raise_provider_error(exc, STREAM_FAILED)
                yield chunk
                timeouts.begin("idle")
        finally:
            await chunks.aclose()

    def _start_timeouts(self, settings: ProviderSettings, timeout_s: float) -> AttemptTimeouts:
        timeouts = AttemptTimeouts(
            timeout_s,
            first_token_timeout_s=settings.first_token_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
            clock=self._clock,
        )
        timeouts.begin("first_token")  # the plugin itself bounds connecting
        return timeouts


def _is_implemented(hook: pluggy.HookCaller) -> bool:
    """Return whether the plugin implements a hook; other plugins can only wrap it."""
    return any(not (each.wrapper or each.hookwrapper) for each in hook.get_hookimpls())


def _describe(error: BaseException, settings: ProviderSettings) -> str:
    """Return an exception's class and message without the keys of the settings and of the environment."""
    return describe_error(error, find_secrets(settings) | find_environment_keys())


def _as_chunk(reply: Reply) -> ReplyChunk:
    return ReplyChunk(
        text=reply.text,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        model=reply.model,
        tool_calls=reply.tool_calls,
        request_id=reply.request_id,
        omitted=reply.omitted,
        reasoning=reply.reasoning,
        answered_by=reply.answered_by,
    )


def _validate_chunk(chunk: object, timeouts: AttemptTimeouts) -> ReplyChunk:
    """Return the chunk that a plugin yielded, if it is valid.

    Raises:
        InvalidReplyError: It is not a `ReplyChunk`.
        ProviderTimeoutError: It is late, for example in a stream that never pauses.
    """
    if not isinstance(chunk, ReplyChunk):
        raise InvalidReplyError(f"the provider's stream yielded {type(chunk).__name__}, not a ReplyChunk")
    if timeouts.is_expired():
        raise timeouts.error()
    return chunk
