"""The provider under test, beside the service that it talks to."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, aclosing, closing, suppress
from typing import TYPE_CHECKING, Any, Self

import pluggy
import pytest
from attrs import evolve, fields, frozen

from kickai_providers_core import hookspecs, threads
from kickai_providers_core.discovery import discover
from kickai_providers_core.messages import ChatRequest
from kickai_providers_core.seam import Seam
from kickai_providers_core.secret import Secret
from kickai_providers_core.testing.contract.outcome import LeftAloneError, Outcome
from kickai_providers_core.testing.faults import Fault, FaultServer, Ok, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from types import TracebackType

    from kickai_providers_core.hookspecs import Mode, ProviderInfo
    from kickai_providers_core.messages import Capability, FinishReason, ReplyChunk
    from kickai_providers_core.provider_settings import ProviderSettings
    from kickai_providers_core.testing.contract.supplied import Supplied

__all__ = ["KEY", "MODES", "PROMPT", "STREAMS", "Hooks", "Subject", "id_of"]

MODES: tuple[Mode, ...] = ("invoke", "ainvoke", "stream", "astream")
STREAMS: tuple[Mode, ...] = ("stream", "astream")

KEY = Secret("canary-key-5c1e93b7d2")
"""What the provider authenticates with; found anywhere else than in a request's headers, it has leaked."""

PROMPT = "canary-prompt: who can play on Saturday?"
"""What it is asked."""

PROMPT_S = 10.0
"""The timeout of calls that are answered at once: long, so that a slow machine fails no test."""

GRACE_S = 2.0
"""How much longer than its timeout the kit waits for a call before it gives up on it, where no limit is tested."""


def id_of(value: object) -> str:
    """Return the name of a parameter of a test: a fault's class, and what is said of it."""
    if isinstance(value, Status):
        return str(value.code)
    if not isinstance(value, Fault):
        return str(value)
    said = (getattr(value, field.name) for field in fields(type(value)))
    return "-".join([type(value).__name__, *(str(part) for part in said if isinstance(part, (int, float, str)))])


@frozen
class Hooks:
    """A plugin's hooks, ready to be called.

    Attributes:
        info: What the plugin says of itself, its native modes filled in.
        hook: The hooks themselves, one callable each.
        seam: The same hooks, as the core calls them.
    """

    info: ProviderInfo
    hook: Any
    seam: Seam

    @classmethod
    def of(cls, plugin: object) -> Self:
        """Return the hooks of a plugin; the test fails when discovery does not take it."""
        found = discover((), given={"under-test": plugin}).plugins[0]
        if found.error is not None or found.info is None:
            pytest.fail(str(found.error or "the plugin is no provider: it lacks kickai_provider_info"), pytrace=False)
        manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        manager.add_hookspecs(hookspecs)
        manager.register(plugin)
        return cls(found.info, manager.hook, Seam(plugin, found.info))


