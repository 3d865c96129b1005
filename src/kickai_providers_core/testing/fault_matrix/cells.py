"""One cell of a fault matrix: a call that meets a fault in one mode, and the next call of the same provider."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, frozen

from kickai_providers_core.testing.contract.helpers.calls import observe, run_coroutine
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, KEY, PROMPT, PROMPT_S, STREAMS
from kickai_providers_core.testing.contract.helpers.harness import PluginHooks, with_long_timeouts
from kickai_providers_core.testing.faults import FaultServer, Unreachable
from kickai_providers_core.testing.faults.addresses import fill_backlog
from kickai_providers_core.values.requests import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome
    from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
    from kickai_providers_core.testing.fault_matrix.rows import FaultRow
    from kickai_providers_core.testing.faults import Fault, Wire

__all__ = ["CellResult", "MatrixCell"]


@frozen(kw_only=True)
class CellResult:
    """What happened in a cell.

    Attributes:
        url: The service's address.
        outcome: How the call ended that met the fault.
        requests: How many requests it made.
        is_closed: Whether its connection was closed in time; True when no timeout had to expire.
        next_outcome: How the next call ended.
        open_connections: How many connections were open after the provider was closed.
        tasks: The tasks that were left on the event loop.
    """

    url: str
    outcome: CallOutcome
    requests: int
    is_closed: bool
    next_outcome: CallOutcome
    open_connections: int
    tasks: tuple[str, ...]


class _Service:
    """A service that meets the first request with a fault and answers the next one; a context manager."""

    def __init__(self, wire: Wire, fault: Fault | Unreachable) -> None:
        self._wire = wire
        self._fault = fault
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._listener = self._stack.enter_context(socket.socket())
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._visitors = self._stack.enter_context(ExitStack())
        if self._fault is Unreachable.HANGS:
            fill_backlog(self._listener, self._visitors)
        self.server = FaultServer(self._wire, listener=self._listener)
        if not isinstance(self._fault, Unreachable):
            self._stack.enter_context(self.server)
            self.server.script(self._fault)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def recover(self) -> None:
        """Start to answer when the service could not be reached until now."""
        if isinstance(self._fault, Unreachable):
            self._visitors.close()
            self._stack.enter_context(self.server)


class MatrixCell:
    """A row of the matrix in one mode.

    A mode that the plugin implements is called as its hook, without the core in between, unless a timeout must expire
    that the plugin leaves to the core (``ProviderInfo.holds_timeouts``).
    """

    def __init__(self, spec: ProviderSpec, hooks: PluginHooks, row: FaultRow, mode: Mode) -> None:
        self._spec = spec
        self._hooks = hooks
        self._core_calls = hooks.open_core_calls()
        self._row = row
        self._mode = mode

    def run(self, limit_s: float) -> CellResult:
        """Make both calls.

        Args:
            limit_s: How long the first call may take.

        Raises:
            TimeoutError: The provider did not return long after the limit.
        """
        if self._spec.wire is None:
            message = (
                f"{type(self._spec).__name__}.wire is missing: a fault matrix needs to know how the service speaks"
            )
            raise TypeError(message)
        with _Service(self._spec.wire, self._row.fault) as service, self._stopping():
            result: CellResult = run_coroutine(lambda: self._run(service), limit_s + 2 * PROMPT_S)
        return result

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._core_calls.stop()

    async def _run(self, service: _Service) -> CellResult:
        settings = self._build_settings(service.url)
        provider = await self._call_in_mode(lambda: self._hooks.hook.kickai_create_provider(settings=settings))
        timeout_s = self._spec.patience_s if self._row.expires == "total" else PROMPT_S
        outcome = await observe(self._mode, self._call(provider, settings, timeout_s))
        requests = 0 if isinstance(self._row.fault, Unreachable) else len(service.server.requests)
        is_closed = await self._is_closed(service)
        service.recover()
        next_outcome = await observe(self._mode, self._call(provider, settings, PROMPT_S))
        await self._close(provider)
        await asyncio.to_thread(service.server.wait_closed, GRACE_S)
        return CellResult(
            url=service.url,
            outcome=outcome,
            requests=requests,
            is_closed=is_closed,
            next_outcome=next_outcome,
            open_connections=service.server.open_connections,
            tasks=tuple(repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}),
        )

    @property
    def _is_async(self) -> bool:
        return self._mode in {"ainvoke", "astream"}

    def _call_in_mode(self, function: Callable[[], Any]) -> Awaitable[Any]:
        """Call a function in the loop for an async mode, and in a thread without a loop for the others."""

        async def call() -> Any:
            return function()

        return call() if self._is_async else asyncio.to_thread(function)

    def _build_settings(self, url: str) -> ProviderSettings:
        settings = with_long_timeouts(self._spec.settings(url, KEY))
        if not self._row.expires:
            return settings
        name = "timeout_s" if self._row.expires == "total" else f"{self._row.expires}_timeout_s"
        changes: dict[str, Any] = {name: self._spec.patience_s}
        return evolve(settings, **changes)

    def _call(self, provider: object, settings: ProviderSettings, timeout_s: float) -> Callable[[], Any]:
        request = evolve(ChatRequest.of(PROMPT), model=self._spec.model, max_tokens=64)
        info = self._hooks.info
        if self._mode in info.native and (info.holds_timeouts or not self._row.expires):
            hook = getattr(self._hooks.hook, f"kickai_{self._mode}_provider")
            return partial(hook, provider=provider, request=request, timeout_s=timeout_s)
        own = (settings,) if self._mode in STREAMS else ()
        return partial(getattr(self._core_calls.adapter, self._mode), provider, request, timeout_s, *own)

    async def _is_closed(self, service: _Service) -> bool:
        if not self._row.expires or isinstance(self._row.fault, Unreachable):
            return True
        return await asyncio.to_thread(service.server.wait_closed, self._spec.slack_s)

    async def _close(self, provider: object) -> None:
        if self._is_async:
            await self._core_calls.adapter.aclose(provider)
        else:
            await asyncio.to_thread(self._core_calls.close, provider)
