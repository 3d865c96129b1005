"""The provider under test, beside the service that it talks to."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pluggy
import pytest
from attrs import evolve, fields, frozen

from kickai_providers_core.concurrency import threads
from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.plugin_api.adapter import Seam
from kickai_providers_core.plugin_api.discovery import discover
from kickai_providers_core.testing.contract.calling import timed
from kickai_providers_core.testing.contract.givens import GRACE_S, KEY, PROMPT, PROMPT_S, STREAMS
from kickai_providers_core.testing.faults import FaultServer, Ok
from kickai_providers_core.values.requests import ChatRequest

if TYPE_CHECKING:
    from types import TracebackType

    from kickai_providers_core.plugin_api.hookspecs import Mode, ProviderInfo
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.testing.contract.outcome import Outcome
    from kickai_providers_core.testing.contract.supplied import Supplied
    from kickai_providers_core.testing.faults import Fault

__all__ = ["Hooks", "Subject", "patient"]


def patient(settings: ProviderSettings) -> ProviderSettings:
    """Return settings whose timeouts run out in no test that does not mean them to."""
    names = ("timeout_s", "connect_timeout_s", "first_token_timeout_s", "idle_timeout_s")
    changes: dict[str, Any] = dict.fromkeys(names, PROMPT_S)
    return evolve(settings, **changes)


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
        with self._stack as opening:
            if self.supplied.wire is not None:
                self._server = opening.enter_context(FaultServer(self.supplied.wire))
            self.settings = patient(self.supplied.settings(self._server.url if self._server else "", KEY))
            self.provider = self.create(self.settings)
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def create(self, settings: ProviderSettings) -> Any:
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
        if mode in self.info.native and not as_core:
            hook = getattr(self.hook, f"kickai_{mode}_provider")
            call = partial(hook, provider=provider, request=request, timeout_s=timeout_s)
        else:
            own = (settings,) if mode in STREAMS else ()
            call = partial(getattr(self.seam, mode), provider, request, timeout_s, *own)
        return timed(mode, call, limit_s or timeout_s + GRACE_S)

    def attempt_at(self, mode: Mode, url: str, **more: Any) -> Outcome:
        """Call a provider once that has the same settings, but for the address; see `attempt`."""
        if self._server is None:
            pytest.skip("not applicable: the provider has no wire")
        elsewhere = patient(self.supplied.settings(url, KEY))
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
            settings = evolve(patient(told), **changes)
        provider = self.provider if settings is self.settings else self.create(settings)
        return provider, settings

    def raw(self, mode: Mode, timeout_s: float = PROMPT_S) -> Any:
        """Return what the plugin's own hook returns: an answer, an awaitable, an iterator or an async iterator."""
        hook = getattr(self.hook, f"kickai_{mode}_provider")
        return hook(provider=self.provider, request=self.request, timeout_s=timeout_s)