class Subject:
    """One provider, created by its plugin as the core does it; a context manager that closes what it opened.

    A mode that the plugin implements is called as its hook, without the core between: what comes back is the
    plugin's own doing. A mode that it lacks is called as the core fills it in.

    Attributes:
        supplied: What the provider's author says.
        info: As in `Hooks`, as are
        hook: this,
        seam: and this.
        settings: What the provider was created with.
        provider: The provider.
    """

    def __init__(self, supplied: Supplied, hooks: Hooks) -> None:
        self.supplied = supplied
        self.info = hooks.info
        self.hook = hooks.hook
        self.seam = hooks.seam
        self._server: FaultServer | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self.supplied.wire is not None:
            self._server = self._stack.enter_context(FaultServer(self.supplied.wire))
        self.settings = self.patient(self.supplied.settings(self._server.url if self._server else "", KEY))
        self.provider = self.created(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def patient(self, settings: ProviderSettings) -> ProviderSettings:
        """Return settings whose timeouts run out in no test that does not mean them to."""
        return evolve(
            settings,
            timeout_s=PROMPT_S,
            connect_timeout_s=PROMPT_S,
            first_token_timeout_s=PROMPT_S,
            idle_timeout_s=PROMPT_S,
        )

    def created(self, settings: ProviderSettings) -> Any:
        """Return a further provider, closed at the end."""
        provider = self.hook.kickai_create_provider(settings=settings)
        self._stack.callback(self._close_quietly, provider)
        return provider

    def _close_quietly(self, provider: object) -> None:
        with suppress(Exception):  # closing has tests of its own
            threads.call(lambda: self.hook.kickai_close_provider(provider=provider), GRACE_S)

    @property
    def server(self) -> FaultServer:
        """The service; a test that needs it is skipped for a provider that speaks no HTTP."""
        if self._server is None:
            pytest.skip("not applicable: the provider has no wire")
        return self._server

    @property
    def request(self) -> ChatRequest:
        """A small request, complete as the core hands it over."""
        return evolve(ChatRequest.of(PROMPT), model=self.supplied.model, temperature=0.0, max_tokens=16)

    @property
    def secretive(self) -> bool:
        """Whether the settings hold the key."""
        return any(getattr(self.settings, field.name) == KEY for field in fields(type(self.settings)))

    def need_key(self) -> None:
        """Skip the test for a provider that is given no key."""
        if not self.secretive:
            pytest.skip("not applicable: the settings hold no key")

    def need_native(self, *modes: Mode) -> None:
        """Skip the test unless the plugin implements one of the modes itself."""
        if not self.info.native.intersection(modes):
            pytest.skip(f"not applicable: the plugin leaves {' and '.join(modes)} to the core")

    def need_stream(self, mode: Mode) -> None:
        """Skip the test when the core makes a stream out of a whole answer."""
        self.need_native(*(STREAMS if mode == "astream" else (mode,)))

    def need_finish(self, reason: FinishReason) -> None:
        """Skip the test unless the wire's answers can stop for this reason."""
        if reason not in self.supplied.finish_reasons:
            pytest.skip(f"not applicable: the service's answers never stop for {reason.value}")

    def need_capability(self, capability: Capability) -> None:
        """Skip the test unless the plugin claims this capability."""
        if capability not in self.info.capabilities:
            pytest.skip(f"not applicable: the provider does not claim {capability.value}")

    # Calling.

    def attempt(
        self,
        mode: Mode,
        fault: Fault | None = None,
        *,
        request: ChatRequest | None = None,
        timeout_s: float = PROMPT_S,
        limit_s: float | None = None,
        as_core: bool = False,
        **changes: Any,
    ) -> Outcome:
        """Call the provider once, in a thread of its own.

        Args:
            mode: How.
            fault: What the service does; its default when None.
            request: What to ask.
            timeout_s: What the provider is told.
            limit_s: How long the call may take before it is left alone.
            as_core: Call as the core does, which holds the timeouts that a plugin need not hold itself.
            changes: Fields of the settings; with any, a further provider is created for this call.
        """
        provider, settings = self._arranged(fault, changes)
        request = request or self.request
        native = mode in self.info.native and not as_core
        call = self._hooked if native else self._through_core
        return self.timed(mode, call(mode, provider, settings, request, timeout_s), limit_s or timeout_s + GRACE_S)

    def attempt_at(self, mode: Mode, url: str, **more: Any) -> Outcome:
        """Call a provider once that has the same settings, but for the address; see `attempt`."""
        if self._server is None:
            pytest.skip("not applicable: the provider has no wire")
        elsewhere = self.patient(self.supplied.settings(url, KEY))
        names = (field.name for field in fields(type(elsewhere)))
        moved = {name: value for name in names if (value := getattr(elsewhere, name)) != getattr(self.settings, name)}
        return self.attempt(mode, **{**moved, **more})

    def _arranged(self, fault: Fault | None, changes: dict[str, Any]) -> tuple[Any, ProviderSettings]:
        settings = evolve(self.settings, **changes) if changes else self.settings
        if fault is not None and self._server is not None:
            self._server.script(fault)
        elif fault is not None and fault != Ok():
            told = self.supplied.settings_for(fault)
            if told is None:
                pytest.skip(f"not applicable: the provider cannot be told to meet {type(fault).__name__}")
            settings = evolve(self.patient(told), **changes)
        provider = self.provider if settings is self.settings else self.created(settings)
        return provider, settings

    def _hooked(
        self, mode: Mode, provider: object, _settings: ProviderSettings, request: ChatRequest, timeout_s: float
    ) -> Callable[[], Any]:
        hook = getattr(self.hook, f"kickai_{mode}_provider")
        return lambda: hook(provider=provider, request=request, timeout_s=timeout_s)

    def _through_core(
        self, mode: Mode, provider: object, settings: ProviderSettings, request: ChatRequest, timeout_s: float
    ) -> Callable[[], Any]:
        method: Callable[..., Any] = getattr(self.seam, mode)
        more = (settings,) if mode in STREAMS else ()
        return lambda: method(provider, request, timeout_s, *more)

    def timed(self, mode: Mode, call: Callable[[], Any], limit_s: float) -> Outcome:
        """Carry a call out to its end, or to the limit; return how it ended."""
        chunks: list[object] = []
        run = {
            "invoke": call,
            "ainvoke": lambda: asyncio.run(_awaited(call)),
            "stream": lambda: _read(call, chunks),
            "astream": lambda: asyncio.run(_aread(call, chunks)),
        }[mode]
        began = time.perf_counter()
        try:
            ended = threads.call(lambda: _ended(run), limit_s)
        except TimeoutError:
            ended = Outcome(mode=mode, raised=LeftAloneError())
        return evolve(ended, mode=mode, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]], limit_s: float = PROMPT_S) -> Any:
        """Return what a coroutine returns on an event loop of its own, in a thread of its own."""
        return threads.call(lambda: asyncio.run(work()), limit_s)

    def ainvoke(self, request: ChatRequest | None = None, timeout_s: float = PROMPT_S) -> Any:
        """Return the awaitable of the plugin's own hook."""
        return self.hook.kickai_ainvoke_provider(
            provider=self.provider, request=request or self.request, timeout_s=timeout_s
        )

    def stream(self, timeout_s: float = PROMPT_S) -> Iterator[ReplyChunk]:
        """Return the iterator of the plugin's own hook."""
        chunks: Iterator[ReplyChunk] = self.hook.kickai_stream_provider(
            provider=self.provider, request=self.request, timeout_s=timeout_s
        )
        return chunks

    async def astream(self, timeout_s: float = PROMPT_S) -> AsyncIterator[ReplyChunk]:
        """Return the async iterator of the plugin's own hook."""
        opened = self.hook.kickai_astream_provider(provider=self.provider, request=self.request, timeout_s=timeout_s)
        chunks: AsyncIterator[ReplyChunk] = await _opened(opened)
        return chunks


def _ended(run: Callable[[], Any]) -> Outcome:
    """Return how a call ends, as a value: so the kit's own `TimeoutError` is told from the provider's."""
    try:
        return Outcome(mode="invoke", value=run())
    except BaseException as error:  # noqa: BLE001 - whatever a provider raises is what the test is about
        return Outcome(mode="invoke", raised=error)


async def _awaited(call: Callable[[], Any]) -> Any:
    return await call()


def _read(call: Callable[[], Any], chunks: list[object]) -> None:
    stream = call()
    with closing(stream) if hasattr(stream, "close") else ExitStack():
        for chunk in stream:
            chunks.append(chunk)  # noqa: PERF402 - what came before an error counts


async def _aread(call: Callable[[], Any], chunks: list[object]) -> None:
    async with aclosing(await _opened(call())) as stream:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 - what came before an error counts


async def _opened(stream: Any) -> Any:
    """Return the iterator of an ``async def`` that yields, or of one that returns an iterator."""
    return await stream if asyncio.iscoroutine(stream) else stream
