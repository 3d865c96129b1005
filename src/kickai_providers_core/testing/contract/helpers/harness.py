"""The provider under test, and the service that it calls."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pytest
from attrs import evolve, fields, frozen

from kickai_providers_core.concurrency import threads
from kickai_providers_core.plugin_api.discovery import discover
from kickai_providers_core.plugin_api.hook_manager import HookManager
from kickai_providers_core.testing.contract.helpers.calls import run_in_turn, run_with_limit
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, KEY, PROMPT, PROMPT_S, STREAMS
from kickai_providers_core.testing.contract.helpers.core_calls import CoreCalls
from kickai_providers_core.testing.faults import FaultServer, Ok
from kickai_providers_core.values.requests import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from kickai_providers_core.plugin_api.hookspecs import Mode, ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome
    from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
    from kickai_providers_core.testing.faults import Fault

__all__ = ["PluginHooks", "ProviderHarness", "with_long_timeouts"]


def with_long_timeouts(settings: ProviderSettings) -> ProviderSettings:
    """Return settings whose timeouts never expire in a test, unless the test sets them itself."""
    names = ("timeout_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s")
    changes: dict[str, Any] = dict.fromkeys(names, PROMPT_S)
    return evolve(settings, **changes)


@frozen
class PluginHooks:
    """A plugin's hooks.

    Attributes:
        info: The plugin's description, with its native modes.
        hook: The hooks, one callable each.
        plugin: The plugin itself.
    """

    info: ProviderInfo
    hook: Any
    plugin: object

    @classmethod
    def from_plugin(cls, plugin: object) -> Self:
        """Return the hooks of a plugin; the test fails when discovery rejects the plugin."""
        found = discover((), given={"under-test": plugin}).plugins[0]
        if found.error is not None or found.info is None:
            reason = found.error or "the plugin is not a provider: implement kickai_provider_info"
            pytest.fail(str(reason), pytrace=False)
        manager = HookManager()
        manager.register(plugin)
        return cls(found.info, manager.hook, plugin)

    def open_core_calls(self) -> CoreCalls:
        """Return the same hooks as the core calls them, to be stopped by the caller."""
        return CoreCalls(self.plugin, self.info)


class ProviderHarness:
    """A provider, created by its plugin like the core creates it; a context manager that closes what it opened.

    A mode that the plugin implements is called as its hook, without the core in between, so the result is the plugin's
    own. A mode that the plugin lacks is called as the core provides it.

    Attributes:
        spec: What the provider's author says.
        info: See `PluginHooks`.
        hook: See `PluginHooks`.
        core_calls: The same hooks, as the core calls them.
        adapter: The adapter of ``core_calls``.
        settings: The settings with which the provider was created.
        provider: The provider.
    """

    def __init__(self, spec: ProviderSpec, hooks: PluginHooks) -> None:
        self.spec = spec
        self.info = hooks.info
        self.hook = hooks.hook
        self.core_calls = hooks.open_core_calls()
        self.adapter = self.core_calls.adapter
        self._server: FaultServer | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as opening:
            opening.callback(self.core_calls.stop)
            if self.spec.wire is not None:
                self._server = opening.enter_context(FaultServer(self.spec.wire))
            self.settings = with_long_timeouts(self.spec.settings(self._server.url if self._server else "", KEY))
            self.provider = self.create(self.settings)
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def create(self, settings: ProviderSettings) -> Any:
        """Return another provider, which is closed at the end."""
        provider = self.hook.kickai_create_provider(settings=settings)
        self._stack.callback(self._close_quietly, provider)
        return provider

    def _close_quietly(self, provider: object) -> None:
        with suppress(Exception):  # closing has its own tests
            threads.call(lambda: self.close(provider), GRACE_S)

    def close(self, provider: object = None) -> None:
        """Close a provider, or the harness's own, from a thread: with the plugin's sync hook, else as the core does."""
        if self.hook.kickai_close_provider.get_hookimpls():
            self.hook.kickai_close_provider(provider=provider or self.provider)
        else:
            self.core_calls.close(provider or self.provider)

    @property
    def server(self) -> FaultServer:
        """The service; the test is skipped for a provider without a wire."""
        if self._server is None:
            pytest.skip("not applicable: the provider has no wire")
        return self._server

    @property
    def request(self) -> ChatRequest:
        """A small request, complete as the core hands it over."""
        return evolve(ChatRequest.of(PROMPT), model=self.spec.model, temperature=0.0, max_tokens=16)

    def attempt(
        self,
        mode: Mode,
        fault: Fault | None = None,
        *,
        request: ChatRequest | None = None,
        timeout_s: float = PROMPT_S,
        limit_s: float | None = None,
        as_core: bool = False,
        is_new: bool = False,
        provider: object = None,
        **changes: Any,
    ) -> CallOutcome:
        """Call the provider once, in a new thread.

        Args:
            mode: The mode.
            fault: What the service does; its default when None.
            request: The request; a small one when None.
            timeout_s: The timeout that the provider is given.
            limit_s: How long to wait for the end of the call.
            as_core: Call like the core, which enforces the timeouts that a plugin need not enforce.
            is_new: Create another provider for this call.
            provider: The provider to call in place of the harness's own.
            changes: Settings to change; with any, another provider is created for this call.
        """
        prepared, settings = self._prepare(fault, changes, is_new=is_new)
        call = self._call(mode, provider or prepared, settings, request or self.request, timeout_s, as_core=as_core)
        return run_with_limit(mode, call, limit_s or timeout_s + GRACE_S)

    def attempt_twice(self, mode: Mode, fault: Fault) -> tuple[CallOutcome, CallOutcome]:
        """Call one provider twice, on the same thread and event loop: it meets a fault, and then it does not."""
        provider, settings = self._prepare(fault, {})
        call = self._call(mode, provider, settings, self.request, PROMPT_S)
        first, second = run_in_turn(mode, (call, call), 2 * PROMPT_S)
        return first, second

    def _call(
        self,
        mode: Mode,
        provider: object,
        settings: ProviderSettings,
        request: ChatRequest,
        timeout_s: float,
        *,
        as_core: bool = False,
    ) -> Callable[[], Any]:
        if mode in self.info.native and not as_core:
            hook = getattr(self.hook, f"kickai_{mode}_provider")
            return partial(hook, provider=provider, request=request, timeout_s=timeout_s)
        more = (settings,) if mode in STREAMS else ()
        return partial(getattr(self.adapter, mode), provider, request, timeout_s, *more)

    def attempt_at(self, mode: Mode, url: str, **more: Any) -> CallOutcome:
        """Call a provider once that has the same settings but for the address; see `attempt`."""
        if self._server is None:
            pytest.skip("not applicable: the provider has no wire")
        moved = with_long_timeouts(self.spec.settings(url, KEY))
        names = (field.name for field in fields(type(moved)))
        changes = {name: value for name in names if (value := getattr(moved, name)) != getattr(self.settings, name)}
        return self.attempt(mode, **{**changes, **more})

    def _prepare(
        self, fault: Fault | None, changes: dict[str, Any], *, is_new: bool = False
    ) -> tuple[Any, ProviderSettings]:
        settings = evolve(self.settings, **changes) if changes else self.settings
        if fault is not None and self._server is not None:
            self._server.script(fault)
        elif fault is not None and fault != Ok():
            faulty = self.spec.settings_for(fault)
            if faulty is None:
                pytest.skip(f"not applicable: settings_for returns None for {type(fault).__name__}")
            settings = evolve(with_long_timeouts(faulty), **changes)
        provider = self.provider if settings is self.settings and not is_new else self.create(settings)
        return provider, settings

    def call_hook(self, mode: Mode, timeout_s: float = PROMPT_S) -> Any:
        """Return what the plugin's own hook returns: a reply, an awaitable, an iterator or an async iterator."""
        hook = getattr(self.hook, f"kickai_{mode}_provider")
        return hook(provider=self.provider, request=self.request, timeout_s=timeout_s)
